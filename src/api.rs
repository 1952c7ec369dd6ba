//! Wire types: the custom resources of the group `metricrule.dev`, version `v1alpha1`, with their schema and the rules that
//! it states in CEL; and what the metrics APIs send ([`custom`], [`external`], [`discovery`], [`status`]).
//!
//! A doc comment on a field here is the text of `kubectl explain`, so it is written for the person who writes the
//! object: what the field is, its default, unit and range, an example.

pub mod crds;
pub mod custom;
pub mod discovery;
pub mod duration;
pub mod external;
pub mod invariant;
pub mod list_meta;
pub mod metric_backend;
pub mod metric_rule;
pub mod object_ref;
pub mod rule_spec;
pub mod rule_status;
pub mod status;

pub use duration::{Duration, DurationError, parse_duration};
pub use invariant::Violation;
pub use metric_backend::{
    AllowedNamespaces, AuthSpec, AuthType, BackendCondition, BackendError, BackendLabels, BackendLimits,
    BackendType, BasicAuth, BasicSecretRef, BearerAuth, BearerSecretRef, CaRef, CaRefKind, CertificateRef,
    DiscoverySettings, HttpMethod, MetricBackend, MetricBackendSpec, MetricBackendStatus, NamespacesFrom,
    PartialResponse, PerNamespaceLimits, PerRuleLimits, PrometheusSpec, ServiceAccountRef,
    ServiceAccountTokenAuth, TlsSpec,
};
pub use metric_rule::{
    ClusterMetricRule, ClusterMetricRuleSpec, MetricRule, MetricRuleSpec, RuleKey, RuleResource,
};
pub use rule_spec::{
    BackendRef, GroupResourceRef, MetricsApi, NameMapping, NegativePolicy, ResourceMapping, RuleLimits,
    RuleSpec, Semantics, SeriesFilter,
};
pub use rule_status::{Discovered, DiscoveredSample, Dropped, LastError, RuleCondition, RuleStatus, Warning};

/// The API group of the custom resources.
pub const GROUP: &str = "metricrule.dev";

/// The version of the custom resources.
pub const VERSION: &str = "v1alpha1";

/// The annotation that makes a [`MetricBackend`] the default one, with the value `"true"`.
pub const IS_DEFAULT_ANNOTATION: &str = "metricrule.dev/is-default";

/// The label, with the value `"true"`, that a `Secret` or `ConfigMap` must carry for a [`MetricBackend`] to read it.
pub const BACKEND_LABEL: &str = "metricrule.dev/backend";

/// The annotation that holds, as JSON, fields of an imported prometheus-adapter rule for which a spec has no place, so that an
/// export has them again.
pub const ADAPTER_FIELDS_ANNOTATION: &str = "metricrule.dev/prometheus-adapter-fields";

/// A template that comes to nothing: the `metricsQuery` of an imported rule that had none, and so sent an empty query.
pub const ADAPTER_NO_QUERY: &str = "<</* no metricsQuery */>>";
