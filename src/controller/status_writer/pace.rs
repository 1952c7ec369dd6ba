//! Pace of a status write: it depends on what changed, and on how many others change in the same way.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Change, FOLLOWING_BURST, FOLLOWING_EVENTS, FOLLOWING_PER_SECOND, MINOR_BURST, MINOR_PER_MINUTE, Merged,
    StatusKind, Transition,
};
use crate::{controller::bucket::Bucket, reason::Reason};

/// How soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// At once.
    Now,
    /// When it is its turn among those that something common has befallen: a backend that is down, an `APIService` that changed
    /// hands.
    Following,
    /// When it is its turn among counts that drift.
    Drift,
}

/// What may be written now.
#[derive(Debug)]
pub(super) struct Pace {
    following: Bucket,
    drift: Bucket,
    events: Bucket,
}

// === impl Urgency ===

impl Urgency {
    /// Of a change; `None` of none.
    pub(super) fn of(kind: StatusKind, merged: &Merged) -> Option<Self> {
        match merged.change {
            Change::None => None,
            Change::Minor => Some(Self::Drift),
            Change::Major => {
                let moved = !merged.transitions.is_empty() && merged.only_moved;
                let follows = kind.is_rule() && moved && merged.transitions.iter().all(follows);
                Some(if follows { Self::Following } else { Self::Now })
            }
        }
    }
}

/// Whether a condition of a rule moved for something that befalls all rules of a backend or an API.
fn follows(transition: &Transition) -> bool {
    if transition.from.is_none() {
        return false;
    }
    let common = |reason: &str| {
        reason == Reason::Stale.code() || reason.parse::<Reason>().is_ok_and(Reason::is_outage)
    };
    match transition.to.type_.as_str() {
        "Registered" => true,
        "Discovered" | "Ready" => {
            common(&transition.to.reason) || transition.from_reason.as_deref().is_some_and(common)
        }
        _ => false,
    }
}

// === impl Pace ===

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            following: Bucket::new(FOLLOWING_BURST, f64::from(FOLLOWING_PER_SECOND), now),
            drift: Bucket::new(MINOR_BURST, f64::from(MINOR_PER_MINUTE) / 60.0, now),
            events: Bucket::new(FOLLOWING_EVENTS, 1.0 / Duration::from_mins(1).as_secs_f64(), now),
        }
    }

    /// Whether one of that urgency may be written now.
    pub(super) fn admits(&mut self, urgency: Urgency, now: Instant) -> bool {
        self.bucket(urgency).is_none_or(|bucket| bucket.take(now))
    }

    /// When one may be written that may not now.
    pub(super) fn next(&mut self, urgency: Urgency, now: Instant) -> Instant {
        self.bucket(urgency).map_or(now, |bucket| bucket.next(now))
    }

    /// Whether Events tell of it.
    pub(super) fn tells(&mut self, urgency: Urgency, now: Instant) -> bool {
        urgency != Urgency::Following || self.events.take(now)
    }

    fn bucket(&mut self, urgency: Urgency) -> Option<&mut Bucket> {
        match urgency {
            Urgency::Now => None,
            Urgency::Following => Some(&mut self.following),
            Urgency::Drift => Some(&mut self.drift),
        }
    }
}
