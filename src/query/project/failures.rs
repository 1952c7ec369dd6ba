//! Failures of a projection: why the rows of an answer give no reply, in words.

use super::sum::Share;
use crate::{
    query::{Failure, Plan, Tally},
    reason::Reason,
    sample::InstantVector,
};

/// What an answer lacks, in words.
pub(super) fn missing(rows: &InstantVector, tally: &Tally) -> Option<String> {
    let counts = [
        (tally.dropped(Reason::NoData), "rows are not a number (NaN)"),
        (tally.dropped(Reason::StaleRow), "rows are too old"),
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

pub(super) fn lacking(plan: &Plan, missing: &str) -> Failure {
    let cause = format!(
        "the query of the rule {} returned rows that cannot be served: {missing}; the sum of the others is not the \
         metric's: write a query that returns a number for every row (guard a division against 0/0, use histogram_sum or \
         histogram_count of a histogram), or set `missingRows: Accept`",
        plan.served.rule.key()
    );
    Failure::new(Reason::MissingRows, cause)
}

pub(super) fn overflow(plan: &Plan, share: Share) -> Failure {
    let cause = format!(
        "the query of the rule {} returned values that {}",
        plan.served.rule.key(),
        share.fault
    );
    Failure::new(Reason::NotFinite, cause)
}

pub(super) fn refusal(plan: &Plan, reason: Reason) -> Failure {
    let what = match reason {
        Reason::NegativeValue => "a negative value, which the rule's `negative: Error` refuses",
        _ => "an infinite value; the usual cause is a division by zero in the rule's query",
    };
    Failure::new(
        reason,
        format!("the query of the rule {} returned {what}", plan.served.rule.key()),
    )
}

pub(super) fn no_data(plan: &Plan, label: &str, rows: &InstantVector, tally: &Tally) -> Failure {
    let rule = plan.served.rule.key();
    let cause = if rows.samples.is_empty() && rows.histograms > 0 {
        format!(
            "the query of the rule {rule} returned only native histograms; use histogram_quantile, histogram_sum or \
             histogram_count"
        )
    } else if rows.samples.is_empty() {
        format!(
            "the query of the rule {rule} returned no row; the backend has no samples for this object now"
        )
    } else if tally.dropped(Reason::ForeignNamespace) > 0 {
        format!(
            "the query of the rule {rule} returned only rows of another namespace; check that it keeps <<.LabelMatchers>>"
        )
    } else if tally.dropped(Reason::ForeignObject) > 0 {
        format!(
            "the query of the rule {rule} returned {} rows, none with the object's name in the label {label:?}; \
             check that it aggregates by (<<.GroupBy>>)",
            rows.samples.len()
        )
    } else if tally.dropped(Reason::StaleRow) > 0 {
        format!("the query of the rule {rule} returned only rows that are too old")
    } else {
        format!("the query of the rule {rule} returned NaN for this object")
    };
    Failure::new(Reason::NoData, cause)
        .after(plan.sought.clone())
        .in_words_of(&plan.served.rule)
}
