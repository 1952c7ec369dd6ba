//! Series that fit the rules of a configuration, made up from their selectors: what the rules discover, associate and name.

use std::collections::{BTreeMap, BTreeSet};

use promql::{MatchOp, SeriesSelector, re2::Re2};
use serde_json::Value;

use crate::example::examples;
use crate::select::{Labels, selects};

/// Of a selector without a name, what a Prometheus has.
const NAMES: [&str; 4] = [
    "http_requests_total",
    "queue_depth",
    "container_cpu_usage_seconds_total",
    "app_latency_seconds_total",
];

/// What a template can map: group (with `_` for `.`) and kind.
const KINDS: [(&str, &str); 8] = [
    ("", "namespace"),
    ("", "pod"),
    ("", "service"),
    ("", "node"),
    ("apps", "deployment"),
    ("apps", "statefulset"),
    ("batch", "job"),
    ("networking_k8s_io", "ingress"),
];

/// The series, and the labels that name objects with the kind that they name.
#[derive(Debug, Default)]
pub(crate) struct MadeUp {
    pub(crate) series: Vec<Labels>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Of a configuration that is no YAML, or of another shape, nothing: those who read it have to say so.
pub(crate) fn made_up(config: &str) -> MadeUp {
    let config: Value = serde_saphyr::from_str(config).unwrap_or_default();
    let lists = ["rules", "externalRules"].map(|list| config[list].as_array().cloned().unwrap_or_default());
    let mut all = MadeUp::default();
    let mut seen = BTreeSet::new();
    for rule in lists.iter().flatten() {
        let labels = labels_of(&rule["resources"]);
        for series in series_of(rule, &labels) {
            if seen.insert(series.clone()) {
                all.series.push(series);
            }
        }
        all.labels.extend(labels);
    }
    all
}

fn labels_of(resources: &Value) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for (label, target) in resources["overrides"].as_object().into_iter().flatten() {
        let kind = target["resource"].as_str().unwrap_or_default();
        labels.insert(label.clone(), kind.to_owned());
    }
    let template = resources["template"].as_str().unwrap_or_default();
    for (group, kind) in KINDS.iter().filter(|_| !template.is_empty()) {
        let filled = ["<<.Group>>", "<< .Group >>"]
            .iter()
            .fold(template.to_owned(), |text, field| text.replace(field, group));
        let filled = ["<<.Resource>>", "<< .Resource >>"]
            .iter()
            .fold(filled, |text, field| text.replace(field, kind));
        if !filled.contains("<<") {
            labels.entry(filled).or_insert_with(|| (*kind).to_owned());
        }
    }
    labels
}

fn series_of(rule: &Value, labels: &BTreeMap<String, String>) -> Vec<Labels> {
    let Ok(selector) = SeriesSelector::parse(rule["seriesQuery"].as_str().unwrap_or_default()) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for name in names(rule, &selector) {
        for index in 0..3 {
            let mut one = Labels::from([("__name__".to_owned(), name.clone())]);
            for (label, kind) in labels {
                one.insert(label.clone(), object(kind, index));
            }
            for matcher in selector.matchers().filter(|matcher| matcher.label != "__name__") {
                let only = SeriesSelector::parse(&format!("{{{matcher}}}"));
                if only.is_ok_and(|only| selects(&only, &one)) {
                    continue;
                }
                let value = match matcher.op {
                    MatchOp::Equal => matcher.value.clone(),
                    MatchOp::Regex => {
                        let options = examples(&matcher.value);
                        options
                            .get(index % options.len().max(1))
                            .cloned()
                            .unwrap_or_else(|| "x".to_owned())
                    }
                    MatchOp::NotEqual | MatchOp::NotRegex => format!("x{index}"),
                };
                one.insert(matcher.label.clone(), value);
            }
            one.retain(|_, value| !value.is_empty());
            if selects(&selector, &one) {
                all.push(one);
            }
        }
    }
    all
}

/// Names that the selector selects, of which some pass the rule's filters and fit its `name.matches`.
fn names(rule: &Value, selector: &SeriesSelector) -> BTreeSet<String> {
    if let Some(name) = selector.name() {
        return BTreeSet::from([name.to_owned()]);
    }
    let patterns = selector
        .matchers()
        .filter(|matcher| matcher.label == "__name__" && matcher.op == MatchOp::Regex);
    let mut found: Vec<String> = patterns.flat_map(|matcher| examples(&matcher.value)).collect();
    let filters = rule["seriesFilters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|filter| &filter["is"]);
    for pattern in filters
        .chain([&rule["name"]["matches"]])
        .filter_map(Value::as_str)
    {
        found.extend(examples(pattern));
        // a pattern that matches a part: around an example there may be more
        found.extend(examples(pattern).iter().map(|text| format!("app_{text}")));
    }
    found.extend(NAMES.iter().map(|name| (*name).to_owned()));
    let by_name = SeriesSelector::parse(&format!(
        "{{__name__!=\"\",{}}}",
        selector
            .matchers()
            .filter(|matcher| matcher.label == "__name__")
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    ));
    let fits = |name: &String| {
        let one = Labels::from([("__name__".to_owned(), name.clone())]);
        by_name.as_ref().is_ok_and(|by_name| selects(by_name, &one))
    };
    let keeps = |name: &&String| {
        let matches = rule["name"]["matches"].as_str().unwrap_or_default();
        Re2::compile(matches).is_ok_and(|pattern| pattern.is_match(name))
    };
    let all: Vec<String> = found.into_iter().filter(fits).collect();
    let (kept, others): (Vec<_>, Vec<_>) = all.iter().partition(keeps);
    kept.into_iter()
        .take(4)
        .chain(others.into_iter().take(2))
        .cloned()
        .collect()
}

fn object(kind: &str, index: usize) -> String {
    match kind.to_lowercase().trim_end_matches('s') {
        "pod" => format!("web-{index}"),
        "node" => "node-0".to_owned(),
        "namespace" => "shop".to_owned(),
        _ => "web".to_owned(),
    }
}
