//! Neighbours: what one namespace's selectors cost another's, on one backend.

use super::*;

/// The backend's own timeout.
const TIMEOUT: Duration = Duration::from_secs(8);

/// A listing that is on its way, and when it ends.
struct Running {
    target: Target,
    ends: Instant,
}

/// What was seen of the listings of one selector.
#[derive(Debug, Default)]
struct Seen {
    /// The longest time between two of its answers, or from the beginning to the first.
    longest: Duration,
    news: Vec<News>,
}

fn add(world: &mut World, at: &str, series: &str) {
    let spec = REQUESTS.replace("http_requests_total", series);
    world.index.apply_rule(rule(at, &spec));
}

fn late() -> BackendError {
    BackendError::new(Reason::BackendTimeout, "the backend did not answer in time")
}

/// Lists for `span` at a backend that answers `good_…` at once, from the second `well` on, and nothing else ever; `each` happens
/// every second.
async fn lists_for(
    world: &mut World,
    span: Duration,
    well: u64,
    mut each: impl FnMut(&mut World, u64),
) -> Seen {
    let (began, mut running, mut seen) = (Instant::now(), Vec::<Running>::new(), Seen::default());
    let mut last = began;
    for second in 0..span.as_secs() {
        each(world, second);
        let now = Instant::now();
        loop {
            while let Some(target) = world.selectors.take_due(now) {
                let takes = if second >= well && target.selector.starts_with("good") {
                    Duration::ZERO
                } else {
                    TIMEOUT
                };
                let ends = now + takes;
                running.push(Running { target, ends });
            }
            let Some(at) = running.iter().position(|running| running.ends <= now) else {
                break;
            };
            let Running { target, .. } = running.swap_remove(at);
            let is_good = second >= well && target.selector.starts_with("good");
            if is_good {
                seen.longest = seen.longest.max(now - last);
                last = now;
            }
            let outcome = Outcome {
                result: if is_good {
                    Ok(requests().into())
                } else {
                    Err(late())
                },
                at: Timestamp::UNIX_EPOCH,
                took: Duration::ZERO,
            };
            seen.news
                .extend(world.selectors.finish(&target, outcome, now).news);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    seen.longest = seen.longest.max(Instant::now() - last);
    seen
}

#[tokio::test(start_paused = true)]
async fn a_namespaces_slow_selectors_do_not_close_the_backend_to_a_neighbours() {
    let mut world = World::new();
    add(&mut world, "bank/payments", "good_total");
    for number in 0..100 {
        add(
            &mut world,
            &format!("shop/slow-{number}"),
            &format!("a_slow_{number}_total"),
        );
    }
    world.publish();
    let seen = lists_for(&mut world, Duration::from_mins(30), 0, |_, _| {}).await;
    assert!(
        seen.longest <= Duration::from_secs(80),
        "the neighbour's series are {:?} old",
        seen.longest
    );
    let of_backend = seen.news.iter().filter(|news| **news != News::Selector).count();
    assert_eq!(of_backend, 0, "the backend was never down: {:?}", seen.news);
}

#[tokio::test(start_paused = true)]
async fn a_new_selector_does_not_wait_behind_all_the_new_ones_of_a_neighbour() {
    let mut world = World::new();
    for number in 0..200 {
        add(
            &mut world,
            &format!("shop/slow-{number}"),
            &format!("a_slow_{number}_total"),
        );
    }
    world.publish();
    let seen = lists_for(&mut world, Duration::from_secs(70), 0, |world, second| {
        if second == 3 {
            add(world, "bank/payments", "good_total");
            world.publish();
        }
    })
    .await;
    assert!(seen.longest <= Duration::from_secs(65), "{:?}", seen.longest);
    let listed = world
        .selectors
        .of("default")
        .any(|state| state.target.namespace.as_deref() == Some("bank") && state.progress.series().is_some());
    assert!(listed, "it was never its turn");
}

#[tokio::test(start_paused = true)]
async fn selectors_that_come_and_go_leave_no_listings_behind() {
    let mut world = World::new();
    add(&mut world, "bank/payments", "good_total");
    world.publish();
    lists_for(&mut world, Duration::from_secs(1), 0, |_, _| {}).await;
    let mut taken = Vec::new();
    for number in 0..50 {
        add(&mut world, "shop/toggled", &format!("a_slow_{number}_total"));
        world.publish();
        taken.push(world.selectors.take_due(Instant::now()).unwrap());
        world.index.delete_rule(&RuleKey::namespaced("shop", "toggled"));
        world.publish();
    }
    assert!(
        taken.iter().all(Target::is_abandoned),
        "a listing that nobody needs holds a slot"
    );
    // One that comes back is another one: what the former listing came to is not its.
    add(&mut world, "shop/toggled", "a_slow_0_total");
    world.publish();
    let now = Instant::now();
    let again = world.selectors.take_due(now).unwrap();
    let outcome = |result| Outcome {
        result,
        at: Timestamp::UNIX_EPOCH,
        took: Duration::ZERO,
    };
    let round = world.selectors.finish(&taken[0], outcome(Err(late())), now);
    assert!(!round.changed && !again.is_abandoned());
    assert!(
        world.selectors.take_due(now).is_none(),
        "it is still being listed, and not twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_answers_no_namespace_is_down_and_asked_for_each_in_turn() {
    let mut world = World::new();
    for number in 0..30 {
        add(
            &mut world,
            &format!("shop/a-{number}"),
            &format!("a_slow_{number}_total"),
        );
    }
    add(&mut world, "bank/payments", "z_slow_total");
    world.publish();
    let seen = lists_for(&mut world, Duration::from_mins(5), 0, |_, _| {}).await;
    assert_eq!(seen.news, [News::Down { selectors: 31 }]);
    // The attempts that find out are not all one namespace's.
    let mut asked = Vec::new();
    for _ in 0..120 {
        while let Some(target) = world.selectors.take_due(Instant::now()) {
            asked.push(target.namespace.clone());
            let outcome = Outcome {
                result: Err(late()),
                at: Timestamp::UNIX_EPOCH,
                took: Duration::ZERO,
            };
            world.selectors.finish(&target, outcome, Instant::now());
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    let of_bank = asked.iter().filter(|of| of.as_deref() == Some("bank")).count();
    assert!(of_bank > 0 && of_bank < asked.len(), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn new_selectors_of_one_namespace_do_not_keep_a_backend_down() {
    let mut world = World::new();
    add(&mut world, "bank/payments", "good_total");
    for number in 0..10 {
        add(
            &mut world,
            &format!("shop/a-{number}"),
            &format!("a_slow_{number}_total"),
        );
    }
    world.publish();
    // Two minutes in which it answers nothing; then all but what is slow, whose author writes a new one every other second.
    let seen = lists_for(&mut world, Duration::from_mins(10), 120, |world, second| {
        if second == 60 {
            assert!(world.selectors.health["default"].is_down());
        }
        if second >= 100 && second % 2 == 0 {
            add(world, "shop/new", &format!("a_new_slow_{second}_total"));
            world.publish();
        }
    })
    .await;
    assert!(
        seen.longest <= Duration::from_secs(200),
        "of which 120 are the outage: {:?}",
        seen.longest
    );
}
