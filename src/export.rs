//! prometheus-adapter's configuration from rules: the way back.

mod objects;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, fmt};

use language::terminal::shown;
use serde_json::{Map, Value as Json, json};

use self::objects::Found;
use crate::{
    api::{
        ADAPTER_FIELDS_ANNOTATION, ADAPTER_NO_QUERY,
        duration::parse_duration,
        rule_spec::{MetricsApi, MissingRows, NegativePolicy, RuleSpec, Semantics},
    },
    document::{self, Position},
    reason::Reason,
    rule::Problem,
};

/// The order of fields in a rule there.
const ORDER: &[&str] = &[
    "rules",
    "externalRules",
    "seriesQuery",
    "seriesFilters",
    "resources",
    "template",
    "overrides",
    "name",
    "matches",
    "as",
    "metricsQuery",
];

/// The outcome.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// The configuration as YAML, with the keys `rules` and `externalRules` where there are such. Empty where no rule can be said
    /// there: an empty configuration would be taken for one, and would take every metric away.
    pub yaml: String,
    /// Rules that were found, also those that are left out.
    pub rules: usize,
    /// Rules, and fields of rules, that cannot be said there.
    pub findings: Vec<Finding>,
}

/// What is wrong with an object in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// As the user named it.
    pub file: String,
    /// Where it stands there.
    pub position: Position,
    /// Whether the rule is left out for it.
    pub left_out: bool,
    /// The finding; its path is that of the object's field.
    pub problem: Problem,
}

/// The rules of `files`, which are pairs of a name and a text, in the reverse of the order in which they win here, since there
/// the later rule wins.
pub fn export<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Export {
    let mut export = Export::default();
    let mut found = Vec::new();
    for (name, text) in files {
        objects::read(name, text, &mut found, &mut export.findings);
    }
    export.rules = found.len();
    found.sort_by(|one, other| precedence(other, one));
    let (mut custom, mut external) = (Vec::new(), Vec::new());
    for found in &found {
        let problems = losses(found);
        let left_out = problems.iter().any(|(_, left_out)| *left_out);
        let findings = problems
            .into_iter()
            .map(|(problem, left_out)| found.finding(problem, left_out));
        export.findings.extend(findings);
        if left_out {
            continue;
        }
        match found.spec.api {
            MetricsApi::Custom => custom.push(rule(found)),
            MetricsApi::External => external.push(rule(found)),
        }
    }
    if custom.is_empty() && external.is_empty() {
        return export;
    }
    let mut configuration = Map::new();
    if !custom.is_empty() {
        configuration.insert("rules".to_owned(), custom.into());
    }
    if !external.is_empty() {
        configuration.insert("externalRules".to_owned(), external.into());
    }
    export.yaml = document::to_yaml(&Json::Object(configuration), ORDER);
    export
}

/// Which of two rules wins here: the higher priority, then the older, then the lower name
/// (`precedence` in `src/rule/table.rs`, of rules that were compiled).
fn precedence(one: &Found, other: &Found) -> Ordering {
    let priority = |found: &Found| found.spec.priority.unwrap_or(0);
    let age = |found: &Found| (found.created.is_none(), found.created);
    priority(other)
        .cmp(&priority(one))
        .then_with(|| age(one).cmp(&age(other)))
        .then_with(|| one.name.cmp(&other.name))
}

/// What of a rule cannot be said there, and whether the rule is left out for it.
fn losses(found: &Found) -> Vec<(Problem, bool)> {
    let spec = &found.spec;
    let mut losses = Vec::new();
    let mut say = |left_out: bool, path: &str, message: &str| {
        losses.push((Problem::new(Reason::Unsupported, path, message), left_out));
    };
    if found.namespaced {
        let message = "prometheus-adapter cannot confine a query to a namespace: first convert the rule to a \
                       ClusterMetricRule with an explicit matcher";
        say(true, "", message);
    }
    if spec.is_static() {
        say(
            true,
            "spec",
            "prometheus-adapter does not support rules without a seriesQuery",
        );
    }
    let selected = spec.namespace_selector.as_ref().is_some_and(|selector| {
        selector.match_labels.iter().any(|labels| !labels.is_empty())
            || selector
                .match_expressions
                .iter()
                .any(|expressions| !expressions.is_empty())
    });
    if selected {
        say(
            true,
            "spec.namespaceSelector",
            "rules of prometheus-adapter apply to all namespaces",
        );
    }
    if spec
        .backend_ref
        .as_ref()
        .is_some_and(|backend| backend.name != "default")
    {
        say(
            true,
            "spec.backendRef",
            "prometheus-adapter has only one Prometheus, --prometheus-url, for all rules",
        );
    }
    match (spec.negative, spec.effective_negative()) {
        (_, NegativePolicy::Pass) => {}
        (Some(_), _) => say(
            true,
            "spec.negative",
            "prometheus-adapter serves negative values unchanged; clamp them in metricsQuery",
        ),
        (None, policy) => {
            let message = format!(
                "prometheus-adapter serves negative values unchanged; metricrule applies {policy:?} by default (api: \
                 External), so clamp them in metricsQuery"
            );
            say(false, "spec.negative", &message);
        }
    }
    if let Some(refresh) = spec.refresh.as_deref().filter(|refresh| !is_zero(refresh)) {
        let message = format!(
            "prometheus-adapter queries Prometheus for every request; metricrule reuses an answer for {refresh}; left out"
        );
        say(false, "spec.refresh", &message);
    }
    if spec.api == MetricsApi::External && spec.effective_missing_rows() == MissingRows::Fail {
        let message =
            "if an answer lacks rows, prometheus-adapter serves the others; metricrule fails the request";
        say(false, "spec.missingRows", message);
    }
    if spec.retain_after_idle.is_some() {
        say(
            false,
            "spec.retainAfterIdle",
            "prometheus-adapter forgets a metric as soon as its series are gone; left out",
        );
    }
    if spec.window.is_some() {
        say(
            false,
            "spec.window",
            "prometheus-adapter reports no window; left out",
        );
    }
    let bounded = spec
        .limits
        .as_ref()
        .is_some_and(|limits| limits.max_series > 0 || limits.max_metrics > 0 || limits.max_samples > 0);
    if bounded {
        say(false, "spec.limits", "prometheus-adapter has no limits; left out");
    }
    if spec.effective_semantics() == Semantics::Standard {
        let message = "the rule has semantics Standard: prometheus-adapter truncates values instead of rounding \
                       them, counts NaN as 0, does not escape names of objects, reports no window, and queries \
                       Prometheus for every request (refresh is 5s by default in metricrule)";
        say(false, "spec", message);
    }
    losses
}

fn is_zero(duration: &str) -> bool {
    parse_duration(duration).is_ok_and(|length| length.is_zero())
}

/// The rule as it is written there.
fn rule(found: &Found) -> Json {
    let RuleSpec {
        series_query,
        series_filters,
        resources,
        name,
        metrics_query,
        ..
    } = found.spec.as_ref();
    let mut rule = Map::new();
    rule.insert("seriesQuery".to_owned(), json!(series_query));
    let filters = series_filters
        .iter()
        .map(|filter| match (&filter.is, &filter.is_not) {
            (Some(is), _) => json!({ "is": is }),
            (None, is_not) => json!({ "isNot": is_not }),
        });
    rule.insert("seriesFilters".to_owned(), filters.collect());
    if let Some(mapping) = resources {
        let mut fields = Map::new();
        fields.insert("template".to_owned(), json!(mapping.template));
        fields.insert("overrides".to_owned(), json!(mapping.overrides));
        fields.insert("namespaced".to_owned(), json!(mapping.namespaced));
        rule.insert("resources".to_owned(), fields.into());
    }
    if let Some(name) = name {
        rule.insert(
            "name".to_owned(),
            json!({ "matches": name.matches, "as": name.r#as }),
        );
    }
    if metrics_query != ADAPTER_NO_QUERY {
        rule.insert("metricsQuery".to_owned(), json!(metrics_query));
    }
    let mut rule = Json::Object(rule);
    if let Some(fields) = found.annotations.get(ADAPTER_FIELDS_ANNOTATION)
        && let Ok(fields) = serde_json::from_str(fields)
    {
        add(&mut rule, fields);
    }
    prune(&mut rule);
    rule
}

/// Adds fields that are not there.
fn add(to: &mut Json, fields: Json) {
    match (to, fields) {
        (Json::Object(to), Json::Object(fields)) => {
            for (key, value) in fields {
                add(to.entry(key).or_insert(Json::Null), value);
            }
        }
        (to @ Json::Null, value) => *to = value,
        _ => {}
    }
}

/// Takes out what is empty, which means the same there as what is absent.
fn prune(value: &mut Json) {
    if let Json::Object(fields) = value {
        fields.values_mut().for_each(prune);
        fields.retain(|_, value| match value {
            Json::Null => false,
            Json::String(text) => !text.is_empty(),
            Json::Array(items) => !items.is_empty(),
            Json::Object(fields) => !fields.is_empty(),
            Json::Bool(_) | Json::Number(_) => true,
        });
    }
}

// === impl Finding ===

/// `rules.yaml:12:3: unsupported: Unsupported: …`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            position,
            left_out,
            problem,
        } = self;
        let level = if *left_out { "unsupported" } else { "warning" };
        write!(
            f,
            "{}:{}:{}: {level}: {}: {}",
            shown(file),
            position.line,
            position.column,
            problem.reason,
            shown(&problem.message).behind()
        )
    }
}
