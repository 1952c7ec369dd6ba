use serde_json::json;

use super::*;
use crate::{
    controller::leadership::Claim,
    controller::{
        Leadership,
        status_writer::{Change, merge},
    },
    metrics::Metrics,
    rule::testing::index,
    status::Probe,
};

const THEN: &str = "2026-01-01T00:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What stands around the task, with the default backend and no rule.
struct World {
    claim: Claim,
    leadership: Leadership,
    observed: watch::Sender<Arc<ObservedStatuses>>,
    probes: watch::Sender<Arc<Probes>>,
    targets: watch::Receiver<Arc<StatusTargets>>,
    _sources: Box<dyn std::any::Any>,
}

fn key() -> StatusKey {
    StatusKey {
        kind: StatusKind::MetricBackend,
        namespace: None,
        name: "default".into(),
    }
}

/// A status of the backend as another leader wrote it.
fn ready() -> Value {
    let condition = |kind: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": kind, "message": message, "observedGeneration": 1,
            "lastTransitionTime": THEN})
    };
    json!({"observedGeneration": 1, "rules": 0, "conditions": [
        condition("Reachable", "the backend answers"),
        condition("Authenticated", "the backend accepts the credentials, or needs none"),
        condition("Ready", "the backend answers queries")]})
}

impl World {
    fn start(status: Option<Value>) -> Self {
        let table = Arc::new(index().table());
        let catalog = Arc::new(Catalog::build(table, []));
        let (catalogs, catalog) = watch::channel(catalog);
        let (attempts, attempted) = watch::channel(true);
        let (registrations, registration) = watch::channel(RegistrationState::default());
        let (distrusts, distrust) = watch::channel(Arc::default());
        let (met, heard) = watch::channel(Arc::default());
        let (probes, answers) = watch::channel(Arc::default());
        let (observed, observations) = watch::channel(Arc::default());
        let (targets, published) = watch::channel(Arc::default());
        let (claim, leadership) = Leadership::always();
        let task = DesiredStatuses {
            catalog,
            attempted,
            observed: observations,
            registration,
            distrust,
            met: heard,
            probes: answers,
            targets,
            metrics: Metrics::new().controller,
            clock: Clock::starting_at(time("2026-02-01T00:00:00Z")),
        };
        tokio::spawn(task.run());
        let world = Self {
            claim,
            leadership,
            observed,
            probes,
            targets: published,
            _sources: Box::new((catalogs, attempts, registrations, distrusts, met)),
        };
        world.observe(status);
        world
    }

    fn observe(&self, status: Option<Value>) {
        let observed = ObservedStatus {
            uid: "uid-default".to_owned(),
            resource_version: "1".to_owned(),
            status,
        };
        self.observed
            .send_replace(Arc::new([(key(), Arc::new(observed))].into()));
    }

    fn probed(&self, generation: i64, probe: Probe) {
        self.probes.send_replace(Arc::new(Probes {
            term: self.leadership.term(),
            of: [("default".into(), (generation, probe))].into(),
        }));
    }

    async fn target(&mut self) -> Option<Arc<StatusTarget>> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.targets.borrow_and_update().get(&key()).cloned()
    }
}

fn down() -> Probe {
    Probe::Failed {
        reason: Reason::BackendDown,
        message: "connection refused".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_leader_sends_no_backend_through_pending() {
    let mut world = World::start(Some(ready()));
    assert_eq!(
        world.target().await,
        None,
        "nothing is known before the first probe"
    );
    world.probed(
        1,
        Probe::Answered {
            version: None,
            clock_offset: None,
        },
    );
    let target = world.target().await.unwrap();
    assert_eq!(target.term, world.leadership.term());
    let merged = merge(
        target.observed.as_ref(),
        &target.desired,
        time("2026-02-01T00:00:00Z"),
    );
    assert_eq!(merged.change, Change::None, "{}", merged.status);
    drop(world.claim);
}

#[tokio::test(start_paused = true)]
async fn a_new_backend_is_pending_and_one_whose_spec_changed_stays_until_it_is_asked_anew() {
    let mut world = World::start(None);
    let target = world.target().await.unwrap();
    assert_eq!(target.desired["conditions"][0]["reason"], json!("Pending"));

    let mut world = World::start(Some(ready()));
    world.probed(0, down());
    assert_eq!(
        world.target().await,
        None,
        "the probe is of what the spec was before"
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_keeps_its_first_time_until_its_reason_changes() {
    let mut world = World::start(Some(ready()));
    let at = |target: &StatusTarget| target.desired["lastError"]["time"].clone();
    world.probed(1, down());
    let first = world.target().await.unwrap();
    assert_ne!(at(&first), json!("1970-01-01T00:00:00Z"));
    tokio::time::sleep(Duration::from_hours(1)).await;
    world.observe(Some(json!({"conditions": []})));
    let same = world.target().await.unwrap();
    assert_eq!(at(&same), at(&first));
    world.probed(
        1,
        Probe::Failed {
            reason: Reason::TlsFailed,
            message: "bad certificate".to_owned(),
        },
    );
    let other = world.target().await.unwrap();
    assert!(
        time(at(&other).as_str().unwrap()) >= time("2026-02-01T01:00:00Z"),
        "{}",
        at(&other)
    );
}
