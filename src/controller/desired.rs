//! What every object's status should be, from the catalog in force; published for the writer, and counted.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;

use super::{
    probes::Probes,
    registration::{ApiState, RegistrationState},
    status_writer::{StatusKey, StatusKind, StatusTarget, StatusTargets},
    watches::{ObservedStatus, ObservedStatuses},
};
use crate::{
    api::{
        metric_backend::{BackendError, MetricBackendStatus},
        metric_rule::RuleKey,
        rule_spec::MetricsApi,
        rule_status::{LastError, RuleStatus},
    },
    catalog::Catalog,
    metrics::ControllerMetrics,
    reason::Reason,
    rule::CompiledRule,
    status::{Desired, DesiredBackend, Registration, desired, desired_backend, facts},
};

/// A burst of changes is worth one look.
const SETTLE: Duration = Duration::from_millis(100);

/// The task that works out what should be written.
pub struct DesiredStatuses {
    /// What is served.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    /// Whether every selector was tried once: before that a status would fall back to `Pending` and come back.
    pub attempted: watch::Receiver<bool>,
    /// What objects carry.
    pub observed: watch::Receiver<Arc<ObservedStatuses>>,
    /// What the APIServices say.
    pub registration: watch::Receiver<RegistrationState>,
    /// What the backends said when they were last probed.
    pub probes: watch::Receiver<Arc<Probes>>,
    /// Where the outcome goes.
    pub targets: watch::Sender<Arc<StatusTargets>>,
    /// Rules by condition and reason.
    pub metrics: ControllerMetrics,
}

type Counts = BTreeMap<(&'static str, &'static str, &'static str), usize>;

// === impl DesiredStatuses ===

impl DesiredStatuses {
    /// Runs for as long as it is polled.
    pub async fn run(mut self) -> Infallible {
        loop {
            self.publish();
            let changed = tokio::select! {
                changed = self.catalog.changed() => changed,
                changed = self.attempted.changed() => changed,
                changed = self.observed.changed() => changed,
                changed = self.registration.changed() => changed,
                changed = self.probes.changed() => changed,
            };
            if changed.is_err() {
                // One of the sources is gone, and its own task ends the process.
                return std::future::pending().await;
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    fn publish(&mut self) {
        let catalog = self.catalog.borrow_and_update().clone();
        let observed = self.observed.borrow_and_update().clone();
        let registration = self.registration.borrow_and_update().clone();
        let probes = self.probes.borrow_and_update().clone();
        if !catalog.table.synced || !*self.attempted.borrow_and_update() {
            return;
        }
        let (custom, external) = (state_of(&registration.custom), state_of(&registration.external));
        let known = self.targets.borrow().clone();
        let mut targets = StatusTargets::with_capacity(known.len());
        let mut counts = Counts::new();
        for rule in catalog.table.rules.iter() {
            let state = match rule.api {
                MetricsApi::Custom => &custom,
                MetricsApi::External => &external,
            };
            let status = desired(facts(&catalog, rule, state));
            count(&mut counts, &status);
            insert(
                &mut targets,
                &known,
                &observed,
                rule_key(rule.key()),
                |observed| rule_status(rule, &status, observed),
            );
        }
        for name in catalog.table.backends.keys() {
            let key = StatusKey {
                kind: StatusKind::MetricBackend,
                namespace: None,
                name: name.clone(),
            };
            let status = desired_backend(&catalog.table, name, probes.get(name));
            let generation = catalog
                .table
                .backends
                .get(name)
                .and_then(|backend| backend.as_ref().ok())
                .map(|b| b.generation);
            insert(&mut targets, &known, &observed, key, |observed| {
                backend_status(&status, generation, observed)
            });
        }
        self.metrics.rules(counts);
        if *known != targets {
            self.targets.send_replace(Arc::new(targets));
        }
    }
}

/// Reuses the target that was published where nothing about it changed: the writer takes the same `Arc` for settled.
fn insert(
    targets: &mut StatusTargets,
    known: &HashMap<StatusKey, Arc<StatusTarget>>,
    observed: &ObservedStatuses,
    key: StatusKey,
    desired: impl FnOnce(&ObservedStatus) -> serde_json::Result<Value>,
) {
    let Some(observed) = observed.get(&key) else {
        return;
    };
    let desired = match desired(observed) {
        Ok(desired) => desired,
        Err(error) => {
            tracing::error!(%key, %error, "a status could not be written down");
            return;
        }
    };
    let target = StatusTarget {
        uid: observed.uid.clone(),
        resource_version: observed.resource_version.clone(),
        observed: observed.status.clone(),
        desired,
    };
    let target = match known.get(&key) {
        Some(known) if **known == target => known.clone(),
        _ => Arc::new(target),
    };
    targets.insert(key, target);
}

fn rule_key(key: &RuleKey) -> StatusKey {
    StatusKey {
        kind: match key.namespace {
            Some(_) => StatusKind::MetricRule,
            None => StatusKind::ClusterMetricRule,
        },
        namespace: key.namespace.as_deref().map(Into::into),
        name: key.name.as_str().into(),
    }
}

fn rule_status(
    rule: &CompiledRule,
    desired: &Desired,
    observed: &ObservedStatus,
) -> serde_json::Result<Value> {
    let generation = Some(rule.object.generation);
    let conditions = desired.conditions.iter().map(|wanted| {
        condition(
            wanted.condition.as_str(),
            wanted.status,
            wanted.reason,
            &wanted.message,
            generation,
        )
    });
    serde_json::to_value(RuleStatus {
        conditions: conditions.collect(),
        discovered: desired.discovered.clone(),
        warnings: desired.warnings.clone(),
        last_error: match desired.error {
            Some(reason) => Some(LastError {
                reason,
                time: Time(Timestamp::UNIX_EPOCH),
            }),
            None => last_error(observed),
        },
        observed_generation: generation,
    })
}

fn backend_status(
    desired: &DesiredBackend,
    generation: Option<i64>,
    observed: &ObservedStatus,
) -> serde_json::Result<Value> {
    let conditions = desired.conditions.iter().map(|(kind, status, reason, message)| {
        condition(kind.as_str(), *status, *reason, message, generation)
    });
    serde_json::to_value(MetricBackendStatus {
        conditions: conditions.collect(),
        version: desired.version.clone(),
        rules: Some(desired.rules),
        last_error: match &desired.error {
            Some((reason, message)) => Some(BackendError {
                reason: *reason,
                message: Some(message.clone()),
                time: Time(Timestamp::UNIX_EPOCH),
            }),
            None => last_error(observed),
        },
        observed_generation: generation,
    })
}

/// The last error stays when it is over: it tells what happened in the night.
fn last_error<T: DeserializeOwned>(observed: &ObservedStatus) -> Option<T> {
    serde_json::from_value(observed.status.as_ref()?.get("lastError")?.clone()).ok()
}

fn state_of(state: &ApiState) -> Registration {
    match state {
        ApiState::Pending | ApiState::NotNeeded => Registration::Pending,
        ApiState::NotManaged => Registration::NotManaged,
        ApiState::Registered => Registration::Registered,
        ApiState::Unavailable { message } => Registration::Unavailable {
            message: message.clone(),
        },
        ApiState::OwnedByOther(other) => Registration::OwnedByOther {
            message: other.to_string(),
        },
    }
}

/// The writer sets the time.
fn condition(
    kind: &str,
    status: Option<bool>,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: status_text(status).to_owned(),
        reason: reason.code().to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

fn count(counts: &mut Counts, status: &Desired) {
    for condition in &status.conditions {
        let key = (
            condition.condition.as_str(),
            status_text(condition.status),
            condition.reason.code(),
        );
        *counts.entry(key).or_default() += 1;
    }
}

fn status_text(status: Option<bool>) -> &'static str {
    match status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}
