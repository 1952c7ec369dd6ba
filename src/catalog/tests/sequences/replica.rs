//! A replica: what it has listed, and what it makes of that.

use std::{collections::BTreeMap, sync::Arc};

use super::{cluster::Build, oracle::Listed, specs::SERIES};
use crate::{
    catalog::{Listing, RuleMetrics},
    reason::Reason,
    rule::{CompiledRule, RuleTable, testing::series},
    sample::SeriesSet,
};

/// What a replica remembers.
#[derive(Clone, Default)]
pub(super) struct Replica {
    /// By what was listed, the last good series and whether the last look failed.
    pub(super) listed: BTreeMap<String, (Listed, bool)>,
    /// What each rule made of them last, by UID; relist has the same.
    pub(super) made: BTreeMap<String, Arc<RuleMetrics>>,
}

// === impl Replica ===

impl Replica {
    /// The series that it knows for a rule, and how their listing went.
    pub(super) fn listing(&self, table: &RuleTable, rule: &CompiledRule, build: Build) -> (Listed, Listing) {
        let Some(listed) = listed(table, rule) else {
            return (None, Listing::NotNeeded);
        };
        match self.listed.get(&listed) {
            None => {
                let made = self.made.get(&rule.object.uid);
                let former = made.filter(|made| goes_on(rule, made, build));
                let edited = |former: &Arc<RuleMetrics>| Listing::Edited {
                    former: former.clone(),
                };
                (None, former.map_or(Listing::Pending, edited))
            }
            Some((present, false)) => (*present, Listing::Current),
            Some((present, true)) => {
                let (reason, message) = (Reason::BackendDown, String::new());
                (*present, Listing::Failed { reason, message })
            }
        }
    }
}

/// What is listed for a rule, as relist has it.
pub(super) fn listed(table: &RuleTable, rule: &CompiledRule) -> Option<String> {
    let (backend, selector) = table.to_list(rule)?;
    Some(format!("{} {selector}", backend.name))
}

/// The series that the backend has for a rule's selector, of those that are known.
pub(super) fn selected(rule: &CompiledRule, present: Listed) -> SeriesSet {
    let (Some(present), Some(listed)) = (present, rule.listed()) else {
        return SeriesSet::default();
    };
    let there = SERIES.into_iter().zip(present).filter(|(name, there)| {
        let is_named = listed.contains(&name[..2]) || listed.contains(".+");
        let both = listed.contains("(m|n)");
        *there && (is_named || both)
    });
    let lines: Vec<String> = there
        .map(|(name, _)| {
            let alias = if name == SERIES[0] { "p" } else { "" };
            format!("{name}{{namespace=\"shop\",pod=\"p\",alias=\"{alias}\"}}")
        })
        .collect();
    series(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Whether a former spec goes on answering, as relist has it.
fn goes_on(rule: &CompiledRule, former: &RuleMetrics, build: Build) -> bool {
    let old = &former.rule;
    let accepted = old.refusals.is_empty() && rule.refusals.is_empty();
    (accepted || build == Build::KeepsRefused) && rule.backend == old.backend && !former.metrics.is_empty()
}
