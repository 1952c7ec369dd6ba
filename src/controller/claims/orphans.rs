//! Recorded rules that the leader does not know: deleted, or not seen yet by a replica that has just come to lead and whose watch
//! lags. A deletion takes their claims at once, on every replica; so they only take room until that is certain.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::catalog::recorded::Record;

/// Longer than a watch that has died without a word goes unnoticed.
const GRACE: Duration = Duration::from_mins(5);

/// The recorded rules that are missing.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Since when each is, by UID.
    since: BTreeMap<Arc<str>, Instant>,
}

// === impl Orphans ===

impl Orphans {
    /// Keeps in `next` what `known` has of rules that are missing there and have not been for long.
    pub(super) fn keep(&mut self, known: &Record, next: &mut Record, now: Instant) {
        let before = std::mem::take(&mut self.since);
        for (uid, rule) in &known.rules {
            if next.rules.contains_key(uid) {
                continue;
            }
            let since = before.get(uid).copied().unwrap_or(now);
            self.since.insert(uid.clone(), since);
            if now < since + GRACE {
                next.rules.insert(uid.clone(), rule.clone());
            }
        }
    }

    /// When the first of them is given up.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let ends = self.since.values().map(|since| *since + GRACE);
        ends.filter(|end| *end > now).min()
    }
}
