//! Series for a preview: lists those of the previewed rules, and of the rules that may claim the same metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Progress,
    dropped::dropped,
    input::Given,
    objects::Known,
    report::SeriesReport,
    world::{Reached, World},
};
use crate::{
    api::metric_rule::RuleKey,
    backend::{BackendError, ListedSeries, SeriesQuery},
    catalog::{Catalog, Entry, Listing, RuleMetrics, derive},
    rule::{BackendRecord, CompiledRule, RuleTable},
    sample::SeriesSet,
};

/// Of one listing.
const DEADLINE: Duration = Duration::from_secs(30);
const CONCURRENCY: usize = 8;
/// Series of one name that are kept in full, to ask for the objects that they name.
const EXAMPLES: usize = 2_000;
/// Selectors of other rules that are listed, to see who claims the same metrics.
const OTHERS: usize = 500;
/// For all of them.
const OTHERS_DEADLINE: Duration = Duration::from_mins(2);

type Key = (Arc<str>, Arc<str>);
type Outcome = Result<Arc<ListedSeries>, BackendError>;

/// By backend and selector.
pub(super) struct Listings {
    wanted: BTreeMap<Key, Arc<BackendRecord>>,
    found: BTreeMap<Key, Outcome>,
    unlisted: BTreeSet<RuleKey>,
}

// === impl Listings ===

impl Listings {
    pub(super) fn new(world: &World) -> Self {
        let rules = world.after.rules.iter().chain(world.before.rules.iter());
        let wanted = rules.filter_map(|rule| {
            let (backend, selector) = world.after.to_list(rule)?;
            Some(((backend.name.clone(), selector.clone()), backend.clone()))
        });
        Self {
            wanted: wanted.collect(),
            found: BTreeMap::new(),
            unlisted: BTreeSet::new(),
        }
    }

    /// Lists what the rules need, then what the others need, as far as the time lasts.
    pub(super) async fn list(&mut self, world: &World, rules: &[Given], progress: Progress<'_>) {
        let ours: BTreeSet<Key> = rules
            .iter()
            .filter_map(|given| key(&world.after, world.after.get(&given.object.key)?))
            .collect();
        let (mine, others): (Vec<_>, Vec<_>) = self
            .wanted
            .clone()
            .into_iter()
            .partition(|(key, _)| ours.contains(key));
        if !mine.is_empty() {
            progress("listing the series of the rule");
        }
        let deadline = Instant::now() + DEADLINE;
        self.found.extend(list_all(world, mine, EXAMPLES, deadline).await);
        if !others.is_empty() {
            progress(&format!(
                "listing the series of {} other selectors, to see who claims the same metrics",
                others.len().min(OTHERS)
            ));
            let deadline = Instant::now() + OTHERS_DEADLINE;
            let some = others.into_iter().take(OTHERS).collect();
            self.found.extend(list_all(world, some, 0, deadline).await);
        }
        for rule in world.after.rules.iter() {
            if let Some(key) = key(&world.after, rule)
                && !self.found.get(&key).is_some_and(Result::is_ok)
            {
                self.unlisted.insert(rule.key().clone());
            }
        }
        for given in rules {
            self.unlisted.remove(&given.object.key);
        }
    }

    /// What is served by the rules of a table.
    pub(super) fn catalog(&self, table: &Arc<RuleTable>) -> Catalog {
        let none = SeriesSet::default();
        let entries = table.rules.iter().map(|rule| {
            let found = key(table, rule).and_then(|key| self.found.get(&key));
            let series = found.and_then(|found| found.as_ref().ok());
            let metrics = derive(rule, series.map_or(&none, |series| &***series), &table.resources);
            Entry {
                metrics: Arc::new(metrics),
                listing: Listing::Current,
            }
        });
        Catalog::build(table.clone(), entries)
    }

    pub(super) fn notes(&self) -> Option<String> {
        if self.unlisted.is_empty() {
            return None;
        }
        let names: Vec<String> = self.unlisted.iter().take(5).map(ToString::to_string).collect();
        let more = self.unlisted.len().saturating_sub(names.len());
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        Some(format!(
            "the series of {}{more} could not be listed, so preview cannot show conflicts with them",
            names.join(", ")
        ))
    }

    /// What became of the series of a rule.
    pub(super) fn report(
        &self,
        rule: &Arc<CompiledRule>,
        selector: &Arc<str>,
        world: &World,
    ) -> SeriesReport {
        let backend = rule.backend.as_ref().ok();
        let way = backend.and_then(|backend| world.reached.get(&backend.name));
        let mut report = SeriesReport {
            selector: selector.to_string(),
            ..SeriesReport::default()
        };
        match self.series(rule) {
            None => report.problem = Some("not listed, for the reasons above".to_owned()),
            Some(Err(error)) => {
                let mut problem = format!("{}: {}", error.reason().code(), error.detail());
                if let Some(failure) = way.and_then(Reached::failure) {
                    problem = format!("{problem}; the port-forward: {failure}");
                }
                report.problem = Some(problem);
            }
            Some(Ok(series)) => {
                report.found = series.len();
                report.dropped = dropped(rule, series, &world.after.resources);
            }
        }
        report
    }

    /// The objects that a rule's series name, by metric.
    pub(super) fn objects(&self, rule: &Arc<CompiledRule>, metrics: Option<&RuleMetrics>) -> Known {
        match (self.series(rule), metrics) {
            (Some(Ok(series)), Some(metrics)) => Known::of(rule, series, metrics),
            _ => Known::default(),
        }
    }

    fn series(&self, rule: &CompiledRule) -> Option<&Outcome> {
        let backend = rule.backend.as_ref().ok()?;
        self.found.get(&(backend.name.clone(), rule.listed()?.clone()))
    }
}

/// What is listed for a rule, if anything is.
fn key(table: &RuleTable, rule: &CompiledRule) -> Option<Key> {
    let (backend, selector) = table.to_list(rule)?;
    Some((backend.name.clone(), selector.clone()))
}

async fn list_all(
    world: &World,
    targets: Vec<(Key, Arc<BackendRecord>)>,
    examples: usize,
    deadline: Instant,
) -> Vec<(Key, Outcome)> {
    let listed = stream::iter(targets).map(|(key, backend)| async move {
        let outcome = list_one(world, &key.1, &backend, examples, deadline).await;
        (key, outcome)
    });
    listed.buffer_unordered(CONCURRENCY).collect().await
}

async fn list_one(
    world: &World,
    selector: &Arc<str>,
    backend: &BackendRecord,
    examples: usize,
    deadline: Instant,
) -> Outcome {
    let end = Timestamp::now();
    let query = SeriesQuery {
        selector: selector.clone(),
        start: end.checked_sub(backend.lookback).unwrap_or(Timestamp::UNIX_EPOCH),
        end,
        max_series: None,
        examples,
        namespace: None,
        deadline: deadline.min(Instant::now() + DEADLINE),
    };
    let series = world.pool.get(&backend.name)?.series(query).await?;
    Ok(Arc::new(series))
}
