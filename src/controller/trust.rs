//! Trust of the API server in the operator's own CA, where somebody else writes the `APIService`s.
//!
//! With `--register never`, and wherever an `APIService` cannot be written, a rotation waits for a bundle that may never
//! come. kube-apiserver goes on trusting us until the CA that it knows ends, and not a moment longer: then no HPA reads a
//! metric any more, and discovery and the deletion of namespaces stand still with it. This says so from the moment on in which
//! a next CA lies in the bundle, months before.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    Clock, Leadership,
    events::{EventSink, Notice},
    own_service::OwnService,
    registration::RegistrationState,
};
use crate::{
    metrics::ControllerMetrics,
    metrics_api::{ApiVersion, MetricsApi},
    pki::{self, Anchors},
    reason::Reason,
};

/// The registration and whoever else writes an `APIService` need a moment after each step of a rotation.
const GRACE: Duration = Duration::from_mins(1);
/// How often the time of day is looked at.
const LOOK: Duration = Duration::from_hours(1);
/// How often one `APIService` is complained of: an Event is kept for an hour, a person sleeps for eight.
const AGAIN: Duration = Duration::from_hours(6);

/// The `APIService`s by which kube-apiserver will not verify us for ever.
pub type Distrust = BTreeMap<ApiVersion, Ending>;

/// How one of them stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// When kube-apiserver stops to verify us by it; `None`: it does not now.
    pub at: Option<Timestamp>,
    /// The sentence for people: what is missing, until when, and what to do.
    pub message: String,
}

/// Looks at trust, to be run.
pub struct Trust {
    service: OwnService,
    secret: String,
    leadership: Leadership,
    clock: Clock,
    events: EventSink,
    metrics: ControllerMetrics,
    published: watch::Sender<Arc<Distrust>>,
    /// Since when an `APIService` has lacked what it should carry, and when it was complained of.
    lacking: BTreeMap<ApiVersion, Lacking>,
}

#[derive(Debug)]
struct Lacking {
    since: Instant,
    /// Of which ending, when, and whether as the leader.
    told: Option<(Option<Timestamp>, Instant, bool)>,
}

/// The `APIService`s that lack a CA of ours at `now`. `secret`: where people find the bundle.
pub fn judge(anchors: &Anchors, states: &RegistrationState, secret: &str, now: Timestamp) -> Distrust {
    let mut distrust = Distrust::new();
    for (api_service, bundle) in &states.verified_by {
        let name = api_service.api_service();
        let carries = |pem: &str| pki::carries(bundle, pem.as_bytes());
        let step = format!(
            "write `ca.crt` of the Secret {secret} into its `spec.caBundle` at every rotation, or serve your own \
             certificate (`tls.secretName`)"
        );
        if !carries(&anchors.current) {
            let message = format!(
                "kube-apiserver cannot verify the operator through the APIService {name}: its caBundle lacks the operator's CA; {step}"
            );
            distrust.insert(*api_service, Ending { at: None, message });
            continue;
        }
        if anchors.next.as_deref().is_none_or(carries) {
            continue;
        }
        let left = anchors
            .next_issues_at
            .duration_since(now)
            .max(SignedDuration::ZERO);
        let hours = left.as_hours();
        let left = if hours >= 48 {
            format!("{} days", hours / 24)
        } else {
            format!("{hours} hours")
        };
        let message = format!(
            "the APIService {name} lacks the operator's next CA: kube-apiserver can verify the operator through it \
             until {}, for {left} more; {step}",
            anchors.next_issues_at
        );
        let at = Some(anchors.next_issues_at);
        distrust.insert(*api_service, Ending { at, message });
    }
    distrust
}

// === impl Trust ===

impl Trust {
    /// A look at the `APIService`s; what it gives is empty as long as all is well. Events are about `service`.
    pub fn new(
        service: OwnService,
        secret: String,
        leadership: Leadership,
        clock: Clock,
        events: EventSink,
        metrics: ControllerMetrics,
    ) -> (Self, watch::Receiver<Arc<Distrust>>) {
        let (published, receiver) = watch::channel(Arc::default());
        let trust = Self {
            service,
            secret,
            leadership,
            clock,
            events,
            metrics,
            published,
            lacking: BTreeMap::new(),
        };
        (trust, receiver)
    }

    /// Looks on at every change and every hour. Each replica logs and counts; the leader writes Events.
    pub async fn run(
        mut self,
        mut anchors: watch::Receiver<Option<Arc<Anchors>>>,
        mut states: watch::Receiver<RegistrationState>,
    ) -> Infallible {
        loop {
            let known = anchors.borrow_and_update().clone();
            let state = states.borrow_and_update().clone();
            let again = match known {
                Some(anchors) => self.look(&anchors, &state).await,
                None => LOOK,
            };
            let changed = tokio::select! {
                changed = anchors.changed() => changed,
                changed = states.changed() => changed,
                () = self.leadership.changed() => Ok(()),
                () = sleep(again) => Ok(()),
            };
            if changed.is_err() {
                // The task that knew it is gone, and says so itself.
                return std::future::pending().await;
            }
        }
    }

    /// Says what is to be said, and how soon to look again.
    async fn look(&mut self, anchors: &Anchors, states: &RegistrationState) -> Duration {
        let now = Instant::now();
        let distrust = judge(anchors, states, &self.secret, self.clock.now());
        self.lacking
            .retain(|api_service, _| distrust.contains_key(api_service));
        let mut again = LOOK;
        let mut lasting = Distrust::new();
        for (api_service, ending) in distrust {
            let lacking = self.lacking.entry(api_service).or_insert(Lacking {
                since: now,
                told: None,
            });
            let lasts = now.duration_since(lacking.since);
            if lasts < GRACE {
                again = again.min(GRACE.saturating_sub(lasts));
                continue;
            }
            lasting.insert(api_service, ending);
        }
        self.metrics
            .trust_ends(lasting.iter().map(|(api_service, ending)| {
                let at = ending.at.map_or(0, Timestamp::as_second);
                (api_service.api_service(), at)
            }));
        let leads = self.leadership.is_leader();
        for (api_service, ending) in &lasting {
            let Some(lacking) = self.lacking.get_mut(api_service) else {
                continue;
            };
            let known = lacking
                .told
                .is_some_and(|(at, when, led)| at == ending.at && when.elapsed() < AGAIN && (led || !leads));
            if known {
                continue;
            }
            lacking.told = Some((ending.at, now, leads));
            tracing::warn!(
                api_service = api_service.api_service(),
                reason = Reason::CaBundleOutdated.code(),
                "{}",
                ending.message
            );
            if leads {
                self.events.tell(Notice {
                    regarding: self.service.reference().await,
                    warning: true,
                    reason: Reason::CaBundleOutdated.code().to_owned(),
                    action: "Serve",
                    note: ending.message.clone(),
                });
            }
        }
        self.published.send_if_modified(|known| {
            let changed = **known != lasting;
            if changed {
                *known = Arc::new(lasting);
            }
            changed
        });
        again
    }
}

/// The worst of what befalls an API: of its versions, the one whose trust ends first.
pub fn of_api(distrust: &Distrust, api: MetricsApi) -> Option<&Ending> {
    distrust
        .iter()
        .filter(|(api_service, _)| api_service.api() == api)
        .map(|(_, ending)| ending)
        .min_by_key(|ending| ending.at)
}

#[cfg(test)]
mod tests;
