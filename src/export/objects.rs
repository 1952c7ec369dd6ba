//! Rules as files hold them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::Finding;
use crate::{
    api::{ClusterMetricRule, MetricRule, RuleResource, rule_spec::RuleSpec},
    document::{Document, Node, Position},
    reason::Reason,
    rule::Problem,
};

/// A rule and where it stands.
pub(super) struct Found {
    pub(super) name: String,
    pub(super) namespaced: bool,
    /// `None`: it is not in a cluster yet, and will be younger than all that are.
    pub(super) created: Option<Timestamp>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) spec: Arc<RuleSpec>,
    file: String,
    document: Arc<Document>,
    /// Of the object in the document: empty, or `items[3]`.
    path: String,
}

/// Adds the rules of a file. Other objects, a `MetricBackend` among them, say nothing about rules and are passed over.
pub(super) fn read(file: &str, text: &str, found: &mut Vec<Found>, findings: &mut Vec<Finding>) {
    let before = (found.len(), findings.len());
    let read = Document::parse_each(text, |document| {
        let document = Arc::new(document);
        let items = document.get("items").map(|items| items.items().len());
        let listed = |count| (0..count).map(|index| format!("items[{index}]")).collect();
        let paths: Vec<String> = items.map_or_else(|| vec![String::new()], listed);
        for path in paths {
            if let Some(node) = document.get(&path) {
                match object(node, file, &document, &path) {
                    Ok(rule) => found.extend(rule),
                    Err(message) => findings.push(Finding {
                        file: file.to_owned(),
                        position: document.start(node),
                        left_out: true,
                        problem: Problem::new(Reason::Undecodable, path, message),
                    }),
                }
            }
        }
    });
    if let Err(error) = read {
        // Nothing is made of a file that is no YAML further down.
        found.truncate(before.0);
        findings.truncate(before.1);
        let problem = Problem::new(Reason::Undecodable, "", format!("not YAML: {error}"));
        findings.push(Finding {
            file: file.to_owned(),
            position: error.position,
            left_out: true,
            problem,
        });
    }
}

fn object(node: &Node, file: &str, document: &Arc<Document>, path: &str) -> Result<Option<Found>, String> {
    // The API server leaves both out in the items of a list of one kind.
    let text = |field: &str| {
        let of_list = || document.get(field).and_then(Node::text);
        node.get(field)
            .and_then(Node::text)
            .or_else(of_list)
            .unwrap_or_default()
    };
    if !text("apiVersion").starts_with("metricrule.dev/") {
        return Ok(None);
    }
    let kind = text("kind");
    match kind.strip_suffix("List").unwrap_or(kind) {
        "ClusterMetricRule" => decoded::<ClusterMetricRule>(node, file, document, path).map(Some),
        "MetricRule" => decoded::<MetricRule>(node, file, document, path).map(Some),
        _ => Ok(None),
    }
}

fn decoded<R>(node: &Node, file: &str, document: &Arc<Document>, path: &str) -> Result<Found, String>
where
    R: RuleResource + serde::de::DeserializeOwned,
{
    let mut object = node.to_json();
    if let Some(fields) = object.as_object_mut() {
        fields.entry("apiVersion").or_insert(R::api_version(&()).into());
        fields.entry("kind").or_insert(R::kind(&()).into());
    }
    let rule: R = serde_json::from_value(object).map_err(|error| error.to_string())?;
    let key = rule.rule_key();
    Ok(Found {
        name: key.name,
        namespaced: R::kind(&()) == "MetricRule",
        created: rule.meta().creation_timestamp.as_ref().map(|time| time.0),
        annotations: rule.meta().annotations.clone().unwrap_or_default(),
        spec: Arc::new(rule.to_rule_spec()),
        file: file.to_owned(),
        document: document.clone(),
        path: path.to_owned(),
    })
}

// === impl Found ===

impl Found {
    /// The problem, at its place in the file.
    pub(super) fn finding(&self, mut problem: Problem, left_out: bool) -> Finding {
        let separator = if self.path.is_empty() || problem.path.is_empty() {
            ""
        } else {
            "."
        };
        let position: Position = self.document.locate(
            &format!("{}{separator}{}", self.path, problem.path),
            problem.position,
        );
        problem.message = format!("{}: {}", self.name, problem.message);
        Finding {
            file: self.file.clone(),
            position,
            left_out,
            problem,
        }
    }
}
