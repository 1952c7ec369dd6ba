//! Replica that comes to lead, and what it had listed before.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_leader_ended_claims_by_a_listing_that_was_older_than_the_record() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let (leader, next) = (Replica::start(&api), Replica::start(&api));
    next.lists(&[]);
    leader.lead();
    leader.lists(&["a_total"]);
    until("both have it", || leader.claims() == 2 && next.claims() == 2).await;
    leader.claim.lost();
    next.lead();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(
        api.count(MAP),
        1,
        "its listing knows nothing of what has come since"
    );
    next.lists(&["a_total"]);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(api.count(MAP), 1);

    // A listing that tells the same again is as good as a new one, after a while; one that tells something else is at once.
    next.claim.lost();
    leader.lists(&[]);
    leader.lead();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(api.count(MAP), 1);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!((leader.claims(), api.count(MAP)), (2, 2), "they are idle");
    leader.lists(&["b_total"]);
    until("what has come is recorded", || leader.claims() == 4).await;
}
