//! Pace of writing the record: a burst of changes once, a few changes at once, many about once a second.

use std::time::Duration;

use tokio::time::Instant;

/// What changes within this time of the first change goes into one write.
const SETTLE: Duration = Duration::from_millis(100);
/// The time between two writes, in the long run.
const INTERVAL: Duration = Duration::from_secs(1);
/// So many writes may come sooner.
const BURST: u32 = 5;

/// When the next write is due.
#[derive(Debug, Default)]
pub(super) struct Pace {
    due: Option<Instant>,
    /// When all writes so far would have been made, one an interval.
    spent: Option<Instant>,
}

// === impl Pace ===

impl Pace {
    /// There is something to write: whether it is time.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let allowed = self.spent.and_then(|spent| spent.checked_sub(INTERVAL * BURST));
        let due = *self
            .due
            .get_or_insert_with(|| allowed.map_or(now, |allowed| allowed.max(now)).max(now + SETTLE));
        now >= due
    }

    /// There is nothing to write.
    pub(super) fn forget(&mut self) {
        self.due = None;
    }

    /// It was written.
    pub(super) fn written(&mut self, now: Instant) {
        self.due = None;
        self.spent = Some(self.spent.map_or(now, |spent| spent.max(now)) + INTERVAL);
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The milliseconds at which something that changes all the time is written.
    #[tokio::test(start_paused = true)]
    async fn a_few_changes_are_written_at_once_and_many_once_a_second() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        let mut writes = Vec::new();
        while start.elapsed() < Duration::from_secs(8) {
            let now = Instant::now();
            if pace.is_due(now) {
                pace.written(now);
                writes.push(start.elapsed().as_millis());
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(&writes[..5], [100, 210, 320, 430, 540]);
        assert!(writes.len() <= 14, "{writes:?}");
        let later = writes.windows(2).skip(7);
        assert!(
            later.into_iter().all(|pair| pair[1] - pair[0] >= 900),
            "{writes:?}"
        );
    }
}
