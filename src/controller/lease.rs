//! Leader election on a Lease, by client-go's rules (`tools/leaderelection/leaderelection.go`).
//!
//! A lease is over when its *record has not changed for its duration by our own clock*; the times inside it are another
//! machine's and decide nothing. A leader that cannot renew gives up at the renew deadline, before anyone else may take
//! the lease. Two writers are kept apart by the `resourceVersion` of a PUT.

mod decide;

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder as _, ConstantBuilder};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use self::decide::{Decision, Seen, decide, released};
use super::{
    Clock, Leadership, MANAGED_BY, MANAGER,
    call::{CallError, DEADLINE, outcome, within, within_time},
    leadership::{Claim, leadership},
};
use crate::metrics::ControllerMetrics;

/// Which Lease, as whom, and how often.
#[derive(Clone, Debug)]
pub struct LeaseConfig {
    /// The Lease's namespace: the operator's own.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// Who we are. No two processes that run at the same time may share it.
    pub identity: String,
    /// How long a lease holds after its last renewal, for the others. In whole seconds.
    pub duration: Duration,
    /// How long the leader goes on without a renewal. Shorter than `duration`.
    pub renew_deadline: Duration,
    /// How often the leader renews and the others look; those with a jitter of up to as much again.
    pub retry: Duration,
}

/// A configuration under which two replicas could lead at once, or none ever.
#[derive(Debug, thiserror::Error)]
#[error("lease {0}")]
pub struct LeaseError(&'static str);

/// The election, to be run.
#[derive(Debug)]
pub struct Election {
    api: Api<Lease>,
    config: LeaseConfig,
    clock: Clock,
    metrics: ControllerMetrics,
    claim: Claim,
    seen: Option<Seen>,
    held: Option<Lease>,
}

#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Held,
    HeldBy(Arc<str>),
}

// === impl LeaseConfig ===

impl LeaseConfig {
    /// client-go's defaults: 15 s, 10 s, 2 s.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }

    fn check(&self) -> Result<(), LeaseError> {
        match self {
            Self { identity, .. } if identity.is_empty() => Err(LeaseError("identity is empty")),
            Self { duration, .. } if duration.as_secs() == 0 => Err(LeaseError("duration is under a second")),
            _ if self.renew_deadline >= self.duration => {
                Err(LeaseError("renew deadline is not shorter than its duration"))
            }
            _ if self.retry * 2 >= self.renew_deadline => Err(LeaseError(
                "retry period leaves no second try before the renew deadline",
            )),
            _ => Ok(()),
        }
    }
}

// === impl Election ===

impl Election {
    /// Errors where the configuration is not safe.
    pub fn new(
        client: Client,
        config: LeaseConfig,
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> Result<(Self, Leadership), LeaseError> {
        config.check()?;
        let (claim, leadership) = leadership();
        let election = Self {
            api: Api::namespaced(client, &config.namespace),
            config,
            clock,
            metrics,
            claim,
            seen: None,
            held: None,
        };
        Ok((election, leadership))
    }

    /// Competes for the lease, and renews it while it is held, until `release` is cancelled; then gives it up, so that
    /// another replica need not wait for its end.
    ///
    /// A failure of the API server never ends it: the replica goes on serving, without leadership, and tries again.
    pub async fn run(mut self, release: CancellationToken) {
        let mut jitter = ConstantBuilder::default()
            .with_delay(self.config.retry)
            .with_jitter()
            .without_max_times()
            .build();
        loop {
            let started = Instant::now();
            let attempt = tokio::select! {
                // The lease may have been taken by the call that is dropped here; `release` then lets its time run out.
                () = release.cancelled() => break,
                attempt = self.attempt() => attempt,
            };
            self.settle(attempt, started);
            let next = match self.claim.until() {
                Some(until) => (started + self.config.retry).max(Instant::now()).min(until),
                None => Instant::now() + jitter.next().unwrap_or(self.config.retry),
            };
            tokio::select! {
                () = release.cancelled() => break,
                () = sleep_until(next) => {}
            }
        }
        self.release().await;
    }

    fn settle(&mut self, attempt: Result<Attempt, CallError>, started: Instant) {
        let (lease, identity) = (&self.config.name, &self.config.identity);
        match attempt {
            // Counted from before the call: the others count from after it.
            Ok(Attempt::Held) => {
                if self.claim.held(started + self.config.renew_deadline) {
                    tracing::info!(%lease, %identity, "leading");
                    self.metrics.leader(true);
                }
            }
            Ok(Attempt::HeldBy(holder)) => {
                if self.claim.lost() {
                    tracing::warn!(%lease, %identity, %holder, "leadership lost to another replica");
                    self.metrics.leader(false);
                } else {
                    tracing::debug!(%lease, %holder, "another replica leads");
                }
            }
            Err(error) => {
                self.held = None;
                tracing::warn!(%lease, %error, "lease could not be read or written");
                if self.claim.until().is_some_and(|until| Instant::now() >= until) && self.claim.lost() {
                    tracing::warn!(%lease, %identity, "leadership lost: the lease was not renewed in time");
                    self.metrics.leader(false);
                }
            }
        }
    }

    async fn attempt(&mut self) -> Result<Attempt, CallError> {
        let deadline = match self.claim.until() {
            Some(until) => until.saturating_duration_since(Instant::now()).min(DEADLINE),
            None => DEADLINE,
        };
        // What our own last write returned saves the leader a read; if it is out of date, the PUT says so.
        let lease = match self.held.take() {
            Some(lease) => Some(lease),
            None => within_time(deadline, self.api.get_opt(&self.config.name)).await?,
        };
        self.seen = lease
            .as_ref()
            .map(|lease| Seen::observe(self.seen.take(), lease, Instant::now()));
        let decision = decide(
            self.seen.as_ref(),
            &self.config.identity,
            self.config.duration,
            Instant::now(),
            self.clock.now(),
        );
        let parameters = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        let written = match (decision, lease) {
            (Decision::Wait { holder }, _) => return Ok(Attempt::HeldBy(holder)),
            (Decision::Write(spec), Some(mut lease)) => {
                lease.spec = Some(spec);
                within_time(deadline, self.api.replace(&self.config.name, &parameters, &lease)).await
            }
            (Decision::Write(spec), None) => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.config.name.clone()),
                        labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(spec),
                };
                within_time(deadline, self.api.create(&parameters, &lease)).await
            }
        };
        self.metrics.write("lease", outcome(&written));
        match written {
            Ok(lease) => {
                self.seen = Some(Seen::observe(self.seen.take(), &lease, Instant::now()));
                self.held = Some(lease);
                Ok(Attempt::Held)
            }
            // Another replica was faster. A leader that meets this reads the lease again before it gives up: it may be
            // that someone only labelled it.
            Err(error) if error.is_conflict() && self.claim.until().is_none() => {
                Ok(Attempt::HeldBy("another replica, just now".into()))
            }
            Err(error) => Err(error),
        }
    }

    async fn release(mut self) {
        if self.claim.lost() {
            self.metrics.leader(false);
        } else {
            return;
        }
        let lease = match self.held.take() {
            Some(lease) => Some(lease),
            None => within(self.api.get_opt(&self.config.name)).await.ok().flatten(),
        };
        let ours = |lease: &Lease| {
            lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_ref()) == Some(&self.config.identity)
        };
        let Some(mut lease) = lease.filter(ours) else {
            return;
        };
        lease.spec = lease.spec.map(|spec| released(spec, self.clock.now()));
        let written = within(
            self.api
                .replace(&self.config.name, &PostParams::default(), &lease),
        )
        .await;
        self.metrics.write("lease", outcome(&written));
        match written {
            Ok(_) => tracing::info!(lease = %self.config.name, "lease released"),
            Err(error) => {
                tracing::warn!(lease = %self.config.name, %error, "lease not released; it will expire");
            }
        }
    }
}

#[cfg(test)]
mod tests;
