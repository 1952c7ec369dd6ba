//! Exchange of outcomes: each replica writes what its own queries met under its own key of one `ConfigMap`; the leader
//! reads all of them.
//!
//! The leader alone writes statuses, and kube-apiserver keeps its connections, so that it often asks one replica only:
//! mostly another one. What a key holds is bounded and written only when it changes, or once in [`RENEW`] while there is
//! something to say; a key that was not renewed for [`STALE`] is of a replica that is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
};
use serde_json::{Map, Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    Clock, Leadership, MANAGER,
    call::{Backoff, outcome, within, within_time},
    single::{Observed, watch_one},
};
use crate::{
    backend::health::Healths,
    metrics::ControllerMetrics,
    outcome::{
        Met, Outcomes, Throttle, Throttles, merged,
        wire::{Report, chosen, decode, encode},
    },
};

/// How often a key is written again while there is something to say.
const RENEW: SignedDuration = SignedDuration::from_mins(5);
/// After how long without that a replica counts as gone.
const STALE: SignedDuration = SignedDuration::from_mins(12);
/// Between two writes of a replica.
const PACE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(20));
/// After a write that failed.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));
/// Between two looks without another reason.
const LOOK: Duration = Duration::from_secs(30);
/// The most keys that are read: there are no more replicas than that.
const REPLICAS: usize = 64;
/// Longest wait for the last write, at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What exchanges outcomes, to be run.
pub struct OutcomeExchange {
    client: Client,
    namespace: String,
    name: String,
    key: String,
    own: watch::Receiver<Arc<Outcomes>>,
    healths: watch::Receiver<Arc<Healths>>,
    throttled: Throttles,
    all: watch::Sender<Arc<Met>>,
    leadership: Leadership,
    clock: Clock,
    metrics: ControllerMetrics,
    written: Option<Report>,
    paces: (Backoff, Backoff),
    next: Instant,
    complaint: Option<String>,
}

// === impl OutcomeExchange ===

impl OutcomeExchange {
    /// An exchange by the `ConfigMap` `name` of `namespace`, as the replica `identity`; and what all replicas met.
    #[expect(
        clippy::too_many_arguments,
        reason = "one call in the composition root, most of a different type"
    )]
    pub fn new(
        client: Client,
        namespace: String,
        name: String,
        identity: &str,
        own: watch::Receiver<Arc<Outcomes>>,
        healths: watch::Receiver<Arc<Healths>>,
        leadership: Leadership,
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> (Self, watch::Receiver<Arc<Met>>) {
        let (all, receiver) = watch::channel(Arc::default());
        let exchange = Self {
            client,
            namespace,
            name,
            key: key_of(identity),
            own,
            healths,
            throttled: Throttles::new(),
            all,
            leadership,
            clock,
            metrics,
            written: None,
            paces: (Backoff::new(PACE.0, PACE.1), Backoff::new(RETRY.0, RETRY.1)),
            next: Instant::now(),
            complaint: None,
        };
        (exchange, receiver)
    }

    /// Reads and writes until `shutdown` is cancelled; takes the own key back then.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let (observe, observed) = watch::channel(Observed::Unknown);
        let api: Api<DeserializeGuard<ConfigMap>> = Api::namespaced(self.client.clone(), &self.namespace);
        let (name, metrics) = (self.name.clone(), self.metrics.clone());
        let publish = |now| _ = observe.send_replace(now);
        tokio::select! {
            () = shutdown.cancelled() => {}
            never = watch_one(api, &name, "outcomes", &metrics, publish) => match never {},
            () = self.exchange(observed) => return,
        }
        if self.written.is_some_and(|written| !written.met.is_empty()) {
            let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
            let (parameters, body) = (
                parameters(),
                Patch::Merge(json!({"data": {self.key.as_str(): null}})),
            );
            let farewell = maps.patch(&self.name, &parameters, &body);
            if let Err(error) = within_time(FAREWELL, farewell).await {
                tracing::debug!(%error, "this replica's outcomes stay until they are too old");
            }
        }
    }

    async fn exchange(&mut self, mut observed: watch::Receiver<Observed<ConfigMap>>) {
        loop {
            let map = observed.borrow_and_update().clone();
            let own = self.met();
            let (others, gone) = self.read(&map);
            let all = merged(others.into_iter().chain([own.clone()]));
            self.all.send_if_modified(|known| {
                let changed = **known != all;
                if changed {
                    *known = Arc::new(all);
                }
                changed
            });
            let now = Instant::now();
            if now >= self.next {
                self.write(&map, &own, &gone).await;
            }
            let look = Instant::now() + LOOK;
            let again = if self.next > Instant::now() {
                look.min(self.next)
            } else {
                look
            };
            tokio::select! {
                changed = observed.changed() => if changed.is_err() { return },
                changed = self.own.changed() => if changed.is_err() { return },
                changed = self.healths.changed() => if changed.is_err() { return },
                () = self.leadership.changed() => {}
                () = sleep_until(again) => {}
            }
        }
    }

    /// What this replica met itself.
    fn met(&mut self) -> Met {
        let now = self.clock.now();
        let healths = self.healths.borrow_and_update().clone();
        let current = healths.iter().filter_map(|(name, health)| {
            let throttled = health.throttled.filter(|throttled| throttled.is_current(now))?;
            let throttle = Throttle::new(throttled.ceiling.field(), throttled.limit, throttled.wanted);
            Some((name.to_string(), throttle.after(self.throttled.get(&**name))))
        });
        self.throttled = current.collect();
        Met {
            rules: Outcomes::clone(&self.own.borrow_and_update()),
            throttled: self.throttled.clone(),
        }
    }

    /// What the other replicas say, and the keys of those that are gone.
    fn read(&mut self, map: &Observed<ConfigMap>) -> (Vec<Met>, BTreeSet<String>) {
        let Observed::Present(map) = map else {
            return (Vec::new(), BTreeSet::new());
        };
        let now = self.clock.now();
        let (mut others, mut gone) = (Vec::new(), BTreeSet::new());
        for (key, text) in map.data.iter().flatten() {
            if *key == self.key {
                continue;
            }
            match decode(text) {
                // In either direction: a clock that goes wrong makes no replica eternal.
                Ok(report) if now.duration_since(report.at).abs() < STALE && others.len() < REPLICAS => {
                    others.push(report.met);
                }
                Ok(_) => drop(gone.insert(key.clone())),
                Err(error) => {
                    self.complain(format!(
                        "the key {key} of the ConfigMap contains no valid outcomes: {error}"
                    ));
                    gone.insert(key.clone());
                }
            }
        }
        (others, gone)
    }

    async fn write(&mut self, map: &Observed<ConfigMap>, own: &Met, gone: &BTreeSet<String>) {
        let present: &BTreeMap<String, String> = match map {
            Observed::Present(map) => &map.data.clone().unwrap_or_default(),
            Observed::Absent => {
                if !own.is_empty() {
                    self.complain(format!(
                        "the ConfigMap {} does not exist: the leader does not learn of failures on other replicas; \
                         apply the chart of this version",
                        self.name
                    ));
                }
                return;
            }
            Observed::Unknown | Observed::Undecodable(_) => return,
        };
        let report = Report {
            at: self.clock.now(),
            met: chosen(own),
        };
        let mut data = Map::new();
        let mut next = self.written.clone();
        if report.met.is_empty() {
            if present.contains_key(&self.key) {
                data.insert(self.key.clone(), Value::Null);
            }
            next = None;
        } else if self.is_news(&report, present) {
            match encode(&report) {
                Ok(text) => drop(data.insert(self.key.clone(), Value::String(text))),
                Err(error) => return self.complain(format!("outcomes could not be serialized: {error}")),
            }
            next = Some(report);
        }
        if self.leadership.is_leader() {
            data.extend(gone.iter().map(|key| (key.clone(), Value::Null)));
        }
        if data.is_empty() {
            return;
        }
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let body = Patch::Merge(json!({ "data": data }));
        let written = within(maps.patch(&self.name, &parameters(), &body)).await;
        self.metrics.write("configmap", outcome(&written));
        let now = Instant::now();
        match written {
            Ok(_) => {
                self.complaint = None;
                self.written = next;
                self.paces.1.reset();
                self.next = self.paces.0.next_try(now);
            }
            Err(error) => {
                self.next = self.paces.1.next_try(now);
                self.complain(format!(
                    "the outcomes of queries could not be written to the ConfigMap {}: {error}",
                    self.name
                ));
            }
        }
    }

    /// Whether it says something else than what was written, or what was written is not there or old.
    fn is_news(&self, report: &Report, present: &BTreeMap<String, String>) -> bool {
        self.written
            .as_ref()
            .is_none_or(|written| written.met != report.met || report.at.duration_since(written.at) >= RENEW)
            || !present.contains_key(&self.key)
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::warn!(config_map = self.name, "{complaint}");
            self.complaint = Some(complaint);
        }
    }
}

fn parameters() -> PatchParams {
    PatchParams {
        field_manager: Some(MANAGER.into()),
        ..PatchParams::default()
    }
}

/// A key of a `ConfigMap` is at most 253 characters of `[-._a-zA-Z0-9]`.
fn key_of(identity: &str) -> String {
    identity
        .chars()
        .take(253)
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') => c,
            _ => '-',
        })
        .collect()
}

#[cfg(test)]
mod tests;
