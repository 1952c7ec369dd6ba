//! Turns: whose selector of a backend is listed next.
//!
//! Namespaces take turns: the one of which fewest selectors are being listed goes first, then the one whose turn was longest ago.
//! So a namespace with a thousand selectors, or with slow ones, costs another one the time of one listing at most.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Attempt, CONCURRENCY, Key, Selectors, State, Target};
use crate::relist::health::Health;

/// Namespaces whose last turn is remembered; beyond that all of them begin anew.
const REMEMBERED: usize = 4096;

/// When each namespace's selectors had their last turn, by backend.
#[derive(Debug, Default)]
pub(super) struct Turns {
    next: u64,
    last: HashMap<(Arc<str>, Option<Arc<str>>), u64>,
}

/// A selector that may be started.
struct Waiting<'a> {
    key: &'a Key,
    state: &'a State,
    due: Instant,
    /// How many selectors of its namespace are being listed at its backend.
    running: usize,
    /// Whether its backend gives no answer, and one selector finds out for all.
    finds_out: bool,
}

// === impl Selectors ===

impl Selectors {
    /// A selector that is to be listed now; of one namespace's the one that never was comes first, for somebody has just written
    /// it.
    pub(in crate::relist) fn take_due(&mut self, now: Instant) -> Option<Target> {
        let next = self
            .waiting()
            .min_by_key(|waiting| {
                let state = waiting.state;
                let turn = (waiting.running, self.turns.last(&state.target));
                // Whether a backend is back is told best by one that it answered lately.
                let failures = state.tries.failures() * u32::from(waiting.finds_out);
                (
                    waiting.due > now,
                    turn,
                    failures,
                    !state.progress.is_new(),
                    waiting.due,
                )
            })
            .filter(|waiting| waiting.due <= now)?;
        let key = next.key.clone();
        let state = self.known.get_mut(&key)?;
        let abandoned = CancellationToken::new();
        state.target.abandoned = Some(abandoned.clone());
        state.attempt = Attempt::Running {
            began: now,
            _needed: abandoned.drop_guard(),
        };
        self.turns.take(&state.target);
        Some(state.target.clone())
    }

    /// When the next selector is to be listed; one whose backend has its fill already comes after those.
    pub(in crate::relist) fn next_due(&self) -> Option<Instant> {
        self.waiting().map(|waiting| waiting.due).min()
    }

    /// Selectors that may be started: a backend that hangs must not hold up the others, and is asked by one selector at a time
    /// until it answers.
    fn waiting(&self) -> impl Iterator<Item = Waiting<'_>> {
        let mut running: BTreeMap<&Arc<str>, BTreeMap<Option<&str>, usize>> = BTreeMap::new();
        for state in self.known.values().filter(|state| state.is_running()) {
            let of_backend = running.entry(&state.target.backend).or_default();
            *of_backend.entry(state.target.namespace.as_deref()).or_default() += 1;
        }
        self.known.iter().filter_map(move |(key, state)| {
            let Target {
                backend, namespace, ..
            } = &state.target;
            let not_before = self.health.get(backend).and_then(Health::not_before);
            let most = if not_before.is_some() { 1 } else { CONCURRENCY };
            let running = running.get(backend);
            let all: usize = running.map_or(0, |running| running.values().sum());
            let due = match state.attempt {
                Attempt::Due(due) if all < most => due,
                _ => return None,
            };
            let due = match not_before {
                Some(not_before) if !state.progress.is_new() => due.max(not_before),
                _ => due,
            };
            let of_namespace = running.and_then(|running| running.get(&namespace.as_deref()));
            Some(Waiting {
                key,
                state,
                due,
                running: of_namespace.copied().unwrap_or(0),
                finds_out: not_before.is_some(),
            })
        })
    }
}

// === impl Target ===

impl Target {
    /// Resolves when nobody needs the listing any more.
    pub(in crate::relist) async fn abandoned(&self) {
        match &self.abandoned {
            Some(abandoned) => abandoned.cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// Whether nobody needs what the listing comes to.
    pub(in crate::relist) fn is_abandoned(&self) -> bool {
        self.abandoned
            .as_ref()
            .is_some_and(CancellationToken::is_cancelled)
    }
}

// === impl Turns ===

impl Turns {
    /// The number of the last turn of a target's namespace; 0 where it had none.
    fn last(&self, target: &Target) -> u64 {
        let key = (target.backend.clone(), target.namespace.clone());
        self.last.get(&key).copied().unwrap_or(0)
    }

    fn take(&mut self, target: &Target) {
        let key = (target.backend.clone(), target.namespace.clone());
        if self.last.len() >= REMEMBERED && !self.last.contains_key(&key) {
            self.last.clear();
        }
        self.next += 1;
        self.last.insert(key, self.next);
    }
}
