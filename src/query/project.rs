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
    let mut foreign = 0;
    for row in ordered(plan, rows) {
        match checked(plan, row, Some(label), at, &mut foreign) {
            Ok(Some(name)) => found.entry(name).or_default().push(row),
            Ok(None) => {}
            Err(reason) => tally.drop_rows(reason, 1),
        }
    }
    let like_adapter = plan.served.rule.like_adapter();
    let mut warnings = rows.warnings.clone();
    warnings.extend(foreign_rows(foreign));
    let mut doubled = Vec::new();
    let mut items = Vec::with_capacity(found.len());
    let mut refused = None;
    for (name, rows) in &found {
        if rows.len() > 1 {
            let extra = rows.len() - 1;
            tally.drop_rows(Reason::DuplicateRows, u64::try_from(extra).unwrap_or(u64::MAX));
            doubled.push((name, rows.len()));
        }
        // Which is served is said in the warning below.
        let served = if like_adapter { rows.last() } else { rows.first() };
        let Some(row) = served else { continue };
        match value(plan, row, &mut tally) {
            Value::Finite { milli, clamped } => {
                tally.clamped += u64::from(clamped);
                // prometheus-adapter says when it was asked (`metricFor`, `pkg/custom-provider/provider.go`).
                let timestamp = if like_adapter { at } else { row.timestamp };
                items.push(item(plan, resource, name, milli, timestamp));
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
        let served = if like_adapter {
            "the last of the answer"
        } else {
            "the first in the order of their labels"
        };
        warnings.push(format!(
            "{rows} rows for {} {name}{also}; {served} is served: add `by (<<.GroupBy>>)`",
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
    let mut foreign = 0;
    // `convertScalar`, `pkg/external-provider/metric_converter.go`, sets no labels, which become null.
    let unlabelled = rows.scalar && plan.served.rule.like_adapter();
    for row in ordered(plan, rows) {
        if let Err(reason) = checked(plan, row, None, at, &mut foreign) {
            tally.drop_rows(reason, 1);
            continue;
        }
        match value(plan, row, &mut tally) {
            Value::Finite { milli, clamped } => {
                tally.clamped += u64::from(clamped);
                items.push(ExternalItem {
                    labels: (!unlabelled).then(|| row.labels.clone()),
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
    let mut warnings = rows.warnings.clone();
    warnings.extend(foreign_rows(foreign));
    Ok(Answer {
        items,
        window: plan.served.rule.window,
        tally,
        warnings,
    })
}

/// The rows in the order that decides: of their labels, or for prometheus-adapter's rules of the answer.
fn ordered<'a>(plan: &Plan, rows: &'a InstantVector) -> Vec<&'a Sample> {
    if plan.served.rule.like_adapter() {
        rows.samples.iter().collect()
    } else {
        rows.by_labels()
    }
}

fn foreign_rows(rows: u64) -> Option<String> {
    (rows > 0).then(|| {
        format!(
            "{rows} rows carry another namespace than the one asked for and are served all the same, as \
             prometheus-adapter does: does the query keep <<.LabelMatchers>>?"
        )
    })
}

/// The row check: the object must be one that was asked for, and a row that says its namespace must say the right one.
///
/// A `ClusterMetricRule` in prometheus-adapter's semantics lets rows of other namespaces pass, counted in `foreign`, and rows
/// of any age.
fn checked<'a>(
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

fn value(plan: &Plan, row: &Sample, tally: &mut Tally) -> Value {
    let like_adapter = plan.served.rule.like_adapter();
    if row.value.is_nan() {
        // `metricFor`, `pkg/custom-provider/provider.go`; what it makes of an external NaN depends on the processor.
        return if like_adapter && plan.subject.is_some() {
            Value::Finite {
                milli: Milli::ZERO,
                clamped: false,
            }
        } else {
            Value::None
        };
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
    let milli = if like_adapter {
        Milli::truncate_f64(number)
    } else {
        Milli::from_f64(number)
    };
    match milli {
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
    // prometheus-adapter repeats the namespace of the path (`metricFor`, `pkg/custom-provider/provider.go`).
    let namespaced = resource.scope == Scope::Namespaced || plan.served.rule.like_adapter();
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
    Failure::new(Reason::NoData, cause)
        .after(plan.sought.clone())
        .in_words_of(&plan.served.rule)
}
