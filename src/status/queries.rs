//! Query outcomes of a rule, in its status.

use super::{Facts, bounded};
use crate::{
    api::rule_status::Warning,
    outcome::{Failing, Warned},
};

/// The field that rows come from.
const QUERY_PATH: &str = "spec.metricsQuery";

/// How its queries fail. A rule that is not Accepted, or has no backend, asks nothing.
pub(super) fn failing(facts: Facts<'_>) -> Option<&Failing> {
    let asks = facts.rule.refusals.is_empty() && facts.table.unresolved_backend(facts.rule).is_none();
    facts.outcome?.failing.as_ref().filter(|_| asks)
}

pub(super) fn failing_text(failing: &Failing) -> String {
    let said = failing
        .said
        .as_ref()
        .map_or_else(String::new, |said| format!("; the backend said: {said}"));
    format!(
        "requests for the metric {:?} have failed since {}: {}{said}",
        failing.metric, failing.since, failing.cause
    )
}

/// A warning of an answer, without counts: they would drift.
pub(super) fn met(warned: &Warned) -> Warning {
    let said = warned
        .said
        .as_ref()
        .map_or_else(String::new, |said| format!(" {said}"));
    Warning {
        reason: warned.reason,
        path: QUERY_PATH.to_owned(),
        message: bounded(format!(
            "found in answers for the metric {:?}: {}{said}",
            warned.metric,
            warned.reason.text()
        )),
    }
}
