//! Rate limit of the log lines about refused callers.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Lines in one [`SPAN`]. Whoever is refused can come again thousands of times a second; writing lines is slow, and nobody reads
/// that many.
const LINES: u32 = 20;
const SPAN: Duration = Duration::from_secs(10);

/// Counts lines.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

// === impl Complaints ===

impl Complaints {
    /// Whether one more line may be written now; then, how many were left out before it.
    pub(super) fn line(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.since.is_none_or(|since| now.duration_since(since) >= SPAN) {
            state.since = Some(now);
            state.written = 0;
        }
        if state.written >= LINES {
            state.left_out += 1;
            return None;
        }
        state.written += 1;
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_some_lines() {
        let complaints = Complaints::default();
        let start = Instant::now();
        let lines = |now| (0..1000).filter_map(|_| complaints.line(now)).collect::<Vec<_>>();
        assert_eq!(lines(start), [0; 20]);
        assert_eq!(lines(start + SPAN / 2), [0; 0]);
        let next = lines(start + SPAN);
        assert_eq!((next.len(), next[0]), (20, 1980));
        assert_eq!(next[1], 0);
    }
}
