//! Wall clock, as a value.

use std::{fmt, sync::Arc};

use jiff::Timestamp;

/// Where the parts that write take the time of day from, so that a test can set it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

/// Moves a test's clock.
#[cfg(test)]
#[derive(Clone, Debug, Default)]
pub(super) struct Hand(Arc<std::sync::atomic::AtomicI64>);

// === impl Clock ===

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// A clock that starts at `at` and goes with tokio's time, paused or not.
    #[cfg(test)]
    pub(super) fn starting_at(at: Timestamp) -> Self {
        Self::with_hand(at).0
    }

    /// Such a clock, and the hand that a test moves ahead without the time in between.
    #[cfg(test)]
    pub(super) fn with_hand(at: Timestamp) -> (Self, Hand) {
        let origin = tokio::time::Instant::now();
        let hand = Hand::default();
        let ahead = Arc::clone(&hand.0);
        let clock = move || {
            let ahead = ahead.load(std::sync::atomic::Ordering::Relaxed);
            at + origin.elapsed() + jiff::SignedDuration::from_hours(ahead)
        };
        (Self(Arc::new(clock)), hand)
    }

    /// The time of day.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
impl Hand {
    pub(super) fn ahead(&self, hours: i64) {
        self.0.fetch_add(hours, std::sync::atomic::Ordering::Relaxed);
    }
}
