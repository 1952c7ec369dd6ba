//! Circuit breaker of one backend: whether it answers at all, as far as is known, and what follows from that.
//!
//! Pure. Failures in a row, or a silence, only make it suspect: a probe decides, so that slow queries of one tenant never close
//! the backend to the others.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use crate::reason::Reason;

/// So many failures in a row, with nobody's answer between, make a backend suspect.
const FAILURES: u32 = 3;
/// After a mere silence so many probes have to fail: nothing has failed yet.
const PROBES: u32 = 2;
/// The wait before the first attempt of an open breaker, doubled up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(500);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    phase: Phase,
    /// In a row.
    failures: u32,
    /// When anybody was answered last.
    answered: Option<Instant>,
    /// Whether somebody probes; one at a time does.
    is_watched: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    Suspect {
        failed: u32,
    },
    Open {
        failed: u32,
    },
}

/// What the one who probed does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: the breaker is closed.
    Rest,
    /// Probe again after so long.
    Probe(Duration),
}

// === impl Breaker ===

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// Somebody was answered, with whatever.
    pub(super) fn answered(&mut self, now: Instant) {
        self.phase = Phase::Closed;
        self.failures = 0;
        self.answered = Some(now);
    }

    /// A query failed as one does where the backend is gone. Whether the caller is to start probing.
    pub(super) fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= FAILURES && self.suspect()
    }

    /// A query waits for its answer since `started`. Whether the caller is to start probing, for nobody was answered since then or
    /// for as long as `patience`.
    pub(super) fn is_silent(&mut self, started: Instant, now: Instant, patience: Duration) -> bool {
        let since = now.checked_sub(patience).map_or(started, |at| at.max(started));
        let answered = self.answered.is_some_and(|answered| answered >= since);
        !answered && self.suspect()
    }

    /// What a probe that began at `began` came to. `spread`, of 0 to 1, is this replica's jitter.
    pub(super) fn probed(&mut self, began: Instant, now: Instant, is_alive: bool, spread: f64) -> Next {
        if is_alive {
            self.answered(now);
        } else if self.answered.is_some_and(|answered| answered >= began) {
            self.phase = Phase::Closed;
        }
        self.phase = match self.phase {
            Phase::Closed => {
                self.is_watched = false;
                self.failures = 0;
                return Next::Rest;
            }
            Phase::Suspect { failed } if self.failures < FAILURES && failed + 1 < PROBES => {
                self.phase = Phase::Suspect { failed: failed + 1 };
                return Next::Probe(Duration::ZERO);
            }
            Phase::Suspect { .. } => Phase::Open { failed: 0 },
            Phase::Open { failed } => Phase::Open {
                failed: failed.saturating_add(1),
            },
        };
        Next::Probe(self.wait(spread))
    }

    fn suspect(&mut self) -> bool {
        if self.phase == Phase::Closed {
            self.phase = Phase::Suspect { failed: 0 };
        }
        !std::mem::replace(&mut self.is_watched, true)
    }

    fn wait(&self, spread: f64) -> Duration {
        let Phase::Open { failed } = self.phase else {
            return Duration::ZERO;
        };
        let wait = FIRST_WAIT.saturating_mul(1 << failed.min(8));
        wait.min(LONGEST_WAIT).mul_f64(1.0 - spread.clamp(0.0, 1.0) / 4.0)
    }
}

/// Whether an error is one that any query would meet where the backend is gone.
pub(super) fn is_of_backend(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::BackendDown | Reason::BackendTimeout | Reason::BackendError | Reason::TlsFailed
    )
}
