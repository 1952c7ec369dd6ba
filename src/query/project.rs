//! Projection: from a backend's rows to the items of the reply, with a verdict on every row.

mod failures;
mod rows;
mod sum;

use std::sync::Arc;

use jiff::Timestamp;
use language::quantity::Milli;

use self::{
    failures::{lacking, missing, no_data, overflow, refusal},
    rows::{Row, Rows, Valued},
    sum::Share,
};
use super::{CustomItem, ExternalItem, Failure, Items, Plan, RowVerdict, Tally};
use crate::{
    api::rule_spec::{MissingRows, NegativePolicy},
    reason::Reason,
    resource::{ResourceInfo, Scope},
    sample::InstantVector,
};

/// What the rows of an answer come to.
#[derive(Clone, Debug)]
pub struct Projection {
    /// The items of the reply, or why there is none.
    pub items: Result<Items, Failure>,
    /// What became of each row, in the order of the answer.
    pub verdicts: Vec<RowVerdict>,
    /// What the platform's log should say about the rule, in words.
    pub warnings: Vec<String>,
}

/// The items of a request. `at` is the instant that the query was evaluated for.
///
/// For an object that was asked for by name the items are a failure without a row (`NoData`), for ±Inf (`NotFinite`) and, as
/// the rule says, for a value below 0 (`NegativeValue`). A list leaves such objects out, and those whose value is too large to
/// be added up with the others'; but a rule that makes negative values an error means the whole list.
///
/// An HPA adds up the items of an external metric, so one that cannot be added fails the request (`NotFinite`, `NegativeValue`),
/// and so do rows that are missing (`MissingRows`), unless the rule accepts that.
pub fn project(plan: &Plan, rows: &InstantVector, at: Timestamp) -> Projection {
    let mut judged = Rows::new(plan, rows, at);
    let items = match &plan.subject {
        Some((resource, label)) => objects(&mut judged, resource, label).map(Items::Custom),
        None => values(&mut judged).map(Items::External),
    };
    Projection {
        items,
        verdicts: judged.verdicts,
        warnings: judged.warnings,
    }
}

// === impl Projection ===

impl Projection {
    /// The verdicts added up.
    pub fn tally(&self) -> Tally {
        self.verdicts.iter().collect()
    }
}

fn objects(rows: &mut Rows<'_>, resource: &ResourceInfo, label: &str) -> Result<Vec<CustomItem>, Failure> {
    let plan = rows.plan;
    let own = rows.own(|row| {
        let name = row.labels.get(label).and_then(|name| plan.names.get(name));
        name.ok_or(Reason::ForeignObject)
    });
    let single = one_for_each(rows, own, resource);
    let (mut values, refused) = rows.values(single, plan.served.rule.negative);
    let share = leave_out(rows, &mut values);
    rows.clamp(&values);
    if plan.by_name && values.is_empty() {
        return Err(match (refused, share) {
            (Some(reason), _) => refusal(plan, reason),
            (None, Some(share)) => overflow(plan, share),
            (None, None) => no_data(plan, label, rows.answer, &rows.tally()),
        });
    }
    if rows.tally().dropped(Reason::NegativeValue) > 0 {
        return Err(refusal(plan, Reason::NegativeValue));
    }
    let like_adapter = plan.served.rule.like_adapter();
    let kind: Arc<str> = resource.kind.as_str().into();
    let api_version: Arc<str> = format!("{}/{}", resource.group_resource.group, resource.version).into();
    // prometheus-adapter repeats the namespace of the path (`metricFor`, `pkg/custom-provider/provider.go`).
    let namespaced = resource.scope == Scope::Namespaced || like_adapter;
    let namespace = plan.namespace.as_ref().filter(|_| namespaced);
    let items = values.into_iter().map(|Valued { row, addend }| CustomItem {
        kind: kind.clone(),
        api_version: api_version.clone(),
        namespace: namespace.cloned(),
        name: row.of.clone(),
        value: addend.milli,
        // It says when it was asked (`metricFor` as well).
        timestamp: if like_adapter {
            rows.at
        } else {
            row.sample.timestamp
        },
    });
    Ok(items.collect())
}

/// Of several rows for one object the one that is served: the first in the order of their labels, or the last of the answer
/// by prometheus-adapter's semantics.
fn one_for_each<'a>(
    rows: &mut Rows<'_>,
    mut own: Vec<Row<'a, &'a Arc<str>>>,
    resource: &ResourceInfo,
) -> Vec<Row<'a, &'a Arc<str>>> {
    let like_adapter = rows.plan.served.rule.like_adapter();
    own.sort_by_key(|row| row.of);
    let mut single = Vec::with_capacity(own.len());
    let mut doubled = Vec::new();
    for same in own.chunk_by(|a, b| a.of == b.of) {
        let (served, others) = match same {
            [others @ .., last] if like_adapter => (last, others),
            [first, others @ ..] => (first, others),
            [] => continue,
        };
        for row in others {
            rows.drop(row.index, Reason::DuplicateRows);
        }
        if !others.is_empty() {
            doubled.push((served.of, same.len()));
        }
        single.push(*served);
    }
    // One sentence, however many objects there are.
    if let [(name, count), others @ ..] = doubled.as_slice() {
        let also = match others.len() {
            0 => String::new(),
            others => format!(" and more than one for {others} others"),
        };
        let served = if like_adapter {
            "the last of the answer"
        } else {
            "the first in the order of their labels"
        };
        rows.warnings.push(format!(
            "{count} rows for {} {name}{also}; {served} is served: add `by (<<.GroupBy>>)`",
            resource.group_resource
        ));
    }
    single
}

/// Leaves out the values that are too large for their sum: an HPA adds up whichever of them it likes.
fn leave_out<T>(rows: &mut Rows<'_>, values: &mut Vec<Valued<'_, T>>) -> Option<Share> {
    let share = Share::of(values.iter().map(|value| value.addend), rows.plan.target)?;
    let before = values.len();
    values.retain(|value| {
        let holds = share.holds(value.addend);
        if !holds {
            rows.drop(value.row.index, Reason::NotFinite);
        }
        holds
    });
    let left_out = before - values.len();
    rows.warnings.push(format!(
        "{left_out} values are left out, because they {}",
        share.fault
    ));
    Some(share)
}

fn values(rows: &mut Rows<'_>) -> Result<Vec<ExternalItem>, Failure> {
    let plan = rows.plan;
    let rule = &plan.served.rule;
    // `Zero` is for the sum, which is not known yet.
    let negative = match rule.negative {
        NegativePolicy::Zero => NegativePolicy::Pass,
        policy => policy,
    };
    let own = rows.own(|_| Ok(()));
    let (values, refused) = rows.values(own, negative);
    if let Some(reason) = refused {
        return Err(refusal(plan, reason));
    }
    // Where nothing is served, nothing is served as whole.
    if let Some(missing) = missing(rows.answer, &rows.tally()).filter(|_| !values.is_empty()) {
        if rule.missing_rows == MissingRows::Fail {
            return Err(lacking(plan, &missing));
        }
        rows.warnings.push(format!(
            "the answer lacks rows, which `missingRows` accepts: {missing}"
        ));
    }
    let addends = || values.iter().map(|value| value.addend);
    let is_zero = rule.negative == NegativePolicy::Zero && sum::total(addends()) < 0;
    if !is_zero {
        if let Some(share) = Share::of(addends(), plan.target) {
            return Err(overflow(plan, share));
        }
        rows.clamp(&values);
    }
    // `convertScalar`, `pkg/external-provider/metric_converter.go`, sets no labels, which become null.
    let unlabelled = rows.answer.scalar && rule.like_adapter();
    let items = values.into_iter().map(|Valued { row, addend }| ExternalItem {
        labels: (!unlabelled).then(|| row.sample.labels.clone()),
        value: if is_zero { Milli::ZERO } else { addend.milli },
        timestamp: row.sample.timestamp,
    });
    let mut items: Vec<ExternalItem> = items.collect();
    // An HPA takes a sum below 0 for an overflow, also one of the first rows alone (`GetExternalPerPodMetricReplicas`).
    if !rule.like_adapter() || rule.negative == NegativePolicy::Zero {
        items.sort_by_key(|item| item.value < Milli::ZERO);
    }
    Ok(items)
}
