use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn limits(all: u32, namespace: u32, rule: u32) -> BackendLimits {
    let mut limits = BackendLimits {
        max_concurrent: all,
        ..BackendLimits::default()
    };
    limits.per_namespace.max_concurrent = namespace;
    limits.per_rule.max_concurrent = rule;
    limits
}

fn who(namespace: &str, rule: &str) -> Who {
    Who {
        tenant: Tenant::Namespace(namespace.into()),
        rule: Some(Arc::new(RuleKey::namespaced(namespace, rule))),
    }
}

/// A queue with a clock of its own, and all that is in it.
struct Bench {
    queue: FairQueue<()>,
    now: Instant,
    held: BTreeMap<Ticket, Who>,
    running: BTreeSet<Ticket>,
}

impl Bench {
    fn new(limits: &BackendLimits) -> Self {
        Self {
            queue: FairQueue::new(limits),
            now: Instant::now(),
            held: BTreeMap::new(),
            running: BTreeSet::new(),
        }
    }

    fn enter(&mut self, who: &Who) -> Ticket {
        let ticket = self.queue.enter(who, ()).unwrap();
        self.held.insert(ticket, who.clone());
        self.start();
        ticket
    }

    fn start(&mut self) {
        let started = self.queue.start(self.now);
        self.running
            .extend(started.into_iter().map(|(ticket, ())| ticket));
    }

    fn leave(&mut self, ticket: Ticket, took: Option<Duration>) {
        let who = self.held.remove(&ticket).unwrap();
        self.running.remove(&ticket);
        self.queue.leave(ticket, &who, took, self.now);
        self.start();
    }

    fn running_of(&self, namespace: &str) -> usize {
        let of = Tenant::Namespace(namespace.into());
        self.running
            .iter()
            .filter(|ticket| self.held[ticket].tenant == of)
            .count()
    }
}

const SLOW: Duration = Duration::from_secs(6);
const FAST: Duration = Duration::from_millis(10);

#[test]
fn a_neighbours_slow_queries_leave_slots_free() {
    let mut bench = Bench::new(&limits(16, 4, 4));
    for rule in 0..80 {
        bench.enter(&who("lab", &rule.to_string()));
    }
    assert_eq!(bench.running_of("lab"), 4);
    let other = bench.enter(&who("other", "fast"));
    assert!(bench.running.contains(&other), "it starts at once");
}

#[test]
fn a_rule_has_a_share_of_its_namespaces() {
    let mut bench = Bench::new(&limits(16, 4, 2));
    for _ in 0..20 {
        bench.enter(&who("lab", "slow"));
    }
    assert_eq!(bench.running_of("lab"), 2);
    let other = bench.enter(&who("lab", "fast"));
    assert!(
        bench.running.contains(&other),
        "in spite of the eighteen before it"
    );
    // A rule of the platform team is bounded by the namespaces that use it.
    let shared = Who {
        tenant: Tenant::Namespace("shop".into()),
        rule: Some(Arc::new(RuleKey::cluster("shared"))),
    };
    for _ in 0..8 {
        bench.enter(&shared);
    }
    assert_eq!(bench.running_of("shop"), 4);
}

#[test]
fn quick_queries_borrow_idle_slots_and_slow_ones_do_not() {
    let mut bench = Bench::new(&limits(16, 4, 2));
    let first = bench.enter(&who("lab", "fast"));
    bench.leave(first, Some(FAST));
    let tickets: Vec<_> = (0..20).map(|_| bench.enter(&who("lab", "fast"))).collect();
    assert_eq!(bench.running_of("lab"), 12, "a quarter is never lent");
    let others: Vec<_> = (0..6).map(|_| bench.enter(&who("other", "new"))).collect();
    assert_eq!(
        bench.running_of("other"),
        2,
        "within its share it takes of that quarter"
    );
    for ticket in others {
        bench.leave(ticket, Some(FAST));
    }
    bench.now += SLOW;
    for ticket in tickets {
        bench.leave(ticket, Some(SLOW));
    }
    for _ in 0..20 {
        bench.enter(&who("lab", "fast"));
    }
    assert_eq!(bench.running_of("lab"), 2, "its queries are slow now");
}

#[test]
fn what_was_given_up_is_known_to_be_slow() {
    let mut bench = Bench::new(&limits(16, 4, 2));
    let first = bench.enter(&who("lab", "a"));
    bench.leave(first, Some(FAST));
    let hung = bench.enter(&who("lab", "a"));
    bench.now += SLOW;
    bench.leave(hung, None);
    for _ in 0..20 {
        bench.enter(&who("lab", "a"));
    }
    assert_eq!(bench.running_of("lab"), 2);
}

#[test]
fn the_last_slot_is_for_somebody_else() {
    for (all, expected) in [(1, 1), (2, 1), (4, 3), (5, 4)] {
        let mut bench = Bench::new(&limits(all, 4, 4));
        for rule in 0..20 {
            bench.enter(&who("lab", &rule.to_string()));
        }
        assert_eq!(bench.running_of("lab"), expected, "of {all}");
    }
}

#[test]
fn fewer_slots_count_what_is_in_flight() {
    let mut bench = Bench::new(&limits(16, 16, 16));
    let running: Vec<_> = (0..15).map(|_| bench.enter(&who("lab", "a"))).collect();
    let waits = bench.enter(&who("shop", "a"));
    assert!(bench.running.contains(&waits));
    bench.queue.set_limits(&limits(2, 2, 2));
    let late = bench.enter(&who("bank", "a"));
    for ticket in running {
        assert!(!bench.running.contains(&late), "more than two are in flight");
        bench.leave(ticket, Some(FAST));
    }
    assert!(bench.running.contains(&late));
}

#[test]
fn the_wait_is_told_only_where_it_is_known() {
    let mut bench = Bench::new(&limits(4, 2, 2));
    let lab = who("lab", "slow");
    let tickets: Vec<_> = (0..9).map(|_| bench.enter(&lab)).collect();
    let last = *tickets.last().unwrap();
    assert_eq!(bench.queue.ahead(last, &lab), (6, 6));
    let unknown = (Duration::ZERO, Duration::ZERO);
    assert_eq!(bench.queue.least_time(last, &lab, bench.now), unknown);
    for _ in 0..REMEMBERED {
        let ticket = bench.enter(&lab);
        bench.now += Duration::from_secs(1);
        let first = *bench.running.first().unwrap();
        bench.leave(first, Some(Duration::from_secs(1)));
        let _ = ticket;
    }
    let ticket = bench.enter(&lab);
    let (ahead, _) = bench.queue.ahead(ticket, &lab);
    let rounds = u64::try_from(ahead / 2).unwrap();
    // The two that run have a second behind them, or none.
    let (wait, take) = bench.queue.least_time(ticket, &lab, bench.now);
    assert!((rounds..=rounds + 1).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(take, Duration::from_secs(1));
    assert_eq!(bench.queue.ceiling(&lab), Ceiling::Rule);
    assert_eq!(bench.queue.wanted(Ceiling::Rule, &lab), ahead + 3);
}

#[derive(Clone, Debug)]
enum Step {
    Enter(usize, usize),
    /// Which of those held, and whether it comes to its end.
    Leave(usize, bool, u64),
    Wait(u64),
    Limit(u32, u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..5_usize, 0..3_usize).prop_map(|(tenant, rule)| Step::Enter(tenant, rule)),
        4 => (any::<usize>(), any::<bool>(), 0..1000_u64).prop_map(|(which, ends, took)| Step::Leave(which, ends, took)),
        1 => (0..1000_u64).prop_map(Step::Wait),
        1 => (1..20_u32, 1..8_u32, 1..8_u32).prop_map(|(all, namespace, rule)| Step::Limit(all, namespace, rule)),
    ]
}

proptest! {
    /// Whatever comes, is given up or ends: the bounds hold, nothing is lost, nobody who could run waits, and when everything
    /// has ended nothing is left.
    #[test]
    fn bounds_hold_and_nothing_is_lost(steps in prop::collection::vec(step(), 1..200)) {
        let mut bench = Bench::new(&limits(6, 3, 2));
        for step in steps {
            match step {
                Step::Enter(tenant, rule) => {
                    let who = match tenant {
                        0 => Who { tenant: Tenant::Cluster, rule: None },
                        1 => Who { tenant: Tenant::Listings, rule: None },
                        _ => who(&tenant.to_string(), &rule.to_string()),
                    };
                    bench.enter(&who);
                }
                Step::Leave(which, ends, took) => {
                    let ticket = bench.held.keys().nth(which % bench.held.len().max(1)).copied();
                    if let Some(ticket) = ticket {
                        let ends = ends && bench.running.contains(&ticket);
                        bench.leave(ticket, ends.then(|| Duration::from_millis(took)));
                    }
                }
                Step::Wait(millis) => bench.now += Duration::from_millis(millis),
                Step::Limit(all, namespace, rule) => {
                    bench.queue.set_limits(&limits(all, namespace, rule));
                    bench.start();
                }
            }
            let queue = &bench.queue;
            prop_assert_eq!(queue.running.len(), bench.running.len());
            prop_assert_eq!(queue.queued() + bench.running.len(), bench.held.len());
            prop_assert_eq!(queue.turns.len(), queue.waiting.len());
            // Nobody waits beside a free slot of his share.
            prop_assert!(queue.next_to_start(false, bench.now).is_none());
            let counted: usize = queue.tenants.values().map(|usage| usage.running.len()).sum();
            prop_assert_eq!(counted, queue.running.len());
        }
        while let Some(ticket) = bench.held.keys().next().copied() {
            bench.leave(ticket, None);
        }
        prop_assert!(bench.queue.running.is_empty() && bench.queue.waiting.is_empty() && bench.queue.turns.is_empty());
        prop_assert!(bench.queue.tenants.values().all(|usage| usage.running.is_empty()));
    }

    /// However many wait for the others, and however long their queries take: who comes is served after one query of each
    /// namespace that waits, at the latest.
    #[test]
    fn nobody_starves(tenants in 1..12_usize, each in 1..30_usize, slots in 1..8_u32) {
        let mut bench = Bench::new(&limits(slots, 4, 4));
        for tenant in 0..tenants {
            for rule in 0..each {
                bench.enter(&who(&tenant.to_string(), &rule.to_string()));
            }
        }
        let late = bench.enter(&who("late", "only"));
        let mut ends = 0;
        while !bench.running.contains(&late) {
            // The oldest ends, and its like comes again at once.
            let first = *bench.running.first().unwrap();
            let again = bench.held[&first].clone();
            bench.now += SLOW;
            bench.leave(first, Some(SLOW));
            bench.enter(&again);
            ends += 1;
            prop_assert!(ends <= tenants + 1, "{ends} ends");
        }
    }
}
