//! Listings from before a replica became the leader. They may be older than the former leader's record. Series that are missing
//! in them may have appeared since, so they say nothing about any claim until they are repeated.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    api::metric_rule::RuleKey,
    catalog::{Catalog, RuleMetrics, recorded::Record},
    controller::leadership::Term,
    rule::CompiledRule,
};

/// The interval of a backend that is not known.
const INTERVAL: Duration = Duration::from_mins(1);

/// A term of leading, and what was listed before it.
#[derive(Debug)]
pub(super) struct Came {
    term: Term,
    at: Instant,
    /// The same object for as long as the series are the same.
    listed: BTreeMap<RuleKey, Arc<RuleMetrics>>,
    /// When what was kept last is kept no longer.
    due: Option<Instant>,
}

// === impl Came ===

impl Came {
    /// A term that begins now.
    pub(super) fn new(term: Term, catalog: &Catalog, now: Instant) -> Self {
        let listed = catalog
            .entries()
            .map(|entry| (entry.metrics.rule.key().clone(), entry.metrics.clone()));
        Self {
            term,
            at: now,
            listed: listed.collect(),
            due: None,
        }
    }

    pub(super) fn is_of(&self, term: Term) -> bool {
        self.term == term
    }

    /// Keeps in `next` the claims of `known` that nothing but such an old listing says are gone.
    pub(super) fn keep(&mut self, known: &Record, next: &mut Record, catalog: &Catalog, now: Instant) {
        self.due = None;
        for rule in catalog.table.rules.iter() {
            let end = self.at + again(rule);
            if end <= now || !self.is_old(rule, catalog) {
                continue;
            }
            let uid = rule.object.uid.as_str();
            let (Some(known), Some(next)) = (known.rules.get(uid), next.rules.get_mut(uid)) else {
                continue;
            };
            if (known.origin, known.generation) != (next.origin, next.generation) {
                continue;
            }
            let there = known
                .claims
                .iter()
                .filter(|(_, claim)| claim.idle_since.is_none());
            let gone = there.filter(|(key, _)| {
                let now = next.claims.get(*key);
                now.is_none_or(|claim| claim.idle_since.is_some())
            });
            let gone: Vec<_> = gone.map(|(key, claim)| (key.clone(), claim.clone())).collect();
            if !gone.is_empty() {
                Arc::make_mut(next).claims.extend(gone);
                self.due = Some(self.due.map_or(end, |due| due.min(end)));
            }
        }
    }

    /// When there is something to be looked at again.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    fn is_old(&self, rule: &CompiledRule, catalog: &Catalog) -> bool {
        let (before, now) = (self.listed.get(rule.key()), catalog.entry(rule.key()));
        before
            .zip(now)
            .is_some_and(|(before, now)| Arc::ptr_eq(before, &now.metrics))
    }
}

/// How long it may take until the series of `rule` are listed again.
fn again(rule: &CompiledRule) -> Duration {
    let interval = rule.backend.as_ref().map_or(INTERVAL, |backend| backend.interval);
    interval * 2
}
