//! One row: whether it belongs to the answer, and what its number is worth.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::sum::Addend;
use crate::{
    api::rule_spec::NegativePolicy,
    language::quantity::{Milli, Rounded},
    query::{Plan, Tally},
    reason::Reason,
    sample::{InstantVector, Sample},
};

/// A row this much older than the evaluation is no answer to it.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// What a row's number is worth.
pub(super) enum Value {
    Finite(Addend),
    /// NaN: no data.
    None,
    /// ±Inf, or a negative number where the rule makes that an error.
    Refused(Reason),
}

/// The rows in the order that decides: of their labels, or for prometheus-adapter's rules of the answer.
pub(super) fn ordered<'a>(plan: &Plan, rows: &'a InstantVector) -> Vec<&'a Sample> {
    if plan.served.rule.like_adapter() {
        rows.samples.iter().collect()
    } else {
        rows.by_labels()
    }
}

/// The warning about rows of other namespaces that are served.
pub(super) fn foreign_rows(rows: u64) -> Option<String> {
    (rows > 0).then(|| {
        format!(
            "{rows} rows belong to another namespace than the request's, and are served anyway, as in \
             prometheus-adapter: check that the query keeps <<.LabelMatchers>>"
        )
    })
}

/// The row check: the object must be one that was asked for, and a row that says its namespace must say the right one.
///
/// A `ClusterMetricRule` in prometheus-adapter's semantics lets rows of other namespaces pass, counted in `foreign`, and rows
/// of any age.
pub(super) fn checked<'a>(
    plan: &'a Plan,
    row: &Sample,
    object_label: Option<&str>,
    at: Timestamp,
    foreign: &mut u64,
) -> Result<Option<&'a Arc<str>>, Reason> {
    let rule = &plan.served.rule;
    let like_adapter = rule.like_adapter();
    let mut is_foreign = false;
    if let (Some(label), Some(namespace)) = (&plan.namespace_label, &plan.namespace)
        && row
            .labels
            .get(label)
            .is_some_and(|value| value != namespace.as_ref())
    {
        if !like_adapter || rule.is_namespaced() {
            return Err(Reason::ForeignNamespace);
        }
        is_foreign = true;
    }
    if !like_adapter && at.duration_since(row.timestamp) > STALE_AFTER {
        return Err(Reason::StaleRow);
    }
    let name = match object_label {
        Some(label) => {
            let name = row.labels.get(label).and_then(|name| plan.names.get(name));
            Some(name.ok_or(Reason::ForeignObject)?)
        }
        None => None,
    };
    *foreign += u64::from(is_foreign);
    Ok(name)
}

/// What the number of a row is worth, where negative ones are dealt with by `negative`.
pub(super) fn value(plan: &Plan, row: &Sample, negative: NegativePolicy, tally: &mut Tally) -> Value {
    let like_adapter = plan.served.rule.like_adapter();
    if row.value.is_nan() {
        // `metricFor`, `pkg/custom-provider/provider.go`; what it makes of an external NaN depends on the processor.
        return if like_adapter && plan.subject.is_some() {
            Value::Finite(Addend {
                milli: Milli::ZERO,
                clamped: false,
            })
        } else {
            Value::None
        };
    }
    let number = if row.value < 0.0 {
        tally.negative += 1;
        match negative {
            NegativePolicy::Pass => row.value,
            NegativePolicy::Zero => 0.0,
            NegativePolicy::Error => return Value::Refused(Reason::NegativeValue),
        }
    } else {
        row.value
    };
    // −Inf is no negative number that may become 0: it is as broken as +Inf.
    if row.value.is_infinite() {
        return Value::Refused(Reason::NotFinite);
    }
    let milli = if like_adapter {
        Milli::truncate_f64(number)
    } else {
        Milli::from_f64(number)
    };
    match milli {
        Ok(Rounded { milli, clamped }) => Value::Finite(Addend { milli, clamped }),
        Err(_) => Value::Refused(Reason::NotFinite),
    }
}
