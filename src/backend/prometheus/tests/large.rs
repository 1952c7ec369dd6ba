//! Answers that are large: what is not wanted of them takes no memory, and nothing of them stays.

use std::{
    io::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
};

use flate2::{Compression, write::GzEncoder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// A server that sends a head and then pieces for as long as they are taken; counts their bytes.
async fn endless(head: String, piece: Vec<u8>, pieces: usize) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (head, piece, count) = (head.clone(), piece.clone(), count.clone());
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream
                    .write_all(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{head}").as_bytes())
                    .await;
                for _ in 0..pieces {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                    count.fetch_add(piece.len(), Ordering::SeqCst);
                }
            });
        }
    });
    (url, sent)
}

const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":["#;

#[tokio::test]
async fn a_label_of_48_mb_is_given_up_after_some_kilobytes() {
    let (url, sent) = endless(format!(r#"{VECTOR}{{"metric":{{"x":""#), vec![b'a'; 1 << 20], 48).await;
    let client = client(&json!({"url": url}), &[]);
    let error = client.instant(query("up")).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.cause()),
        (
            Reason::LimitExceeded,
            "the backend's answer contains a text of more than 64 KiB"
        )
    );
    assert_eq!(client.context.answers.used(), 0);
    // What the sockets hold is sent.
    assert!(sent.load(Ordering::SeqCst) < 16 << 20, "{sent:?}");
}

/// `serde_json` notes each list that it is in, also of what is passed over.
#[tokio::test]
async fn lists_in_lists_without_end_are_given_up_after_some_kilobytes() {
    let head = r#"{"status":"success","x":"#;
    let (url, sent) = endless(head.to_owned(), vec![b'['; 1 << 20], 48).await;
    let client = client(&json!({"url": url}), &[]);
    for error in [
        client.instant(query("up")).await.unwrap_err(),
        client.series(series_query()).await.unwrap_err(),
    ] {
        assert_eq!(error.reason(), Reason::BackendError, "{error:?}");
    }
    assert!(sent.load(Ordering::SeqCst) < 32 << 20, "{sent:?}");
}

#[tokio::test]
async fn a_small_body_that_unpacks_to_much_is_given_up() {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(VECTOR.as_bytes()).unwrap();
    for _ in 0..70 {
        packed.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 200_000, "{}", packed.len());
    let server = wiremock::MockServer::start().await;
    let reply = wiremock::ResponseTemplate::new(200)
        .set_body_bytes(packed)
        .insert_header("Content-Encoding", "gzip");
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(reply)
        .mount(&server)
        .await;
    let client = client(&json!({"url": server.uri(), "timeout": "20s"}), &[]);
    let error = client.instant(query("up")).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.cause()),
        (
            Reason::LimitExceeded,
            "the backend's answer is larger than 65536 KiB"
        )
    );
}

#[tokio::test]
async fn a_long_body_is_read_as_a_short_one_is() {
    let rows: Vec<Value> = (0..5_000)
        .map(|number| json!({"metric": {"pod": format!("pod-{number}")}, "value": [1, number.to_string()]}))
        .collect();
    let body = vector(&json!(rows));
    assert!(body.len() > 200_000);
    let fake = Fake::start().await;
    fake.set("/query", 200, body);
    let client = client(&json!({"url": fake.url}), &[]);
    let mut query = query("up");
    query.max_samples = None;
    let rows = client.instant(query.clone()).await.unwrap().rows;
    assert_eq!(rows.samples.len(), 5_000);
    assert_eq!(rows.samples[4_999].labels.get("pod"), Some("pod-4999"));
    assert_eq!(client.context.answers.used(), rows.weight());
    query.max_samples = Some(4_999);
    let error = client.instant(query).await.unwrap_err();
    assert_eq!(
        error.cause(),
        "the backend's answer has more than 4999 rows, which is limits.maxSamples of the rule"
    );
    drop(rows);
    assert_eq!(client.context.answers.used(), 0, "nothing of it stays");
}

#[tokio::test]
async fn who_goes_away_leaves_no_transfer_no_thread_and_no_bytes_behind() {
    let row = br#"{"metric":{"a":"0123456789012345678901234567890123456789"},"value":[1,"1"]},"#;
    let (url, sent) = endless(VECTOR.to_owned(), row.repeat(1000), usize::MAX).await;
    let client = client(&json!({"url": url, "timeout": "20s"}), &[]);
    let mut query = query("up");
    query.max_samples = None;
    {
        let mut asked = client.instant(query);
        let poll = async {
            while client.context.answers.used() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut asked => panic!("the answer has no end"),
            () = tokio::time::timeout(Duration::from_secs(20), poll).map(Result::unwrap) => {}
        }
    }
    // The thread gives its bytes back when it ends, and the server can send no more.
    let settled = async {
        while client.context.answers.used() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut before = 0;
        while before != sent.load(Ordering::SeqCst) {
            before = sent.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), settled)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_listing_keeps_its_names_and_not_its_series() {
    let series: Vec<String> = (0..20_000)
        .map(|number| {
            format!(
                r#"{{"__name__":"http_requests_total","namespace":"shop","pod":"web-{number}","instance":"10.0.0.1:8080","code":"200"}}"#
            )
        })
        .collect();
    let fake = Fake::start().await;
    let long = "x".repeat(100_000);
    fake.set(
        "/series",
        200,
        format!(
            r#"{{"status":"success","data":[{{"__name__":"a","label":"{long}"}},{}]}}"#,
            series.join(",")
        ),
    );
    let client = client(&json!({"url": fake.url}), &[]);
    let listed = client.series(series_query()).await.unwrap();
    let groups: Vec<(&str, usize)> = listed
        .groups()
        .map(|group| (&**group.name(), group.count()))
        .collect();
    assert_eq!(groups, [("a", 1), ("http_requests_total", 20_000)]);
    let used = client.context.listings.used();
    assert!(used > 0 && used < 4_096, "{used}");
    drop(listed);
    assert_eq!(client.context.listings.used(), 0);
}

#[tokio::test]
async fn a_namespace_whose_answers_fill_its_share_leaves_room_for_anothers() {
    let rows: Vec<Value> = (0..20_000)
        .map(|number| json!({"metric": {"pod": format!("pod-{number}"), "text": "x".repeat(100)}, "value": [1, "1"]}))
        .collect();
    let fake = Fake::start().await;
    fake.set("/query", 200, vector(&json!(rows)));
    let client = client(&json!({"url": fake.url, "timeout": "20s"}), &[]);
    let ask = |namespace: &str| {
        let mut query = query("up");
        query.max_samples = None;
        query.namespace = Some(namespace.into());
        client.instant(query)
    };
    let mut held = Vec::new();
    let refused = loop {
        match ask("hog").await {
            Ok(rows) => held.push(rows),
            Err(error) => break error,
        }
    };
    assert!(held.len() > 4, "{}", held.len());
    assert_eq!(refused.reason(), Reason::LimitExceeded);
    assert!(refused.cause().contains("its share"), "{refused}");
    assert!(ask("other").await.is_ok());
    held.clear();
    assert!(ask("hog").await.is_ok());
}
