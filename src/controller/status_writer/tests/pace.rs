//! Cost of a change that affects many objects at once.

use super::*;
use crate::controller::status_writer::{FOLLOWING_BURST, FOLLOWING_EVENTS};

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("rule-{number}")).collect()
}

fn status(conditions: &[(&str, &str, &str)], series: u64) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(kind, status, reason)| condition(kind, status, reason, THEN))
        .collect();
    json!({"conditions": conditions, "discovered": {"series": series, "metrics": 1}})
}

const GOOD: [(&str, &str, &str); 2] = [("Discovered", "True", "Discovered"), ("Ready", "True", "Serving")];
const DOWN: [(&str, &str, &str); 2] = [("Discovered", "False", "BackendDown"), ("Ready", "True", "Stale")];
const REFUSED: [(&str, &str, &str); 2] = [
    ("Discovered", "True", "Discovered"),
    ("Ready", "False", "QueryRejected"),
];

impl World {
    /// Such rules, each with a good status that was written.
    async fn with_rules(names: &[String]) -> Self {
        let world = Self::start();
        for name in names {
            world.create(name);
        }
        world.set(names, |_| status(&GOOD, 1));
        until("all are written", || world.written() == names.len()).await;
        world.set(names, |_| status(&GOOD, 1));
        rest(120).await;
        world
    }

    fn set(&self, names: &[String], desired: impl Fn(usize) -> Value) {
        self.publish(
            names
                .iter()
                .enumerate()
                .map(|(index, name)| self.target(name, desired(index))),
        );
    }
}

/// The most writes in one of the minutes, in which every relist finds other counts.
async fn drift(world: &World, names: &[String], minutes: u64) -> usize {
    let mut written = world.written();
    let mut worst = 0;
    for minute in 0..minutes {
        world.set(names, |_| status(&GOOD, 2 + minute));
        rest(60).await;
        let now = world.written();
        worst = worst.max(now - written);
        written = now;
    }
    worst
}

#[tokio::test(start_paused = true)]
async fn a_thousand_rules_whose_counts_drift_cost_fifty_writes_a_minute_at_most() {
    let names = names(1000);
    let world = World::with_rules(&names).await;
    let worst = drift(&world, &names, 5).await;
    assert!((40..=50).contains(&worst), "{worst} writes in a minute");

    // What happens to one rule does not wait for that.
    let start = Instant::now();
    world.set(&names, |index| {
        status(if index == 7 { &REFUSED } else { &GOOD }, 1000)
    });
    let path = format!("{RULES}/rule-7");
    until("the condition", || {
        world.api.get(&path).unwrap()["status"]["conditions"][1]["reason"] == json!("QueryRejected")
    })
    .await;
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn each_rule_whose_counts_drift_gets_its_turn() {
    let names = names(150);
    let world = World::with_rules(&names).await;
    drift(&world, &names, 5).await;
    let behind = |name: &&String| {
        let object = world.api.get(&format!("{RULES}/{name}")).unwrap();
        object["status"]["discovered"]["series"] == json!(1)
    };
    assert_eq!(names.iter().filter(behind).count(), 0, "some never got a turn");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_down_does_not_flip_its_rules_all_at_once_nor_drown_anothers_event() {
    let names = names(1000);
    let mut world = World::with_rules(&names).await;
    while world.notices.try_recv().is_ok() {}
    let written = world.written();
    world.set(&names, |index| {
        status(if index == 7 { &REFUSED } else { &DOWN }, 1)
    });
    rest(60).await;
    let flipped = world.written() - written;
    let bound = 60 + usize::try_from(FOLLOWING_BURST).unwrap() + 2;
    assert!((60..=bound).contains(&flipped), "{flipped} in the first minute");
    let mut told = Vec::new();
    while let Ok(notice) = world.notices.try_recv() {
        told.push(notice.reason);
    }
    assert!(told.contains(&"QueryRejected".to_owned()), "{told:?}");
    let bound = usize::try_from(FOLLOWING_EVENTS).unwrap() * 2 + 4;
    assert!(told.len() <= bound, "{} Events", told.len());

    // It is back before most have followed: those that have not are left alone.
    world.set(&names, |index| {
        status(if index == 7 { &REFUSED } else { &GOOD }, 1)
    });
    rest(600).await;
    let again = world.written() - written;
    assert!(again <= 2 * flipped + 2, "{again} writes in all");
    for name in &names {
        let object = world.api.get(&format!("{RULES}/{name}")).unwrap();
        assert_eq!(
            object["status"]["conditions"][0]["reason"],
            json!("Discovered"),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn one_rule_whose_listing_fails_is_told_at_once() {
    let names = names(3);
    let mut world = World::with_rules(&names).await;
    while world.notices.try_recv().is_ok() {}
    let start = Instant::now();
    world.set(&names, |index| status(if index == 1 { &DOWN } else { &GOOD }, 1));
    until("it is written", || world.written() == 4).await;
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(world.notices.recv().await.unwrap().reason, "BackendDown");
}

#[tokio::test(start_paused = true)]
async fn what_a_former_leader_found_out_is_not_written_when_it_leads_again() {
    let world = World::start();
    world.create("a");
    let found = |term| {
        let (key, target) = world.target("a", accepted("False", "BackendDown"));
        let mut target = StatusTarget::clone(&target);
        target.term = Some(term);
        (key, Arc::new(target))
    };
    let first = world.leadership.term().unwrap();
    world.claim.lost();
    world.publish([found(first)]);
    rest(10).await;
    world.claim.held(Instant::now() + Duration::from_hours(1));
    rest(60).await;
    assert_eq!(world.written(), 0, "the outcome of a former term");
    world.publish([found(world.leadership.term().unwrap())]);
    until("that of this term", || world.written() == 1).await;
}
