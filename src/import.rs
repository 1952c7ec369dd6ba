//! Resources from what other adapters are configured with: pure, from texts to objects and findings.

pub mod adapter;
mod external;
mod findings;
mod hpa;
mod index;
mod keda;
#[cfg(test)]
mod testing;
mod zalando;

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::ObjectMeta;
use language::terminal::{self, shown};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use self::index::Index;
use crate::{
    api::{ClusterMetricRule, MetricBackend, MetricBackendSpec, MetricRule, PrometheusSpec},
    document::{self, Document, Position},
    reason::Reason,
    resource::Resources,
    rule::{BackendRecord, CompiledRule, RuleObject, compile},
};

/// What an import comes to.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Resources, in the order of what they were made of.
    pub objects: Vec<Object>,
    /// What their author should know, in the order of the files.
    pub notes: Vec<Note>,
    /// Where in both what is looked for while documents of autoscalers are read: there may be thousands.
    index: Index,
}

/// A resource that an import makes.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A rule of one namespace.
    MetricRule(Box<MetricRule>),
    /// A rule of the platform team.
    ClusterMetricRule(Box<ClusterMetricRule>),
    /// Where values come from.
    MetricBackend(Box<MetricBackend>),
    /// What scales on a rule.
    HorizontalPodAutoscaler(Box<HorizontalPodAutoscaler>),
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Note {
    /// What it means for the outcome.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// The code.
    pub reason: Reason,
    /// The cause and, where there is one, the next step.
    pub message: String,
}

/// What a finding means for the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// What the former adapter would not start with: nothing is made of it.
    Error,
    /// It has no counterpart here: left out, the rest is there.
    Unsupported,
    /// It is there, but does not do what its author may think.
    Warning,
    /// What became of it.
    Info,
}

/// A place in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// As the user named it.
    pub file: String,
    /// Line and column, from 1, in characters; `None` means the file as a whole.
    pub position: Option<Position>,
}

/// The order in which a person writes the fields of our kinds and of an HPA.
const ORDER: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "api",
    "type",
    "backendRef",
    "prometheus",
    "url",
    "namespaceSelector",
    "seriesQuery",
    "seriesFilters",
    "resources",
    "name",
    "matches",
    "as",
    "metricsQuery",
    "scaleTargetRef",
    "minReplicas",
    "maxReplicas",
];

/// Takes out what says the default, but for `type`, which tells the reader what it is.
fn leave_out(value: &mut Json, defaults: &Json) {
    if let (Json::Object(fields), Json::Object(defaults)) = (value, defaults) {
        for (name, default) in defaults {
            if let Some(value) = fields.get_mut(name) {
                leave_out(value, default);
            }
        }
        fields.retain(|name, value| {
            let emptied = value.as_object().is_some_and(Map::is_empty);
            name == "type" || !(emptied || defaults.get(name) == Some(value))
        });
    }
}

/// Adds what an object of another autoscaler comes to: KEDA's `ScaledObject`, an HPA with kube-metrics-adapter's annotations.
/// `false` for any other document.
fn autoscaler(document: &Document, file: &str, import: &mut Import) -> bool {
    if keda::recognises(document) {
        keda::import(document, file, import);
        return true;
    }
    let recognised = zalando::recognises(document);
    if recognised {
        zalando::import(document, file, import);
    }
    recognised
}

/// A rule as the controller would compile it with a backend of default settings.
fn offline(object: RuleObject, resources: &Resources) -> CompiledRule {
    let backend = BackendRecord::assumed("default");
    compile(object, Ok(Arc::new(backend)), resources)
}

/// Tells names apart by what is behind them: the same six hexadecimal digits for the same text, in every import.
fn suffix(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let digits = digest.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .take(6)
        .collect()
}

/// `1 warning`, `3 warnings`; `unsupported` has no plural.
fn counted(count: usize, what: &str) -> String {
    let plural = count != 1 && what != "unsupported";
    format!("{count} {what}{}", if plural { "s" } else { "" })
}

// === impl Import ===

impl Import {
    /// The objects as one stream of YAML documents, ready for `kubectl apply -f -`; empty where there are none.
    pub fn yaml(&self) -> String {
        self.objects.iter().fold(String::new(), |mut stream, object| {
            // Writing to a String cannot fail.
            let _ = write!(stream, "---\n{}", object.yaml());
            stream
        })
    }

    /// What the objects are, in one line: `3 ClusterMetricRules, 1 MetricBackend; 2 warnings, 1 unsupported`.
    pub fn summary(&self) -> String {
        let kinds = [
            "MetricBackend",
            "ClusterMetricRule",
            "MetricRule",
            "HorizontalPodAutoscaler",
        ];
        let objects = kinds.map(|kind| (self.objects.iter().filter(|it| it.kind() == kind).count(), kind));
        let severities = [Severity::Error, Severity::Unsupported, Severity::Warning];
        let notes = severities.map(|level| {
            let count = self.notes.iter().filter(|note| note.severity == level).count();
            (count, level.to_string())
        });
        let objects = objects.map(|(count, what)| (count, what.to_owned()));
        let counted = |counts: &[(usize, String)]| {
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let counts: Vec<_> = counts.map(|(count, what)| counted(*count, what)).collect();
            if counts.is_empty() {
                "nothing".to_owned()
            } else {
                counts.join(", ")
            }
        };
        format!("made: {}; found: {}\n", counted(&objects), counted(&notes))
    }

    /// The findings as a JSON list of `{level, file, line, column, reason, message}`.
    pub fn report_json(&self) -> String {
        let notes = self.notes.iter().map(|note| {
            json!({
                "level": note.severity.to_string(),
                "file": note.place.file,
                "line": note.place.position.map(|position| position.line),
                "column": note.place.position.map(|position| position.column),
                "reason": note.reason,
                "message": note.message,
            })
        });
        terminal::json(&format!("{:#}\n", Json::Array(notes.collect())))
    }

    /// Appends what another source came to.
    pub fn extend(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.notes.extend(other.notes);
    }

    /// Whether some finding has that severity.
    pub fn has(&self, severity: Severity) -> bool {
        self.notes.iter().any(|note| note.severity == severity)
    }
}

// === impl Object ===

impl Object {
    /// As the API server takes it: `apiVersion`, `kind`, `metadata`, `spec`, and nothing that is the server's to write.
    pub fn json(&self) -> Json {
        let mut json = match self {
            Self::MetricRule(rule) => serde_json::to_value(rule),
            Self::ClusterMetricRule(rule) => serde_json::to_value(rule),
            Self::MetricBackend(backend) => serde_json::to_value(backend),
            Self::HorizontalPodAutoscaler(hpa) => serde_json::to_value(hpa),
        }
        // Plain data with text for keys: nothing in it can fail.
        .unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.retain(|name, _| ["apiVersion", "kind", "metadata", "spec"].contains(&name.as_str()));
        }
        if matches!(self, Self::MetricBackend(_)) {
            let defaults = MetricBackendSpec::new(PrometheusSpec::new(""));
            let defaults = serde_json::to_value(defaults).unwrap_or_default();
            leave_out(&mut json["spec"], &defaults);
        }
        json
    }

    /// For example `MetricBackend`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::MetricRule(_) => "MetricRule",
            Self::ClusterMetricRule(_) => "ClusterMetricRule",
            Self::MetricBackend(_) => "MetricBackend",
            Self::HorizontalPodAutoscaler(_) => "HorizontalPodAutoscaler",
        }
    }

    /// `metadata.name`
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::MetricRule(rule) => &rule.metadata,
            Self::ClusterMetricRule(rule) => &rule.metadata,
            Self::MetricBackend(backend) => &backend.metadata,
            Self::HorizontalPodAutoscaler(hpa) => &hpa.metadata,
        }
    }

    fn set_name(&mut self, name: String) {
        let metadata = match self {
            Self::MetricRule(rule) => &mut rule.metadata,
            Self::ClusterMetricRule(rule) => &mut rule.metadata,
            Self::MetricBackend(backend) => &mut backend.metadata,
            Self::HorizontalPodAutoscaler(hpa) => &mut hpa.metadata,
        };
        metadata.name = Some(name);
    }

    /// One YAML document, without `---`.
    pub fn yaml(&self) -> String {
        document::to_yaml(&self.json(), ORDER)
    }
}

// === impl Note ===

impl Note {
    /// A finding.
    pub fn new(severity: Severity, place: Place, reason: Reason, message: impl Into<String>) -> Self {
        Self {
            severity,
            place,
            reason,
            message: message.into(),
        }
    }
}

/// `rules.yaml:12:3: warning: MatchAll: …`
impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}: {}",
            self.place,
            self.severity,
            self.reason,
            shown(&self.message)
        )
    }
}

// === impl Severity ===

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Unsupported => "unsupported",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

// === impl Place ===

/// `rules.yaml:12:3`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.file).fmt(f)?;
        match self.position {
            Some(Position { line, column }) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}
