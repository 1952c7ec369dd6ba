//! Kinds `MetricRule` and `ClusterMetricRule`, with a trait by which one piece of code handles both.

use std::fmt;

use kube::{CustomResource, Resource};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::{
    invariant::{self, Violation},
    rule_spec::{CLUSTER_METRIC_RULE, METRIC_RULE, RuleSpec},
    rule_status::RuleStatus,
};

/// The metrics that the rule makes for objects of its own namespace, their names, and the query for their values. The operator
/// confines every query to the namespace of the rule.
#[expect(clippy::duplicated_attributes, reason = "print columns of one type")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metricrule.dev",
    version = "v1alpha1",
    kind = "MetricRule",
    namespaced,
    status = "RuleStatus",
    derive = "PartialEq",
    shortname = "mr",
    category = "metricrule-dev",
    doc = "A `MetricRule` gives HPAs metrics for the objects of its own namespace, through a query to a `MetricBackend`. The operator confines every such query to that namespace. The conditions show whether the rule works: `kubectl wait --for=condition=Accepted metricrule/NAME`.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the rule serves its metrics"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The reason for READY"
    ),
    printcolumn(
        name = "Metrics",
        type_ = "integer",
        json_path = ".status.discovered.metrics",
        description = "The number of metrics that it makes"
    ),
    printcolumn(
        name = "Backend",
        type_ = "string",
        json_path = ".spec.backendRef.name",
        description = "The MetricBackend that it names; if empty, the default one"
    ),
    printcolumn(
        name = "API",
        type_ = "string",
        json_path = ".spec.api",
        description = "Custom or External",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(transparent)]
#[schemars(transform = without_namespace_selector, transform = invariant::into_schema(METRIC_RULE))]
pub struct MetricRuleSpec(
    /// The shared spec; `namespace_selector` is absent.
    pub RuleSpec,
);

/// The metrics that the rule makes in every namespace, or in those that `namespaceSelector` selects, their names, and the query
/// for their values.
#[expect(clippy::duplicated_attributes, reason = "print columns of one type")]
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "metricrule.dev",
    version = "v1alpha1",
    kind = "ClusterMetricRule",
    status = "RuleStatus",
    derive = "PartialEq",
    shortname = "cmr",
    category = "metricrule-dev",
    doc = "A `ClusterMetricRule` is a `MetricRule` of the platform team. It gives metrics to the HPAs of every namespace, or of those that `namespaceSelector` selects, and the operator sends its queries as written. If a `MetricRule` makes the same metric, it answers in its own namespace.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        description = "Whether the rule serves its metrics"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        description = "The reason for READY"
    ),
    printcolumn(
        name = "Metrics",
        type_ = "integer",
        json_path = ".status.discovered.metrics",
        description = "The number of metrics that it makes"
    ),
    printcolumn(
        name = "Backend",
        type_ = "string",
        json_path = ".spec.backendRef.name",
        description = "The MetricBackend that it names; if empty, the default one"
    ),
    printcolumn(
        name = "API",
        type_ = "string",
        json_path = ".spec.api",
        description = "Custom or External",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(transparent)]
#[schemars(transform = invariant::into_schema(CLUSTER_METRIC_RULE))]
pub struct ClusterMetricRuleSpec(
    /// The shared spec.
    pub RuleSpec,
);

/// The identity of a rule of either kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey {
    /// The namespace of a `MetricRule`; `None` is a `ClusterMetricRule`.
    pub namespace: Option<String>,
    /// `metadata.name`
    pub name: String,
}

/// A rule of either kind.
pub trait RuleResource: Resource<DynamicType = ()> {
    /// What the compiler reads.
    fn rule_spec(&self) -> &RuleSpec;

    /// What the leader wrote last; absent at first.
    fn rule_status(&self) -> Option<&RuleStatus>;

    /// What the kind's schema would refuse, by path: empty for every object that went through an API server which
    /// serves the present CRD.
    fn violations(&self) -> Vec<Violation>;

    /// A copy of [`Self::rule_spec`].
    fn to_rule_spec(&self) -> RuleSpec {
        self.rule_spec().clone()
    }

    /// Namespace and name. An object without a name (it never went through an API server) has the empty one.
    fn rule_key(&self) -> RuleKey {
        RuleKey {
            namespace: self.meta().namespace.clone(),
            name: self.meta().name.clone().unwrap_or_default(),
        }
    }
}

/// Takes `namespaceSelector` out: kubectl then refuses it as an unknown field, and `explain` does not offer it.
fn without_namespace_selector(schema: &mut Schema) {
    if let Some(properties) = schema
        .get_mut("properties")
        .and_then(|value| value.as_object_mut())
    {
        properties.remove("namespaceSelector");
    }
}

// === impl MetricRuleSpec, ClusterMetricRuleSpec ===

impl From<RuleSpec> for MetricRuleSpec {
    fn from(spec: RuleSpec) -> Self {
        Self(spec)
    }
}

impl From<MetricRuleSpec> for RuleSpec {
    fn from(spec: MetricRuleSpec) -> Self {
        spec.0
    }
}

impl From<RuleSpec> for ClusterMetricRuleSpec {
    fn from(spec: RuleSpec) -> Self {
        Self(spec)
    }
}

impl From<ClusterMetricRuleSpec> for RuleSpec {
    fn from(spec: ClusterMetricRuleSpec) -> Self {
        spec.0
    }
}

// === impl MetricRule, ClusterMetricRule ===

impl RuleResource for MetricRule {
    fn rule_spec(&self) -> &RuleSpec {
        &self.spec.0
    }

    fn rule_status(&self) -> Option<&RuleStatus> {
        self.status.as_ref()
    }

    fn violations(&self) -> Vec<Violation> {
        let mut found = self.spec.0.violations(METRIC_RULE);
        if self.spec.0.namespace_selector.is_some() {
            found.push(Violation {
                path: "spec.namespaceSelector".to_owned(),
                message: "only a ClusterMetricRule has it".to_owned(),
            });
        }
        found
    }
}

impl RuleResource for ClusterMetricRule {
    fn rule_spec(&self) -> &RuleSpec {
        &self.spec.0
    }

    fn rule_status(&self) -> Option<&RuleStatus> {
        self.status.as_ref()
    }

    fn violations(&self) -> Vec<Violation> {
        self.spec.0.violations(CLUSTER_METRIC_RULE)
    }
}

// === impl RuleKey ===

impl RuleKey {
    /// A `MetricRule`.
    pub fn namespaced(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: Some(namespace.into()),
            name: name.into(),
        }
    }

    /// A `ClusterMetricRule`.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self {
            namespace: None,
            name: name.into(),
        }
    }

    /// `MetricRule` or `ClusterMetricRule`.
    pub const fn kind(&self) -> &'static str {
        if self.namespace.is_some() {
            "MetricRule"
        } else {
            "ClusterMetricRule"
        }
    }
}

/// `MetricRule shop/http-requests`, `ClusterMetricRule http-requests`: how messages name a rule.
impl fmt::Display for RuleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind(), self.name),
            None => write!(f, "{} {}", self.kind(), self.name),
        }
    }
}
