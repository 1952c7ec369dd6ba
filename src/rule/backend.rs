//! `MetricBackend` as rules see it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use promql::matcher::is_label_name;

use super::{NamespaceScope, Problem};
use crate::{
    api::metric_backend::{MetricBackendSpec, NamespacesFrom, PrometheusSpec},
    reason::Reason,
};

/// The label that is trusted to hold a namespace where a backend names none.
const DEFAULT_NAMESPACE_LABEL: &str = "namespace";

/// A backend that decoded, with what rules need of it worked out.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendRecord {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether it carries `metricrule.dev/is-default: "true"`.
    pub is_default: bool,
    /// The spec as written; the client is built from it.
    pub spec: Arc<MetricBackendSpec>,
    /// The labels that the platform team trusts to hold a namespace; never empty.
    pub namespace_labels: Vec<String>,
    /// The namespaces whose requests it may answer.
    pub allowed: NamespaceScope,
    /// How often series are listed again.
    pub interval: Duration,
    /// How far back a series may have ended and still be listed.
    pub lookback: Duration,
}

/// The backends that exist, by name; one that cannot be used is kept as the problem that it has.
pub type Backends = BTreeMap<Arc<str>, Result<Arc<BackendRecord>, Problem>>;

// === impl BackendRecord ===

impl BackendRecord {
    /// Checks a spec and works out what rules need of it.
    ///
    /// # Errors
    ///
    /// `InvalidSpec` for what the schema would have refused, had it been in force when the object was written.
    pub fn new(
        name: &str,
        uid: String,
        generation: i64,
        is_default: bool,
        spec: Arc<MetricBackendSpec>,
    ) -> Result<Self, Problem> {
        let invalid = |path: &str, message: String| Problem::new(Reason::InvalidSpec, path, message);
        let mut namespace_labels = spec.labels.namespaces.clone();
        if namespace_labels.is_empty() {
            namespace_labels.push(DEFAULT_NAMESPACE_LABEL.to_owned());
        }
        if let Some(label) = namespace_labels.iter().find(|label| !is_label_name(label)) {
            return Err(invalid(
                "spec.labels.namespaces",
                format!("{label:?} is not a valid label name"),
            ));
        }
        let allowed = match spec.allowed_namespaces.from {
            NamespacesFrom::All => NamespaceScope::All,
            NamespacesFrom::Selector => NamespaceScope::from_label_selector(
                "spec.allowedNamespaces.selector",
                spec.allowed_namespaces.selector.as_ref(),
            )?,
        };
        Ok(Self {
            interval: spec.discovery.interval.get(),
            lookback: spec.discovery.lookback.get(),
            name: name.into(),
            uid,
            generation,
            is_default,
            namespace_labels,
            allowed,
            spec,
        })
    }

    /// A Prometheus with every default, for rules that are compiled where no backend is known.
    pub fn assumed(name: &str) -> Self {
        let spec = MetricBackendSpec::new(PrometheusSpec::new("http://prometheus"));
        Self {
            name: name.into(),
            uid: String::new(),
            generation: 0,
            is_default: true,
            namespace_labels: vec![DEFAULT_NAMESPACE_LABEL.to_owned()],
            allowed: NamespaceScope::All,
            interval: spec.discovery.interval.get(),
            lookback: spec.discovery.lookback.get(),
            spec: Arc::new(spec),
        }
    }

    /// The label that confinement, matchers and the row check use where a rule maps none to namespaces.
    pub fn first_namespace_label(&self) -> &str {
        self.namespace_labels
            .first()
            .map_or(DEFAULT_NAMESPACE_LABEL, String::as_str)
    }
}

/// The backend that a rule names, or the default one.
///
/// # Errors
///
/// `BackendNotFound`, `AmbiguousDefault`, or what is wrong with the backend itself.
pub fn resolve(backends: &Backends, named: Option<&str>) -> Result<Arc<BackendRecord>, Problem> {
    let path = "spec.backendRef";
    if let Some(name) = named {
        return match backends.get(name) {
            Some(Ok(backend)) => Ok(backend.clone()),
            Some(Err(problem)) => Err(Problem::new(
                problem.reason,
                path,
                format!("the MetricBackend {name:?} cannot be used: {problem}"),
            )),
            None => Err(Problem::new(
                Reason::BackendNotFound,
                path,
                format!(
                    "the MetricBackend {name:?} does not exist; `kubectl get metricbackends` lists those that exist"
                ),
            )),
        };
    }
    let mut defaults = backends
        .values()
        .filter_map(|backend| backend.as_ref().ok())
        .filter(|b| b.is_default);
    match (defaults.next(), defaults.next()) {
        (Some(only), None) => Ok(only.clone()),
        (None, _) => Err(Problem::new(
            Reason::BackendNotFound,
            path,
            "no MetricBackend has the annotation metricrule.dev/is-default: \"true\"; name one in spec.backendRef, \
             or annotate one",
        )),
        (Some(first), Some(second)) => Err(Problem::new(
            Reason::AmbiguousDefault,
            path,
            format!(
                "the MetricBackends {:?} and {:?} both have the annotation metricrule.dev/is-default: \"true\"; name \
                 one in spec.backendRef, or remove the annotation from all but one",
                first.name, second.name
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assumed_backend_is_one_with_every_default() {
        let assumed = BackendRecord::assumed("any");
        let made = BackendRecord::new("any", String::new(), 0, true, assumed.spec.clone());
        assert_eq!(made, Ok(assumed));
    }
}
