//! Verdicts on series: which metrics they make, or why none, and the counts that are made of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{catalog::metric::Metric, reason::Reason};

/// What became of series that have their name and the names of their labels in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesVerdict<'a> {
    /// Their name; `None` where none is kept: for series that are unusable or beyond the bound of their listing, and for kinds
    /// that a static rule cannot describe.
    pub series: Option<&'a Arc<str>>,
    /// How many they are.
    pub count: usize,
    /// What they make, or why they make nothing.
    pub outcome: Result<Made<'a>, Reason>,
}

/// The metrics that series make, one for each kind of object that they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made<'a> {
    /// Each may be made of other series instead, whose name is preferred.
    pub metrics: Vec<&'a Metric>,
    /// Whether the rule has too many metrics, so that those of this name are cut off.
    pub is_cut: bool,
}

/// The verdicts on a rule's series, added up.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// How many came to nothing. Of `Duplicate` the names of series are counted, and of `Truncated` the names of metrics too.
    pub(super) dropped: BTreeMap<Reason, usize>,
    /// The names of series that a metric's name is made of, and that name no object.
    pub(super) nobodys: BTreeSet<Arc<str>>,
}

// === impl SeriesVerdict ===

impl<'a> SeriesVerdict<'a> {
    /// The metrics that other series make instead of these.
    pub fn lost(&self) -> impl Iterator<Item = &'a Metric> {
        let made = self.outcome.iter().flat_map(|made| &made.metrics).copied();
        made.filter(move |metric| self.series.is_some_and(|series| metric.series != *series))
    }
}

// === impl Counts ===

impl Counts {
    /// Adds verdicts up.
    pub(super) fn of<'a>(verdicts: impl Iterator<Item = SeriesVerdict<'a>>) -> Self {
        let mut counts = Self::default();
        let (mut losers, mut cut) = (BTreeSet::new(), BTreeSet::new());
        for verdict in verdicts {
            if verdict.lost().next().is_some() {
                losers.extend(verdict.series);
            }
            match verdict.outcome {
                Ok(made) if made.is_cut => cut.extend(made.metrics.first().map(|metric| &metric.name)),
                Ok(_) => {}
                Err(reason) => {
                    counts.add(reason, verdict.count);
                    if matches!(reason, Reason::NoResource | Reason::NoNamespaceLabel) {
                        counts.nobodys.extend(verdict.series.cloned());
                    }
                }
            }
        }
        counts.add(Reason::Duplicate, losers.len());
        counts.add(Reason::Truncated, cut.len());
        counts
    }

    fn add(&mut self, reason: Reason, count: usize) {
        if count > 0 {
            *self.dropped.entry(reason).or_default() += count;
        }
    }
}
