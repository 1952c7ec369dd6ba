//! Configuration file of prometheus-adapter, read as strictly as it does (`pkg/config/loader.go`: yaml.v2, `UnmarshalStrict`).

use std::collections::BTreeMap;

use super::Part;
use crate::{
    api::rule_spec::MetricsApi,
    document::{Node, Value},
    import::{Note, Severity},
    reason::Reason,
};

/// The keys of the whole.
pub(super) const KEYS: [&str; 3] = ["rules", "resourceRules", "externalRules"];
/// More rules of a list are not imported.
const MAX_RULES: usize = 50_000;
/// Names that are closer than this to a key were meant to be it.
const CLOSE: f64 = 0.75;

/// A rule as it is written; fields that are absent, null or empty are all empty, since the reader of the former adapter
/// does not tell them apart.
#[derive(Clone, Debug)]
pub(super) struct RawRule {
    pub(super) part: Part,
    pub(super) api: MetricsApi,
    pub(super) series_query: String,
    pub(super) filters: Vec<RawFilter>,
    pub(super) template: String,
    pub(super) overrides: BTreeMap<String, RawResource>,
    pub(super) namespaced: Option<bool>,
    pub(super) matches: String,
    pub(super) r#as: String,
    pub(super) metrics_query: String,
}

/// One of `seriesFilters`.
#[derive(Clone, Debug, Default)]
pub(super) struct RawFilter {
    pub(super) is: String,
    pub(super) is_not: String,
}

/// What a label names.
#[derive(Clone, Debug, Default)]
pub(super) struct RawResource {
    pub(super) group: String,
    pub(super) resource: String,
}

// === impl RawRule ===

impl RawRule {
    /// The note of what the rule became.
    pub(super) fn became(&self, message: String) -> Note {
        let place = self.part.place("", None);
        Note::new(Severity::Info, place, Reason::Imported, message)
    }
}

/// The whole configuration at `part`.
pub(super) fn read(part: &Part, rules: &mut Vec<RawRule>, notes: &mut Vec<Note>) {
    let mut reader = Reader { notes, failed: false };
    reader.known(part, "prometheus-adapter's configuration", &KEYS);
    for (key, api) in [
        ("rules", MetricsApi::Custom),
        ("externalRules", MetricsApi::External),
    ] {
        list(&part.below(key), api, rules, notes);
    }
    resource_rules(part, "resourceRules", notes);
}

/// A list of rules at `part`; absent and null are an empty one.
pub(super) fn list(part: &Part, api: MetricsApi, rules: &mut Vec<RawRule>, notes: &mut Vec<Note>) {
    let Some(node) = part.node().filter(|node| !node.is_null()) else {
        return;
    };
    if !matches!(node.value, Value::Sequence(_)) {
        let message = format!("expected a list of rules here, not a {}", node.kind());
        notes.push(Note::new(
            Severity::Error,
            part.place_of(node),
            Reason::Undecodable,
            message,
        ));
        return;
    }
    let count = node.items().len();
    if count > MAX_RULES {
        let message = format!(
            "{count} rules, but import converts at most {MAX_RULES} of a list: the others are left out"
        );
        let place = part.place_of(node);
        notes.push(Note::new(Severity::Error, place, Reason::Unsupported, message));
    }
    for index in 0..count.min(MAX_RULES) {
        let rule = part.below(&format!("[{index}]"));
        rules.extend(self::rule(rule, api, notes));
    }
}

/// What CPU and memory are read with has no counterpart.
pub(super) fn resource_rules(part: &Part, key: &str, notes: &mut Vec<Note>) {
    let empty = |node: &Node| node.is_null() || (node.kind() == "mapping" && node.entries().is_empty());
    if part.get(key).is_none_or(empty) {
        return;
    }
    let Some(name) = part.node().and_then(|node| node.key(key)) else {
        return;
    };
    let message = "resourceRules (CPU and memory for metrics.k8s.io) have no counterpart: install metrics-server for \
                   that API before you remove prometheus-adapter, or kubectl top and HPAs on CPU and memory stop \
                   working";
    let place = part.place_of(name);
    notes.push(Note::new(
        Severity::Unsupported,
        place,
        Reason::Unsupported,
        message,
    ));
}

/// One rule; `None` where it does not decode, and the notes say why.
fn rule(part: Part, api: MetricsApi, notes: &mut Vec<Note>) -> Option<RawRule> {
    let mut reader = Reader { notes, failed: false };
    reader.mapping(&part, "a rule");
    reader.known(
        &part,
        "a rule",
        &[
            "seriesQuery",
            "seriesFilters",
            "resources",
            "name",
            "metricsQuery",
        ],
    );
    let resources = part.below("resources");
    reader.mapping(&resources, "resources");
    reader.known(&resources, "resources", &["template", "overrides", "namespaced"]);
    let name = part.below("name");
    reader.mapping(&name, "name");
    reader.known(&name, "name", &["matches", "as"]);
    let rule = RawRule {
        api,
        series_query: reader.text(&part, "seriesQuery"),
        filters: reader.filters(&part.below("seriesFilters")),
        template: reader.text(&resources, "template"),
        overrides: reader.overrides(&resources.below("overrides")),
        namespaced: reader.boolean(&resources, "namespaced"),
        matches: reader.text(&name, "matches"),
        r#as: reader.text(&name, "as"),
        metrics_query: reader.text(&part, "metricsQuery"),
        part,
    };
    (!reader.failed).then_some(rule)
}

struct Reader<'a> {
    notes: &'a mut Vec<Note>,
    failed: bool,
}

// === impl Reader ===

impl Reader<'_> {
    fn error(&mut self, part: &Part, node: &Node, message: String) {
        self.failed = true;
        self.notes.push(Note::new(
            Severity::Error,
            part.place_of(node),
            Reason::Undecodable,
            message,
        ));
    }

    /// Complains unless it is a mapping or nothing.
    fn mapping(&mut self, part: &Part, what: &str) {
        if let Some(node) = part.node()
            && !node.is_null()
            && !matches!(node.value, Value::Mapping(_))
        {
            let message = format!("{what} must be a mapping, not a {}", node.kind());
            self.error(part, node, message);
        }
    }

    /// Complains about keys that there are not.
    fn known(&mut self, part: &Part, what: &str, keys: &[&str]) {
        for (key, _) in part.node().map(Node::entries).unwrap_or_default() {
            let name = key.text().unwrap_or_default();
            if !keys.contains(&name) {
                let meant = match closest(name, keys) {
                    Some(meant) => format!("; did you mean {meant:?}?"),
                    None => format!("; the keys are {}", keys.join(", ")),
                };
                let message =
                    format!("{what} has no key {name:?}, so prometheus-adapter does not start{meant}");
                self.error(part, key, message);
            }
        }
    }

    /// A scalar of any type is taken as it is written, as yaml.v2 does for a string.
    fn text(&mut self, part: &Part, field: &str) -> String {
        match part.get(field) {
            None => String::new(),
            Some(node) if node.is_null() => String::new(),
            Some(node) => {
                if node.text().is_none() {
                    let message = format!("{field} must be a string, not a {}", node.kind());
                    self.error(part, node, message);
                }
                node.text().unwrap_or_default().to_owned()
            }
        }
    }

    fn boolean(&mut self, part: &Part, field: &str) -> Option<bool> {
        let node = part.get(field).filter(|node| !node.is_null())?;
        let value = node.to_json().as_bool();
        if value.is_none() {
            let message = format!(
                "{field} must be true or false without quotes, not a {}",
                node.kind()
            );
            self.error(part, node, message);
        }
        value
    }

    fn filters(&mut self, part: &Part) -> Vec<RawFilter> {
        let Some(node) = part.node().filter(|node| !node.is_null()) else {
            return Vec::new();
        };
        if !matches!(node.value, Value::Sequence(_)) {
            let message = format!("seriesFilters must be a list, not a {}", node.kind());
            self.error(part, node, message);
        }
        let count = node.items().len();
        let filter = |index: usize| {
            let item = part.below(&format!("[{index}]"));
            self.mapping(&item, "a filter");
            self.known(&item, "a filter", &["is", "isNot"]);
            let filter = RawFilter {
                is: self.text(&item, "is"),
                is_not: self.text(&item, "isNot"),
            };
            if filter.is.is_empty() == filter.is_not.is_empty() {
                let message = "a filter needs either is or isNot; prometheus-adapter does not start with both or neither";
                match item.node() {
                    Some(node) => self.error(&item, node, message.to_owned()),
                    None => self.failed = true,
                }
            }
            filter
        };
        (0..count).map(filter).collect()
    }

    fn overrides(&mut self, part: &Part) -> BTreeMap<String, RawResource> {
        self.mapping(part, "overrides");
        let mut overrides = BTreeMap::new();
        let labels = part.node().map(Node::entries).unwrap_or_default();
        for (key, _) in labels {
            let label = key.text().unwrap_or_default();
            let entry = part.below(&format!("[{label}]"));
            self.mapping(&entry, "an override");
            self.known(&entry, "an override", &["group", "resource"]);
            overrides.insert(
                label.to_owned(),
                RawResource {
                    group: self.text(&entry, "group"),
                    resource: self.text(&entry, "resource"),
                },
            );
        }
        overrides
    }
}

/// The key that was meant by a name that is none.
pub(super) fn closest<'a>(name: &str, keys: &[&'a str]) -> Option<&'a str> {
    let likeness = |key: &str| strsim::jaro_winkler(&name.to_lowercase(), &key.to_lowercase());
    keys.iter()
        .copied()
        .filter(|key| likeness(key) >= CLOSE)
        .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
}
