//! Desired statuses of all objects, from the current catalog; published for the writer, and counted.

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
    Clock, Term,
    probes::Probes,
    registration::{ApiState, RegistrationState},
    status_writer::{StatusKey, StatusKind, StatusTarget, StatusTargets},
    trust::{Distrust, of_api},
    watches::{ObservedStatus, ObservedStatuses},
};
use crate::{
    api::{
        metric_backend::{BackendError, MetricBackendStatus},
        metric_rule::RuleKey,
        rule_status::{LastError, RuleStatus},
    },
    catalog::Catalog,
    metrics::ControllerMetrics,
    metrics_api::{MetricsApi, PerApi},
    outcome::Met,
    reason::Reason,
    rule::CompiledRule,
    status::{Desired, DesiredBackend, Heard, Registration, desired, desired_backend, facts, failing_of},
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
    /// Which APIServices lack a CA of ours.
    pub distrust: watch::Receiver<Arc<Distrust>>,
    /// What rules' queries came to, and whose ceilings hold them up, on all replicas.
    pub met: watch::Receiver<Arc<Met>>,
    /// What the backends said when they were last probed.
    pub probes: watch::Receiver<Arc<Probes>>,
    /// Where the outcome goes.
    pub targets: watch::Sender<Arc<StatusTargets>>,
    /// Rules by condition and reason.
    pub metrics: ControllerMetrics,
    /// The time of day, for when a failure was seen first.
    pub clock: Clock,
}

/// Since when each object has failed as it does now.
type Failing = HashMap<StatusKey, (Reason, Timestamp)>;

type Counts = BTreeMap<(&'static str, &'static str, &'static str), usize>;

// === impl DesiredStatuses ===

impl DesiredStatuses {
    /// Runs for as long as it is polled.
    pub async fn run(mut self) -> Infallible {
        let mut failing = Failing::new();
        loop {
            self.publish(&mut failing);
            let changed = tokio::select! {
                changed = self.catalog.changed() => changed,
                changed = self.attempted.changed() => changed,
                changed = self.observed.changed() => changed,
                changed = self.registration.changed() => changed,
                changed = self.distrust.changed() => changed,
                changed = self.met.changed() => changed,
                changed = self.probes.changed() => changed,
            };
            if changed.is_err() {
                // One of the sources is gone, and its own task ends the process.
                return std::future::pending().await;
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    fn publish(&mut self, failing: &mut Failing) {
        let catalog = self.catalog.borrow_and_update().clone();
        let observed = self.observed.borrow_and_update().clone();
        let registration = self.registration.borrow_and_update().clone();
        let distrust = self.distrust.borrow_and_update().clone();
        let met = self.met.borrow_and_update().clone();
        let probes = self.probes.borrow_and_update().clone();
        if !catalog.table.synced || !*self.attempted.borrow_and_update() {
            return;
        }
        let registered = PerApi::of(|api| registration_of(api, &registration, &distrust));
        let known = self.targets.borrow().clone();
        let mut targets = StatusTargets::with_capacity(known.len());
        let mut counts = Counts::new();
        for rule in catalog.table.rules.iter() {
            let status = desired(facts(&catalog, rule, &registered[rule.api], &met.rules));
            count(&mut counts, &status);
            let key = rule_key(rule.key());
            let since = since(failing, &key, status.error, &self.clock);
            insert(&mut targets, &known, &observed, key, None, |observed| {
                rule_status(rule, &status, since, observed)
            });
        }
        for (name, backend) in catalog.table.backends.iter() {
            let key = StatusKey {
                kind: StatusKind::MetricBackend,
                namespace: None,
                name: name.clone(),
            };
            let generation = backend.as_ref().ok().map(|backend| backend.generation);
            // A probe of what the spec was before says nothing.
            let probe = probes.of.get(name).filter(|(of, _)| Some(*of) == generation);
            if generation.is_some()
                && probe.is_none()
                && observed
                    .get(&key)
                    .is_some_and(|observed| has_conditions(observed))
            {
                // What stands there is kept until this term's first probe has ended: `Pending` in between would be news of
                // nothing, at each change of the leader.
                continue;
            }
            let told = observed
                .get(&key)
                .and_then(|observed| last_error::<BackendError>(observed));
            let refused = failing_of(&met.rules, name, told.map(|told| told.reason));
            let heard = Heard {
                failing: refused,
                throttle: met.throttled.get(&**name),
            };
            let status = desired_backend(&catalog.table, name, probe.map(|(_, probe)| probe), heard);
            let term = probe.and(probes.term);
            let error = status.error.as_ref().map(|(reason, _, since)| (*reason, *since));
            let since = since(failing, &key, error, &self.clock);
            insert(&mut targets, &known, &observed, key, term, |observed| {
                backend_status(&status, generation, since, observed)
            });
        }
        failing.retain(|key, _| targets.contains_key(key));
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
    term: Option<Term>,
    desired: impl FnOnce(&ObservedStatus) -> serde_json::Result<Value>,
) {
    let Some(observed) = observed.get(&key) else {
        return;
    };
    let desired = match desired(observed) {
        Ok(desired) => desired,
        Err(error) => {
            tracing::error!(%key, %error, "a status could not be serialized");
            return;
        }
    };
    let target = StatusTarget {
        uid: observed.uid.clone(),
        resource_version: observed.resource_version.clone(),
        observed: observed.status.clone(),
        desired,
        term,
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
    since: Timestamp,
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
            Some((reason, _)) => Some(LastError {
                reason,
                time: Time(since),
            }),
            None => last_error(observed),
        },
        observed_generation: generation,
    })
}

fn backend_status(
    desired: &DesiredBackend,
    generation: Option<i64>,
    since: Timestamp,
    observed: &ObservedStatus,
) -> serde_json::Result<Value> {
    let conditions = desired.conditions.iter().map(|(kind, status, reason, message)| {
        condition(kind.as_str(), *status, *reason, message, generation)
    });
    serde_json::to_value(MetricBackendStatus {
        conditions: conditions.collect(),
        version: desired.version.clone(),
        clock_offset: desired.clock_offset,
        rules: Some(desired.rules),
        last_error: match &desired.error {
            Some((reason, message, _)) => Some(BackendError {
                reason: *reason,
                message: Some(message.clone()),
                time: Time(since),
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

/// Since when the object `key` has failed for `reason`.
fn since(
    failing: &mut Failing,
    key: &StatusKey,
    error: Option<(Reason, Option<Timestamp>)>,
    clock: &Clock,
) -> Timestamp {
    let now = clock.now();
    if let Some((_, Some(since))) = error {
        return since;
    }
    let Some((reason, _)) = error else {
        failing.remove(key);
        return now;
    };
    let (known, since) = failing.entry(key.clone()).or_insert((reason, now));
    if *known != reason {
        (*known, *since) = (reason, now);
    }
    *since
}

fn has_conditions(observed: &ObservedStatus) -> bool {
    let conditions = observed
        .status
        .as_ref()
        .and_then(|status| status["conditions"].as_array());
    conditions.is_some_and(|conditions| !conditions.is_empty())
}

/// An API that is ours and will not be trusted says that before anything else.
fn registration_of(api: MetricsApi, states: &RegistrationState, distrust: &Distrust) -> Registration {
    match of_api(distrust, api) {
        Some(ending) => Registration::Untrusted {
            broken: ending.at.is_none(),
            message: ending.message.clone(),
        },
        None => state_of(&states.apis[api]),
    }
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

#[cfg(test)]
mod tests;
