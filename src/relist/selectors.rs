//! The selectors that the rules of a table need, their series, and when each is listed again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

mod derived;
mod outage;
mod turns;

pub(super) use self::outage::News;
use self::{derived::Derivations, turns::Turns};
use super::{
    health::Health,
    schedule::{Jitter, Looked, Tries, fault},
};
use crate::{
    backend::{BackendError, ListedSeries},
    catalog::{Entry, Listing},
    reason::Reason,
    rule::{CompiledRule, RuleTable},
};

/// Selectors of one backend that are listed at once; the backend's own ceilings hold besides.
const CONCURRENCY: usize = 8;

/// One selector at one backend.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Name of the backend.
    pub(super) backend: Arc<str>,
    /// The text to list with.
    pub(super) selector: Arc<str>,
    /// How far back.
    pub(super) lookback: Duration,
    /// How many series the rules look at that share it; `None`: all.
    pub(super) max_series: Option<u64>,
    /// Whose it is; `None` for a `ClusterMetricRule`.
    pub(super) namespace: Option<Arc<str>>,
    interval: Duration,
    /// Which state of the backend was asked; an answer of a former one is dropped.
    backend_version: (String, i64),
    /// Set while it is listed; cancelled when nobody needs that any more.
    abandoned: Option<CancellationToken>,
}

/// What listing a selector came to.
pub(super) struct Outcome {
    pub(super) result: Result<ListedSeries, BackendError>,
    pub(super) at: Timestamp,
    pub(super) took: Duration,
}

/// What a finished listing changed.
#[derive(Default)]
pub(super) struct Round {
    /// Whether a catalog made now differs.
    pub(super) changed: bool,
    /// Set when it was the last of its backend's selectors to be tried in this round.
    pub(super) finished: Option<Finished>,
    /// What is news to the log.
    pub(super) news: Option<News>,
}

/// All selectors of a backend were tried.
pub(super) struct Finished {
    pub(super) backend: Arc<str>,
    pub(super) took: Duration,
    /// Unix seconds, where none of them failed.
    pub(super) succeeded_at: Option<i64>,
}

/// Everything that relist remembers.
pub(super) struct Selectors {
    known: BTreeMap<Key, State>,
    /// Of each backend that has selectors.
    health: BTreeMap<Arc<str>, Health>,
    turns: Turns,
    jitter: Jitter,
    derived: Derivations,
}

type Key = (Arc<str>, Arc<str>);

struct State {
    target: Target,
    progress: Progress,
    attempt: Attempt,
    took: Duration,
    tries: Tries,
    /// The failure that the log was last told, and when.
    told: Option<(Reason, Instant)>,
}

/// What is known of a selector's series.
enum Progress {
    /// Nothing was tried yet.
    New,
    /// The last attempt gave them.
    Listed(Arc<ListedSeries>),
    /// The last attempt failed; they are of an earlier one, if any succeeded.
    Failed {
        failure: Failure,
        kept: Option<Arc<ListedSeries>>,
    },
}

/// Why an attempt failed: its code, and its cause.
type Failure = (Reason, String);

/// The next attempt, or the present one.
enum Attempt {
    Due(Instant),
    Running {
        began: Instant,
        /// Dropping it abandons the listing.
        _needed: DropGuard,
    },
}

// === impl Selectors ===

impl Selectors {
    /// None yet, for a replica with that jitter.
    pub(super) fn new(jitter: Jitter) -> Self {
        Self {
            known: BTreeMap::new(),
            health: BTreeMap::new(),
            turns: Turns::default(),
            jitter,
            derived: Derivations::default(),
        }
    }

    /// Takes up the selectors of a table: new ones are due at once, those that no rule needs are forgotten.
    pub(super) fn apply(&mut self, table: &RuleTable) {
        let mut needed: BTreeMap<Key, Target> = BTreeMap::new();
        for rule in table.rules.iter() {
            if let Some(target) = target(table, rule) {
                needed
                    .entry(target.key())
                    .and_modify(|other| other.share(&target))
                    .or_insert(target);
            }
        }
        self.known.retain(|key, _| needed.contains_key(key));
        for (key, target) in needed {
            match self.known.get_mut(&key) {
                Some(state) if state.target.backend_version == target.backend_version => {
                    // A rule that looks at more series than were kept has them listed for it.
                    if let Attempt::Due(due) = &mut state.attempt
                        && state.target.keeps_less_than(&target)
                    {
                        *due = Instant::now();
                    }
                    state.target.max_series = target.max_series;
                    state.target.namespace = target.namespace;
                }
                // The backend changed: what it said stays until it has answered again, and it is asked at once.
                Some(state) => {
                    self.health.remove(&key.0);
                    state.target = target;
                    state.attempt = Attempt::Due(Instant::now());
                    state.tries = Tries::default();
                }
                None => {
                    self.known.insert(key, State::new(target));
                }
            }
        }
        self.health
            .retain(|backend, _| self.known.keys().any(|(of, _)| of == backend));
        self.derived.retain(table);
    }

    /// Whether each selector was tried once, with whatever outcome.
    pub(super) fn all_attempted(&self) -> bool {
        self.known.values().all(|state| !state.progress.is_new())
    }

    /// Takes up what a listing came to. A failure keeps the last good series.
    pub(super) fn finish(&mut self, target: &Target, outcome: Outcome, now: Instant) -> Round {
        let Some(state) = self.known.get_mut(&target.key()) else {
            return Round::default();
        };
        // It may be another selector of the same text, or the backend another one.
        if target.is_abandoned() || state.target.backend_version != target.backend_version {
            return Round::default();
        }
        state.took = outcome.took;
        let failure = outcome.result.as_ref().err();
        let failure = failure.map(|error| (error.reason(), error.cause().to_owned()));
        let looked = match &outcome.result {
            Ok(series) if series.is_empty() => Looked::Nothing,
            Ok(_) => Looked::Found,
            Err(error) => Looked::Failed(fault(error.reason())),
        };
        let wait = state
            .tries
            .after(looked, target.interval, self.jitter, &target.selector);
        let began = match std::mem::replace(&mut state.attempt, Attempt::Due(now + wait)) {
            Attempt::Running { began, .. } => began,
            Attempt::Due(_) => now,
        };
        let mut changed = match (outcome.result, &failure) {
            (Ok(series), _) => state.progress.succeed(series),
            // Before the credentials are read nothing was tried; they come with another client.
            (_, Some((Reason::NotSynced, _))) if state.progress.is_new() && state.tries.failures() <= 1 => {
                false
            }
            (_, Some(failure)) => state.progress.fail(failure),
            (Err(_), None) => false,
        };
        let turn = self.judge(target, looked, failure.as_ref(), began, now);
        changed |= self.follow(turn, target, failure, now);
        Round {
            changed,
            finished: self.finished(&target.backend, outcome.at),
            news: self.news(target, turn, now),
        }
    }

    /// Every rule's place in the catalog that is to be published.
    pub(super) fn entries(&mut self, table: &RuleTable, now: Instant) -> Vec<Entry> {
        let rules = table.rules.iter();
        let entries = rules.map(|rule| {
            let (listing, series) = match target(table, rule) {
                Some(target) => self.listing(&target),
                None => (Listing::NotNeeded, None),
            };
            self.derived.entry(table, rule, listing, series, now)
        });
        entries.collect()
    }

    /// When the first of the former generations that still answer is over.
    pub(super) fn former_ends(&self) -> Option<Instant> {
        self.derived.former_ends()
    }

    fn listing(&self, target: &Target) -> (Listing, Option<Arc<ListedSeries>>) {
        match self.known.get(&target.key()).map(|state| &state.progress) {
            None | Some(Progress::New) => (Listing::Pending, None),
            Some(Progress::Listed(series)) => (Listing::Current, Some(series.clone())),
            Some(Progress::Failed { failure, kept }) => {
                let (reason, message) = failure.clone();
                (Listing::Failed { reason, message }, kept.clone())
            }
        }
    }

    fn finished(&self, backend: &Arc<str>, at: Timestamp) -> Option<Finished> {
        let (mut took, mut failed) = (Duration::ZERO, false);
        for state in self.of(backend) {
            if state.is_running() || state.progress.is_new() {
                return None;
            }
            took = took.max(state.took);
            failed |= state.progress.failure().is_some();
        }
        Some(Finished {
            backend: backend.clone(),
            took,
            succeeded_at: (!failed).then(|| at.as_second()),
        })
    }
}

// === impl Target ===

impl Target {
    fn key(&self) -> Key {
        (self.backend.clone(), self.selector.clone())
    }

    /// One listing for two rules: as many series as either looks at, on behalf of nobody in particular.
    fn share(&mut self, other: &Self) {
        self.max_series = self.max_series.zip(other.max_series).map(|(a, b)| a.max(b));
        if self.namespace != other.namespace {
            self.namespace = None;
        }
    }

    fn keeps_less_than(&self, other: &Self) -> bool {
        match (self.max_series, other.max_series) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(a), Some(b)) => a < b,
        }
    }
}

// === impl State ===

impl State {
    fn new(target: Target) -> Self {
        Self {
            target,
            progress: Progress::New,
            attempt: Attempt::Due(Instant::now()),
            took: Duration::ZERO,
            tries: Tries::default(),
            told: None,
        }
    }

    /// When it is to be listed next; `None` while it is.
    const fn due(&self) -> Option<Instant> {
        match self.attempt {
            Attempt::Due(due) => Some(due),
            Attempt::Running { .. } => None,
        }
    }

    const fn is_running(&self) -> bool {
        matches!(self.attempt, Attempt::Running { .. })
    }
}

// === impl Progress ===

impl Progress {
    const fn is_new(&self) -> bool {
        matches!(self, Self::New)
    }

    const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. } => Some(failure),
            Self::New | Self::Listed(_) => None,
        }
    }

    const fn series(&self) -> Option<&Arc<ListedSeries>> {
        match self {
            Self::New => None,
            Self::Listed(series) => Some(series),
            Self::Failed { kept, .. } => kept.as_ref(),
        }
    }

    /// An attempt gave `series`. Says whether a catalog made now differs.
    fn succeed(&mut self, series: ListedSeries) -> bool {
        let same = self.series().filter(|known| ***known == series).cloned();
        let changed = same.is_none() || self.failure().is_some();
        // What is the same stays the same object, so that nobody derives from it anew.
        *self = Self::Listed(same.unwrap_or_else(|| Arc::new(series)));
        changed
    }

    /// An attempt failed; the last good series stay. Says whether a catalog made now differs.
    fn fail(&mut self, failure: &Failure) -> bool {
        if self.failure() == Some(failure) {
            return false;
        }
        *self = Self::Failed {
            failure: failure.clone(),
            kept: self.series().cloned(),
        };
        true
    }
}

/// What has to be listed for a rule; `None` where there is nothing, or where it may not be.
fn target(table: &RuleTable, rule: &CompiledRule) -> Option<Target> {
    let (backend, selector) = table.to_list(rule)?;
    Some(Target {
        backend: backend.name.clone(),
        selector: selector.clone(),
        lookback: backend.lookback,
        max_series: Some(u64::from(rule.limits.max_series)).filter(|max| *max > 0),
        namespace: rule.key().namespace.as_deref().map(Into::into),
        interval: backend.interval,
        backend_version: (backend.uid.clone(), backend.generation),
        abandoned: None,
    })
}

#[cfg(test)]
mod tests;
