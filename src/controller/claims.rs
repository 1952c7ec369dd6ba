//! Record of claims in the cluster: one `ConfigMap`, read by every replica, written by the one that leads.
//!
//! The chart creates it, empty; it is changed by a patch that names the `resourceVersion` it was made for. Where it is not there,
//! or cannot be read, each replica keeps a record of its own, and decides by what it has listed itself.

mod came;
mod object;
mod orphans;
mod pace;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::{came::Came, object::Stored, orphans::Orphans, pace::Pace};
use super::{
    Clock, Leadership, MANAGER,
    call::{Backoff, CallError, outcome, within},
};
use crate::{
    catalog::{
        Catalog, Recorded,
        recorded::{
            Advanced, PACKED_MAX, Record, RecordError, RecordSource, Shared, UNPACKED_MAX, advance, pack,
            share,
        },
    },
    kubernetes::watch::{Change, config, drive},
    metrics::{ClaimMetrics, ControllerMetrics},
};

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// For how long the record may be refused to a replica that starts before it goes on without: an API server that starts as well
/// refuses for a moment what it allows.
const REFUSED: Duration = Duration::from_secs(10);
/// The longest that a leader that stops keeps its lease for a last write.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Where the record is kept.
#[derive(Clone, Debug)]
pub struct ClaimsConfig {
    /// The operator's namespace.
    pub namespace: String,
    /// The `ConfigMap`'s name.
    pub name: String,
}

/// What the record is made from, and where it goes.
pub struct ClaimsChannels {
    /// This replica's listings.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    /// The record that its catalog is to be built with.
    pub recorded: watch::Sender<Recorded>,
}

/// Keeps the record, to be run.
pub struct Claims {
    client: Client,
    config: ClaimsConfig,
    channels: ClaimsChannels,
    leadership: Leadership,
    clock: Clock,
    metrics: ClaimMetrics,
    counts: ControllerMetrics,
    pace: Pace,
    orphans: Orphans,
    came: Option<Came>,
    backoff: Backoff,
    retry_at: Option<Instant>,
    /// When time alone changes the record.
    expires: Option<Timestamp>,
    /// The version that was written over, while the watch still shows it.
    written_over: Option<String>,
    /// Whether there is, or may be, something that is not written yet.
    pending: bool,
    /// Whether the replica is about to stop: what is pending is written without delay.
    hurries: bool,
    complaint: Option<String>,
    left_out: usize,
}

#[derive(Debug, thiserror::Error)]
enum ClaimsError {
    #[error("the record of claims could not be written: {0}")]
    Call(CallError),
    #[error("the record of claims cannot be made: {0}")]
    Record(#[from] RecordError),
}

// === impl Claims ===

impl Claims {
    /// A task over `channels`.
    pub fn new(
        client: Client,
        config: ClaimsConfig,
        channels: ClaimsChannels,
        leadership: Leadership,
        clock: Clock,
        metrics: ClaimMetrics,
        counts: ControllerMetrics,
    ) -> Self {
        Self {
            client,
            config,
            channels,
            leadership,
            clock,
            metrics,
            counts,
            pace: Pace::default(),
            orphans: Orphans::default(),
            came: None,
            backoff: Backoff::new(Duration::from_millis(500), LONGEST_PAUSE),
            retry_at: None,
            expires: None,
            written_over: None,
            pending: false,
            hurries: false,
            complaint: None,
            left_out: 0,
        }
    }

    /// Reads for as long as it is polled, for a replica that stops serves on for a while, and another leads then. Writes while
    /// this replica leads; once `stop` is cancelled what is pending is written at once, and then `written` is cancelled.
    pub async fn run(mut self, stop: CancellationToken, written: CancellationToken) {
        let (observe, observed) = watch::channel(Stored::Unread);
        let (client, config, counts) = (self.client.clone(), self.config.clone(), self.counts.clone());
        tokio::select! {
            never = follow(client, config, counts, observe) => match never {},
            () = self.reconcile(observed, stop, written) => {}
        }
    }

    async fn reconcile(
        &mut self,
        mut stored: watch::Receiver<Stored>,
        stop: CancellationToken,
        written: CancellationToken,
    ) {
        loop {
            self.hurries = stop.is_cancelled();
            let now_stored = stored.borrow_and_update().clone();
            let catalog = self.channels.catalog.borrow_and_update().clone();
            self.pending = false;
            self.pass(&now_stored, &catalog).await;
            if self.hurries && !self.pending {
                written.cancel();
            }
            // What is due waits for the next try.
            let (orphans, came) = (self.orphans.due(Instant::now()), self.came.as_ref());
            let next = self.retry_at.or_else(|| self.pace.due());
            let wake = [next, self.expiry(), orphans, came.and_then(Came::due)];
            let wake = wake.into_iter().flatten().min();
            let changed = tokio::select! {
                changed = stored.changed() => {
                    // News may be what a retry waits for.
                    self.retry_at = None;
                    changed
                }
                changed = self.channels.catalog.changed() => changed,
                () = self.leadership.changed() => Ok(()),
                () = stop.cancelled(), if !self.hurries => Ok(()),
                () = sleep(wake) => Ok(()),
            };
            if changed.is_err() {
                return;
            }
        }
    }

    async fn pass(&mut self, stored: &Stored, catalog: &Catalog) {
        match stored {
            Stored::Unread => {}
            Stored::Present { version, record } => {
                self.shared(record);
                self.write(version, Some(record), record, catalog).await;
            }
            // Nobody has written it yet, or somebody has emptied it: that is no word on any claim.
            Stored::Blank { version } => {
                let known = self.channels.recorded.borrow().record.clone();
                self.shared(&known);
                self.write(version, Some(&Record::default()), &known, catalog)
                    .await;
            }
            Stored::Absent => {
                let (name, namespace) = (&self.config.name, &self.config.namespace);
                let text = format!(
                    "the ConfigMap {namespace}/{name}, which the chart creates, does not exist: each replica \
                     remembers claims by itself, and forgets them when it exits"
                );
                self.complain(text);
                self.alone(catalog);
            }
            Stored::Unreadable { version, error } => {
                let (name, namespace) = (&self.config.name, &self.config.namespace);
                let text = format!(
                    "the operator does not use the record of claims in ConfigMap {namespace}/{name}: {error}"
                );
                self.complain(text);
                self.alone(catalog);
                // Damage is written over; what another version wrote is left to it.
                if let Some(version) = version {
                    let known = self.channels.recorded.borrow().record.clone();
                    self.write(version, None, &known, catalog).await;
                }
            }
        }
    }

    /// All replicas decide by this record.
    fn shared(&mut self, record: &Arc<Record>) {
        self.publish(record, RecordSource::Cluster);
        self.metrics.read(record.claims(), true);
        let left = std::mem::take(&mut self.complaint).filter(|_| self.retry_at.is_some());
        self.complaint = left;
    }

    /// The record that this replica keeps for itself, from the last one that it has seen.
    fn alone(&mut self, catalog: &Catalog) {
        let known = self.channels.recorded.borrow().record.clone();
        let Advanced { record, expires } = advance(&known, catalog, self.clock.now());
        self.expires = expires;
        let record = share(&record, UNPACKED_MAX).record;
        let record = if record == *known { known } else { Arc::new(record) };
        self.metrics.read(record.claims(), false);
        self.publish(&record, RecordSource::Own);
    }

    fn publish(&self, record: &Arc<Record>, source: RecordSource) {
        self.channels.recorded.send_if_modified(|known| {
            let changed = known.source != source || !Arc::ptr_eq(&known.record, record);
            if changed {
                *known = Recorded {
                    record: record.clone(),
                    source,
                };
            }
            changed
        });
    }

    /// Writes what this replica's listings make of the record that is `known`, where it is not `stored` already; once that has
    /// settled, and if it leads.
    async fn write(&mut self, version: &str, stored: Option<&Record>, known: &Record, catalog: &Catalog) {
        let now = Instant::now();
        let Some(term) = self.leadership.term() else {
            self.pace.forget();
            (self.orphans, self.came) = (Orphans::default(), None);
            (self.expires, self.retry_at) = (None, None);
            return;
        };
        if !catalog.table.synced {
            return;
        }
        self.pending = true;
        if self.written_over.as_deref() == Some(version) {
            return;
        }
        self.written_over = None;
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.retry_at = None;
        let Advanced {
            record: mut next,
            expires,
        } = advance(known, catalog, self.clock.now());
        self.expires = expires;
        self.orphans.keep(known, &mut next, now);
        let came = self.came.take().filter(|came| came.is_of(term));
        let came = self
            .came
            .insert(came.unwrap_or_else(|| Came::new(term, catalog, now)));
        came.keep(known, &mut next, catalog, now);
        let fitted = fit(&next);
        let outcome = match fitted {
            Ok((shared, _)) if stored == Some(&shared.record) => {
                self.pending = false;
                self.pace.forget();
                self.tell_left_out(&shared);
                return;
            }
            Ok(_) if !self.pace.is_due(now) && !self.hurries => return,
            Ok((shared, bytes)) => {
                self.tell_left_out(&shared);
                self.store(version, bytes).await
            }
            Err(error) => Err(ClaimsError::Record(error)),
        };
        match outcome {
            Ok(()) => self.backoff.reset(),
            Err(error) => {
                self.retry_at = Some(self.backoff.next_try(Instant::now()));
                self.complain(error.to_string());
            }
        }
    }

    async fn store(&mut self, version: &str, bytes: Vec<u8>) -> Result<(), ClaimsError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let parameters = PatchParams {
            field_manager: Some(MANAGER.into()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(object::patch(version, bytes));
        let leadership = self.leadership.clone();
        let written = tokio::select! {
            () = leadership.lost() => return Ok(()),
            written = within(api.patch(&self.config.name, &parameters, &patch)) => written,
        };
        self.counts.write("claims", outcome(&written));
        match written {
            Ok(_) => {
                self.pace.written(Instant::now());
                self.written_over = Some(version.to_owned());
                Ok(())
            }
            // Changed or deleted meanwhile: the watch brings what it is now.
            Err(error) if error.is_conflict() || error.is_not_found() => {
                self.retry_at = Some(self.backoff.next_try(Instant::now()));
                Ok(())
            }
            Err(error) => Err(ClaimsError::Call(error)),
        }
    }

    fn expiry(&self) -> Option<Instant> {
        let left = self.expires?.duration_since(self.clock.now());
        // A second more: an end is told in whole seconds.
        let left = Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1);
        Some(Instant::now() + left)
    }

    fn tell_left_out(&mut self, shared: &Shared) {
        let left_out = shared.left_out.values().sum();
        self.metrics.left_out(left_out);
        if left_out != self.left_out {
            for (namespace, claims) in &shared.left_out {
                let namespace = namespace.as_deref().unwrap_or("(ClusterMetricRules)");
                tracing::warn!(
                    namespace,
                    claims,
                    "the record of claims has no room for these: each replica decides them by its own listing"
                );
            }
        }
        self.left_out = left_out;
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::warn!("{complaint}");
            self.complaint = Some(complaint);
        }
    }
}

/// What of `record` has room, and its bytes.
fn fit(record: &Record) -> Result<(Shared, Vec<u8>), RecordError> {
    // The text of a claim is a little longer than it is counted.
    let mut budget = UNPACKED_MAX / 2;
    loop {
        let shared = share(record, budget);
        match pack(&shared.record) {
            Ok(bytes) if bytes.len() <= PACKED_MAX => return Ok((shared, bytes)),
            Ok(_) | Err(RecordError::TooLarge(_)) if budget > 0 => budget /= 2,
            Ok(_) => return Err(RecordError::TooLarge(PACKED_MAX)),
            Err(error) => return Err(error),
        }
    }
}

/// Watches the object alone, and publishes what is known of it. While the watch fails what was known stays; where it is refused
/// from the start and goes on to be there is nothing to wait for.
async fn follow(
    client: Client,
    place: ClaimsConfig,
    counts: ControllerMetrics,
    observed: watch::Sender<Stored>,
) -> Infallible {
    let api: Api<DeserializeGuard<ConfigMap>> = Api::namespaced(client, &place.namespace);
    let config = config().fields(&format!("metadata.name={}", place.name));
    let mut refused: Option<Instant> = None;
    drive(api, config, "claims", &counts, |change| {
        let now = match change {
            Change::Reset(entries) => entries.into_iter().next().map_or(Stored::Absent, Stored::of),
            Change::Apply(entry) => Stored::of(entry),
            Change::Delete(_) => Stored::Absent,
            Change::Failed(failure) => {
                if failure.code != Some(403) || !matches!(*observed.borrow(), Stored::Unread) {
                    return;
                }
                if refused.get_or_insert_with(Instant::now).elapsed() < REFUSED {
                    return;
                }
                Stored::Unreadable {
                    version: None,
                    error: failure.message.into(),
                }
            }
        };
        observed.send_replace(now);
    })
    .await
}

/// Waits until `stop` is cancelled and the claims are `written`, or have had a second for it: the lease is given up then.
pub async fn last_write(stop: CancellationToken, written: CancellationToken) {
    stop.cancelled().await;
    if tokio::time::timeout(LAST_WRITE, written.cancelled())
        .await
        .is_err()
    {
        tracing::warn!(
            "the record of claims was not written in time: the next leader has to list the latest changes again"
        );
    }
}

async fn sleep(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}
