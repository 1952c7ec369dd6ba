//! Rows that belong to no object, or to one that was not asked for.

use promql::{ast::Clause, labels::LossCause};

use super::Specimen;
use crate::{
    api::rule_spec::MetricsApi,
    reason::Reason,
    resource::{GroupResource, Resources},
    rule::{
        Association, CompiledRule, Problem,
        metrics_query::{SENTINEL_LABEL, SENTINEL_VALUE, Setting},
    },
};

const GROUP_BY: &str = "<<.GroupBy>>";
const LABEL_MATCHERS: &str = "<<.LabelMatchers>>";

pub(super) fn lint(
    specimen: &Specimen<'_>,
    rule: &CompiledRule,
    setting: Setting<'_>,
    resources: &Resources,
    found: &mut Vec<Problem>,
) {
    if rule.api != MetricsApi::Custom {
        return;
    }
    let Some(association) = rule.naming.as_ref().map(|naming| &naming.association) else {
        return;
    };
    let about = match setting.object_label {
        None | Some("") => SENTINEL_LABEL,
        Some(label) => label,
    };
    found.extend(group_by_lost(specimen, association, resources, about));
    // A MetricRule's selectors are confined to its namespace, so a metric of namespaces is about the right one in any case.
    if !(rule.is_namespaced() && setting.namespace_label == Some(about)) {
        found.extend(matchers_ignored(specimen, about));
    }
}

/// The labels whose loss would matter: any of them is enough.
fn object_labels<'a>(
    specimen: &'a Specimen<'_>,
    association: &Association,
    resources: &Resources,
    about: &'a str,
) -> Vec<String> {
    let namespaces = GroupResource::namespaces();
    let mut labels = vec![about.to_owned()];
    let kinds = association
        .overridden()
        .filter(|info| info.group_resource != namespaces);
    labels.extend(kinds.filter_map(|info| association.label_for(info)));
    if association.has_template() {
        // The labels of all kinds are too many to try; those that the author lists are enough.
        let listed = specimen.expr.grouped_by().into_iter();
        let kinds = listed.filter(|label| association.resource_of(label, resources).is_some());
        labels.extend(kinds.map(str::to_owned));
    }
    labels
}

fn group_by_lost(
    specimen: &Specimen<'_>,
    association: &Association,
    resources: &Resources,
    about: &str,
) -> Option<Problem> {
    let labels = object_labels(specimen, association, resources, about);
    let losses: Option<Vec<_>> = labels.iter().map(|label| specimen.expr.loss(label)).collect();
    let loss = losses?.into_iter().next()?;
    let whose = if about == SENTINEL_LABEL {
        "the label of the objects".to_owned()
    } else {
        format!("the label {about:?} of the objects")
    };
    let written = specimen.written_or(loss.span, "");
    let (how, suggestion) = match &loss.cause {
        LossCause::Aggregation(operator) => (
            format!("{operator}() combines all rows into one and drops {whose}"),
            format!("write `{operator} by ({GROUP_BY})`"),
        ),
        LossCause::Clause {
            clause: Clause::By,
            labels,
        } => {
            let kept = written
                .strip_suffix(')')
                .map(str::trim_end)
                .filter(|_| !labels.is_empty());
            let better = match kept {
                Some(kept) => format!("{}, {GROUP_BY})", kept.trim_end_matches(',')),
                None => format!("by ({GROUP_BY})"),
            };
            (format!("`{written}` drops {whose}"), format!("write `{better}`"))
        }
        LossCause::Clause { clause, labels } => {
            let others: Vec<&str> = labels
                .iter()
                .map(String::as_str)
                .filter(|label| *label != about)
                .collect();
            (
                format!("`{written}` drops {whose}"),
                format!("write `{} ({})`", clause.as_str(), others.join(", ")),
            )
        }
        LossCause::Function(function) => (
            format!("the result of {}() does not have {whose}", function.name),
            format!("use a function that keeps the label, such as `sum by ({GROUP_BY}) (…)`"),
        ),
        LossCause::Matching => (
            format!("the rows of this operation do not keep {whose}"),
            format!("list `{GROUP_BY}` in `on (…)`, or remove it from `ignoring (…)`"),
        ),
        LossCause::Number => (
            format!("a number does not have {whose}"),
            format!("use a query of series, such as `sum by ({GROUP_BY}) (…)`"),
        ),
    };
    let message = format!("{how}, so no value belongs to an object");
    Some(
        specimen
            .problem(Reason::GroupByLost, loss.span, message)
            .suggest(suggestion),
    )
}

fn matchers_ignored(specimen: &Specimen<'_>, about: &str) -> Option<Problem> {
    let asked = |label: &str, value: &str| label == about || value.contains(SENTINEL_VALUE);
    let found = specimen
        .expr
        .unconfined(&|matcher| asked(&matcher.label, &matcher.value))?;
    let written = specimen.written_or(found.span, "");
    let better = match written.strip_suffix('}').map(str::trim_end) {
        Some(open) if open.ends_with(['{', ',']) => format!("{open}{LABEL_MATCHERS}}}"),
        Some(open) => format!("{open},{LABEL_MATCHERS}}}"),
        None => format!("{written}{{{LABEL_MATCHERS}}}"),
    };
    let name = specimen.series_name(found.name.as_deref());
    let message = format!("the query reads {name} for all objects, not only for those of the request");
    Some(
        specimen
            .problem(Reason::MatchersIgnored, found.span, message)
            .suggest(format!("write `{better}`")),
    )
}
