//! Limits on reviews: how many are in flight, and how many may wait.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::ReviewError;

/// Turns of one kind of review. Whoever finds the queue full is sent away at once: who asks more than the cluster answers
/// must not make this process grow, nor everybody wait.
pub(super) struct Turns {
    kind: &'static str,
    running: Semaphore,
    waiting: Semaphore,
}

// === impl Turns ===

impl Turns {
    /// So many of `kind` at a time, and so many more that wait.
    pub(super) fn new(kind: &'static str, running: usize, waiting: usize) -> Self {
        Self {
            kind,
            running: Semaphore::new(running),
            waiting: Semaphore::new(waiting),
        }
    }

    /// A turn, in the order of asking; given back when it is dropped.
    pub(super) async fn take(&self) -> Result<SemaphorePermit<'_>, ReviewError> {
        if let Ok(turn) = self.running.try_acquire() {
            return Ok(turn);
        }
        let busy = |_| ReviewError::Busy(self.kind);
        let _place = self.waiting.try_acquire().map_err(busy)?;
        // The semaphore is never closed.
        self.running
            .acquire()
            .await
            .map_err(|_| ReviewError::Busy(self.kind))
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::join_all, poll};

    use super::*;

    #[tokio::test]
    async fn runs_some_keeps_some_waiting_and_sends_the_rest_away() {
        let turns = Turns::new("TokenReview", 2, 3);
        let mut running = join_all([turns.take(), turns.take()]).await;
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(turns.take())).collect();
        for place in &mut waiting {
            assert!(poll!(place).is_pending());
        }
        let refused = turns.take().now_or_never().expect("at once").err();
        assert_eq!(refused, Some(ReviewError::Busy("TokenReview")));

        drop(running.pop());
        let first = waiting.remove(0).now_or_never().expect("its turn");
        assert!(first.is_ok());
        // A place is free again, and one that nobody waits for any more is given back.
        drop(waiting);
        let mut again: Vec<_> = (0..3).map(|_| Box::pin(turns.take())).collect();
        for place in &mut again {
            assert!(poll!(place).is_pending());
        }
    }
}
