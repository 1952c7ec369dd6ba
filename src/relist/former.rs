//! The former generation of a rule: it goes on answering while the series of an accepted edit are listed for the first time, on
//! the replica that has them, and for ten seconds at most.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    api::metric_rule::RuleKey,
    catalog::{Catalog, RuleMetrics},
    rule::{CompiledRule, RuleTable},
};

/// The longest that one goes on.
const LONGEST: Duration = Duration::from_secs(10);

/// The former generations that still answer.
#[derive(Default)]
pub(super) struct Former {
    /// Since when each does, and which it is.
    since: BTreeMap<RuleKey, (i64, Instant)>,
    /// The same, as far as the entries that are made now have asked.
    asked: BTreeMap<RuleKey, (i64, Instant)>,
}

// === impl Former ===

impl Former {
    /// Every rule is about to be asked for.
    pub(super) fn begin(&mut self) {
        self.asked.clear();
    }

    /// Every rule was asked for: the rest is listed.
    pub(super) fn end(&mut self) {
        self.since = std::mem::take(&mut self.asked);
    }

    /// The metrics that `rule` had in `previous` by a former spec. A refused edit, and one that names another backend, ends them
    /// at once; scope and priority are those of the new spec.
    pub(super) fn of(
        &mut self,
        table: &RuleTable,
        rule: &Arc<CompiledRule>,
        previous: &Catalog,
        now: Instant,
    ) -> Option<Arc<RuleMetrics>> {
        let previous = &previous.entry(rule.key())?.metrics;
        let old = &previous.rule;
        if old.object.uid != rule.object.uid || rule.refusal().is_some() || rule.backend != old.backend {
            return None;
        }
        // The backend as it was known then may have been deleted or replaced since.
        let backend = old.backend.as_ref().ok()?;
        let still = table.backends.get(&backend.name)?.as_ref().ok()?;
        if still != backend || previous.metrics.is_empty() {
            return None;
        }
        let generation = old.object.generation;
        let since = self.since.get(rule.key()).copied();
        // A second edit gives the first one's former generation no more time.
        let (_, since) = since.unwrap_or((generation, now));
        self.asked.insert(rule.key().clone(), (generation, since));
        if now >= since + LONGEST {
            return None;
        }
        let kept = CompiledRule {
            scope: rule.scope.clone(),
            priority: rule.priority,
            ..(**old).clone()
        };
        Some(Arc::new(RuleMetrics {
            rule: Arc::new(kept),
            ..(**previous).clone()
        }))
    }

    /// When the first of them is over.
    pub(super) fn ends(&self) -> Option<Instant> {
        let ends = self.since.values().map(|(_, since)| *since + LONGEST);
        ends.filter(|end| *end > Instant::now()).min()
    }
}
