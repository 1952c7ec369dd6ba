//! Token bucket: so many at once, so many in the long run.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    burst: f64,
    per_second: f64,
    filled_at: Instant,
}

// === impl Bucket ===

impl Bucket {
    /// A full one.
    pub(super) fn new(burst: u32, per_second: f64, now: Instant) -> Self {
        Self {
            tokens: f64::from(burst),
            burst: f64::from(burst),
            per_second,
            filled_at: now,
        }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        let takes = self.tokens >= 1.0;
        if takes {
            self.tokens -= 1.0;
        }
        takes
    }

    /// When there is a token again.
    pub(super) fn next(&mut self, now: Instant) -> Instant {
        self.fill(now);
        let lacks = (1.0 - self.tokens).max(0.0);
        // A millisecond more, so that what is looked at then is not short of it by a rounding.
        now + Duration::from_secs_f64(lacks / self.per_second) + Duration::from_millis(1)
    }

    fn fill(&mut self, now: Instant) {
        let gained = now.duration_since(self.filled_at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.filled_at = now;
    }
}
