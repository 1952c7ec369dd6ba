//! An outage of a backend: its selectors wait together for one listing that finds out, take its failure for theirs, and are
//! listed anew when it answers.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Attempt, Failure, Progress, Selectors, State, Target};
use crate::relist::{
    health::{self, Health, Turn},
    schedule::{Fault, Looked, after_recovery, fault},
};

/// The time after which a failure that goes on is told again.
const TOLD_AGAIN: Duration = Duration::from_hours(1);

/// What the log is told: one line for a backend, not one for each of its selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::relist) enum News {
    /// The backend lists no series any more, or for another reason.
    Down {
        /// Its selectors.
        selectors: usize,
    },
    /// It does again.
    Up,
    /// This selector alone cannot be listed.
    Selector,
}

// === impl Selectors ===

impl Selectors {
    /// What a listing says of the backend as a whole.
    pub(super) fn judge(
        &mut self,
        target: &Target,
        looked: Looked,
        failure: Option<&Failure>,
        began: Instant,
        now: Instant,
    ) -> Turn {
        let selectors = self.of(&target.backend).count();
        let namespaces = self.of(&target.backend).map(|state| &state.target.namespace);
        let namespaces = namespaces.collect::<BTreeSet<_>>().len();
        let health = self.health.entry(target.backend.clone()).or_default();
        match (looked, failure) {
            (Looked::Failed(fault @ (Fault::Backend | Fault::Setup)), Some((reason, _))) => {
                let failure = health::Failure {
                    fault,
                    reason: *reason,
                    namespace: target.namespace.clone(),
                    began,
                };
                health.failed(
                    failure,
                    (selectors, namespaces),
                    target.interval,
                    self.jitter,
                    &target.backend,
                    now,
                )
            }
            (Looked::Failed(Fault::Passing), _) => Turn::None,
            _ => health.answered(),
        }
    }

    /// What becomes of the backend's other selectors. Says whether a catalog made now differs.
    pub(super) fn follow(
        &mut self,
        turn: Turn,
        target: &Target,
        failure: Option<Failure>,
        now: Instant,
    ) -> bool {
        let backend = &target.backend;
        match (turn, failure) {
            (Turn::Down | Turn::StillDown, Some(failure)) => self.wait_for(backend, &failure, now),
            (Turn::Up, _) => {
                self.recovered(backend, now);
                false
            }
            (Turn::Doubtful, _) => {
                self.ask_another(target, now);
                false
            }
            _ => false,
        }
    }

    /// The selectors of one namespace fail: another one's that was answered last tells whether it is the backend, now and not when
    /// it is due.
    fn ask_another(&mut self, failed: &Target, now: Instant) {
        let others = self.known.values_mut().filter(|state| {
            state.target.backend == failed.backend && state.target.namespace != failed.namespace
        });
        let mut others: Vec<&mut State> = others.collect();
        if others.iter().any(|state| state.is_running()) {
            return;
        }
        others.sort_by_key(|state| (state.tries.failures(), state.due()));
        if let Some(State {
            attempt: Attempt::Due(due),
            ..
        }) = others.first_mut()
        {
            *due = now.min(*due);
        }
    }

    /// The backend gives no answer: what is due there, or was never tried, would get none either, and waits for the one
    /// listing that finds out.
    fn wait_for(&mut self, backend: &Arc<str>, failure: &Failure, now: Instant) -> bool {
        let mut changed = false;
        for state in self.known.values_mut() {
            let waits = state
                .due()
                .is_some_and(|due| due <= now || state.progress.is_new());
            if waits && state.target.backend == *backend {
                changed |= state.progress.fail(failure);
            }
        }
        changed
    }

    /// The backend answers again: what waited for it is listed within seconds, and not all at once.
    fn recovered(&mut self, backend: &Arc<str>, now: Instant) {
        let jitter = self.jitter;
        let waits = |state: &&mut State| {
            let failed = match &state.progress {
                Progress::New => true,
                Progress::Listed(_) => false,
                Progress::Failed {
                    failure: (reason, _), ..
                } => fault(*reason) != Fault::Selector,
            };
            let waits = state.due().is_some_and(|due| due <= now || failed);
            waits && state.target.backend == *backend
        };
        let waiting = self.known.values_mut().filter(waits).count();
        let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        for state in self.known.values_mut().filter(waits) {
            let wait = match state.progress {
                Progress::New => Duration::ZERO,
                _ => after_recovery(waiting, jitter, &state.target.selector, state.tries.turn()),
            };
            state.attempt = Attempt::Due(now + wait);
        }
    }

    /// The backend has another client, with other credentials perhaps: what failed is tried again within seconds.
    pub(in crate::relist) fn renewed(&mut self, backend: &Arc<str>, now: Instant) {
        let is_well = |state: &State| matches!(state.progress, Progress::Listed(_));
        if !self.of(backend).all(is_well) {
            self.health.remove(backend);
            self.recovered(backend, now);
        }
    }

    pub(super) fn of(&self, backend: &str) -> impl Iterator<Item = &State> {
        self.known
            .values()
            .filter(move |state| *state.target.backend == *backend)
    }

    /// What the log is told of a listing.
    pub(super) fn news(&mut self, target: &Target, turn: Turn, now: Instant) -> Option<News> {
        let selectors = self.of(&target.backend).count();
        let down = self.health.get(&target.backend).is_some_and(Health::is_down);
        let state = self.known.get_mut(&target.key())?;
        match turn {
            Turn::Down => return Some(News::Down { selectors }),
            Turn::Up => return Some(News::Up),
            Turn::None | Turn::StillDown | Turn::Doubtful => {}
        }
        let Some((reason, _)) = state.progress.failure() else {
            state.told = None;
            return None;
        };
        // The first of several may be the backend's: then its line stands for all.
        let own = fault(*reason) == Fault::Selector || state.tries.failures() > 1;
        let known = state
            .told
            .is_some_and(|(told, at)| told == *reason && now < at + TOLD_AGAIN);
        if down || !own || known {
            return None;
        }
        state.told = Some((*reason, now));
        Some(News::Selector)
    }
}
