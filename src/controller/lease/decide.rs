//! Decision about the lease: whether to write it, and what.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use tokio::time::Instant;

/// A lease's record, and when *we* first saw it as it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    record: LeaseSpec,
    changed_at: Instant,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decision {
    /// It is ours to write: this.
    Write(LeaseSpec),
    /// Another replica holds it.
    Wait {
        /// Who.
        holder: Arc<str>,
    },
}

/// Decides by what was seen (`None`: there is no lease), who we are, the duration to write, and both clocks.
pub(super) fn decide(
    seen: Option<&Seen>,
    identity: &str,
    duration: Duration,
    now: Instant,
    time: Timestamp,
) -> Decision {
    let record = seen.map(|seen| &seen.record);
    let holder = record
        .and_then(|record| record.holder_identity.as_deref())
        .filter(|holder| !holder.is_empty());
    let ours = holder == Some(identity);
    if let (Some(seen), Some(holder), false) = (seen, holder, ours) {
        // A record without a duration was not written by this protocol; give its holder ours.
        let valid = seen
            .record
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(duration, Duration::from_secs);
        if now < seen.changed_at + valid {
            return Decision::Wait {
                holder: holder.into(),
            };
        }
    }
    let transitions = record.and_then(|record| record.lease_transitions).unwrap_or(0);
    Decision::Write(LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: Some(i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)),
        acquire_time: match record {
            Some(record) if ours => record.acquire_time.clone(),
            _ => Some(MicroTime(time)),
        },
        renew_time: Some(MicroTime(time)),
        lease_transitions: Some(match record {
            Some(_) if !ours => transitions.saturating_add(1),
            _ => transitions,
        }),
        ..record.cloned().unwrap_or_default()
    })
}

/// The record that lets another replica take the lease at once.
pub(super) fn released(record: LeaseSpec, time: Timestamp) -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        renew_time: Some(MicroTime(time)),
        acquire_time: Some(MicroTime(time)),
        ..record
    }
}

// === impl Seen ===

impl Seen {
    /// What is known after a look at `lease`: the moment stays where the record is the same.
    pub(super) fn observe(before: Option<Self>, lease: &Lease, now: Instant) -> Self {
        let record = lease.spec.clone().unwrap_or_default();
        match before {
            Some(before) if before.record == record => before,
            _ => Self {
                record,
                changed_at: now,
            },
        }
    }
}
