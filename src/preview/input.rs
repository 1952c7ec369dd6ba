//! Input files: their rules and backends, with the place of everything.

use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::report::Finding;
use crate::{
    api::{
        ClusterMetricRule, MetricBackend, MetricRule,
        metric_rule::{RuleKey, RuleResource},
    },
    check::Diagnostic,
    document::{Document, Node, SourceFile, SyntaxError},
    rule::{BackendObject, Problem, RuleObject, Severity},
};

/// The group of our kinds, with the `/` that stands behind it in an `apiVersion`.
const GROUP: &str = "metricrule.dev/";

/// A rule as a file has it.
#[derive(Clone, Debug)]
pub struct Given {
    /// The file's name.
    pub file: String,
    /// What the compiler takes.
    pub object: RuleObject,
    /// Where everything stands.
    pub document: Document,
    /// From the document to the rule: empty, or `items[3].`.
    prefix: String,
}

/// What a file holds.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Rules of both kinds.
    pub rules: Vec<Given>,
    /// Backends, used in place of the cluster's.
    pub backends: Vec<BackendObject>,
    /// The files as they are.
    pub sources: Vec<SourceFile>,
}

// === impl Files ===

impl Files {
    /// Adds the documents of a file. Objects of other kinds are left out: rules are often kept beside the workloads that they
    /// are about.
    ///
    /// # Errors
    ///
    /// The text is no YAML.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), SyntaxError> {
        Document::parse_each(text, |document| self.take(file, &document, &document.root, ""))?;
        self.sources.push(SourceFile {
            name: file.to_owned(),
            text: text.to_owned(),
        });
        Ok(())
    }

    fn take(&mut self, file: &str, document: &Document, node: &Node, prefix: &str) {
        let text = |key: &str| node.get(key).and_then(Node::text).unwrap_or_default();
        let kind = text("kind");
        if let Some(items) = node.get("items").filter(|_| kind.ends_with("List")) {
            for (index, item) in items.items().iter().enumerate() {
                self.take(file, document, item, &format!("{prefix}items[{index}]."));
            }
            return;
        }
        if !text("apiVersion").starts_with(GROUP) {
            return;
        }
        let object = match kind {
            "MetricRule" => rule::<MetricRule>(node.to_json(), true),
            "ClusterMetricRule" => rule::<ClusterMetricRule>(node.to_json(), false),
            "MetricBackend" => return self.backends.push(backend(node.to_json())),
            _ => return,
        };
        self.rules.push(Given {
            file: file.to_owned(),
            object,
            document: document.clone(),
            prefix: prefix.to_owned(),
        });
    }
}

// === impl Given ===

impl Given {
    /// A `MetricRule` that names no namespace is meant for this one.
    pub(super) fn settle(&mut self, home: &str) {
        if let Some(namespace) = self
            .object
            .key
            .namespace
            .as_mut()
            .filter(|namespace| namespace.is_empty())
        {
            home.clone_into(namespace);
        }
    }

    /// A problem with its place in the file.
    pub(super) fn finding(&self, severity: Severity, problem: &Problem) -> Finding {
        let path = format!("{}{}", self.prefix, problem.path);
        let place = self.document.locate(path.trim_end_matches('.'), problem.position);
        Finding {
            severity: severity.as_str(),
            reason: problem.reason.code(),
            file: self.file.clone(),
            line: place.line,
            column: place.column,
            path: problem.path.clone(),
            message: problem.text(),
        }
    }

    /// What the check of the file found about this rule, if it is about it.
    pub(super) fn checked(&self, diagnostic: &Diagnostic, files: &[SourceFile]) -> Option<Finding> {
        let file = files.get(diagnostic.file).filter(|file| file.name == self.file)?;
        if diagnostic.object.as_deref() != Some(self.object.key.to_string().as_str()) {
            return None;
        }
        Some(Finding {
            severity: diagnostic.severity.as_str(),
            reason: diagnostic.problem.reason.code(),
            file: file.name.clone(),
            line: diagnostic.start.line,
            column: diagnostic.start.column,
            path: diagnostic.problem.path.clone(),
            message: diagnostic.problem.text(),
        })
    }
}

fn rule<K>(object: Value, namespaced: bool) -> RuleObject
where
    K: RuleResource + DeserializeOwned,
{
    let meta = metadata(&object);
    let key = RuleKey {
        // Settled later, where there is none.
        namespace: namespaced.then(|| meta.namespace.clone().unwrap_or_default()),
        name: meta.name.clone().unwrap_or_default(),
    };
    let rule = match decode::<K>(object) {
        Ok(rule) => RuleObject::of(&rule),
        Err(reason) => RuleObject::undecoded(&meta, reason),
    };
    RuleObject { key, ..rule }
}

fn backend(object: Value) -> BackendObject {
    let meta = metadata(&object);
    match decode::<MetricBackend>(object) {
        Ok(backend) => BackendObject::of(&backend),
        Err(reason) => BackendObject::undecoded(&meta, reason),
    }
}

/// What can be read of it in an object that may not decode.
fn metadata(object: &Value) -> ObjectMeta {
    let text = |field: &str| object["metadata"][field].as_str().map(str::to_owned);
    ObjectMeta {
        name: text("name"),
        namespace: text("namespace"),
        ..ObjectMeta::default()
    }
}

/// Without the status, which is not the author's.
fn decode<K: DeserializeOwned>(mut object: Value) -> Result<K, String> {
    if let Some(object) = object.as_object_mut() {
        object.remove("status");
    }
    serde_json::from_value(object).map_err(|error| format!("the object cannot be decoded: {error}"))
}
