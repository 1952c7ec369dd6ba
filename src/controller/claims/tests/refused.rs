//! Record that may not be read.

use super::*;

const MAPS: &str = "/api/v1/namespaces/ns/configmaps";

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_keeps_no_replica_from_its_work() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    api.fail("GET", MAPS, 403);
    let replica = Replica::start(&api);
    until("it goes on by itself", || replica.source() == RecordSource::Own).await;
    api.heal();
    until("it reads when it may", || {
        replica.source() == RecordSource::Cluster
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_moment_made_a_replica_that_starts_decide_by_itself() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    api.fail("GET", MAPS, 403);
    let replica = Replica::start(&api);
    replica.lists(&["a_total"]);
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(
            replica.source(),
            RecordSource::Unread,
            "it waits, and is not ready"
        );
    }
    api.heal();
    until("it reads", || replica.source() != RecordSource::Unread).await;
    assert_eq!(replica.source(), RecordSource::Cluster);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_is_not_done_while_its_write_is_refused() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let leader = Replica::start(&api);
    leader.lead();
    leader.lists(&["a_total"]);
    until("it is recorded", || leader.claims() == 2).await;
    api.fail("PATCH", MAP, 500);
    leader.lists(&["a_total", "b_total"]);
    leader.stop.cancel();
    until("it has tried", || api.count(MAP) > 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        !leader.written.is_cancelled(),
        "the lease may wait for another try"
    );
}
