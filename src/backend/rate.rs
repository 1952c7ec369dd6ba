//! Rate of a backend: a token bucket that holds one second's worth.

use std::time::Duration;

use tokio::time::Instant;

/// Kept as the time at which the next token is due.
#[derive(Debug)]
pub(super) struct Bucket {
    interval: Duration,
    burst: u32,
    due: Option<Instant>,
}

// === impl Bucket ===

impl Bucket {
    pub(super) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        Self {
            interval: Duration::from_secs(1) / per_second,
            burst: per_second,
            due: None,
        }
    }

    /// Another rate; what was taken stays taken. With a higher one the tokens that are owed are due at that rate: who comes next
    /// waits no longer for the lower one.
    pub(super) fn set_rate(&mut self, per_second: u32, now: Instant) {
        let new = Self::new(per_second);
        let faster = new.interval.as_secs_f64() / self.interval.as_secs_f64();
        let due = self.due.map(|due| match due.checked_duration_since(now) {
            Some(owed) if new.interval < self.interval => now + owed.mul_f64(faster),
            _ => due,
        });
        *self = Self { due, ..new };
    }

    /// When the token is due that `ahead` others go before.
    pub(super) fn due(&self, now: Instant, ahead: usize) -> Instant {
        // A full bucket is one whose next token was due a whole burst ago.
        let full = now.checked_sub(self.interval * (self.burst - 1)).unwrap_or(now);
        let due = self.due.map_or(full, |due| due.max(full));
        due + self
            .interval
            .saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX))
    }

    /// Takes the next token and says when it is due; takes none if that is after `deadline`.
    pub(super) fn take(&mut self, now: Instant, deadline: Instant) -> Option<Instant> {
        let due = self.due(now, 0);
        if due > deadline {
            return None;
        }
        self.due = Some(due + self.interval);
        Some(due)
    }

    /// A token that was not used.
    pub(super) fn give_back(&mut self) {
        self.due = self.due.and_then(|due| due.checked_sub(self.interval));
    }
}
