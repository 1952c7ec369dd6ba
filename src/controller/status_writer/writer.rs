//! Writer of statuses: the loop that writes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::DynamicObject,
};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    CONCURRENCY, MINOR_INTERVAL, Merged, StatusKey, StatusTarget, StatusTargets, merge,
    notice::notices,
    pace::{Pace, Urgency},
};
use crate::{
    controller::{
        Clock, Leadership, MANAGER,
        call::{Backoff, CallError, within_time},
        events::EventSink,
    },
    metrics::ControllerMetrics,
};

const DEADLINE: Duration = Duration::from_secs(10);

/// Writes statuses while this replica leads.
pub struct StatusWriter {
    client: Client,
    targets: watch::Receiver<Arc<StatusTargets>>,
    leadership: Leadership,
    events: EventSink,
    clock: Clock,
    metrics: ControllerMetrics,
}

/// What is remembered of one object while we lead.
#[derive(Debug)]
struct Entry {
    in_flight: bool,
    /// Nothing is to be done for exactly this target.
    settled: Option<Arc<StatusTarget>>,
    /// Nothing is to be done before then.
    wait: Option<Instant>,
    /// What waits for its turn.
    queued: Option<Queued>,
    written: Option<Written>,
    written_at: Option<Instant>,
    backoff: Backoff,
}

/// A change that is not written at once.
#[derive(Debug)]
struct Queued {
    target: Arc<StatusTarget>,
    urgency: Urgency,
    /// Since when the object has differed in this way, whatever its target was since.
    since: Instant,
}

/// What was written to an object that the watch has since not brought back.
#[derive(Debug)]
struct Written {
    uid: String,
    over: String,
    status: Value,
}

struct Done {
    key: StatusKey,
    target: Arc<StatusTarget>,
    merged: Merged,
    urgency: Urgency,
    result: Result<(), CallError>,
}

type InFlight = FuturesUnordered<BoxFuture<'static, Done>>;

// === impl StatusWriter ===

impl StatusWriter {
    /// `targets`: all that should be written, published whole.
    pub fn new(
        client: Client,
        targets: watch::Receiver<Arc<StatusTargets>>,
        leadership: Leadership,
        events: EventSink,
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> Self {
        Self {
            client,
            targets,
            leadership,
            events,
            clock,
            metrics,
        }
    }

    /// Writes until `shutdown` is cancelled, or until nobody publishes targets any more. When leadership is lost, the
    /// writes under way are dropped.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut entries = HashMap::new();
        let mut in_flight = InFlight::new();
        let mut pace = Pace::new(Instant::now());
        loop {
            if !self.leadership.is_leader() {
                in_flight.clear();
                entries.clear();
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = self.leadership.changed() => continue,
                }
            }
            let targets = self.targets.borrow_and_update().clone();
            entries.retain(|key, _| targets.contains_key(key));
            let next = self.start(&targets, &mut entries, &mut in_flight, &mut pace);
            let wake = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.leadership.lost() => {}
                Some(done) = in_flight.next() => self.finish(done, &mut entries, &mut pace),
                changed = self.targets.changed() => if changed.is_err() { return },
                () = wake => {}
            }
        }
    }

    /// Starts what is due, and says when to look again if nothing happens before.
    fn start(
        &self,
        targets: &StatusTargets,
        entries: &mut HashMap<StatusKey, Entry>,
        in_flight: &mut InFlight,
        pace: &mut Pace,
    ) -> Option<Instant> {
        let now = Instant::now();
        let term = self.leadership.term();
        let mut next: Option<Instant> = None;
        let mut look_again = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        let mut turns: Vec<(Instant, Urgency, &StatusKey, &Arc<StatusTarget>)> = Vec::new();
        for (key, target) in targets {
            if in_flight.len() >= CONCURRENCY {
                return next;
            }
            let entry = entries.entry(key.clone()).or_insert_with(Entry::new);
            if entry.in_flight
                || entry
                    .settled
                    .as_ref()
                    .is_some_and(|settled| Arc::ptr_eq(settled, target))
                || target.term.is_some() && target.term != term
            {
                continue;
            }
            if let Some(until) = entry.wait.filter(|until| *until > now) {
                look_again(until);
                continue;
            }
            let queued = entry.queued.take();
            let judged = queued
                .as_ref()
                .filter(|queued| Arc::ptr_eq(&queued.target, target));
            let urgency = if let Some(queued) = judged {
                queued.urgency
            } else {
                let merged = merge(entry.observed(target), &target.desired, self.clock.now());
                match Urgency::of(key.kind, &merged) {
                    None => {
                        entry.settled = Some(Arc::clone(target));
                        continue;
                    }
                    Some(Urgency::Now) => {
                        entry.in_flight = true;
                        let target = Arc::clone(target);
                        in_flight.push(self.write(key.clone(), target, merged, Urgency::Now));
                        continue;
                    }
                    Some(later) => later,
                }
            };
            let since = queued
                .filter(|queued| queued.urgency == urgency)
                .map_or(now, |queued| queued.since);
            entry.queued = Some(Queued {
                target: Arc::clone(target),
                urgency,
                since,
            });
            let rested = entry.written_at.map(|at| at + MINOR_INTERVAL);
            match rested.filter(|until| urgency == Urgency::Drift && *until > now) {
                Some(until) => look_again(until),
                None => turns.push((since, urgency, key, target)),
            }
        }
        // Those that have waited longest first: whatever drifts all the time takes its turn.
        turns.sort_by_key(|(since, ..)| *since);
        let mut closed: Vec<Urgency> = Vec::new();
        for (_, urgency, key, target) in turns {
            if in_flight.len() >= CONCURRENCY {
                break;
            }
            if closed.contains(&urgency) {
                continue;
            }
            if !pace.admits(urgency, now) {
                closed.push(urgency);
                look_again(pace.next(urgency, now));
                continue;
            }
            let Some(entry) = entries.get_mut(key) else {
                continue;
            };
            let merged = merge(entry.observed(target), &target.desired, self.clock.now());
            entry.queued = None;
            entry.in_flight = true;
            in_flight.push(self.write(key.clone(), Arc::clone(target), merged, urgency));
        }
        next
    }

    fn write(
        &self,
        key: StatusKey,
        target: Arc<StatusTarget>,
        merged: Merged,
        urgency: Urgency,
    ) -> BoxFuture<'static, Done> {
        let client = self.client.clone();
        let resource = key.kind.resource();
        let api: Api<DynamicObject> = match &key.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        Box::pin(async move {
            let mut body = json!({
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                // With the uid the API server refuses to write to another object of the same name.
                "metadata": {"name": &*key.name, "uid": target.uid},
                "status": merged.status,
            });
            if let Some(namespace) = &key.namespace {
                body["metadata"]["namespace"] = json!(&**namespace);
            }
            let parameters = PatchParams::apply(MANAGER).force();
            let patch = Patch::Apply(&body);
            let call = api.patch_status(&key.name, &parameters, &patch);
            let result = within_time(DEADLINE, call).await.map(drop);
            Done {
                key,
                target,
                merged,
                urgency,
                result,
            }
        })
    }

    fn finish(&self, done: Done, entries: &mut HashMap<StatusKey, Entry>, pace: &mut Pace) {
        let now = Instant::now();
        let Done {
            key,
            target,
            merged,
            urgency,
            result,
        } = done;
        self.metrics.write(
            "status",
            match &result {
                Ok(()) => "ok",
                Err(error) if error.is_not_found() || error.is_conflict() => "gone",
                Err(_) => "error",
            },
        );
        // It may have gone from the targets meanwhile.
        let Some(entry) = entries.get_mut(&key) else {
            return;
        };
        entry.in_flight = false;
        match result {
            Ok(()) => {
                let notices = notices(&key, &target.uid, &merged.transitions);
                if !notices.is_empty() && pace.tells(urgency, now) {
                    for notice in notices {
                        self.events.tell(notice);
                    }
                }
                entry.backoff.reset();
                entry.wait = None;
                entry.written_at = Some(now);
                entry.written = Some(Written {
                    uid: target.uid.clone(),
                    over: target.resource_version.clone(),
                    status: merged.status,
                });
                entry.settled = Some(target);
            }
            // The object is gone, or it is another one by now: the watch will say so.
            Err(error) if error.is_not_found() || error.is_conflict() => {
                tracing::debug!(object = %key, %error, "status dropped");
                entry.settled = Some(target);
            }
            Err(error) => {
                tracing::warn!(object = %key, %error, "status not written");
                entry.wait = Some(entry.backoff.next_try(now));
            }
        }
    }
}

// === impl Entry ===

impl Entry {
    fn new() -> Self {
        Self {
            in_flight: false,
            settled: None,
            wait: None,
            queued: None,
            written: None,
            written_at: None,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_mins(5)),
        }
    }

    /// The present status as far as we know: what we wrote, until the watch brings a later version of the object.
    fn observed<'a>(&'a self, target: &'a StatusTarget) -> Option<&'a Value> {
        self.written
            .as_ref()
            .filter(|written| written.uid == target.uid && written.over == target.resource_version)
            .map(|written| &written.status)
            .or(target.observed.as_ref())
    }
}
