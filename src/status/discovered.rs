//! Discovery in a rule's status: the condition `Discovered`, and the counts beside it.

use super::{DesiredCondition, backend, bounded, condition};
use crate::{
    api::rule_status::{Discovered, DiscoveredSample, Dropped, RuleCondition},
    catalog::{Entry, Listing},
    reason::Reason,
    rule::CompiledRule,
};

/// What became of the last listing of the series of `rule`; without an `entry` none is known yet.
pub(super) fn discovered_condition(rule: &CompiledRule, entry: Option<&Entry>) -> DesiredCondition {
    let kind = RuleCondition::Discovered;
    let Some(entry) = entry.filter(|_| rule.naming.is_some()) else {
        let message = if rule.naming.is_none() {
            "the operator lists no series until the rule is accepted"
        } else {
            "the operator is listing the series"
        };
        return condition(kind, None, Reason::Pending, message);
    };
    let found = &entry.metrics.discovered;
    match &entry.listing {
        Listing::NotNeeded if rule.listed().is_some() => condition(
            kind,
            None,
            Reason::Pending,
            "the operator lists no series until the rule is accepted and its backend exists",
        ),
        Listing::NotNeeded => condition(
            kind,
            Some(true),
            Reason::Static,
            "the rule has no seriesQuery; spec.name.as is the name of its metric",
        ),
        Listing::Pending | Listing::Edited { .. } => {
            condition(kind, None, Reason::Pending, "the operator is listing the series")
        }
        Listing::Failed { reason, message } => {
            let kept = if found.series > 0 {
                "; the operator keeps the series of the last successful listing"
            } else {
                ""
            };
            let message = backend::named(rule, *reason, message);
            condition(kind, Some(false), *reason, format!("{message}{kept}"))
        }
        Listing::Current if found.series == 0 => condition(
            kind,
            Some(false),
            Reason::NoSeries,
            "the backend has no series for spec.seriesQuery within spec.discovery.lookback",
        ),
        Listing::Current if found.metrics == 0 => {
            let message = format!(
                "{} series were found, but none of them makes a metric: {}",
                found.series,
                dropped_text(entry)
            );
            condition(kind, Some(false), Reason::NoSeries, message)
        }
        Listing::Current if found.dropped.contains_key(&Reason::Truncated) => {
            let message = format!(
                "{} series make {} metrics within spec.limits; the rest was cut off: {}",
                found.series,
                found.metrics,
                dropped_text(entry)
            );
            condition(kind, Some(true), Reason::Truncated, message)
        }
        Listing::Current => {
            let message = format!("{} series make {} metrics", found.series, found.metrics);
            condition(kind, Some(true), Reason::Discovered, message)
        }
    }
}

/// What the last good listing found; `None` before there is one.
pub(super) fn counts(entry: &Entry) -> Option<Discovered> {
    let found = &entry.metrics.discovered;
    let is_known = match entry.listing {
        Listing::Pending | Listing::Edited { .. } => false,
        Listing::Failed { .. } => found.series > 0,
        Listing::NotNeeded | Listing::Current => true,
    };
    if !is_known {
        return None;
    }
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let dropped = found.dropped.iter().map(|(reason, dropped)| Dropped {
        reason: *reason,
        count: count(*dropped),
    });
    let sample = found
        .sample
        .iter()
        .map(|(series, metric, resource)| DiscoveredSample {
            series: (!series.is_empty()).then(|| bounded(series.to_string())),
            metric: metric.to_string(),
            resource: resource.as_ref().map(ToString::to_string),
        });
    Some(Discovered {
        series: count(found.series),
        metrics: count(found.metrics),
        dropped: dropped.collect(),
        sample: sample.collect(),
    })
}

fn dropped_text(entry: &Entry) -> String {
    let dropped = entry.metrics.discovered.dropped.iter();
    let dropped: Vec<String> = dropped
        .map(|(reason, count)| format!("{count} {}", reason.code()))
        .collect();
    dropped.join(", ")
}
