//! Rules that name one namespace, as `MetricRule`s of it.

use language::dns::is_label;
use promql::{SeriesSelector, matcher::MatchOp};

use super::config::RawRule;
use crate::{
    api::{MetricRule, MetricRuleSpec, RuleResource, duration::parse_duration, rule_spec::RuleSpec},
    import::{Note, Severity},
    resource::GroupResource,
    rule::{CompiledRule, RuleObject},
};

/// The label that a backend trusts unless it says otherwise.
const LABEL: &str = "namespace";

/// The `MetricRule`, and what it compiles to; `None` where the rule names no namespace, or cannot be confined to it, and then a
/// note says why.
pub(super) fn rule(
    raw: &RawRule,
    spec: &RuleSpec,
    name: &str,
    compile: impl Fn(RuleObject) -> CompiledRule,
    notes: &mut Vec<Note>,
) -> Option<(MetricRule, CompiledRule)> {
    let namespace = namespace(raw)?;
    let mut own = spec.clone();
    own.namespace_selector = None;
    own.limits = None;
    if own
        .refresh
        .as_deref()
        .is_some_and(|text| parse_duration(text).is_ok_and(|it| it.is_zero()))
    {
        own.refresh = None;
    }
    let mut rule = MetricRule::new(name, MetricRuleSpec(own));
    rule.metadata.namespace = Some(namespace.clone());
    let compiled = compile(RuleObject::of(&rule));
    if let Some(problem) = compiled.refusals.first() {
        let field = problem.path.strip_prefix("spec.").unwrap_or_default();
        let message = format!(
            "it names only the namespace {namespace}, but cannot become a MetricRule there, and stays a ClusterMetricRule: {}",
            problem.text()
        );
        let place = raw.part.place(field, problem.position);
        notes.push(Note::new(Severity::Info, place, problem.reason, message));
        return None;
    }
    let message = format!(
        "names only the namespace {namespace} and became {} ({:?} metrics): its team can own it; it serves requests \
         only in that namespace, within the usual limits",
        rule.rule_key(),
        raw.api
    );
    notes.push(raw.became(message));
    Some((rule, compiled))
}

/// The one namespace that the rule is about: by its series query, or else by every matcher of that label in its query.
fn namespace(raw: &RawRule) -> Option<String> {
    let mapped = raw.overrides.iter().find(|(_, named)| {
        let core = named.group.is_empty();
        core && [GroupResource::namespaces().resource.as_str(), "namespace"]
            .iter()
            .any(|name| named.resource.eq_ignore_ascii_case(name))
    });
    let label = mapped.map_or(LABEL, |(label, _)| label.as_str());
    let selector = SeriesSelector::parse(&raw.series_query).ok()?;
    let mut matchers = selector.matchers().filter(|matcher| matcher.label == label);
    let named = matchers.find(|matcher| matcher.op == MatchOp::Equal && !matcher.value.is_empty());
    let named = named
        .map(|matcher| matcher.value.clone())
        .or_else(|| in_query(&raw.metrics_query, label))?;
    is_label(&named).then_some(named)
}

/// The value of every `label="…"` in the text, where there is one and it is always the same.
fn in_query(query: &str, label: &str) -> Option<String> {
    let mut found: Option<&str> = None;
    for (at, _) in query.match_indices(label) {
        let before = query.get(..at).and_then(|text| text.chars().next_back());
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let behind = query.get(at + label.len()..).unwrap_or_default().trim_start();
        let Some(value) = behind.strip_prefix('=').map(str::trim_start) else {
            continue;
        };
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, _) = value.get(1..)?.split_once(quote)?;
        if found.is_some_and(|found| found != value) {
            return None;
        }
        found = Some(value);
    }
    found.map(str::to_owned)
}
