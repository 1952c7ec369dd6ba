//! Series that relist keeps through edits and failures.

mod cut;
mod edits;
mod neighbours;

use super::*;
use crate::{
    api::RuleKey,
    catalog::{Catalog, Served, Standing},
    resource::GroupResource,
    rule::{
        Index,
        testing::{REQUESTS, backend, index, rule, series},
    },
    sample::SeriesSet,
};

struct World {
    index: Index,
    selectors: Selectors,
    catalog: Catalog,
}

impl World {
    fn new() -> Self {
        Self {
            index: index(),
            selectors: Selectors::new(Jitter::of("metricrule-0")),
            catalog: Catalog::default(),
        }
    }

    /// What the task does with a new table.
    fn publish(&mut self) {
        let table = Arc::new(self.index.table());
        self.selectors.apply(&table);
        self.rebuild(table);
    }

    fn rebuild(&mut self, table: Arc<RuleTable>) {
        let entries = self.selectors.entries(&table, Instant::now());
        self.catalog = Catalog::build(table, entries);
    }

    /// Lists all that is due; `answer` gives the series of a selector.
    fn list(&mut self, answer: impl Fn(&str) -> Result<SeriesSet, BackendError>) -> Vec<String> {
        let mut asked = Vec::new();
        while let Some(target) = self.selectors.take_due(Instant::now()) {
            asked.push(target.selector.to_string());
            let result = answer(&target.selector);
            let outcome = Outcome {
                result: result.map(Into::into),
                at: Timestamp::UNIX_EPOCH,
                took: Duration::ZERO,
            };
            self.selectors.finish(&target, outcome, Instant::now());
        }
        if !asked.is_empty() {
            self.rebuild(Arc::new(self.index.table()));
        }
        asked
    }

    fn edit(&mut self, at: &str, generation: i64, spec: &str) {
        let mut object = rule(at, spec);
        object.generation = generation;
        self.index.apply_rule(object);
        self.publish();
    }

    fn served(&self, metric: &str) -> Option<&Served> {
        self.catalog.custom(&GroupResource::pods(), metric, Some("shop"))
    }

    fn serves(&self, metric: &str) -> bool {
        self.served(metric)
            .is_some_and(|served| served.standing == Standing::Answers)
    }
}

fn requests() -> SeriesSet {
    series(&[r#"http_requests_total{namespace="shop",pod="a"}"#])
}

fn down() -> BackendError {
    BackendError::new(Reason::BackendDown, "it cannot be reached")
}

#[tokio::test(start_paused = true)]
async fn one_listing_serves_all_rules_that_share_a_selector() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    world.edit("b", 1, &REQUESTS.replace("_per_second", "_rate"));
    assert_eq!(
        world.list(|_| Ok(requests())),
        [r#"http_requests_total{pod!=""}"#]
    );
    assert!(world.serves("http_requests_per_second") && world.serves("http_requests_rate"));
    assert!(world.selectors.all_attempted());
    tokio::time::advance(Duration::from_secs(50)).await;
    assert!(
        world.selectors.take_due(Instant::now()).is_none(),
        "not before its interval of a minute"
    );
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(world.list(|_| Ok(requests())).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_last_good_series_and_touches_no_other() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    world.edit(
        "b",
        1,
        &REQUESTS.replace("http_requests_total", "grpc_requests_total"),
    );
    let grpc = || series(&[r#"grpc_requests_total{namespace="shop",pod="a"}"#]);
    world.list(|selector| {
        if selector.starts_with("http") {
            Ok(requests())
        } else {
            Ok(grpc())
        }
    });
    tokio::time::advance(Duration::from_secs(61)).await;
    world.list(|selector| {
        if selector.starts_with("http") {
            Err(down())
        } else {
            Ok(SeriesSet::default())
        }
    });
    assert!(
        world.serves("http_requests_per_second"),
        "a failed call never ages a name out"
    );
    assert!(
        !world.serves("grpc_requests_per_second"),
        "a successful call that no longer returns it does"
    );
    let entry = world.catalog.entry(&RuleKey::cluster("a")).unwrap();
    assert!(matches!(
        entry.listing,
        Listing::Failed {
            reason: Reason::BackendDown,
            ..
        }
    ));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(
        world.list(|_| Ok(requests())).len(),
        1,
        "what failed is tried again soon"
    );
}

#[tokio::test(start_paused = true)]
async fn a_changed_backend_is_asked_at_once_and_a_late_answer_of_the_former_is_dropped() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    world.list(|_| Ok(requests()));
    tokio::time::advance(Duration::from_secs(61)).await;
    let late = world.selectors.take_due(Instant::now()).unwrap();
    let mut changed = backend("default", "{discovery: {interval: 10s}}", true);
    changed.generation = 2;
    world.index.apply_backend(changed);
    world.publish();
    let outcome = Outcome {
        result: Ok(ListedSeries::default()),
        at: Timestamp::UNIX_EPOCH,
        took: Duration::ZERO,
    };
    assert!(!world.selectors.finish(&late, outcome, Instant::now()).changed);
    assert_eq!(world.list(|_| Ok(requests())).len(), 1);
    assert!(world.serves("http_requests_per_second"));
}

#[tokio::test(start_paused = true)]
async fn what_would_match_everything_is_not_listed() {
    let mut world = World::new();
    world.edit(
        "a",
        1,
        &REQUESTS.replace("http_requests_total{pod!=\"\"}", "'{pod!=\"\"}'"),
    );
    assert!(world.list(|_| Ok(requests())).is_empty());
    world.edit(
        "b",
        1,
        &format!(
            "{}\nlimits: {{allowMatchAll: true}}",
            REQUESTS.replace("http_requests_total{pod!=\"\"}", "'{pod!=\"\"}'")
        ),
    );
    assert_eq!(world.list(|_| Ok(requests())).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_does_not_hold_up_another() {
    let mut world = World::new();
    world.index.apply_backend(backend("second", "{}", false));
    for rule in 0..20 {
        let spec = REQUESTS.replace("http_requests_total", &format!("series_{rule}_total"));
        world.edit(&format!("rule-{rule}"), 1, &spec);
    }
    let hanging = std::iter::from_fn(|| world.selectors.take_due(Instant::now())).count();
    assert_eq!(hanging, CONCURRENCY);
    assert_eq!(
        world.selectors.next_due(),
        None,
        "the rest waits for one of them to end"
    );
    world.edit("other", 1, &format!("{REQUESTS}\nbackendRef: {{name: second}}"));
    let target = world.selectors.take_due(Instant::now()).unwrap();
    assert_eq!(&*target.backend, "second");
}

/// As many rules with a selector each, of one backend.
fn many(world: &mut World, count: usize) {
    for rule in 0..count {
        let spec = REQUESTS.replace("http_requests_total", &format!("series_{rule}_total"));
        world
            .index
            .apply_rule(crate::rule::testing::rule(&format!("rule-{rule}"), &spec));
    }
    world.publish();
}

/// Listings within `span`, one second after the other.
async fn asked_within(
    world: &mut World,
    span: u64,
    answer: impl Fn(&str) -> Result<SeriesSet, BackendError>,
) -> Vec<usize> {
    let mut asked = Vec::new();
    for _ in 0..span {
        asked.push(world.list(&answer).len());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    asked
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_down_is_not_asked_by_each_selector_every_5_seconds() {
    let mut world = World::new();
    many(&mut world, 200);
    let asked = asked_within(&mut world, 3600, |_| Err(down())).await;
    let total: usize = asked.iter().sum();
    assert!(
        total < 300,
        "{total} listings in an hour; every 5 s they were 144,000"
    );
    assert!(
        asked.iter().rev().take(60).any(|asked| *asked > 0),
        "it is still asked"
    );
    assert!(world.selectors.all_attempted());
}

#[tokio::test(start_paused = true)]
async fn selectors_of_a_backend_that_comes_back_are_listed_within_seconds_and_in_no_burst() {
    let mut bursts = Vec::new();
    for identity in ["metricrule-0", "metricrule-1"] {
        let mut world = World::new();
        world.selectors = Selectors::new(Jitter::of(identity));
        many(&mut world, 400);
        asked_within(&mut world, 1800, |_| Err(down())).await;
        let asked = asked_within(&mut world, 60, |_| Ok(requests())).await;
        let first = asked.iter().position(|asked| *asked > 0).unwrap();
        assert!(first <= 30, "asked again after {first} s");
        let (most, all) = (asked.iter().max().unwrap(), asked.iter().sum::<usize>());
        assert!(*most <= 100, "{most} of 400 in one second: {asked:?}");
        assert!(
            asked[first..(first + 12).min(60)].iter().sum::<usize>() >= 400,
            "{all}: {asked:?}"
        );
        bursts.push(asked);
    }
    assert_ne!(bursts[0], bursts[1], "two replicas do not come at once");
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_is_refused_for_its_size_is_not_repeated_every_5_seconds() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    let refused = |_: &str| Err(BackendError::new(Reason::LimitExceeded, "too many series"));
    let asked: usize = asked_within(&mut world, 600, refused).await.iter().sum();
    assert!((3..=5).contains(&asked), "{asked} listings in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_rule_without_series_is_seen_within_seconds_of_the_first() {
    let mut world = World::new();
    world.edit("a", 1, REQUESTS);
    let asked = asked_within(&mut world, 600, |_| Ok(SeriesSet::default())).await;
    assert!(
        asked[..=12].iter().sum::<usize>() >= 3,
        "at once, and twice within twelve seconds: {asked:?}"
    );
    assert!(
        asked[300..].iter().sum::<usize>() <= 10,
        "then as often as its interval: {asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_line_of_the_log_and_not_one_for_each_selector() {
    let mut world = World::new();
    many(&mut world, 50);
    let mut news = Vec::new();
    for second in 0..1200 {
        while let Some(target) = world.selectors.take_due(Instant::now()) {
            let result = if second < 600 { Err(down()) } else { Ok(requests()) };
            let outcome = Outcome {
                result: result.map(Into::into),
                at: Timestamp::UNIX_EPOCH,
                took: Duration::ZERO,
            };
            news.extend(world.selectors.finish(&target, outcome, Instant::now()).news);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(news, [News::Down { selectors: 50 }, News::Up]);
}

#[tokio::test(start_paused = true)]
async fn a_selector_that_alone_fails_is_told_once_an_hour() {
    let mut world = World::new();
    many(&mut world, 2);
    let mut news = Vec::new();
    for _ in 0..(2 * 3600 + 60) {
        while let Some(target) = world.selectors.take_due(Instant::now()) {
            let result = if target.selector.starts_with("series_0") {
                Err(BackendError::new(Reason::QueryRejected, "no"))
            } else {
                Ok(requests())
            };
            let outcome = Outcome {
                result: result.map(Into::into),
                at: Timestamp::UNIX_EPOCH,
                took: Duration::ZERO,
            };
            news.extend(world.selectors.finish(&target, outcome, Instant::now()).news);
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert!(
        (2..=3).contains(&news.len()) && news.iter().all(|news| *news == News::Selector),
        "{news:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_selector_is_listed_at_once_though_its_backend_was_down() {
    let mut world = World::new();
    many(&mut world, 20);
    asked_within(&mut world, 600, |_| Err(down())).await;
    world.edit("new", 1, REQUESTS);
    let target = world.selectors.take_due(Instant::now()).unwrap();
    assert!(target.selector.starts_with("http_requests_total"));
}

#[tokio::test(start_paused = true)]
async fn a_backend_with_another_client_is_listed_within_seconds() {
    let mut world = World::new();
    many(&mut world, 20);
    let missing = |_: &str| Err(BackendError::new(Reason::CredentialsNotFound, "no Secret"));
    let asked: usize = asked_within(&mut world, 600, missing).await.iter().sum();
    assert!(asked < 20, "what somebody has to mend waits: {asked}");
    world.selectors.renewed(&"default".into(), Instant::now());
    let asked = asked_within(&mut world, 5, |_| Ok(requests())).await;
    assert_eq!(asked.iter().sum::<usize>(), 20, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_looks_at_more_series_than_were_kept_has_them_listed_at_once() {
    let mut world = World::new();
    world.edit(
        "shop/requests",
        1,
        &format!("{REQUESTS}\nlimits: {{maxSeries: 10}}"),
    );
    assert_eq!(world.list(|_| Ok(requests())).len(), 1);
    world.edit(
        "shop/requests",
        2,
        &format!("{REQUESTS}\nlimits: {{maxSeries: 5}}"),
    );
    assert!(world.list(|_| Ok(requests())).is_empty(), "there is enough");
    world.edit(
        "shop/requests",
        3,
        &format!("{REQUESTS}\nlimits: {{maxSeries: 20}}"),
    );
    let target = world.selectors.take_due(Instant::now()).unwrap();
    assert_eq!(
        (target.max_series, target.namespace.as_deref()),
        (Some(20), Some("shop"))
    );
}
