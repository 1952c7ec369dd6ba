//! Values of prometheus-adapter's chart.

mod defaults;

use super::{
    Part,
    config::{self, RawRule},
    flags::Flags,
};
use crate::{
    api::rule_spec::MetricsApi,
    document::{Document, Node, Value},
    import::{Note, Severity},
    reason::Reason,
};

/// Keys of `rules` in the chart's values.
const KEYS: [&str; 5] = ["default", "custom", "existing", "external", "resource"];
/// What the chart sets where the values are silent.
const URL: &str = "http://prometheus.default.svc";
const PORT: &str = "9090";
const RELIST: &str = "1m";

/// Whether a mapping is the values of the chart itself: what [`has_rules`] tells, or its `prometheus.url`.
pub(super) fn is_values(root: &Node) -> bool {
    let prometheus = root.get("prometheus").filter(|_| root.get("rules").is_none());
    has_rules(root)
        || prometheus.is_some_and(|node| node.get("url").is_some() && node.get("prometheusSpec").is_none())
}

/// Whether a mapping has what no other chart's values have: `rules` with the chart's keys, or `metricsRelistInterval`.
pub(super) fn has_rules(root: &Node) -> bool {
    match root.get("rules") {
        Some(rules) => {
            matches!(rules.value, Value::Mapping(_)) && KEYS.iter().any(|key| rules.get(key).is_some())
        }
        None => root.get("metricsRelistInterval").is_some(),
    }
}

/// The rules and flags of the values at `part`. Where they stand in a `ConfigMap` by mistake, there is no chart that would
/// add its own.
pub(super) fn read(
    part: &Part,
    misplaced: bool,
    rules: &mut Vec<RawRule>,
    flags: &mut Vec<Flags>,
    notes: &mut Vec<Note>,
) {
    let own = part.below("rules");
    let existing = part.text("rules.existing").filter(|name| !name.is_empty());
    if let Some(name) = existing {
        let message = format!(
            "the chart takes the rules from the ConfigMap {name:?} and ignores the rules in these values: also \
             import that ConfigMap (--from-configmap)"
        );
        let place = part.place("rules.existing", None);
        notes.push(Note::new(Severity::Warning, place, Reason::Ineffective, message));
    } else {
        unknown_keys(&own, notes);
        if !misplaced {
            default_rules(part, rules, notes);
        }
        config::list(&own.below("custom"), MetricsApi::Custom, rules, notes);
        config::list(&own.below("external"), MetricsApi::External, rules, notes);
        config::resource_rules(&own, "resource", notes);
    }
    if !misplaced {
        flags.push(self::flags(part));
    }
}

fn unknown_keys(own: &Part, notes: &mut Vec<Note>) {
    for (key, _) in own.node().map(Node::entries).unwrap_or_default() {
        let name = key.text().unwrap_or_default();
        if !KEYS.contains(&name) {
            let meant = config::closest(name, &KEYS).map_or_else(
                || format!("the keys are {}", KEYS.join(", ")),
                |meant| format!("did you mean {meant:?}?"),
            );
            let message = format!("the chart has no rules.{name}, and silently ignores it; {meant}");
            let place = own.place_of(key);
            notes.push(Note::new(Severity::Warning, place, Reason::Ineffective, message));
        }
    }
}

/// The chart adds its own rules unless it is told not to.
fn default_rules(part: &Part, rules: &mut Vec<RawRule>, notes: &mut Vec<Note>) {
    let wanted = part.get("rules.default").map(Node::to_json);
    if wanted.as_ref().is_some_and(is_false) {
        return;
    }
    let place = part.place("rules.default", None);
    let said = if wanted.is_some() {
        ""
    } else {
        ", which is the chart's default"
    };
    let message = format!(
        "rules.default is true{said}, so the chart's own {} rules were imported too. The last three read every \
         series that has a namespace; if you don't need them, set it to false before the import",
        defaults::COUNT
    );
    notes.push(Note::new(Severity::Warning, place, Reason::MatchAll, message));
    let Ok(documents) = Document::parse_stream(defaults::RULES) else {
        return;
    };
    let file = format!("{} (the chart's default rules)", part.file);
    for document in documents {
        let defaults = Part::whole(&file.as_str().into(), document);
        config::read(&defaults, rules, notes);
    }
}

/// What a template's `if` takes for false.
fn is_false(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => true,
        serde_json::Value::Bool(value) => !value,
        serde_json::Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The flags that the chart starts the adapter with.
fn flags(part: &Part) -> Flags {
    let mut flags = Flags::new(part.clone());
    let url = part.text("prometheus.url").unwrap_or(URL);
    let number = match part.get("prometheus.port") {
        None => Some(PORT),
        Some(node) => node
            .text()
            .filter(|text| !node.is_null() && !matches!(*text, "" | "0")),
    };
    let behind = part.text("prometheus.path").unwrap_or_default();
    let number = number.map(|number| format!(":{number}")).unwrap_or_default();
    flags.set(
        "prometheus-url",
        &format!("{url}{number}{behind}"),
        "prometheus.url",
    );
    flags.set(
        "metrics-relist-interval",
        part.text("metricsRelistInterval").unwrap_or(RELIST),
        "metricsRelistInterval",
    );
    for index in 0..part.get("extraArguments").map_or(0, |list| list.items().len()) {
        let field = format!("extraArguments[{index}]");
        if let Some(text) = part.text(&field) {
            flags.argument(text, &field);
        }
    }
    flags.mounts_of_values();
    flags
}
