//! Namespaces of a rule or a backend.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use language::selector::{Operator, Requirement, Selector};

use super::Problem;
use crate::reason::Reason;

/// The namespaces that exist, by name, with their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(BTreeMap<Arc<str>, BTreeMap<String, String>>);

/// The namespaces that something is for; always judged on the namespace of the *request*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceScope {
    /// Every namespace, and requests that have none.
    All,
    /// That namespace alone: a `MetricRule`.
    Only(Arc<str>),
    /// Namespaces whose labels match.
    Selected(Selector),
}

// === impl Namespaces ===

impl Namespaces {
    /// Sets or replaces the labels of one namespace; says whether anything changed.
    pub fn insert(&mut self, name: &str, labels: BTreeMap<String, String>) -> bool {
        if self.0.get(name) == Some(&labels) {
            return false;
        }
        self.0.insert(name.into(), labels);
        true
    }

    /// Forgets a namespace; says whether it was known.
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// The labels of `name`, where it exists.
    pub fn labels(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.0.get(name)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }
}

impl FromIterator<(String, BTreeMap<String, String>)> for Namespaces {
    fn from_iter<I: IntoIterator<Item = (String, BTreeMap<String, String>)>>(namespaces: I) -> Self {
        Self(
            namespaces
                .into_iter()
                .map(|(name, labels)| (name.into(), labels))
                .collect(),
        )
    }
}

// === impl NamespaceScope ===

impl NamespaceScope {
    /// From the label selector at `path` of a spec; absent and `{}` select all.
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for an operator that label selectors do not have, and for values where there may be none.
    pub fn from_label_selector(path: &str, selector: Option<&LabelSelector>) -> Result<Self, Problem> {
        let Some(selector) = selector else {
            return Ok(Self::All);
        };
        let invalid = |index: usize, field: &str, message: String| {
            let path = format!("{path}.matchExpressions[{index}].{field}");
            Problem::new(Reason::InvalidSpec, path, message)
        };
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            requirements.push(requirement(key, Operator::Equals, vec![value.clone()]));
        }
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let values = expression.values.clone().unwrap_or_default();
            let (operator, wants_values) = match expression.operator.as_str() {
                "In" => (Operator::In, true),
                "NotIn" => (Operator::NotIn, true),
                "Exists" => (Operator::Exists, false),
                "DoesNotExist" => (Operator::DoesNotExist, false),
                other => {
                    let message = format!("{other:?} is not valid; use In, NotIn, Exists or DoesNotExist");
                    return Err(invalid(index, "operator", message));
                }
            };
            if values.is_empty() == wants_values {
                let must = if wants_values {
                    "must not be empty"
                } else {
                    "must be absent"
                };
                let message = format!("`values` {must} with the operator {}", expression.operator);
                return Err(invalid(index, "values", message));
            }
            requirements.push(requirement(&expression.key, operator, values));
        }
        if requirements.is_empty() {
            return Ok(Self::All);
        }
        Ok(Self::Selected(Selector { requirements }))
    }

    /// Whether a request in `namespace` (`None`: root-scoped) is covered.
    pub fn covers(&self, namespace: Option<&str>, known: &Namespaces) -> bool {
        match (self, namespace) {
            (Self::All, _) => true,
            (Self::Only(own), Some(namespace)) => own.as_ref() == namespace,
            // A namespace that is not known has no labels yet; `notin` must not let it in by that.
            (Self::Selected(selector), Some(namespace)) => known
                .labels(namespace)
                .is_some_and(|labels| selector.matches(|key| labels.get(key).map(String::as_str))),
            (Self::Only(_) | Self::Selected(_), None) => false,
        }
    }

    /// Whether some request is covered by both, as far as the known namespaces tell.
    pub fn overlaps(&self, other: &Self, known: &Namespaces) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::Only(own), scope) | (scope, Self::Only(own)) => {
                self.covers(Some(own), known)
                    && scope.covers(Some(own), known)
                    && other.covers(Some(own), known)
            }
            _ => known
                .names()
                .any(|name| self.covers(Some(name), known) && other.covers(Some(name), known)),
        }
    }
}

fn requirement(key: &str, operator: Operator, values: Vec<String>) -> Requirement {
    Requirement {
        key: key.to_owned(),
        operator,
        values,
    }
}
