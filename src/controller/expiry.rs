//! Expiry warnings for a serving certificate that nobody has renewed.
//!
//! Whoever renews it (cert-manager, or the operator's own CA) does so with a third of its life left. With a sixth left it was
//! late for half of that time, and there still is time to mend what is wrong.

use std::{convert::Infallible, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    Clock, Leadership,
    events::{EventSink, Notice},
    own_service::OwnService,
};
use crate::{pki::ServingCertificate, reason::Reason};

/// How often the time of day is looked at.
const LOOK: Duration = Duration::from_hours(1);
/// How often one certificate is complained of: an Event is kept for an hour, a person sleeps for eight.
const AGAIN: Duration = Duration::from_hours(6);
/// The part of its life in which a certificate should have a successor.
const LATE: i32 = 6;

/// Looks at the certificates in force.
pub struct Expiry {
    service: OwnService,
    leadership: Leadership,
    clock: Clock,
    events: EventSink,
}

// === impl Expiry ===

impl Expiry {
    /// Events are about `service`, which the certificate is for.
    pub fn new(service: OwnService, leadership: Leadership, clock: Clock, events: EventSink) -> Self {
        Self {
            service,
            leadership,
            clock,
            events,
        }
    }

    /// Looks on at every change and every hour. Each replica logs; the leader writes the Event.
    pub async fn run(mut self, mut certificates: watch::Receiver<Arc<ServingCertificate>>) -> Infallible {
        let mut told: Option<(Timestamp, Instant, bool)> = None;
        let mut open = true;
        loop {
            let certificate = Arc::clone(&certificates.borrow_and_update());
            let leads = self.leadership.is_leader();
            if let Some(note) = note(&certificate, self.clock.now()) {
                let known = told.is_some_and(|(not_after, at, led)| {
                    not_after == certificate.not_after && at.elapsed() < AGAIN && (led || !leads)
                });
                if !known {
                    told = Some((certificate.not_after, Instant::now(), leads));
                    tracing::warn!(not_after = %certificate.not_after, "{note}");
                    if leads {
                        self.tell(note).await;
                    }
                }
            }
            tokio::select! {
                changed = certificates.changed(), if open => open = changed.is_ok(),
                () = self.leadership.changed() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    async fn tell(&self, note: String) {
        self.events.tell(Notice {
            regarding: self.service.reference().await,
            warning: true,
            reason: Reason::CertificateExpiring.code().to_owned(),
            action: "Serve",
            note,
        });
    }
}

/// What is to be said of a certificate at `now`, if anything.
fn note(certificate: &ServingCertificate, now: Timestamp) -> Option<String> {
    let ServingCertificate {
        not_before,
        not_after,
        ..
    } = certificate;
    let left = not_after.duration_since(now);
    if left >= not_after.duration_since(*not_before) / LATE {
        return None;
    }
    let what = "and was not renewed: check whatever is supposed to renew it (its Secret, and cert-manager's Certificate if you use one)";
    if left <= SignedDuration::ZERO {
        return Some(format!(
            "the serving certificate expired at {not_after}, {what}; the API server can no longer reach the metrics APIs"
        ));
    }
    let hours = left.as_hours();
    let left = if hours >= 48 {
        format!("{} days", hours / 24)
    } else {
        format!("{} hours", hours.max(1))
    };
    Some(format!(
        "the serving certificate expires at {not_after}, in {left}, {what}"
    ))
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::{
        controller::{fake::FakeApi, leadership::leadership},
        pki::{CaState, Leaf, ServiceNames},
    };

    fn start() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    fn leaf(at: Timestamp) -> Arc<ServingCertificate> {
        let ca = CaState::new(at).unwrap();
        let names = ServiceNames {
            service: "metricrule".to_owned(),
            namespace: "monitoring".to_owned(),
        };
        Arc::new(Leaf::issue(ca.current(), &names, at).unwrap().serving)
    }

    #[test]
    fn a_sixth_of_its_life_is_late() {
        let leaf = leaf(start());
        let after = |hours: i64| note(&leaf, start() + SignedDuration::from_hours(hours));
        assert_eq!(after(24 * 25 - 1), None, "30 days, of which 5 are left");
        let text = after(24 * 25 + 1).unwrap();
        assert!(
            text.contains("expires at 2026-01-31T00:00:00Z, in 4 days"),
            "{text}"
        );
        let text = after(24 * 30 - 3).unwrap();
        assert!(text.contains("in 3 hours"), "{text}");
        let text = after(24 * 30).unwrap();
        assert!(
            text.contains("expired at") && text.contains("can no longer reach"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_leader_tells_it_once_in_a_while_until_there_is_a_successor() {
        let (claim, leads) = leadership();
        let (clock, hand) = Clock::with_hand(start());
        let (events, mut notices) = EventSink::collected();
        let service = OwnService::new(
            FakeApi::new().client(),
            "monitoring".to_owned(),
            "metricrule".to_owned(),
        );
        let expiry = Expiry::new(service, leads, clock, events);
        let (certificates, receiver) = watch::channel(leaf(start()));
        let task = tokio::spawn(expiry.run(receiver));
        hand.ahead(24 * 26);

        let minutes = |minutes: u64| Duration::from_mins(minutes);
        assert!(
            timeout(minutes(120), notices.recv()).await.is_err(),
            "it does not lead"
        );
        claim.held(Instant::now() + Duration::from_hours(100));
        let notice = timeout(minutes(1), notices.recv()).await.unwrap().unwrap();
        assert!(notice.warning && notice.note.contains("in 3 days"), "{notice:?}");
        assert_eq!(notice.regarding.kind.as_deref(), Some("Service"));
        assert_eq!(notice.regarding.name.as_deref(), Some("metricrule"));
        assert!(
            timeout(minutes(5 * 60), notices.recv()).await.is_err(),
            "once in a while"
        );
        assert!(timeout(minutes(2 * 60), notices.recv()).await.is_ok());

        let now = start() + SignedDuration::from_hours(24 * 26);
        certificates.send_replace(leaf(now));
        assert!(
            timeout(minutes(24 * 60), notices.recv()).await.is_err(),
            "it was renewed"
        );
        task.abort();
    }
}
