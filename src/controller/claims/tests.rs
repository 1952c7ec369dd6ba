use serde_json::json;

use super::*;
use crate::{
    catalog::{Entry, Listing, derive},
    controller::{
        fake::{FakeApi, until},
        leadership::{Claim, leadership},
    },
    metrics::Metrics,
    rule::testing::{REQUESTS, index, rule, series},
};

const MAP: &str = "/api/v1/namespaces/ns/configmaps/metricrule-claims";

struct Replica {
    recorded: watch::Receiver<Recorded>,
    catalog: watch::Sender<Arc<Catalog>>,
    claim: Claim,
    metrics: Metrics,
    shutdown: CancellationToken,
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
        let shutdown = CancellationToken::new();
        tokio::spawn(claims.run(shutdown.clone()));
        Self {
            recorded,
            catalog,
            claim,
            metrics,
            shutdown,
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

    fn source(&self) -> RecordSource {
        self.recorded.borrow().source
    }

    fn claims(&self) -> usize {
        self.recorded.borrow().record.claims()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.cancel();
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

    let before = api.count(MAP);
    api.edit(MAP, |map| map["data"]["version"] = json!("2"));
    until("it is not used", || leader.source() == RecordSource::Own).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(api.count(MAP), before);
    assert!(leader.metrics.encode().contains("metricrule_claims_shared 0"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_refused_keeps_no_replica_from_its_work() {
    let api = FakeApi::new();
    api.put(MAP, empty());
    api.fail("GET", "/api/v1/namespaces/ns/configmaps", 403);
    let replica = Replica::start(&api);
    until("it goes on by itself", || replica.source() == RecordSource::Own).await;
    api.heal();
    until("it reads when it may", || {
        replica.source() == RecordSource::Cluster
    })
    .await;
}
