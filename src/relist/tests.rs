//! The task itself, in paused time, at a backend on loopback that takes connections and never answers.

use futures::future::BoxFuture;
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::{
    backend::{
        BackendInputs,
        auth::{IssuedToken, TokenSource},
    },
    rule::testing::{REQUESTS, index, rule},
};

struct NoTokens;

impl TokenSource for NoTokens {
    fn issue(
        &self,
        _: Arc<str>,
        _: Arc<str>,
        _: Duration,
    ) -> BoxFuture<'_, Result<IssuedToken, BackendError>> {
        std::future::pending().boxed()
    }
}

/// A pool whose backend `default` hangs for as long as the listener lives.
async fn hanging() -> (Pool, TcpListener) {
    crate::backend::install_crypto();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let spec = json!({"type": "Prometheus", "prometheus": {"url": url}});
    let inputs = BackendInputs {
        spec: Arc::new(serde_json::from_value(spec).unwrap()),
        uid: "1".to_owned(),
        generation: 1,
    };
    let pool = Pool::new(Metrics::new().backend, Arc::new(NoTokens));
    pool.set_credentials(|_, _, _| None);
    pool.apply([("default".into(), inputs)]);
    (pool, listener)
}

#[tokio::test(start_paused = true)]
async fn readiness_does_not_wait_for_each_selector_of_a_backend_that_hangs() {
    let (pool, _listener) = hanging().await;
    let mut index = index();
    for n in 0..300 {
        let spec = REQUESTS.replace("http_requests_total", &format!("series_{n}_total"));
        index.apply_rule(rule(&format!("rule-{n}"), &spec));
    }
    let (_tables, tables) = watch::channel(Arc::new(index.table()));
    let (_recorder, recorded) = watch::channel(Recorded::default());
    let (relist, mut listings) = Relist::new(tables, recorded, pool, "metricrule-0", Metrics::new());
    let began = Instant::now();
    let task = tokio::spawn(relist.run());
    listings.ready.wait_for(|ready| *ready).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(
        !*listings.attempted.borrow(),
        "a status that was written now would fall back to Pending"
    );
    listings.attempted.wait_for(|attempted| *attempted).await.unwrap();
    assert!(
        began.elapsed() <= Duration::from_secs(20),
        "the first failures stand for all selectors of the backend: {:?}",
        began.elapsed()
    );
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn without_selectors_a_synced_table_is_ready_at_once() {
    let (pool, _listener) = hanging().await;
    let (tables, receiver) = watch::channel(Arc::default());
    let (_recorder, recorded) = watch::channel(Recorded::default());
    let (relist, mut listings) = Relist::new(receiver, recorded, pool, "metricrule-0", Metrics::new());
    let task = tokio::spawn(relist.run());
    tokio::time::sleep(PATIENCE * 2).await;
    assert!(!*listings.ready.borrow(), "the rules are not known yet");
    let began = Instant::now();
    tables.send_replace(Arc::new(index().table()));
    listings.ready.wait_for(|ready| *ready).await.unwrap();
    assert!(began.elapsed() < PATIENCE && *listings.attempted.borrow());
    task.abort();
}
