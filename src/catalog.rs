//! Catalog of served metrics: the rule table joined with the series that the backends have, and had.
//!
//! [`derive()`] gives one rule's metrics; [`recorded`] what the cluster keeps of them. [`Catalog::build_recorded`] joins the
//! claims of all rules, decides who answers where several claim the same metric, and is published whole.

pub mod claims;
mod derive;
mod join;
mod metric;
mod possible;
pub mod recorded;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use self::{
    claims::{Claims, Conflict},
    derive::{Derivation, Made, SeriesVerdict, derive},
    metric::{Discovered, Metric, RuleMetrics, Subject},
    recorded::{ClaimKey, RecordSource, Recorded},
};
use self::{
    join::Join,
    possible::{Possible, may_be_about},
};
use crate::{
    api::metric_rule::RuleKey,
    reason::Reason,
    resource::{GroupResource, ResourceInfo, Scope},
    rule::{CompiledRule, RuleTable},
};

/// How the listing of a rule's series went last.
#[derive(Clone, Debug)]
pub enum Listing {
    /// There is nothing to list: a static rule, or one that is refused.
    NotNeeded,
    /// Not tried yet.
    Pending,
    /// Not tried yet since the spec was edited, and until it is, or for a moment, the rule answers by its former spec.
    Edited {
        /// What that made of the series that were listed for it.
        former: Arc<RuleMetrics>,
    },
    /// The series are those of the last attempt.
    Current,
    /// The last attempt failed; the series, if any, are from an earlier one.
    Failed {
        /// Its code.
        reason: Reason,
        /// Its cause, safe to show to whoever may read the rule.
        message: String,
    },
}

/// One rule's place in the catalog.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its metrics, as its spec is now.
    pub metrics: Arc<RuleMetrics>,
    /// How its listing went.
    pub listing: Listing,
}

/// Which metric exists for which kind of object, and which rule answers.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The table that it was built from.
    pub table: Arc<RuleTable>,
    entries: BTreeMap<RuleKey, Entry>,
    custom: BTreeMap<GroupResource, (ResourceInfo, BTreeMap<Arc<str>, Claims>)>,
    external: BTreeMap<Arc<str>, Claims>,
    conflicts: BTreeMap<RuleKey, Conflict>,
    /// How many claims each rule has.
    claimed: BTreeMap<RuleKey, usize>,
    /// Whose word its record was.
    source: RecordSource,
}

/// The rule that a request belongs to, and which of its metrics is meant.
#[derive(Clone, Debug)]
pub struct Served {
    /// It may be refused: the claim stands all the same, and is answered with the reason. While [`Listing::Edited`] lasts it is as
    /// its former spec says.
    pub rule: Arc<CompiledRule>,
    /// What is asked for.
    pub metric: Metric,
    /// Whether the rule, where nothing is wrong with it, can be asked.
    pub standing: Standing,
}

/// What a claim is founded on, and so whether it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A good listing, or a static name: it is answered.
    Answers,
    /// This replica's own listing alone, and another rule could claim the same: it is answered once it is recorded, for
    /// until then another replica may know only the other rule.
    Unrecorded,
    /// A listing of a former spec; how the listing of the present one failed, if it did.
    Edited(Option<Reason>),
    /// The words of the spec, for no listing has succeeded; how it failed, if it did.
    Unlisted(Option<Reason>),
}

// === impl Catalog ===

impl Catalog {
    /// The catalog of what was listed alone, where nobody keeps a record.
    pub fn build(table: Arc<RuleTable>, entries: impl IntoIterator<Item = Entry>) -> Self {
        Self::build_recorded(table, entries, &Recorded::nothing())
    }

    /// Joins the claims of all rules of `table`: what is recorded of them, and what `entries` tells. `entries` are in any
    /// order; the outcome does not depend on it.
    pub fn build_recorded(
        table: Arc<RuleTable>,
        entries: impl IntoIterator<Item = Entry>,
        recorded: &Recorded,
    ) -> Self {
        let entries: BTreeMap<RuleKey, Entry> = entries
            .into_iter()
            .map(|entry| (entry.metrics.rule.key().clone(), entry))
            .collect();
        let mut catalog = Self {
            table,
            source: recorded.source,
            ..Self::default()
        };
        let table = catalog.table.clone();
        let mut join = Join::new(&table, recorded);
        let mut unrecorded = false;
        for rule in table.rules.iter() {
            let claims = join.claims(rule, entries.get(rule.key()));
            if !claims.is_empty() {
                catalog.claimed.insert(rule.key().clone(), claims.len());
            }
            for claim in claims {
                unrecorded |= claim.served.standing == Standing::Unrecorded;
                catalog.claims_of(&claim.served.metric).add(claim);
            }
        }
        if unrecorded {
            catalog.let_alone(&table);
        }
        let claims = catalog
            .custom
            .values_mut()
            .flat_map(|(_, metrics)| metrics.iter_mut());
        for (name, claims) in claims.chain(catalog.external.iter_mut()) {
            claims.settle(name, &table.namespaces, &mut catalog.conflicts);
        }
        for (key, conflict) in &mut catalog.conflicts {
            let claimed = catalog.claimed.get(key).copied().unwrap_or_default();
            conflict.serves_nothing = conflict.total >= claimed;
        }
        catalog.entries = entries;
        catalog
    }

    /// Whether rules and claims were read. Before that a rule may be missing that claims what another would answer.
    pub fn is_synced(&self) -> bool {
        self.table.synced && self.source != RecordSource::Unread
    }

    /// What no other rule could claim is answered before it is recorded.
    fn let_alone(&mut self, table: &RuleTable) {
        let possible = Possible::new(table);
        for (kind, (_, metrics)) in &mut self.custom {
            for (name, claims) in metrics {
                let key = ClaimKey {
                    resource: Some(kind.clone()),
                    name: name.clone(),
                };
                claims.let_alone(&key, &possible);
            }
        }
        for (name, claims) in &mut self.external {
            let key = ClaimKey {
                resource: None,
                name: name.clone(),
            };
            claims.let_alone(&key, &possible);
        }
    }

    /// The rule that answers for a metric of objects of a kind, in a request of `namespace` (`None`: root-scoped).
    pub fn custom(&self, resource: &GroupResource, metric: &str, namespace: Option<&str>) -> Option<&Served> {
        self.custom
            .get(resource)?
            .1
            .get(metric)?
            .winner(namespace, &self.table.namespaces)
    }

    /// The rule that answers for an external metric in a request of `namespace`.
    pub fn external(&self, metric: &str, namespace: &str) -> Option<&Served> {
        self.external
            .get(metric)?
            .winner(Some(namespace), &self.table.namespaces)
    }

    /// Whether a metric of objects of a kind is asked for below a namespace, as discovery tells it.
    pub fn is_namespaced(&self, resource: &GroupResource, metric: &str) -> bool {
        let Some((info, metrics)) = self.custom.get(resource) else {
            return false;
        };
        let like_adapter = metrics.get(metric).is_some_and(Claims::like_adapter);
        match info.scope {
            Scope::Namespaced => true,
            Scope::Cluster => like_adapter && !info.is_root(),
        }
    }

    /// Every kind with a metric that some listing has found, and its metrics' names, in order.
    pub fn custom_metrics(&self) -> impl Iterator<Item = (&ResourceInfo, impl Iterator<Item = &Arc<str>>)> {
        self.custom.values().map(|(info, metrics)| (info, found(metrics)))
    }

    /// The names of the external metrics that some listing has found, in order.
    pub fn external_metrics(&self) -> impl Iterator<Item = &Arc<str>> {
        found(&self.external)
    }

    /// The rules that may be what a request for an unknown metric is about: not in force for its namespace, or not listed yet, so
    /// that what they would claim is not known. At most `limit`, in the order of their keys, with the reason of each.
    pub fn near_misses(
        &self,
        sought: &ClaimKey,
        namespace: Option<&str>,
        limit: usize,
    ) -> Vec<(&RuleKey, Reason)> {
        let rules = self.table.rules.iter();
        let near = rules.filter_map(|rule| {
            // A reach that cannot be read may be any.
            let covers = rule.scope.covers(namespace, &self.table.namespaces)
                || !rule.reach_is_known && !rule.is_namespaced();
            if !covers || !may_be_about(rule, sought, &self.table.resources) {
                return None;
            }
            let refusal = rule.refusal().map(|problem| problem.reason);
            let refusal = refusal.or_else(|| {
                let problem = self.table.check_backend(rule, namespace).err()?;
                Some(problem.reason)
            });
            let unlisted = || {
                let entry = self.entries.get(rule.key())?;
                let claims_nothing = !self.claimed.contains_key(rule.key());
                match entry.listing {
                    Listing::Failed { reason, .. } if claims_nothing => Some(reason),
                    Listing::Pending | Listing::Edited { .. } if claims_nothing => Some(Reason::NotSynced),
                    _ => None,
                }
            };
            Some((rule.key(), refusal.or_else(unlisted)?))
        });
        near.take(limit).collect()
    }

    /// The namespaces whose `MetricRule`s make a metric of a kind; none where a `ClusterMetricRule` does.
    pub fn custom_owners(&self, resource: &GroupResource, metric: &str) -> Vec<&str> {
        let claims = self
            .custom
            .get(resource)
            .and_then(|(_, metrics)| metrics.get(metric));
        claims.map(Claims::owners).unwrap_or_default()
    }

    /// The same for an external metric.
    pub fn external_owners(&self, metric: &str) -> Vec<&str> {
        self.external.get(metric).map(Claims::owners).unwrap_or_default()
    }

    /// The metrics that `before` had and that a limit of their rule has cut off since: others have lower names.
    pub fn cut_off_since<'a>(&'a self, before: &'a Self) -> Vec<(&'a RuleKey, Vec<&'a str>)> {
        let names = |entry: &'a Entry| -> BTreeSet<&'a str> {
            entry.metrics.metrics.iter().map(|metric| &*metric.name).collect()
        };
        let cut = |(key, entry): (&'a RuleKey, &'a Entry)| {
            let former = before.entries.get(key)?;
            if Arc::ptr_eq(&former.metrics, &entry.metrics)
                || !entry.metrics.discovered.dropped.contains_key(&Reason::Truncated)
            {
                return None;
            }
            let last = entry.metrics.metrics.iter().map(|metric| &*metric.name).max()?;
            // One with a lower name is gone by itself.
            let gone = names(former).into_iter().filter(|name| *name > last);
            Some((key, gone.collect::<Vec<_>>())).filter(|(_, gone)| !gone.is_empty())
        };
        self.entries.iter().filter_map(cut).collect()
    }

    /// The place of one rule.
    pub fn entry(&self, key: &RuleKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// All rules' places, in the order of their keys.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// What a rule lost to others.
    pub fn conflict(&self, key: &RuleKey) -> Option<&Conflict> {
        self.conflicts.get(key)
    }

    fn claims_of(&mut self, metric: &Metric) -> &mut Claims {
        let metrics = match &metric.subject {
            Subject::Object { resource, .. } => {
                let (_, metrics) = self
                    .custom
                    .entry(resource.group_resource.clone())
                    .or_insert_with(|| ((**resource).clone(), BTreeMap::new()));
                metrics
            }
            Subject::External => &mut self.external,
        };
        metrics.entry(metric.name.clone()).or_default()
    }
}

/// The names that some listing, of whatever age, has found: what a spec merely says is no metric yet.
fn found(metrics: &BTreeMap<Arc<str>, Claims>) -> impl Iterator<Item = &Arc<str>> {
    metrics
        .iter()
        .filter(|(_, claims)| claims.were_found())
        .map(|(name, _)| name)
}
