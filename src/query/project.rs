//! From a backend's rows to the reply: the row check, values, one item for each object.

mod rows;
mod sum;

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use self::{
    rows::{Value, checked, foreign_rows, ordered, value},
    sum::Share,
};
use super::{Answer, CustomItem, ExternalItem, Failure, Plan, Tally};
use crate::{
    api::rule_spec::{MissingRows, NegativePolicy},
    language::quantity::Milli,
    reason::Reason,
    resource::{ResourceInfo, Scope},
    sample::{InstantVector, Sample},
};

/// The items of a request for objects. `at` is the instant that the query was evaluated for.
///
/// # Errors
///
/// For an object asked for by name: `NoData` without a row, `NotFinite` for ±Inf, `NegativeValue` as the rule says. A list
/// leaves such objects out, and those whose value is too large to be added up with the others'.
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
    let (mut items, mut addends) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
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
        match value(plan, row, plan.served.rule.negative, &mut tally) {
            Value::Finite(addend) => {
                // prometheus-adapter says when it was asked (`metricFor`, `pkg/custom-provider/provider.go`).
                let timestamp = if like_adapter { at } else { row.timestamp };
                addends.push(addend);
                items.push(item(plan, resource, name, addend.milli, timestamp));
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
    // An HPA adds up whichever of them it likes.
    let share = Share::of(&addends, plan.target);
    if let Some(share) = share {
        let mut holds = addends.iter().map(|addend| share.holds(addend));
        let before = items.len();
        items.retain(|_| holds.next().unwrap_or(false));
        addends.retain(|addend| share.holds(addend));
        let left_out = before - items.len();
        tally.drop_rows(Reason::NotFinite, u64::try_from(left_out).unwrap_or(u64::MAX));
        warnings.push(format!(
            "{left_out} values are left out, because they {}",
            share.fault
        ));
    }
    tally.clamped += sum::clamped(&addends);
    if plan.by_name && items.is_empty() {
        let failure = match (refused, share) {
            (Some(reason), _) => refusal(plan, reason),
            (None, Some(share)) => overflow(plan, share),
            (None, None) => no_data(plan, rows, label, &tally),
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

/// The items of a request for an external metric. An HPA adds them up, so one that cannot be added fails the request, and so
/// do rows that are missing, unless the rule accepts that.
///
/// # Errors
///
/// `NotFinite` for ±Inf and for a sum that overflows, `MissingRows` and `NegativeValue` as the rule says.
pub fn project_external(
    plan: &Plan,
    rows: &InstantVector,
    at: Timestamp,
) -> Result<Answer<ExternalItem>, Failure> {
    let rule = &plan.served.rule;
    let mut tally = Tally::default();
    let (mut items, mut addends) = (
        Vec::with_capacity(rows.samples.len()),
        Vec::with_capacity(rows.samples.len()),
    );
    let mut foreign = 0;
    // `convertScalar`, `pkg/external-provider/metric_converter.go`, sets no labels, which become null.
    let unlabelled = rows.scalar && rule.like_adapter();
    // `Zero` is for the sum, which is not known yet.
    let negative = match rule.negative {
        NegativePolicy::Zero => NegativePolicy::Pass,
        policy => policy,
    };
    for row in ordered(plan, rows) {
        if let Err(reason) = checked(plan, row, None, at, &mut foreign) {
            tally.drop_rows(reason, 1);
            continue;
        }
        match value(plan, row, negative, &mut tally) {
            Value::Finite(addend) => {
                addends.push(addend);
                items.push(ExternalItem {
                    labels: (!unlabelled).then(|| row.labels.clone()),
                    value: addend.milli,
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
    // Where nothing is served, nothing is served as whole.
    if let Some(missing) = missing(rows, &tally).filter(|_| !items.is_empty()) {
        if rule.missing_rows == MissingRows::Fail {
            return Err(lacking(plan, &missing).counting(tally));
        }
        warnings.push(format!(
            "the answer lacks rows, which `missingRows` accepts: {missing}"
        ));
    }
    if rule.negative == NegativePolicy::Zero && sum::total(&addends) < 0 {
        for item in &mut items {
            item.value = Milli::ZERO;
        }
    } else if let Some(share) = Share::of(&addends, plan.target) {
        return Err(overflow(plan, share).counting(tally));
    } else {
        tally.clamped += sum::clamped(&addends);
    }
    // An HPA takes a sum below 0 for an overflow, also one of the first rows alone (`GetExternalPerPodMetricReplicas`).
    if !rule.like_adapter() || rule.negative == NegativePolicy::Zero {
        items.sort_by_key(|item| item.value < Milli::ZERO);
    }
    Ok(Answer {
        items,
        window: rule.window,
        tally,
        warnings,
    })
}

/// What an answer lacks, in words.
fn missing(rows: &InstantVector, tally: &Tally) -> Option<String> {
    let dropped = |reason| tally.dropped.get(&reason).copied().unwrap_or(0);
    let counts = [
        (dropped(Reason::NoData), "rows are not a number (NaN)"),
        (dropped(Reason::StaleRow), "rows are too old"),
        (rows.histograms, "rows are native histograms"),
    ];
    let mut words: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if rows.partial {
        words.push("the backend reports that rows are missing".to_owned());
    }
    (!words.is_empty()).then(|| words.join(", "))
}

fn lacking(plan: &Plan, missing: &str) -> Failure {
    let cause = format!(
        "the query of the rule {} returned rows that cannot be served: {missing}; the sum of the others is not the \
         metric's: write a query that returns a number for every row (guard a division against 0/0, use \
         histogram_sum or histogram_count of a histogram), or set `missingRows: Accept`",
        plan.served.rule.key()
    );
    Failure::new(Reason::MissingRows, cause)
}

fn overflow(plan: &Plan, share: Share) -> Failure {
    let cause = format!(
        "the query of the rule {} returned values that {}",
        plan.served.rule.key(),
        share.fault
    );
    Failure::new(Reason::NotFinite, cause)
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
        _ => "an infinite value; the usual cause is a division by zero in the rule's query",
    };
    Failure::new(
        reason,
        format!("the query of the rule {} returned {what}", plan.served.rule.key()),
    )
}

fn no_data(plan: &Plan, rows: &InstantVector, label: &str, tally: &Tally) -> Failure {
    let rule = plan.served.rule.key();
    let dropped = |reason| tally.dropped.get(&reason).copied().unwrap_or(0);
    let cause = if rows.samples.is_empty() {
        format!(
            "the query of the rule {rule} returned no row; the backend has no samples for this object now"
        )
    } else if dropped(Reason::ForeignNamespace) > 0 {
        format!(
            "the query of the rule {rule} returned only rows of another namespace; check that it keeps <<.LabelMatchers>>"
        )
    } else if dropped(Reason::ForeignObject) > 0 {
        format!(
            "the query of the rule {rule} returned {} rows, none with the object's name in the label {label:?}; \
             check that it aggregates by (<<.GroupBy>>)",
            rows.samples.len()
        )
    } else {
        format!("the query of the rule {rule} returned NaN for this object")
    };
    Failure::new(Reason::NoData, cause)
        .after(plan.sought.clone())
        .in_words_of(&plan.served.rule)
}
