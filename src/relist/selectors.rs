//! The selectors that the rules of a table need, their series, and when each is listed again.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

mod outage;
mod turns;

pub(super) use self::outage::News;
use self::turns::Turns;
use super::{
    former::Former,
    health::Health,
    schedule::{Jitter, Looked, Tries, fault},
};
use crate::{
    api::metric_rule::RuleKey,
    backend::{BackendError, ListedSeries},
    catalog::{Catalog, Entry, Listing, RuleMetrics, derive},
    reason::Reason,
    resource::Resources,
    rule::{CompiledRule, RuleTable},
    sample::SeriesSet,
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
    /// What was derived last, with what it was derived from; reused as long as those are the same.
    derived: HashMap<RuleKey, Derived>,
    former: Former,
}

type Key = (Arc<str>, Arc<str>);

struct State {
    target: Target,
    series: Arc<ListedSeries>,
    /// Whether any listing has succeeded.
    listed: bool,
    attempted: bool,
    failure: Option<(Reason, String)>,
    due: Instant,
    /// When the listing that is under way began.
    began: Option<Instant>,
    /// Dropping it abandons that listing.
    needed: Option<DropGuard>,
    took: Duration,
    tries: Tries,
    /// The failure that the log was last told, and when.
    told: Option<(Reason, Instant)>,
}

struct Derived {
    rule: Arc<CompiledRule>,
    series: Option<Arc<ListedSeries>>,
    resources: Arc<Resources>,
    metrics: Arc<RuleMetrics>,
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
            derived: HashMap::new(),
            former: Former::default(),
        }
    }

    /// Takes up the selectors of a table: new ones are due at once, those that no rule needs are forgotten.
    pub(super) fn apply(&mut self, table: &RuleTable) {
        let mut needed: BTreeMap<Key, Target> = BTreeMap::new();
        for rule in table.rules.iter() {
            if let Some(target) = target(table, rule) {
                needed
                    .entry((target.backend.clone(), target.selector.clone()))
                    .and_modify(|other| other.share(&target))
                    .or_insert(target);
            }
        }
        self.known.retain(|key, _| needed.contains_key(key));
        for (key, target) in needed {
            match self.known.get_mut(&key) {
                Some(state) if state.target.backend_version == target.backend_version => {
                    // A rule that looks at more series than were kept has them listed for it.
                    if state.target.keeps_less_than(&target) {
                        state.due = Instant::now();
                    }
                    state.target.max_series = target.max_series;
                    state.target.namespace = target.namespace;
                }
                // The backend changed: what it said stays until it has answered again, and it is asked at once.
                Some(state) => {
                    self.health.remove(&key.0);
                    state.target = target;
                    state.due = Instant::now();
                    (state.began, state.needed) = (None, None);
                    state.tries = Tries::default();
                }
                None => {
                    self.known.insert(key, State::new(target));
                }
            }
        }
        self.health
            .retain(|backend, _| self.known.keys().any(|(of, _)| of == backend));
        self.derived.retain(|key, _| table.get(key).is_some());
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
        // It may be another selector of the same text, or the backend another one.
        if target.is_abandoned() || state.target.backend_version != target.backend_version {
            return Round::default();
        }
        state.needed = None;
        let began = state.began.take().unwrap_or(now);
        state.took = outcome.took;
        let failure = outcome
            .result
            .as_ref()
            .err()
            .map(|error| (error.reason(), error.cause().to_owned()));
        let looked = match &outcome.result {
            Ok(series) if series.is_empty() => Looked::Nothing,
            Ok(_) => Looked::Found,
            Err(error) => Looked::Failed(fault(error.reason())),
        };
        let wait = state
            .tries
            .after(looked, target.interval, self.jitter, &target.selector);
        state.due = now + wait;
        // Before the credentials are read nothing was tried; they come with another client.
        let tried = state.tries.failures() > 1 || !matches!(failure, Some((Reason::NotSynced, _)));
        let first = tried && !std::mem::replace(&mut state.attempted, true);
        let mut changed = first || state.failure != failure;
        state.failure.clone_from(&failure);
        if let Ok(series) = outcome.result {
            state.listed = true;
            if *state.series != series {
                state.series = Arc::new(series);
                changed = true;
            }
        }
        let turn = self.judge(target, looked, failure.as_ref(), began, now);
        changed |= self.follow(turn, target, failure, now);
        Round {
            changed,
            finished: self.finished(&target.backend, outcome.at),
            news: self.news(target, turn, now),
        }
    }

    /// Every rule's place in the catalog that is to be published; `previous` is the one that is.
    pub(super) fn entries(&mut self, table: &Arc<RuleTable>, previous: &Catalog) -> Vec<Entry> {
        self.former.begin();
        let entries = table
            .rules
            .iter()
            .map(|rule| self.entry(table, rule, previous))
            .collect();
        self.former.end();
        entries
    }

    /// When the first of the former generations that still answer is over.
    pub(super) fn former_ends(&self) -> Option<Instant> {
        self.former.ends()
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
            let former = self.former.of(table, rule, previous, Instant::now());
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
        series: Option<Arc<ListedSeries>>,
    ) -> Arc<RuleMetrics> {
        if let Some(known) = self.derived.get(rule.key())
            && Arc::ptr_eq(&known.rule, rule)
            && Arc::ptr_eq(&known.resources, &table.resources)
            && same(known.series.as_ref(), series.as_ref())
        {
            return known.metrics.clone();
        }
        let none = SeriesSet::default();
        let metrics = Arc::new(derive(
            rule,
            series.as_ref().map_or(&none, |series| &***series),
            &table.resources,
        ));
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
            if state.began.is_some() || !state.attempted {
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

// === impl Target ===

impl Target {
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
            series: Arc::default(),
            listed: false,
            attempted: false,
            failure: None,
            due: Instant::now(),
            began: None,
            needed: None,
            took: Duration::ZERO,
            tries: Tries::default(),
            told: None,
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
        max_series: Some(u64::from(rule.limits.max_series)).filter(|max| *max > 0),
        namespace: rule.key().namespace.as_deref().map(Into::into),
        interval: backend.interval,
        backend_version: (backend.uid.clone(), backend.generation),
        abandoned: None,
    })
}

fn same(a: Option<&Arc<ListedSeries>>, b: Option<&Arc<ListedSeries>>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
