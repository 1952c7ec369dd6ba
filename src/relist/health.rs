//! A backend's health, as its listings show it: whether its selectors are listed, or wait together for one listing that finds
//! out.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::schedule::{Fault, Jitter, until_probe};
use crate::reason::Reason;

/// So many failures in a row of different listings are the backend's; fewer, where it has fewer selectors.
const ENOUGH: usize = 3;
/// They are of so many namespaces at least, where it has selectors of as many: one namespace's may be slow.
const NAMESPACES: usize = 2;
/// For so long the failures of one namespace are its own after another one's selector was asked.
const TRUST: Duration = Duration::from_secs(30);

/// One backend's.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// In a row, without an answer in between.
    failures: usize,
    /// Whose selectors those were of.
    of: BTreeSet<Option<Arc<str>>>,
    /// When another namespace's selector was last asked for.
    doubted: Option<Instant>,
    down: Option<Down>,
}

/// It gives no answer.
#[derive(Debug)]
struct Down {
    reason: Reason,
    /// When it was last found so; a listing that began before tells nothing new.
    at: Instant,
    steps: u32,
    next: Instant,
}

/// A failed listing.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) fault: Fault,
    pub(super) reason: Reason,
    /// Whose selector it was.
    pub(super) namespace: Option<Arc<str>>,
    /// When the listing began.
    pub(super) began: Instant,
}

/// What a listing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    None,
    /// The selectors of one namespace fail; another one's is to tell whether it is the backend.
    Doubtful,
    /// The backend gives no answer any more, or gives none for another reason than before.
    Down,
    /// It still gives none.
    StillDown,
    /// It answers again.
    Up,
}

// === impl Health ===

impl Health {
    /// It answered.
    pub(super) fn answered(&mut self) -> Turn {
        self.failures = 0;
        self.of.clear();
        match self.down.take() {
            Some(_) => Turn::Up,
            None => Turn::None,
        }
    }

    /// It gave no answer. How many selectors it has, and of how many namespaces, says when that is enough.
    pub(super) fn failed(
        &mut self,
        failure: Failure,
        (selectors, namespaces): (usize, usize),
        interval: Duration,
        jitter: Jitter,
        backend: &str,
        now: Instant,
    ) -> Turn {
        self.failures = self.failures.saturating_add(1);
        let Failure {
            fault,
            reason,
            namespace,
            began,
        } = failure;
        if self.of.len() < NAMESPACES {
            self.of.insert(namespace);
        }
        let (steps, turn) = match &self.down {
            None if self.failures < ENOUGH.min(selectors) => return Turn::None,
            None if self.of.len() < NAMESPACES.min(namespaces) => {
                let is_trusted = self.doubted.is_some_and(|doubted| now < doubted + TRUST);
                if is_trusted {
                    return Turn::None;
                }
                self.doubted = Some(now);
                return Turn::Doubtful;
            }
            None => (0, Turn::Down),
            Some(down) if began < down.at => return Turn::StillDown,
            Some(down) => {
                let turn = if down.reason == reason {
                    Turn::StillDown
                } else {
                    Turn::Down
                };
                (down.steps.saturating_add(1), turn)
            }
        };
        self.down = Some(Down {
            reason,
            at: now,
            steps,
            next: now + until_probe(fault, steps, interval, jitter, backend),
        });
        turn
    }

    /// Before then only a selector that was never tried is listed; `None` where the backend is well.
    pub(super) fn not_before(&self) -> Option<Instant> {
        self.down.as_ref().map(|down| down.next)
    }

    /// Whether its selectors wait.
    pub(super) const fn is_down(&self) -> bool {
        self.down.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn fail(health: &mut Health, reason: Reason, began: Instant, now: Instant) -> Turn {
        let fault = super::super::schedule::fault(reason);
        health.failed(
            Failure {
                fault,
                reason,
                namespace: None,
                began,
            },
            (40, 1),
            MINUTE,
            Jitter::of("a"),
            "default",
            now,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn one_heavy_selector_does_not_stop_the_others() {
        let (mut health, now) = (Health::default(), Instant::now());
        for _ in 0..10 {
            assert_eq!(fail(&mut health, Reason::BackendTimeout, now, now), Turn::None);
            assert_eq!(fail(&mut health, Reason::BackendTimeout, now, now), Turn::None);
            assert_eq!(health.answered(), Turn::None);
        }
        assert!(!health.is_down());
    }

    #[tokio::test(start_paused = true)]
    async fn listings_that_were_under_way_are_one_failure() {
        let (mut health, began) = (Health::default(), Instant::now());
        tokio::time::advance(Duration::from_secs(8)).await;
        let turns: Vec<Turn> = (0..8)
            .map(|_| fail(&mut health, Reason::BackendTimeout, began, Instant::now()))
            .collect();
        let (none, down, still) = (Turn::None, Turn::Down, Turn::StillDown);
        assert_eq!(turns, [none, none, down, still, still, still, still, still]);
        let next = health.not_before().unwrap();
        assert!(
            next <= Instant::now() + Duration::from_secs(5),
            "eight failures at once are no reason to wait longer"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_when_it_begins_changes_and_ends() {
        let (mut health, now) = (Health::default(), Instant::now());
        let mut turns = Vec::new();
        for reason in [Reason::BackendDown; 5]
            .into_iter()
            .chain([Reason::BackendError; 3])
        {
            tokio::time::advance(MINUTE).await;
            turns.push(fail(&mut health, reason, Instant::now(), Instant::now()));
        }
        turns.push(health.answered());
        turns.push(health.answered());
        let (none, down, still) = (Turn::None, Turn::Down, Turn::StillDown);
        assert_eq!(
            turns,
            [none, none, down, still, still, down, still, still, Turn::Up, none]
        );
        assert!(now < Instant::now());
    }
}
