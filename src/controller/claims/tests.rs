mod came;
mod refused;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::{
    api::metric_rule::RuleKey,
    catalog::{
        Entry, Listing, derive,
        recorded::{Origin, RecordedRule},
    },
    controller::{
        fake::{FakeApi, until},
        leadership::{Claim, leadership},
    },
    metrics::Metrics,
    reason::Reason,
    rule::testing::{REQUESTS, index, rule, series},
    sample::SeriesSet,
};

const MAP: &str = "/api/v1/namespaces/ns/configmaps/metricrule-claims";

struct Replica {
    recorded: watch::Receiver<Recorded>,
    catalog: watch::Sender<Arc<Catalog>>,
    claim: Claim,
    metrics: Metrics,
    stop: CancellationToken,
    written: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Replica {
    fn start(api: &FakeApi) -> Self {
        let (catalog, catalogs) = watch::channel(Arc::default());
        let (record, recorded) = watch::channel(Recorded::default());
        let (claim, leadership) = leadership();
        let metrics = Metrics::new();
        let claims = Claims::new(
            api.client(),
            ClaimsConfig {
                namespace: "ns".into(),
                name: "metricrule-claims".into(),
            },
            ClaimsChannels {
                catalog: catalogs,
                recorded: record,
            },
            leadership,
            Clock::starting_at("2026-01-01T00:00:00Z".parse().unwrap()),
            metrics.claims.clone(),
            metrics.controller.clone(),
        );
        let (stop, written) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(claims.run(stop.clone(), written.clone()));
        Self {
            recorded,
            catalog,
            claim,
            metrics,
            stop,
            written,
            task,
        }
    }

    fn lead(&self) {
        self.claim.held(Instant::now() + Duration::from_hours(24 * 3650));
    }

    /// Its listing finds series with these names.
    fn lists(&self, names: &[&str]) {
        let mut index = index();
        index.apply_rule(rule(
            "shop/own",
            &REQUESTS.replace("http_requests_total{pod!=\"\"}", "'{__name__=~\".+_total\"}'"),
        ));
        let table = Arc::new(index.table());
        let lines: Vec<String> = names
            .iter()
            .map(|name| format!("{name}{{namespace=\"shop\",pod=\"p\"}}"))
            .collect();
        let found = series(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let entry = Entry {
            metrics: Arc::new(derive(&table.rules[0], &found, &table.resources)),
            listing: Listing::Current,
        };
        self.catalog
            .send_replace(Arc::new(Catalog::build(table, [entry])));
    }

    /// Its watch of rules has none.
    fn knows_no_rule(&self) {
        let table = Arc::new(index().table());
        self.catalog.send_replace(Arc::new(Catalog::build(table, [])));
    }

    /// Its listing fails, and it remembers nothing of an earlier one.
    fn fails(&self) {
        let catalog = self.catalog.borrow().clone();
        let entries = catalog.table.rules.iter().map(|rule| Entry {
            metrics: Arc::new(derive(rule, &SeriesSet::default(), &catalog.table.resources)),
            listing: Listing::Failed {
                reason: Reason::BackendDown,
                message: String::new(),
            },
        });
        let entries: Vec<Entry> = entries.collect();
        self.catalog
            .send_replace(Arc::new(Catalog::build(catalog.table.clone(), entries)));
    }

    /// How many claims the object holds.
    fn read(api: &FakeApi) -> usize {
        let map: ConfigMap = serde_json::from_value(api.get(MAP).unwrap()).unwrap();
        match Stored::of(Ok(map)) {
            Stored::Present { record, .. } => record.claims(),
            _ => 0,
        }
    }

    fn source(&self) -> RecordSource {
        self.recorded.borrow().source
    }

    fn claims(&self) -> usize {
        self.recorded.borrow().record.claims()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// As an upgrade of the chart, or who restores it from a file, leaves it.
fn blank(map: &mut serde_json::Value) {
    for field in ["data", "binaryData"] {
        map.as_object_mut().unwrap().remove(field);
    }
}

/// As the chart creates it.
fn empty() -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "metricrule-claims", "namespace": "ns"}})
}

#[tokio::test(start_paused = true)]
async fn the_leader_alone_writes_and_all_read() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let (leader, follower) = (Replica::start(&api), Replica::start(&api));
    until("both have read", || {
        [&leader, &follower]
            .iter()
            .all(|replica| replica.source() == RecordSource::Cluster)
    })
    .await;
    follower.lists(&["a_total", "b_total"]);
    leader.lists(&["a_total"]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(api.count(MAP), 0, "nobody leads");
    leader.lead();
    until("both have the leader's", || {
        leader.claims() == 2 && follower.claims() == 2
    })
    .await;
    assert_eq!(api.count(MAP), 1);
    assert!(leader.metrics.encode().contains("metricrule_claims_recorded 2"));
    assert!(leader.metrics.encode().contains("metricrule_claims_shared 1"));

    let fresh = Replica::start(&api);
    until("a replica that starts has it", || fresh.claims() == 2).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(api.count(MAP), 1, "at rest nothing is written");

    // A new leader goes on from what it has read: its own listing has failed so far.
    leader.claim.lost();
    fresh.lead();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!((fresh.claims(), api.count(MAP)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_idle_claim_ends_by_time_alone() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let leader = Replica::start(&api);
    leader.lead();
    leader.lists(&["a_total"]);
    until("it is recorded", || leader.claims() == 2).await;
    leader.lists(&[]);
    tokio::time::sleep(Duration::from_hours(23)).await;
    assert_eq!((leader.claims(), api.count(MAP)), (2, 2));
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!((leader.claims(), api.count(MAP)), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_tried_again_and_a_conflict_reads_first() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    api.fail("PATCH", MAP, 500);
    let leader = Replica::start(&api);
    leader.lead();
    leader.lists(&["a_total"]);
    tokio::time::sleep(Duration::from_mins(5)).await;
    let tries = api.count(MAP);
    assert!((8..40).contains(&tries), "{tries}");
    api.heal();
    until("it is written", || leader.claims() == 2).await;
    // Somebody else changes the object: the next write is made for what it is now.
    api.edit(MAP, |map| map["metadata"]["labels"] = json!({"x": "y"}));
    leader.lists(&["a_total", "b_total"]);
    until("it is written over that", || leader.claims() == 4).await;
    assert_eq!(api.get(MAP).unwrap()["metadata"]["labels"]["x"], "y");
}

#[tokio::test(start_paused = true)]
async fn without_the_object_each_replica_decides_by_itself() {
    let api = FakeApi::new();
    let replica = Replica::start(&api);
    replica.lead();
    until("its absence counts as read", || {
        replica.source() == RecordSource::Own
    })
    .await;
    replica.lists(&["a_total"]);
    until("it remembers", || replica.claims() == 2).await;
    replica.lists(&[]);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(
        (replica.claims(), api.count(MAP)),
        (2, 0),
        "nothing can be written"
    );
    api.put(MAP, empty());
    replica.lists(&["a_total"]);
    until("the chart was upgraded", || {
        replica.source() == RecordSource::Cluster && replica.claims() == 2
    })
    .await;
    // Who deletes it loses nothing.
    api.remove(MAP);
    until("it is gone", || replica.source() == RecordSource::Own).await;
    assert_eq!(replica.claims(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_is_written_over_and_one_of_another_version_is_left() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let leader = Replica::start(&api);
    leader.lead();
    leader.lists(&["a_total"]);
    until("it is recorded", || leader.claims() == 2).await;
    let (good, before) = (api.get(MAP).unwrap(), api.count(MAP));
    api.edit(MAP, |map| map["data"]["sha256"] = json!("00"));
    until("it is written over", || api.count(MAP) > before).await;
    until("and read", || leader.source() == RecordSource::Cluster).await;
    assert_eq!(api.get(MAP).unwrap()["binaryData"], good["binaryData"]);

    // An API server takes no key that stands in both.
    let before = api.count(MAP);
    api.edit(MAP, |map| {
        map["data"]["claims.json.gz"] = json!("?");
        map["binaryData"] = json!({});
    });
    until("what was moved is moved back", || api.count(MAP) > before).await;
    until("and read again", || leader.source() == RecordSource::Cluster).await;
    assert_eq!(api.get(MAP).unwrap(), {
        let mut map = good.clone();
        map["metadata"] = api.get(MAP).unwrap()["metadata"].clone();
        map
    });

    let before = api.count(MAP);
    api.edit(MAP, |map| map["data"]["version"] = json!("2"));
    until("it is not used", || leader.source() == RecordSource::Own).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(api.count(MAP), before);
    assert!(leader.metrics.encode().contains("metricrule_claims_shared 0"));
}

#[tokio::test(start_paused = true)]
async fn a_map_that_is_put_back_to_empty_takes_no_claim_away() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let (leader, follower) = (Replica::start(&api), Replica::start(&api));
    leader.lead();
    leader.lists(&["a_total"]);
    until("both have it", || leader.claims() == 2 && follower.claims() == 2).await;
    // Nobody could list it now.
    leader.fails();
    let before = api.count(MAP);
    api.edit(MAP, blank);
    until("it is written again", || api.count(MAP) > before).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let fresh = Replica::start(&api);
    until("a replica that starts has it", || fresh.claims() == 2).await;
    assert_eq!(
        (leader.claims(), follower.claims(), api.count(MAP)),
        (2, 2, before + 1)
    );
    // The same for one that was deleted and created again.
    api.remove(MAP);
    until("it is gone", || leader.source() == RecordSource::Own).await;
    api.put(MAP, empty());
    let fresh = Replica::start(&api);
    until("a replica that starts has it again", || fresh.claims() == 2).await;
    // Where nobody leads, who has read it goes on by it.
    leader.claim.lost();
    api.edit(MAP, blank);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!((follower.claims(), follower.source()), (2, RecordSource::Cluster));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_writes_what_it_has_found_a_moment_ago_and_then_gives_up_the_lease() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let leader = Replica::start(&api);
    leader.lead();
    leader.lists(&["a_total"]);
    until("it is recorded", || leader.claims() == 2).await;
    leader.lists(&["a_total", "b_total"]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(api.count(MAP), 1, "it waits for more");
    leader.stop.cancel();
    let release = last_write(leader.stop.clone(), leader.written.clone());
    let began = Instant::now();
    release.await;
    assert!(leader.written.is_cancelled() && began.elapsed() < Duration::from_millis(50));
    assert_eq!(api.count(MAP), 2);
    leader.claim.lost();
    // It serves for a while, and reads on.
    let next = Replica::start(&api);
    next.lead();
    next.lists(&["a_total", "b_total", "c_total"]);
    until("it has what the next leader writes", || leader.claims() == 6).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stops_meets_a_conflict_and_writes_all_the_same() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let leader = Replica::start(&api);
    leader.lead();
    leader.lists(&["a_total"]);
    until("it is recorded", || leader.claims() == 2).await;
    leader.lists(&["a_total", "b_total"]);
    leader.stop.cancel();
    api.edit(MAP, |map| map["metadata"]["labels"] = json!({"x": "y"}));
    last_write(leader.stop.clone(), leader.written.clone()).await;
    assert!(leader.written.is_cancelled());
    assert_eq!(Replica::read(&api), 4);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_does_not_keep_the_lease_for_long() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let leader = Replica::start(&api);
    leader.lead();
    leader.lists(&["a_total"]);
    until("it is recorded", || leader.claims() == 2).await;
    api.hang("PATCH", MAP);
    leader.lists(&["a_total", "b_total"]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let began = Instant::now();
    leader.stop.cancel();
    last_write(leader.stop.clone(), leader.written.clone()).await;
    assert!(!leader.written.is_cancelled());
    assert_eq!(began.elapsed().as_secs(), 1);
    // One that does not lead, and one with nothing to write, are done at once.
    api.heal();
    for idle in [Replica::start(&api), Replica::start(&api)] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        idle.stop.cancel();
        tokio::time::timeout(Duration::from_millis(10), idle.written.cancelled())
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_whose_watch_lagged_forgot_the_rules_that_it_had_not_seen() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    let (leader, next) = (Replica::start(&api), Replica::start(&api));
    leader.lead();
    leader.lists(&["a_total"]);
    until("both have it", || leader.claims() == 2 && next.claims() == 2).await;
    leader.claim.lost();
    next.knows_no_rule();
    next.lead();
    tokio::time::sleep(Duration::from_mins(4)).await;
    assert_eq!((next.claims(), api.count(MAP)), (2, 1));
    next.lists(&["a_total"]);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!((next.claims(), api.count(MAP)), (2, 1), "it has seen it in time");
    // One that was deleted takes its room for a while only.
    next.knows_no_rule();
    tokio::time::sleep(Duration::from_mins(6)).await;
    assert_eq!((next.claims(), api.count(MAP)), (0, 2));
}

#[test]
fn a_record_of_very_many_rules_was_written_for_nobody() {
    let rules = (0..25_000).map(|number| {
        let namespace = if number == 0 { "shop" } else { "greedy" };
        let rule = RecordedRule {
            key: RuleKey::namespaced(namespace, format!("rule-{number}")),
            generation: 1,
            origin: Origin(number),
            priority: 0,
            selector: None,
            claims: BTreeMap::new(),
            cut: false,
        };
        (Arc::from(format!("{number:036}")), Arc::new(rule))
    });
    let record = Record {
        rules: rules.collect(),
        ..Record::default()
    };
    let (shared, bytes) = fit(&record).unwrap();
    assert!(bytes.len() <= PACKED_MAX && shared.record.rules.len() > 2_000);
    let mut rules = shared.record.rules.values();
    assert!(rules.any(|rule| rule.key.namespace.as_deref() == Some("shop")));
}
