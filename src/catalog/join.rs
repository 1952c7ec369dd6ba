//! Claims of one rule: what is recorded of it, what this replica has listed, and what its spec says literally.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    ClaimKey, Entry, Listing, Metric, Served, Standing, Subject,
    claims::Claim,
    possible::{Made, literal, made},
    recorded::{Origin, RecordSource, Recorded, RecordedClaim, RecordedRule},
};
use crate::{
    resource::{GroupResource, ResourceInfo},
    rule::{CompiledRule, NamespaceScope, RuleTable, naming::Source},
};

/// The claims of many rules, and the kinds that they share.
pub(super) struct Join<'a> {
    table: &'a RuleTable,
    recorded: &'a Recorded,
    kinds: BTreeMap<GroupResource, Option<Arc<ResourceInfo>>>,
}

// === impl Join ===

impl<'a> Join<'a> {
    pub(super) fn new(table: &'a RuleTable, recorded: &'a Recorded) -> Self {
        Self {
            table,
            recorded,
            kinds: BTreeMap::new(),
        }
    }

    /// The claims of `rule`. Each is its own whatever becomes of the rule; the standing says whether it is answered.
    pub(super) fn claims(&mut self, rule: &Arc<CompiledRule>, entry: Option<&Entry>) -> Vec<Claim> {
        let (table, recorded) = (self.table, self.recorded);
        let known = recorded.record.rules.get(rule.object.uid.as_str());
        let known = known.map(|known| &**known);
        let rule = &reached(rule, known);
        let origin = Origin::of(rule);
        let is_current = known.is_some_and(|known| Some(known.origin) == origin);
        let mut claims: BTreeMap<ClaimKey, Claim> = BTreeMap::new();
        let mut add = |by: &Arc<CompiledRule>, metric: Metric, standing| {
            claims.entry(ClaimKey::of(&metric)).or_insert_with(|| Claim {
                rule: rule.clone(),
                served: Served {
                    rule: by.clone(),
                    metric,
                    standing,
                },
            });
        };
        let is_left_out = known.map_or_else(
            || recorded.record.crowded.contains(&rule.key().namespace),
            |known| known.cut,
        );
        // What was listed here, and the spec that makes it.
        let (by, listed) = match entry.map(|entry| (&entry.listing, &entry.metrics)) {
            Some((Listing::Edited { former }, _)) => (&former.rule, &former.metrics[..]),
            Some((_, present)) => (rule, &present.metrics[..]),
            None => (rule, &[][..]),
        };
        let failure = entry.and_then(|entry| match &entry.listing {
            Listing::Failed { reason, .. } => Some(*reason),
            _ => None,
        });
        let mut perhaps = Vec::new();
        for (key, claim) in known.filter(|_| is_current).map_or_else(Vec::new, in_order(rule)) {
            // The listing is that of this very selector, so the spec alone says what the name is now: on every replica at once.
            let (name, is_certain) = match made(rule, key, claim, &table.resources) {
                Made::Nothing => continue,
                Made::Metric(name) => (name, true),
                Made::Perhaps(name) => (name, false),
            };
            let Some(metric) = self.metric(&ClaimKey { name, ..key.clone() }, claim) else {
                continue;
            };
            if is_certain {
                add(rule, metric, Standing::Answers);
            } else {
                perhaps.push(metric);
            }
        }
        // A name that an accepted spec gives up is given up; while it cannot be read, nothing is.
        let given_up = is_current && rule.refusals.is_empty();
        // What is found here but recorded for another spec is the rule's either way, and can be answered. A name that was given
        // up, and that another series has now, is a find like any other.
        for metric in listed {
            let key = ClaimKey::of(metric);
            let is_kept = !given_up || perhaps.iter().any(|metric| ClaimKey::of(metric) == key);
            let is_recorded = is_kept && known.is_some_and(|known| known.claims.contains_key(&key));
            let alone = recorded.source == RecordSource::Own || is_left_out;
            let standing = if is_recorded || alone || is_static(rule) {
                Standing::Answers
            } else {
                Standing::Unrecorded
            };
            add(by, metric.clone(), standing);
        }
        // A label was edited: whether the series have the new one as well the record does not tell.
        for metric in perhaps {
            add(rule, metric, Standing::Edited(failure));
        }
        for (key, claim) in known
            .into_iter()
            .filter(|_| !given_up)
            .flat_map(|known| &known.claims)
        {
            if let Some(metric) = self.metric(key, claim) {
                add(rule, metric, Standing::Edited(failure));
            }
        }
        let is_listed_here = recorded.source == RecordSource::Own
            && entry.is_some_and(|entry| matches!(entry.listing, Listing::Current));
        let is_recorded = is_current || known.is_some_and(|known| known.generation == rule.object.generation);
        if !is_recorded && !is_listed_here {
            for metric in literal(rule, &table.resources) {
                add(rule, metric, Standing::Unlisted(failure));
            }
        }
        claims.into_values().collect()
    }

    /// The metric that a recorded claim is about; `None` where the cluster does not have its kind now.
    fn metric(&mut self, key: &ClaimKey, claim: &RecordedClaim) -> Option<Metric> {
        let subject = match &key.resource {
            None => Subject::External,
            Some(kind) => {
                let resources = &self.table.resources;
                let info = self
                    .kinds
                    .entry(kind.clone())
                    .or_insert_with(|| resources.resolve(kind).cloned().map(Arc::new));
                Subject::Object {
                    resource: info.clone()?,
                    label: claim.label.clone(),
                }
            }
        };
        Some(Metric {
            name: key.name.clone(),
            series: claim.series.clone(),
            subject,
        })
    }
}

/// The claims of a record in the order in which `rule` takes them where it makes one metric of several series: what is there
/// before what is gone, then as a listing decides it.
fn in_order<'k>(rule: &CompiledRule) -> impl Fn(&'k RecordedRule) -> Vec<(&'k ClaimKey, &'k RecordedClaim)> {
    let keeps_last = rule.like_adapter();
    move |known| {
        let mut claims: Vec<_> = known.claims.iter().collect();
        claims.sort_by(|(_, a), (_, b)| {
            let by_series = a.series.cmp(&b.series);
            let by_series = if keeps_last {
                by_series.reverse()
            } else {
                by_series
            };
            (a.idle_since.is_some().cmp(&b.idle_since.is_some())).then(by_series)
        });
        claims
    }
}

/// The rule with the reach that it had when it was last listed, where its spec does not say one.
fn reached(rule: &Arc<CompiledRule>, known: Option<&RecordedRule>) -> Arc<CompiledRule> {
    let Some(known) = known.filter(|_| !rule.reach_is_known) else {
        return rule.clone();
    };
    let scope = match rule.key().namespace {
        Some(_) => rule.scope.clone(),
        None => NamespaceScope::from_label_selector("", known.selector.as_ref())
            .unwrap_or_else(|_| rule.scope.clone()),
    };
    let priority = match &rule.object.spec {
        Ok(_) => rule.priority,
        Err(_) => known.priority,
    };
    Arc::new(CompiledRule {
        priority,
        scope,
        ..(**rule).clone()
    })
}

fn is_static(rule: &CompiledRule) -> bool {
    rule.naming
        .as_ref()
        .is_some_and(|naming| matches!(naming.source, Source::Static { .. }))
}
