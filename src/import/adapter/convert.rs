//! Conversion of a rule as prometheus-adapter reads it to ours.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use language::template::{Fields, Template};
use promql::{SeriesSelector, matcher::is_label_name};
use serde_json::{Map, Value as Json, json};

use super::{Options, advise, config::RawRule, name::Names, split};
use crate::{
    api::{
        ADAPTER_FIELDS_ANNOTATION, ADAPTER_NO_QUERY, ClusterMetricRule, ClusterMetricRuleSpec, RuleKey,
        rule_spec::{
            GroupResourceRef, MetricsApi, NameMapping, ResourceMapping, RuleLimits, RuleSpec, SeriesFilter,
        },
    },
    import::{Import, Note, Object, Severity, offline},
    reason::Reason,
    resource::Resources,
    rule::{CompiledRule, Problem, RuleObject},
};

/// Priorities of neighbours differ by this, so that a rule can be put between them.
const STEP: i32 = 10;

/// Makes objects of rules and says what became of each.
pub(super) fn rules(rules: &[RawRule], options: &Options, import: &mut Import) {
    let resources = Resources::builtin();
    let compile = |object| offline(object, &resources);
    let mut names = Names::default();
    let mut positions = BTreeMap::new();
    for raw in rules {
        let position: &mut i32 = positions.entry(raw.api).or_default();
        *position = position.saturating_add(STEP);
        let priority = *position;
        let name = names.of(raw);
        let (spec, left) = spec(raw, options, priority, &mut import.notes);
        if never_works(raw, &spec, &mut import.notes) {
            continue;
        }
        advise::rule(raw, &resources, &mut import.notes);
        if options.split
            && let Some((rule, compiled)) = split::rule(raw, &spec, &name, compile, &mut import.notes)
        {
            if report(raw, &compiled, &mut import.notes) {
                advise::matchers(raw, &compiled.warnings, &mut import.notes);
            }
            import.objects.push(Object::MetricRule(Box::new(rule)));
            continue;
        }
        let mut rule = ClusterMetricRule::new(&name, ClusterMetricRuleSpec(spec));
        if !left.is_empty() {
            let text = (
                ADAPTER_FIELDS_ANNOTATION.to_owned(),
                Json::Object(left).to_string(),
            );
            rule.metadata.annotations = Some([text].into());
        }
        let compiled = compile(RuleObject::of(&rule));
        if !report(raw, &compiled, &mut import.notes) {
            continue;
        }
        advise::matchers(raw, &compiled.warnings, &mut import.notes);
        let message = format!(
            "became {} ({:?} metrics, priority {priority})",
            RuleKey::cluster(name),
            raw.api
        );
        import.notes.push(raw.became(message));
        import.objects.push(Object::ClusterMetricRule(Box::new(rule)));
    }
}

/// The spec, and the fields that it has no place for.
fn spec(
    raw: &RawRule,
    options: &Options,
    priority: i32,
    notes: &mut Vec<Note>,
) -> (RuleSpec, Map<String, Json>) {
    let mut left = Map::new();
    let lifted = raw.namespaced == Some(false);
    let external = raw.api == MetricsApi::External;
    let mut resources = ResourceMapping {
        template: text(&raw.template),
        overrides: BTreeMap::new(),
        namespaced: raw.namespaced.filter(|namespaced| *namespaced || external),
    };
    if lifted && !external {
        left.insert("resources".to_owned(), json!({ "namespaced": false }));
        let message = "prometheus-adapter reads it only in externalRules; left out";
        let place = raw.part.place("resources.namespaced", None);
        notes.push(Note::new(Severity::Warning, place, Reason::Ineffective, message));
    }
    for (label, named) in &raw.overrides {
        let path = format!("resources.overrides[{label}]");
        let why = if !is_label_name(label) {
            let message = format!("{label:?} is not a valid label name, so no series has it; left out");
            Some((path, message))
        } else if !is_resource(&named.resource) {
            let hint = match named.resource.split_once('.') {
                Some((resource, group)) => {
                    format!("; did you mean {{group: {group}, resource: {resource}}}?")
                }
                None => String::new(),
            };
            let message = format!(
                "{:?} is not a valid resource, and prometheus-adapter does not start with it; left out{hint}",
                named.resource
            );
            Some((format!("{path}.resource"), message))
        } else {
            None
        };
        if let Some((path, message)) = why {
            let place = raw.part.place(&path, None);
            notes.push(Note::new(
                Severity::Warning,
                place,
                Reason::UnknownResource,
                message,
            ));
            let fields = left.entry("resources").or_insert_with(|| json!({}));
            let mut entry = json!({ "resource": named.resource });
            if !named.group.is_empty() {
                entry["group"] = named.group.as_str().into();
            }
            fields["overrides"][label] = entry;
            continue;
        }
        let entry = GroupResourceRef {
            group: text(&named.group),
            resource: named.resource.clone(),
        };
        resources.overrides.insert(label.clone(), entry);
    }
    let name = NameMapping {
        matches: text(&raw.matches),
        r#as: text(&raw.r#as),
    };
    let selective = SeriesSelector::parse(&raw.series_query).is_ok_and(|selector| selector.is_selective());
    let mut query = text(&raw.metrics_query).unwrap_or_else(|| ADAPTER_NO_QUERY.to_owned());
    if let Err(error) = Template::parse(&query, Fields::Query)
        && Template::is_template(&query)
    {
        // It starts with it, lists the metric and answers none of its requests.
        let message = format!(
            "{}; prometheus-adapter fails every request for it, and so does metricrule",
            error.message
        );
        let place = raw.part.place("metricsQuery", Some(error.position));
        notes.push(Note::new(Severity::Warning, place, Reason::NeverWorked, message));
        left.insert("metricsQuery".to_owned(), std::mem::take(&mut query).into());
        ADAPTER_NO_QUERY.clone_into(&mut query);
    }
    let filters = raw.filters.iter().map(|filter| SeriesFilter {
        is: text(&filter.is),
        is_not: text(&filter.is_not),
    });
    let spec = RuleSpec {
        api: raw.api,
        series_query: text(&raw.series_query),
        series_filters: filters.collect(),
        resources: (resources != ResourceMapping::default()).then_some(resources),
        name: (name != NameMapping::default()).then_some(name),
        metrics_query: query,
        namespace_selector: (lifted && external).then(LabelSelector::default),
        refresh: options.refresh.clone(),
        // Nothing was bounded there, so nothing is cut here.
        limits: Some(RuleLimits {
            max_series: 0,
            max_metrics: 0,
            max_samples: 0,
            allow_match_all: !selective,
        }),
        priority: Some(priority),
        semantics: Some(options.semantics),
        ..RuleSpec::default()
    };
    (spec, left)
}

/// A rule that the former adapter loads and that never gave a metric has no form here; it is left out.
fn never_works(raw: &RawRule, spec: &RuleSpec, notes: &mut Vec<Note>) -> bool {
    let mapped = spec
        .resources
        .as_ref()
        .is_some_and(|map| map.template.is_some() || !map.overrides.is_empty());
    let message = if spec.series_query.is_none() {
        "a rule without seriesQuery sends Prometheus an empty selector, which it refuses, so prometheus-adapter \
         never updates any of its rules. Left out"
    } else if raw.api == MetricsApi::Custom && !mapped {
        "a rule without resources.template and resources.overrides describes no object, so it has no metrics. Left out"
    } else {
        return false;
    };
    let place = raw.part.place("", None);
    notes.push(Note::new(
        Severity::Unsupported,
        place,
        Reason::NeverWorked,
        message,
    ));
    true
}

/// Says what the compiler finds; whether the rule can be served.
fn report(raw: &RawRule, compiled: &CompiledRule, notes: &mut Vec<Note>) -> bool {
    let mut say = |severity, problem: &Problem, ending: &str| {
        let field = problem.path.strip_prefix("spec").unwrap_or_default();
        let field = field.strip_prefix('.').unwrap_or(field);
        let place = raw.part.place(field, problem.position);
        let message = format!("{}{ending}", problem.text());
        notes.push(Note::new(severity, place, problem.reason, message));
    };
    for problem in &compiled.refusals {
        let severity = if problem.reason == Reason::InvalidPattern {
            // Go's own judgement, by the same grammar.
            Severity::Error
        } else {
            Severity::Unsupported
        };
        say(severity, problem, ". Left out");
    }
    if !compiled.refusals.is_empty() {
        return false;
    }
    // Of a query that is empty, or is never rendered, everything is said.
    let sent = !raw.metrics_query.is_empty() && Template::parse(&raw.metrics_query, Fields::Query).is_ok();
    let warnings = compiled.warnings.iter().filter(|_| sent);
    for problem in warnings {
        say(Severity::Warning, problem, "");
    }
    for problem in compiled
        .naming
        .iter()
        .flat_map(|naming| naming.association.unresolved())
    {
        let mut problem = problem.clone();
        "not one of the kinds that every cluster has: if its CRD is missing, prometheus-adapter does not start, and \
         metricrule ignores the label until the CRD appears"
            .clone_into(&mut problem.message);
        problem.suggestion = None;
        say(Severity::Warning, &problem, "");
    }
    true
}

/// What the schema takes for the name of a resource.
fn is_resource(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
