//! Table of compiled rules that everything downstream reads: immutable, published whole.

use std::{cmp::Ordering, sync::Arc};

use super::{BackendRecord, CompiledRule, Namespaces, Problem, backend::Backends};
use crate::{api::metric_rule::RuleKey, reason::Reason, resource::Resources};

/// One consistent state of rules, backends, namespaces and the REST mapping.
#[derive(Clone, Debug, Default)]
pub struct RuleTable {
    /// Whether every watch behind it has listed once; before that, what is missing may just not have been read.
    pub synced: bool,
    /// By namespace and name, `ClusterMetricRule`s first.
    pub rules: Arc<[Arc<CompiledRule>]>,
    /// By name.
    pub backends: Arc<Backends>,
    /// Their labels decide selectors.
    pub namespaces: Arc<Namespaces>,
    /// What kinds there are.
    pub resources: Arc<Resources>,
}

// === impl RuleTable ===

impl RuleTable {
    /// The rule of that key.
    pub fn get(&self, key: &RuleKey) -> Option<&Arc<CompiledRule>> {
        let found = self.rules.binary_search_by(|rule| rule.key().cmp(key)).ok()?;
        self.rules.get(found)
    }

    /// Whether the backend of `rule` answers requests of `namespace` (`None`: root-scoped).
    ///
    /// # Errors
    ///
    /// What is wrong with the backend, or `BackendNotAllowed`.
    pub fn check_backend(&self, rule: &CompiledRule, namespace: Option<&str>) -> Result<(), Problem> {
        let backend = rule.backend.as_ref().map_err(Clone::clone)?;
        if backend.allowed.covers(namespace, &self.namespaces) {
            return Ok(());
        }
        let whose = namespace.map_or_else(
            || "requests without a namespace".to_owned(),
            |namespace| format!("requests of the namespace {namespace:?}"),
        );
        Err(Problem::new(
            Reason::BackendNotAllowed,
            "spec.backendRef",
            format!(
                "the MetricBackend {:?} does not answer {whose} (its spec.allowedNamespaces)",
                backend.name
            ),
        ))
    }

    /// What is wrong with the references of `rule` as a whole: a `MetricRule`'s backend must allow its namespace.
    pub fn unresolved_backend(&self, rule: &CompiledRule) -> Option<Problem> {
        match rule.key().namespace.as_deref() {
            Some(namespace) => self.check_backend(rule, Some(namespace)).err(),
            None => rule.backend.as_ref().err().cloned(),
        }
    }

    /// The backend whose series are listed for `rule`, and the selector; `None` where there is nothing to list, or it may not be.
    pub fn to_list<'a>(&self, rule: &'a CompiledRule) -> Option<(&'a Arc<BackendRecord>, &'a Arc<str>)> {
        let selector = rule.listed()?;
        // What is refused for what it would list is not listed; any other refusal leaves the claims standing.
        let mut refusals = rule.refusals.iter();
        if refusals.any(|problem| problem.reason == Reason::MatchAll)
            || self.unresolved_backend(rule).is_some()
        {
            return None;
        }
        Some((rule.backend.as_ref().ok()?, selector))
    }
}

/// Which of two claims of one metric is answered first: a `MetricRule` before a `ClusterMetricRule`, then the higher
/// priority, then the older, then the lower name.
pub fn precedence(a: &CompiledRule, b: &CompiledRule) -> Ordering {
    let rank = |rule: &CompiledRule| !rule.is_namespaced();
    let age = |rule: &CompiledRule| (rule.object.created.is_none(), rule.object.created);
    rank(a)
        .cmp(&rank(b))
        .then_with(|| b.priority.cmp(&a.priority))
        .then_with(|| age(a).cmp(&age(b)))
        .then_with(|| a.key().name.cmp(&b.key().name))
        .then_with(|| a.key().cmp(b.key()))
}
