//! Rules as files hold them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::Finding;
use crate::{
    api::{ClusterMetricRule, GROUP, MetricRule, RuleResource, rule_spec::RuleSpec},
    document::Document,
    manifest::{self, Manifest},
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
    document: Document,
}

/// Adds the rules of a file. Other objects, a `MetricBackend` among them, say nothing about rules and are passed over.
pub(super) fn read(file: &str, text: &str, found: &mut Vec<Found>, findings: &mut Vec<Finding>) {
    let before = (found.len(), findings.len());
    let read = Document::parse_each(text, |document| {
        manifest::each(&document, &mut |manifest| match object(file, manifest) {
            Ok(rule) => found.extend(rule),
            Err(message) => {
                let document = manifest.document();
                findings.push(Finding {
                    file: file.to_owned(),
                    position: document.start(&document.root),
                    left_out: true,
                    problem: Problem::new(Reason::Undecodable, "", message),
                });
            }
        });
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

fn object(file: &str, manifest: Manifest<'_>) -> Result<Option<Found>, String> {
    match manifest.kind {
        _ if manifest.group() != GROUP => Ok(None),
        "ClusterMetricRule" => decoded::<ClusterMetricRule>(file, manifest).map(Some),
        "MetricRule" => decoded::<MetricRule>(file, manifest).map(Some),
        _ => Ok(None),
    }
}

fn decoded<R>(file: &str, manifest: Manifest<'_>) -> Result<Found, String>
where
    R: RuleResource + serde::de::DeserializeOwned,
{
    let document = manifest.document();
    let rule: R = manifest::decode(&document.root).map_err(|error| error.to_string())?;
    let key = rule.rule_key();
    Ok(Found {
        name: key.name,
        namespaced: R::kind(&()) == "MetricRule",
        created: rule.meta().creation_timestamp.as_ref().map(|time| time.0),
        annotations: rule.meta().annotations.clone().unwrap_or_default(),
        spec: Arc::new(rule.to_rule_spec()),
        file: file.to_owned(),
        document,
    })
}

// === impl Found ===

impl Found {
    /// The problem, at its place in the file.
    pub(super) fn finding(&self, mut problem: Problem, left_out: bool) -> Finding {
        let position = self.document.locate(&problem.path, problem.position);
        problem.message = format!("{}: {}", self.name, problem.message);
        Finding {
            file: self.file.clone(),
            position,
            left_out,
            problem,
        }
    }
}
