//! Leadership, as the writers see it: whether this replica may write.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// The answer of the lease. A clone is the same answer.
///
/// It is bounded in time as well: a replica that cannot renew stops being the leader at its renew deadline even if the
/// task that renews were stuck.
#[derive(Clone, Debug)]
pub struct Leadership {
    leads: watch::Receiver<bool>,
    until: watch::Receiver<Instant>,
    term: Arc<AtomicU64>,
}

/// One time of leading, from its begin to its end. What was found out in a former one may be hours old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term(u64);

/// The side that says so.
#[derive(Debug)]
pub(super) struct Claim {
    leads: watch::Sender<bool>,
    until: watch::Sender<Instant>,
    term: Arc<AtomicU64>,
}

/// A claim that nobody has made yet.
pub(super) fn leadership() -> (Claim, Leadership) {
    let (leads, leads_receiver) = watch::channel(false);
    let (until, until_receiver) = watch::channel(Instant::now());
    let term = Arc::new(AtomicU64::new(0));
    (
        Claim {
            leads,
            until,
            term: term.clone(),
        },
        Leadership {
            leads: leads_receiver,
            until: until_receiver,
            term,
        },
    )
}

// === impl Claim ===

impl Claim {
    /// We lead, until then. Whether that is news.
    pub(super) fn held(&self, until: Instant) -> bool {
        // Before it is told: nobody who sees that we lead may still see the former term.
        if !*self.leads.borrow() || *self.until.borrow() <= Instant::now() {
            self.term.fetch_add(1, Ordering::SeqCst);
        }
        self.until.send_replace(until);
        self.leads
            .send_if_modified(|leads| !std::mem::replace(leads, true))
    }

    /// We do not lead. Whether that is news.
    pub(super) fn lost(&self) -> bool {
        self.leads
            .send_if_modified(|leads| std::mem::replace(leads, false))
    }

    /// Whether we lead, and until when.
    pub(super) fn until(&self) -> Option<Instant> {
        self.leads.borrow().then(|| *self.until.borrow())
    }
}

// === impl Leadership ===

impl Leadership {
    /// Whether this replica leads now.
    pub fn is_leader(&self) -> bool {
        *self.leads.borrow() && Instant::now() < *self.until.borrow()
    }

    /// The present term, if this replica leads now.
    pub fn term(&self) -> Option<Term> {
        let term = Term(self.term.load(Ordering::SeqCst));
        self.is_leader().then_some(term)
    }

    /// Waits until leadership was won or given up since the last call, or was renewed after its time had run out. That
    /// its time runs out is told by [`Self::lost`] alone. Never returns once the lease's task is gone and its end told.
    pub async fn changed(&mut self) {
        let led = self.is_leader();
        loop {
            let gone = tokio::select! {
                changed = self.leads.changed() => match changed {
                    Ok(()) => return,
                    Err(gone) => gone,
                },
                changed = self.until.changed() => match changed {
                    Ok(()) if self.is_leader() && !led => return,
                    Ok(()) => continue,
                    Err(gone) => gone,
                },
            };
            tracing::debug!(%gone, "the task of the lease has ended");
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this replica does not lead; at once if it does not now. A writer drops its write when this returns.
    pub async fn lost(&self) {
        let mut leads = self.leads.clone();
        loop {
            // Marks the value as seen, so that no change between this line and the next is missed.
            if !*leads.borrow_and_update() {
                return;
            }
            let until = *self.until.borrow();
            if Instant::now() >= until {
                return;
            }
            tokio::select! {
                changed = leads.changed() => if changed.is_err() { return },
                () = sleep_until(until) => {}
            }
        }
    }
}

#[cfg(test)]
impl Leadership {
    /// A replica that leads for as long as the claim lives and says so.
    pub(super) fn always() -> (Claim, Self) {
        let (claim, leadership) = leadership();
        claim.held(Instant::now() + std::time::Duration::from_hours(24 * 365 * 10));
        (claim, leadership)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_with_its_time_even_if_nobody_says_so() {
        let (claim, leadership) = leadership();
        assert!(!leadership.is_leader());
        leadership.lost().await;
        let start = Instant::now();
        assert!(claim.held(start + Duration::from_secs(10)));
        assert!(leadership.is_leader());
        leadership.lost().await;
        assert_eq!(start.elapsed().as_secs(), 10);
        assert!(!leadership.is_leader());
        // Renewed after all: whoever waits for it hears of it.
        let mut waiting = leadership.clone();
        waiting.leads.mark_unchanged();
        waiting.until.mark_unchanged();
        let waiting = tokio::spawn(async move { waiting.changed().await });
        tokio::task::yield_now().await;
        assert!(!claim.held(Instant::now() + Duration::from_secs(10)));
        assert!(leadership.is_leader());
        waiting.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn each_time_of_leading_is_a_term_of_its_own() {
        let (claim, leadership) = leadership();
        assert_eq!(leadership.term(), None);
        claim.held(Instant::now() + Duration::from_secs(10));
        let first = leadership.term().unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        claim.held(Instant::now() + Duration::from_secs(10));
        assert_eq!(leadership.term(), Some(first), "it was renewed in time");
        // Nobody said that it ran out, and another may have led meanwhile.
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(leadership.term(), None);
        claim.held(Instant::now() + Duration::from_secs(10));
        let second = leadership.term().unwrap();
        assert_ne!(second, first);
        claim.lost();
        claim.held(Instant::now() + Duration::from_secs(10));
        assert!(
            leadership
                .term()
                .is_some_and(|third| third != second && third != first)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_at_once_when_it_is_given_up_or_its_task_dies() {
        let (claim, leadership) = Leadership::always();
        let waiting = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.lost().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        assert!(claim.lost());
        waiting.await.unwrap();

        let (claim, leadership) = Leadership::always();
        drop(claim);
        leadership.lost().await;
    }
}
