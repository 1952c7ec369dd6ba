//! Input files: their rules and backends, with the place of everything.

use kube::{Resource, api::ObjectMeta};
use serde::de::DeserializeOwned;

use super::report::Finding;
use crate::{
    api::{
        ClusterMetricRule, GROUP, MetricBackend, MetricRule,
        metric_rule::{RuleKey, RuleResource},
    },
    check::Diagnostic,
    document::{Document, Node, SourceFile, SyntaxError},
    manifest::{self, Manifest},
    rule::{BackendObject, Problem, RuleObject, Severity},
};

/// A rule as a file has it.
#[derive(Clone, Debug)]
pub struct Given {
    /// The file's name.
    pub file: String,
    /// What the compiler takes.
    pub object: RuleObject,
    /// Where everything stands.
    pub document: Document,
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
        Document::parse_each(text, |document| {
            manifest::each(&document, &mut |manifest| self.take(file, manifest));
        })?;
        self.sources.push(SourceFile {
            name: file.to_owned(),
            text: text.to_owned(),
        });
        Ok(())
    }

    fn take(&mut self, file: &str, manifest: Manifest<'_>) {
        if manifest.group() != GROUP {
            return;
        }
        let document = manifest.document();
        let object = match manifest.kind {
            "MetricRule" => rule::<MetricRule>(&document, true),
            "ClusterMetricRule" => rule::<ClusterMetricRule>(&document, false),
            "MetricBackend" => return self.backends.push(backend(&document)),
            _ => return,
        };
        self.rules.push(Given {
            file: file.to_owned(),
            object,
            document,
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
        let place = self.document.locate(&problem.path, problem.position);
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

fn rule<K>(document: &Document, namespaced: bool) -> RuleObject
where
    K: RuleResource + DeserializeOwned,
{
    let meta = metadata(document);
    let key = RuleKey {
        // Settled later, where there is none.
        namespace: namespaced.then(|| meta.namespace.clone().unwrap_or_default()),
        name: meta.name.clone().unwrap_or_default(),
    };
    let rule = match decode::<K>(document) {
        Ok(rule) => RuleObject::of(&rule),
        Err(reason) => RuleObject::undecoded(&meta, reason),
    };
    RuleObject { key, ..rule }
}

fn backend(document: &Document) -> BackendObject {
    match decode::<MetricBackend>(document) {
        Ok(backend) => BackendObject::of(&backend),
        Err(reason) => BackendObject::undecoded(&metadata(document), reason),
    }
}

/// What can be read of it in an object that may not decode.
fn metadata(document: &Document) -> ObjectMeta {
    let text = |path: &str| document.get(path).and_then(Node::text).map(str::to_owned);
    ObjectMeta {
        name: text("metadata.name"),
        namespace: text("metadata.namespace"),
        ..ObjectMeta::default()
    }
}

fn decode<K>(document: &Document) -> Result<K, String>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    manifest::decode(&document.root).map_err(|error| format!("the object cannot be decoded: {error}"))
}
