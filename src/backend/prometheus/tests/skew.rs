//! Backends whose clock differs from ours.

use super::*;

/// A Prometheus whose clock is `ahead` seconds before ours: it evaluates for the time that it is asked for, and dates its
/// replies by its own.
async fn skewed(ahead: i64, headers: &'static [(&'static str, &'static str)]) -> (String, Asked) {
    let asked = Asked::default();
    let times = asked.clone();
    let app = Router::new().fallback(move |body: String| {
        let form: BTreeMap<String, String> = Url::parse(&format!("http://x/?{body}"))
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect();
        let now = Timestamp::now() + SignedDuration::from_secs(ahead);
        let wanted = |name: &str| {
            let seconds: f64 = form.get(name)?.parse().unwrap();
            Some(seconds)
        };
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this century")]
        let exact = now.as_millisecond() as f64 / 1000.0;
        for name in ["time", "start", "end"] {
            if let Some(wanted) = wanted(name) {
                times.lock().unwrap().push((name, wanted - exact));
            }
        }
        let body = match wanted("time") {
            Some(at) => vector(&json!([{"metric": {}, "value": [at, increase(at - exact).to_string()]}])),
            None => r#"{"status":"success","data":[{"__name__":"up"}]}"#.to_owned(),
        };
        let mut reply = http::Response::builder().header("date", http_date_of(now));
        for (name, value) in headers {
            reply = reply.header(*name, *value);
        }
        async move { reply.body(body).unwrap() }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

/// `increase(x[2m])` at so many seconds after the backend's now. The last scrape was seven seconds ago, there is one every 15 s,
/// and the counter grows ever faster.
fn increase(at: f64) -> i64 {
    let scrapes = (0..60_i32).filter(|back| {
        let scrape = -7.0 - 15.0 * f64::from(*back);
        (at - 120.0..=at).contains(&scrape)
    });
    let counts: Vec<i64> = scrapes.map(|back| i64::from(1000 - back).pow(2)).collect();
    counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
}

/// What was asked for, in seconds after the backend's now.
type Asked = Arc<Mutex<Vec<(&'static str, f64)>>>;

fn http_date_of(at: Timestamp) -> String {
    jiff::fmt::rfc2822::DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .unwrap()
}

fn now() -> InstantQuery {
    InstantQuery {
        at: Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap(),
        ..query("up")
    }
}

#[tokio::test]
async fn a_query_asks_for_the_backends_now_whatever_the_replicas_clock_says() {
    for ahead in [60, -60, 400] {
        let (url, asked) = skewed(ahead, &[]).await;
        let client = client(&json!({"url": url}), &[]);
        let query = now();
        let rows = client.instant(query.clone()).await.unwrap().rows;
        let asked_first = asked.lock().unwrap().clone();
        let (_, off) = asked_first.last().unwrap();
        assert!(off.abs() < 1.5, "{ahead}: {asked_first:?}");
        assert_eq!(
            asked_first.len(),
            2,
            "the first query finds out, and is asked once more"
        );
        let row = rows.samples[0].timestamp;
        let off = (row - query.at).total(jiff::Unit::Millisecond).unwrap();
        assert!(off.abs() <= 2.0, "outside everything is on our own clock: {off}");

        client.instant(now()).await.unwrap();
        assert_eq!(asked.lock().unwrap().len(), 3, "from then on it is known");

        let end = Timestamp::now();
        let start = end - SignedDuration::from_mins(5);
        client
            .series(SeriesQuery {
                start,
                end,
                ..series_query()
            })
            .await
            .unwrap();
        let asked = asked.lock().unwrap().clone();
        for (name, expected) in [("start", -300.0), ("end", 0.0)] {
            let (_, off) = asked.iter().rev().find(|(asked, _)| *asked == name).unwrap();
            assert!((off - expected).abs() < 1.5, "{ahead} {name}: {off}");
        }
        let told = client
            .probe(Instant::now() + Duration::from_secs(10))
            .await
            .unwrap();
        let told = told.clock_offset.unwrap();
        assert!((told - ahead).abs() <= 1, "{told} {ahead}");
    }
}

#[tokio::test]
async fn two_replicas_with_different_clocks_gave_two_numbers() {
    let mut values = Vec::new();
    // To a replica whose clock is a minute ahead the backend's is a minute behind.
    for ahead in [0, -60, 60] {
        let (url, asked) = skewed(ahead, &[]).await;
        let client = client(&json!({"url": url}), &[]);
        let rows = client.instant(now()).await.unwrap().rows;
        let (_, last) = *asked.lock().unwrap().last().unwrap();
        assert!(
            last.abs() < 1.5,
            "{ahead}: evaluated {last} s after the backend's now"
        );
        values.push(rows.samples[0].value.to_string());
    }
    assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
}

#[tokio::test]
async fn a_clock_within_a_second_is_left_alone() {
    let (url, asked) = skewed(0, &[]).await;
    let client = client(&json!({"url": url}), &[]);
    for _ in 0..5 {
        let query = now();
        let rows = client.instant(query.clone()).await.unwrap().rows;
        assert_eq!(rows.samples[0].timestamp, query.at);
    }
    assert_eq!(asked.lock().unwrap().len(), 5);
    assert_eq!(
        client
            .probe(Instant::now() + Duration::from_secs(10))
            .await
            .unwrap()
            .clock_offset,
        None
    );
}

#[tokio::test]
async fn a_date_out_of_a_cache_says_nothing_of_the_clock() {
    let (url, asked) = skewed(-90, &[("age", "90")]).await;
    let client = client(&json!({"url": url}), &[]);
    client.instant(now()).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert_eq!(client.ahead(), SignedDuration::ZERO);
}

#[tokio::test]
async fn clocks_that_are_a_quarter_of_an_hour_apart_are_an_error_and_not_a_number() {
    for (ahead, words) in [(900, "15 minutes ahead of"), (-900, "15 minutes behind")] {
        let (url, asked) = skewed(ahead, &[]).await;
        let client = client(&json!({"url": url}), &[]);
        let error = client.instant(now()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::ClockSkew);
        assert!(error.cause().contains(words), "{error}");
        assert_eq!(
            client.series(series_query()).await.unwrap_err().reason(),
            Reason::ClockSkew
        );
        let deadline = Instant::now() + Duration::from_secs(10);
        assert_eq!(
            client.probe(deadline).await.unwrap_err().reason(),
            Reason::ClockSkew
        );
        // One query each, and nothing is asked for a time that nobody knows.
        assert_eq!(
            asked
                .lock()
                .unwrap()
                .iter()
                .filter(|(name, _)| *name == "time")
                .count(),
            2
        );
    }
}
