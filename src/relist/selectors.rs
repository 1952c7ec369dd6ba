//! The selectors that the rules of a table need, their series, and when each is listed again.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    api::metric_rule::RuleKey,
    backend::BackendError,
    catalog::{Catalog, Entry, Listing, RuleMetrics, derive},
    reason::Reason,
    resource::Resources,
    rule::{CompiledRule, RuleTable},
    sample::SeriesSet,
};

/// Selectors of one backend that are listed at once; the backend's own ceilings hold besides.
const CONCURRENCY: usize = 8;
/// After a failure a selector is tried again sooner than its interval.
const RETRY: Duration = Duration::from_secs(5);

/// One selector at one backend.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Name of the backend.
    pub(super) backend: Arc<str>,
    /// The text to list with.
    pub(super) selector: Arc<str>,
    /// How far back.
    pub(super) lookback: Duration,
    interval: Duration,
    /// Which state of the backend was asked; an answer of a former one is dropped.
    backend_version: (String, i64),
}

/// What listing a selector came to.
pub(super) struct Outcome {
    pub(super) result: Result<SeriesSet, BackendError>,
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
}

/// All selectors of a backend were tried.
pub(super) struct Finished {
    pub(super) backend: Arc<str>,
    pub(super) took: Duration,
    /// Unix seconds, where none of them failed.
    pub(super) succeeded_at: Option<i64>,
}

/// Everything that relist remembers.
#[derive(Default)]
pub(super) struct Selectors {
    known: BTreeMap<Key, State>,
    /// What was derived last, with what it was derived from; reused as long as those are the same.
    derived: HashMap<RuleKey, Derived>,
}

type Key = (Arc<str>, Arc<str>);

struct State {
    target: Target,
    series: Arc<SeriesSet>,
    /// Whether any listing has succeeded.
    listed: bool,
    attempted: bool,
    failure: Option<(Reason, String)>,
    due: Instant,
    running: bool,
    took: Duration,
}

struct Derived {
    rule: Arc<CompiledRule>,
    series: Option<Arc<SeriesSet>>,
    resources: Arc<Resources>,
    metrics: Arc<RuleMetrics>,
}

// === impl Selectors ===

impl Selectors {
    /// Takes up the selectors of a table: new ones are due at once, those that no rule needs are forgotten.
    pub(super) fn apply(&mut self, table: &RuleTable) {
        let mut needed: BTreeMap<Key, Target> = BTreeMap::new();
        for rule in table.rules.iter() {
            if let Some(target) = target(table, rule) {
                needed
                    .entry((target.backend.clone(), target.selector.clone()))
                    .or_insert(target);
            }
        }
        self.known.retain(|key, _| needed.contains_key(key));
        for (key, target) in needed {
            match self.known.get_mut(&key) {
                Some(state) if state.target.backend_version == target.backend_version => {}
                // The backend changed: what it said stays until it has answered again, and it is asked at once.
                Some(state) => {
                    state.target = target;
                    state.due = Instant::now();
                    state.running = false;
                }
                None => {
                    self.known.insert(key, State::new(target));
                }
            }
        }
        self.derived.retain(|key, _| table.get(key).is_some());
    }

    /// A selector that is to be listed now; one that never was comes first, for somebody has just written it.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Target> {
        let key = self
            .waiting()
            .min_by_key(|(_, state)| (state.due > now, state.attempted, state.due))
            .map(|(key, _)| key.clone())?;
        let state = self.known.get_mut(&key)?;
        if state.due > now {
            return None;
        }
        state.running = true;
        Some(state.target.clone())
    }

    /// When the next selector is to be listed; one whose backend has its fill already comes after those.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting().map(|(_, state)| state.due).min()
    }

    /// Selectors that may be started: a backend that hangs must not hold up the others.
    fn waiting(&self) -> impl Iterator<Item = (&Key, &State)> {
        let mut running: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for state in self.known.values().filter(|state| state.running) {
            *running.entry(&state.target.backend).or_default() += 1;
        }
        self.known.iter().filter(move |(_, state)| {
            !state.running
                && running
                    .get(&state.target.backend)
                    .is_none_or(|running| *running < CONCURRENCY)
        })
    }

    /// Whether each selector was tried once, with whatever outcome.
    pub(super) fn all_attempted(&self) -> bool {
        self.known.values().all(|state| state.attempted)
    }

    /// Takes up what a listing came to. A failure keeps the last good series.
    pub(super) fn finish(&mut self, target: &Target, outcome: Outcome, now: Instant) -> Round {
        let Some(state) = self
            .known
            .get_mut(&(target.backend.clone(), target.selector.clone()))
        else {
            return Round::default();
        };
        if state.target.backend_version != target.backend_version {
            return Round::default();
        }
        state.running = false;
        let first = !std::mem::replace(&mut state.attempted, true);
        state.took = outcome.took;
        let failure = outcome
            .result
            .as_ref()
            .err()
            .map(|error| (error.reason(), error.cause().to_owned()));
        let wait = if failure.is_some() {
            RETRY.min(target.interval)
        } else {
            target.interval
        };
        state.due = now + spread(wait, &target.selector);
        let mut changed = first || state.failure != failure;
        state.failure = failure;
        if let Ok(series) = outcome.result {
            state.listed = true;
            if *state.series != series {
                state.series = Arc::new(series);
                changed = true;
            }
        }
        Round {
            changed,
            finished: self.finished(&target.backend, outcome.at),
        }
    }

    /// Every rule's place in the catalog that is to be published; `previous` is the one that is.
    pub(super) fn entries(&mut self, table: &Arc<RuleTable>, previous: &Catalog) -> Vec<Entry> {
        table
            .rules
            .iter()
            .map(|rule| self.entry(table, rule, previous))
            .collect()
    }

    fn entry(&mut self, table: &RuleTable, rule: &Arc<CompiledRule>, previous: &Catalog) -> Entry {
        let Some(target) = target(table, rule) else {
            return Entry {
                metrics: self.derive(table, rule, None),
                listing: Listing::NotNeeded,
            };
        };
        let Some(state) = self
            .known
            .get(&(target.backend, target.selector))
            .filter(|state| state.attempted)
        else {
            let former = previous
                .entry(rule.key())
                .and_then(|entry| former(table, rule, &entry.metrics));
            let metrics = former.unwrap_or_else(|| self.derive(table, rule, None));
            return Entry {
                metrics,
                listing: Listing::Pending,
            };
        };
        let listing = match &state.failure {
            Some((reason, message)) => Listing::Failed {
                reason: *reason,
                message: message.clone(),
            },
            None => Listing::Current,
        };
        let series = state.listed.then(|| state.series.clone());
        Entry {
            metrics: self.derive(table, rule, series),
            listing,
        }
    }

    fn derive(
        &mut self,
        table: &RuleTable,
        rule: &Arc<CompiledRule>,
        series: Option<Arc<SeriesSet>>,
    ) -> Arc<RuleMetrics> {
        if let Some(known) = self.derived.get(rule.key())
            && Arc::ptr_eq(&known.rule, rule)
            && Arc::ptr_eq(&known.resources, &table.resources)
            && same(known.series.as_ref(), series.as_ref())
        {
            return known.metrics.clone();
        }
        let none = SeriesSet::default();
        let metrics = Arc::new(derive(rule, series.as_deref().unwrap_or(&none), &table.resources));
        let derived = Derived {
            rule: rule.clone(),
            series,
            resources: table.resources.clone(),
            metrics: metrics.clone(),
        };
        self.derived.insert(rule.key().clone(), derived);
        metrics
    }

    fn finished(&self, backend: &Arc<str>, at: Timestamp) -> Option<Finished> {
        let states = self
            .known
            .values()
            .filter(|state| state.target.backend == *backend);
        let (mut took, mut failed) = (Duration::ZERO, false);
        for state in states {
            if state.running || !state.attempted {
                return None;
            }
            took = took.max(state.took);
            failed |= state.failure.is_some();
        }
        Some(Finished {
            backend: backend.clone(),
            took,
            succeeded_at: (!failed).then(|| at.as_second()),
        })
    }
}

// === impl State ===

impl State {
    fn new(target: Target) -> Self {
        Self {
            target,
            series: Arc::default(),
            listed: false,
            attempted: false,
            failure: None,
            due: Instant::now(),
            running: false,
            took: Duration::ZERO,
        }
    }
}

/// What has to be listed for a rule; `None` where there is nothing, or where it may not be.
fn target(table: &RuleTable, rule: &CompiledRule) -> Option<Target> {
    let selector = rule.listed()?.clone();
    if table.unresolved_backend(rule).is_some() {
        return None;
    }
    // What is refused for what it would list is not listed; any other refusal leaves the claims standing.
    if rule
        .refusals
        .iter()
        .any(|problem| problem.reason == Reason::MatchAll)
    {
        return None;
    }
    let backend = rule.backend.as_ref().ok()?;
    Some(Target {
        backend: backend.name.clone(),
        selector,
        lookback: backend.lookback,
        interval: backend.interval,
        backend_version: (backend.uid.clone(), backend.generation),
    })
}

/// The metrics of a rule's former generation, for as long as the new one's series are not listed yet. What narrows holds
/// at once: the new scope, and a refusal, which is answered for the names that were there.
fn former(
    table: &RuleTable,
    rule: &Arc<CompiledRule>,
    previous: &Arc<RuleMetrics>,
) -> Option<Arc<RuleMetrics>> {
    let old = &previous.rule;
    if old.object.uid != rule.object.uid {
        return None;
    }
    let metrics = if rule.refusal().is_some() {
        RuleMetrics {
            rule: rule.clone(),
            ..(**previous).clone()
        }
    } else {
        let backend = old.backend.as_ref().ok()?;
        // The backend as it was known then may have been deleted or replaced since.
        let still = table.backends.get(&backend.name)?.as_ref().ok()?;
        if still != backend {
            return None;
        }
        let kept = CompiledRule {
            scope: rule.scope.clone(),
            priority: rule.priority,
            ..(**old).clone()
        };
        RuleMetrics {
            rule: Arc::new(kept),
            ..(**previous).clone()
        }
    };
    Some(Arc::new(metrics))
}

fn same(a: Option<&Arc<SeriesSet>>, b: Option<&Arc<SeriesSet>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Up to a tenth less than `wait`, by the selector's text, so that the selectors of one backend do not come in one burst.
fn spread(wait: Duration, selector: &str) -> Duration {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(selector);
    let thousandths = u32::try_from(hash % 100).unwrap_or(0);
    wait.saturating_sub(wait * thousandths / 1000)
}

#[cfg(test)]
mod tests;
