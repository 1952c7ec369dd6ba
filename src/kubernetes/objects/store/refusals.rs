//! Refusals of a kind whose objects are known: one is an API server that has not read its RBAC yet, many are a right that
//! was taken away.

use std::time::Duration;

use tokio::time::Instant;

/// For how long objects that are known are served although RBAC refuses them. An API server has read its RBAC within
/// seconds of its start.
pub(super) const FORGIVEN: Duration = Duration::from_secs(30);
/// A watch that lasts that long after its list was not refused.
const HELD: Duration = Duration::from_secs(5);

/// A row of refusals, and what came between.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusals {
    since: Option<Instant>,
    /// The list since the last refusal.
    listed: Option<Instant>,
}

// === impl Refusals ===

impl Refusals {
    /// Where lists are allowed and watches are not, each list is followed by a refusal at once; the row goes on then.
    pub(super) const fn list_succeeded(&mut self, now: Instant) {
        self.listed = Some(now);
    }

    pub(super) const fn watch_succeeded(&mut self) {
        self.since = None;
    }

    /// Whether refusals have lasted too long with this one.
    pub(super) fn refused(&mut self, now: Instant) -> bool {
        let interrupted = self
            .listed
            .take()
            .is_some_and(|listed| now.saturating_duration_since(listed) >= HELD);
        let since = match self.since {
            Some(since) if !interrupted => since,
            _ => now,
        };
        self.since = Some(since);
        now.saturating_duration_since(since) >= FORGIVEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_row_of_refusals_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut refusals = Refusals::default();
        assert!(!refusals.refused(at(0)));
        refusals.list_succeeded(at(1));
        assert!(!refusals.refused(at(100)), "the watch held in between");
        assert!(!refusals.refused(at(129)));
        assert!(refusals.refused(at(130)));
        refusals.watch_succeeded();
        assert!(!refusals.refused(at(131)));
        for seconds in 132..161 {
            refusals.list_succeeded(at(seconds));
            assert!(!refusals.refused(at(seconds)), "{seconds}");
        }
        refusals.list_succeeded(at(161));
        assert!(refusals.refused(at(161)), "lists without a watch do not last");
    }
}
