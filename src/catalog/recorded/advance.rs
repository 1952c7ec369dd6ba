//! Next record of claims: what the leader's listings make of the last one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{ClaimKey, Origin, Record, RecordedClaim, RecordedRule};
use crate::{
    catalog::{
        Catalog, Entry, Listing,
        possible::{Made, label_now, made},
    },
    resource::Resources,
    rule::{CompiledRule, naming::Source},
};

/// A record, and when time alone changes it next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advanced {
    /// The record.
    pub record: Record,
    /// When the next claim ends, if its series stay away.
    pub expires: Option<Timestamp>,
}

/// What `catalog`, the leader's own, makes of `record` at `now`. Where the rules have not been read the record stays.
pub fn advance(record: &Record, catalog: &Catalog, now: Timestamp) -> Advanced {
    if !catalog.table.synced {
        return Advanced {
            record: record.clone(),
            expires: None,
        };
    }
    let mut next = Advanced::default();
    for rule in catalog.table.rules.iter() {
        let known = record.rules.get(rule.object.uid.as_str());
        let found = catalog.entry(rule.key()).filter(|entry| is_good(entry, rule));
        let recorded = match (found, Origin::of(rule)) {
            (Some(entry), Some(origin)) => {
                let claims = claims(rule, entry, known, &catalog.table.resources, now);
                let ends = claims.values().filter_map(|claim| end(rule, claim));
                next.expires = ends.chain(next.expires).min();
                let new = recorded(rule, origin, claims);
                // What is the same stays the same object, so that nobody works it out again.
                Some(match known {
                    Some(known) if **known == new => known.clone(),
                    _ => Arc::new(new),
                })
            }
            _ => known.cloned(),
        };
        if let Some(recorded) = recorded {
            next.record
                .rules
                .insert(rule.object.uid.as_str().into(), recorded);
        }
    }
    next
}

/// Whether `entry` tells what `rule`, as it is now, makes of the series of a listing that succeeded.
fn is_good(entry: &Entry, rule: &Arc<CompiledRule>) -> bool {
    let is_static = rule
        .naming
        .as_ref()
        .is_some_and(|naming| matches!(naming.source, Source::Static { .. }));
    // Where it cannot be read for whom the rule is, what was recorded last says it, and stays as it is.
    rule.reach_is_known
        && Arc::ptr_eq(&entry.metrics.rule, rule)
        && match entry.listing {
            Listing::Current => true,
            Listing::NotNeeded => is_static,
            Listing::Pending | Listing::Edited { .. } | Listing::Failed { .. } => false,
        }
}

fn recorded(rule: &CompiledRule, origin: Origin, claims: BTreeMap<ClaimKey, RecordedClaim>) -> RecordedRule {
    let spec = rule.object.spec.as_ref().ok();
    RecordedRule {
        key: rule.key().clone(),
        generation: rule.object.generation,
        origin,
        priority: rule.priority,
        selector: spec.and_then(|spec| spec.namespace_selector.clone()),
        claims,
        cut: false,
    }
}

fn claims(
    rule: &CompiledRule,
    entry: &Entry,
    known: Option<&Arc<RecordedRule>>,
    resources: &Resources,
    now: Timestamp,
) -> BTreeMap<ClaimKey, RecordedClaim> {
    let found = entry.metrics.metrics.iter();
    let mut claims: BTreeMap<ClaimKey, RecordedClaim> = found
        .map(|metric| (ClaimKey::of(metric), RecordedClaim::of(metric)))
        .collect();
    let gone = known.into_iter().flat_map(|known| &known.claims);
    let (mut kept, mut idle) = (Vec::new(), Vec::new());
    for (key, claim) in gone.filter(|(key, _)| !claims.contains_key(key)) {
        let exists = key
            .resource
            .as_ref()
            .is_none_or(|kind| resources.resolve(kind).is_some());
        if !exists {
            // A kind that discovery left out for a moment is no word on the rule.
            kept.push((key.clone(), claim.clone()));
            continue;
        }
        // Another leader's clock may have gone ahead of this one, and a hand may have written anything.
        let since = claim
            .idle_since
            .filter(|since| (0..=now.as_second()).contains(since));
        let idled = RecordedClaim {
            idle_since: Some(since.unwrap_or(now.as_second())),
            ..claim.clone()
        };
        let is_made = match made(rule, key, claim, resources) {
            Made::Metric(name) => name == key.name,
            // By another label than the one that was recorded, of which a series that is gone tells nothing.
            Made::Perhaps(name) => name == key.name && !has_series(entry, &claim.series),
            Made::Nothing => false,
        };
        let idled = match label_now(rule, key, claim, resources) {
            Some(label) if is_made => RecordedClaim { label, ..idled },
            _ => idled,
        };
        let lasts = if is_made {
            end(rule, &idled).is_none_or(|end| now < end)
        } else {
            // A spec that is not accepted gives no name up.
            !rule.refusals.is_empty()
        };
        if lasts {
            idle.push((key.clone(), idled));
        }
    }
    keep_latest(rule, &mut idle);
    claims.extend(kept.into_iter().chain(idle));
    claims
}

/// Whether a series of that name was listed, and passed filters and `name`.
fn has_series(entry: &Entry, series: &str) -> bool {
    let metrics = &entry.metrics;
    metrics.nobodys.contains(series) || metrics.metrics.iter().any(|metric| *metric.series == *series)
}

/// Names that come and go must not pile up: of the idle ones as many stay as the rule may have metrics, the latest first.
fn keep_latest(rule: &CompiledRule, idle: &mut Vec<(ClaimKey, RecordedClaim)>) {
    let limit = match rule.limits.max_metrics {
        0 => return,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    if idle.len() <= limit {
        return;
    }
    idle.sort_by(|(a, left), (b, right)| right.idle_since.cmp(&left.idle_since).then_with(|| a.cmp(b)));
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    idle.retain(|(key, _)| {
        names.contains(&key.name) || names.len() < limit && names.insert(key.name.clone())
    });
}

/// When an idle claim ends, if it does.
fn end(rule: &CompiledRule, claim: &RecordedClaim) -> Option<Timestamp> {
    let since = Timestamp::from_second(claim.idle_since?).ok()?;
    since.checked_add(rule.retain?).ok()
}
