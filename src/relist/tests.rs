//! The task itself, in paused time, at a backend on loopback that takes connections and never answers.

use tokio::net::TcpListener;

use super::*;
use crate::{
    backend::testing,
    rule::testing::{REQUESTS, index, rule},
};

/// A pool whose backend `default` hangs for as long as the listener lives.
async fn hanging() -> (Pool, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (testing::pool(&url), listener)
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
