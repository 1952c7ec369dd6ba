//! From a backend's rows to the reply: the row check, values, one item for each object.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use super::{Answer, CustomItem, ExternalItem, Failure, Plan, Tally};
use crate::{
    api::rule_spec::NegativePolicy,
    language::quantity::Milli,
    reason::Reason,
    resource::{ResourceInfo, Scope},
    sample::{InstantVector, Sample},
};

/// A row this much older than the evaluation is no answer to it.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// What a row's number is worth.
enum Value {
    Finite {
        milli: Milli,
        clamped: bool,
    },
    /// NaN: no data.
    None,
    /// ±Inf, or a negative number where the rule makes that an error.
    Refused(Reason),
}

/// The items of a request for objects. `at` is the instant that the query was evaluated for.
///
/// # Errors
///
/// For an object asked for by name: `NoData` without a row, `NotFinite` for ±Inf, `NegativeValue` as the rule says.
pub fn project_custom(
    plan: &Plan,
    rows: &InstantVector,
    at: Timestamp,
) -> Result<Answer<CustomItem>, Failure> {
    let Some((resource, label)) = &plan.subject else {
        return Err(Failure::new(Reason::Internal, "the plan has no kind of objects"));
    };
    let mut tally = Tally::default();
    let mut found: BTreeMap<&Arc<str>, Vec<&Sample>> = BTreeMap::new();
    for row in &rows.samples {
        match checked(plan, row, Some(label), at) {
            Ok(Some(name)) => found.entry(name).or_default().push(row),
            Ok(None) => {}
            Err(reason) => tally.drop_rows(reason, 1),
        }
    }
    let mut warnings = rows.warnings.clone();
    let mut doubled = Vec::new();
    let mut items = Vec::with_capacity(found.len());
    let mut refused = None;
    for (name, rows) in &found {
        if rows.len() > 1 {
            let extra = rows.len() - 1;
            tally.drop_rows(Reason::DuplicateRows, u64::try_from(extra).unwrap_or(u64::MAX));
            doubled.push((name, rows.len()));
        }
        let Some(row) = rows.first() else { continue };
        match value(plan, row, &mut tally) {
            Value::Finite { milli, clamped } => {
                tally.clamped += u64::from(clamped);
                items.push(item(plan, resource, name, milli, row.timestamp));
            }
            Value::None => tally.drop_rows(Reason::NoData, 1),
            Value::Refused(reason) => {
                tally.drop_rows(reason, 1);
                refused = Some(reason);
            }
        }
    }
    // One sentence, however many objects there are.
    if let [(name, rows), others @ ..] = doubled.as_slice() {
        let also = match others.len() {
            0 => String::new(),
            others => format!(" and more than one for {others} others"),
        };
        warnings.push(format!(
            "{rows} rows for {} {name}{also}; the first in the order of their labels is served: add `by (<<.GroupBy>>)`",
            resource.group_resource
        ));
    }
    if plan.by_name && items.is_empty() {
        let failure = match refused {
            Some(reason) => refusal(plan, reason),
            None => no_data(plan, rows, label, &tally),
        };
        return Err(failure.counting(tally));
    }
    // A list leaves ±Inf out, but a rule that makes negative values an error means the whole request.
    if refused == Some(Reason::NegativeValue) {
        return Err(refusal(plan, Reason::NegativeValue).counting(tally));
    }
    Ok(Answer {
        items,
        window: plan.served.rule.window,
        tally,
        warnings,
    })
}

/// The items of a request for an external metric; an HPA adds them up, so one that is not finite fails the request.
///
/// # Errors
///
/// `NotFinite` for ±Inf, `NegativeValue` as the rule says.
pub fn project_external(
    plan: &Plan,
    rows: &InstantVector,
    at: Timestamp,
) -> Result<Answer<ExternalItem>, Failure> {
    let mut tally = Tally::default();
    let mut items = Vec::with_capacity(rows.samples.len());
    for row in &rows.samples {
        if let Err(reason) = checked(plan, row, None, at) {
            tally.drop_rows(reason, 1);
            continue;
        }
        match value(plan, row, &mut tally) {
            Value::Finite { milli, clamped } => {
                tally.clamped += u64::from(clamped);
                items.push(ExternalItem {
                    labels: row.labels.clone(),
                    value: milli,
                    timestamp: row.timestamp,
                });
            }
            Value::None => tally.drop_rows(Reason::NoData, 1),
            Value::Refused(reason) => {
                tally.drop_rows(reason, 1);
                return Err(refusal(plan, reason).counting(tally));
            }
        }
    }
    Ok(Answer {
        items,
        window: plan.served.rule.window,
        tally,
        warnings: rows.warnings.clone(),
    })
}

/// The row check: the object must be one that was asked for, and a row that says its namespace must say the right one.
fn checked<'a>(
    plan: &'a Plan,
    row: &Sample,
    object_label: Option<&str>,
    at: Timestamp,
) -> Result<Option<&'a Arc<str>>, Reason> {
    if let (Some(label), Some(namespace)) = (&plan.namespace_label, &plan.namespace)
        && row
            .labels
            .get(label)
            .is_some_and(|value| value != namespace.as_ref())
    {
        return Err(Reason::ForeignNamespace);
    }
    if at.duration_since(row.timestamp) > STALE_AFTER {
        return Err(Reason::StaleRow);
    }
    let Some(label) = object_label else {
        return Ok(None);
    };
    let name = row.labels.get(label).and_then(|name| plan.names.get(name));
    name.map(Some).ok_or(Reason::ForeignObject)
}

fn value(plan: &Plan, row: &Sample, tally: &mut Tally) -> Value {
    if row.value.is_nan() {
        return Value::None;
    }
    let number = if row.value < 0.0 {
        tally.negative += 1;
        match plan.served.rule.negative {
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
    match Milli::from_f64(number) {
        Ok(rounded) => Value::Finite {
            milli: rounded.milli,
            clamped: rounded.clamped,
        },
        Err(_) => Value::Refused(Reason::NotFinite),
    }
}

fn item(
    plan: &Plan,
    resource: &ResourceInfo,
    name: &Arc<str>,
    value: Milli,
    timestamp: Timestamp,
) -> CustomItem {
    let namespaced = resource.scope == Scope::Namespaced;
    CustomItem {
        kind: resource.kind.as_str().into(),
        api_version: format!("{}/{}", resource.group_resource.group, resource.version).into(),
        namespace: plan.namespace.clone().filter(|_| namespaced),
        name: name.clone(),
        value,
        timestamp,
    }
}

fn refusal(plan: &Plan, reason: Reason) -> Failure {
    let what = match reason {
        Reason::NegativeValue => "a negative value, which the rule's `negative: Error` refuses",
        _ => "a value that is infinite; a division by zero in the rule's query is the usual cause",
    };
    Failure::new(
        reason,
        format!("the query of the rule {} gave {what}", plan.served.rule.key()),
    )
}

fn no_data(plan: &Plan, rows: &InstantVector, label: &str, tally: &Tally) -> Failure {
    let rule = plan.served.rule.key();
    let dropped = |reason| tally.dropped.get(&reason).copied().unwrap_or(0);
    let cause = if rows.samples.is_empty() {
        format!("the query of the rule {rule} gave no row; there are no samples for this object now")
    } else if dropped(Reason::ForeignNamespace) > 0 {
        format!(
            "the query of the rule {rule} gave rows of another namespace only; does it keep <<.LabelMatchers>>?"
        )
    } else if dropped(Reason::ForeignObject) > 0 {
        format!(
            "the query of the rule {rule} gave {} rows, none with the object's name in the label {label:?}; does it \
             aggregate by (<<.GroupBy>>)?",
            rows.samples.len()
        )
    } else {
        format!("the query of the rule {rule} gave no number for this object (NaN)")
    };
    Failure::new(Reason::NoData, cause).after(plan.sought.clone())
}
