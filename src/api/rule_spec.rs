//! Spec of `MetricRule` and `ClusterMetricRule`: the part that both share, as the compiler of rules reads it.

mod invariants;

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use invariants::{CLUSTER_METRIC_RULE, METRIC_RULE};

use super::{duration, invariant};
pub use crate::metrics_api::MetricsApi;

/// The longest `metricsQuery`, in characters.
pub const MAX_METRICS_QUERY: usize = 16_384;
/// The longest `seriesQuery`, in characters.
pub const MAX_SERIES_QUERY: usize = 4_096;
/// The longest pattern, replacement or resource template, in characters.
pub const MAX_PATTERN: usize = 1_024;
/// The most `seriesFilters`, and the most `resources.overrides`.
pub const MAX_ITEMS: usize = 32;
/// The longest label name in `resources.overrides`, in characters.
pub const MAX_LABEL_NAME: usize = 256;
/// The longest `refresh`.
pub const MAX_REFRESH: Duration = Duration::from_mins(1);
/// The `refresh` of a rule that sets none, in standard semantics.
pub const DEFAULT_REFRESH: Duration = Duration::from_secs(5);

/// The longest `retainAfterIdle`: 30 days.
pub const MAX_RETAIN: Duration = Duration::from_hours(720);
/// The `retainAfterIdle` of a rule that sets none, in standard semantics.
pub const DEFAULT_RETAIN: Duration = Duration::from_hours(24);

/// The metrics that a rule makes, their names, and the query for their values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::RULE))]
pub struct RuleSpec {
    /// The metrics API that the rule serves. `Custom`: custom.metrics.k8s.io, metrics that describe objects (for an HPA's
    /// metrics of type Pods or Object). `External`: external.metrics.k8s.io, metrics that describe no object (type
    /// External). Default: `Custom`.
    #[serde(default)]
    pub api: MetricsApi,

    /// The `MetricBackend` that provides the series and values. Default: the one with the annotation
    /// `metricrule.dev/is-default: "true"`. If there is none, the condition `ResolvedRefs` is False with `BackendNotFound`;
    /// if there are several, with `AmbiguousDefault`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_ref: Option<BackendRef>,

    /// A `PromQL` series selector for the series of the rule. Each series name becomes a metric, renamed by `name`. At least one
    /// matcher must be selective. Without a `seriesQuery` the rule is static: the operator discovers nothing, `name.as` is the
    /// name of the metric, and the query must not use `<<.Series>>`. At most 4096 characters.
    /// Example: `http_requests_total{pod!=""}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub series_query: Option<String>,

    /// Patterns for the series name. The rule uses a series only if all of them hold. At most 32. Default: none.
    /// Example: `[{isNot: "^go_"}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub series_filters: Vec<SeriesFilter>,

    /// Maps labels of the series to Kubernetes objects. Required for `api: Custom`, with a `template` or with `overrides`. For
    /// `External` only the label of the namespace matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceMapping>,

    /// How to make the name of a metric from the name of a series. Default: the series name itself. A static rule requires it,
    /// with `as` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<NameMapping>,

    /// The query for the values: a Go template with `<<` and `>>` whose output is `PromQL`. Data: `.Series`,
    /// `.LabelMatchers`, `.LabelValuesByName`, `.GroupBy`, `.GroupBySlice`. Required, at most 16384 characters.
    /// Example: `sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))`.
    #[schemars(length(min = 1, max = 16384))]
    pub metrics_query: String,

    /// Only in a `ClusterMetricRule`: the namespaces whose requests it answers. Only a rule that selects all namespaces answers a
    /// request without a namespace. Default, and `{}`: all namespaces.
    /// Example: `{matchLabels: {team: shop}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub namespace_selector: Option<LabelSelector>,

    /// What to do with a negative value. `Pass`: serve it. `Zero`: serve 0. With `api: External`, whose rows an HPA adds up,
    /// `Zero` applies only if their sum is negative, and then to each of them. `Error`: fail the request with
    /// `NegativeValue`. Default: `Pass` for `api: Custom`, `Zero` for `External`, because an HPA of Kubernetes 1.34 and
    /// later scales to its maximum on a negative sum. With `semantics: PrometheusAdapter` always `Pass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NegativePolicy")]
    pub negative: Option<NegativePolicy>,

    /// Only for `api: External`: what to do with an answer that lacks rows, because an HPA adds up the others. Rows are missing
    /// if some are NaN or native histograms, or if the `MetricBackend` accepts a partial answer and this is one. `Fail`: fail the
    /// request with `MissingRows`. `Accept`: serve the other rows. Default: `Fail`; with `semantics: PrometheusAdapter` `Accept`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MissingRows")]
    pub missing_rows: Option<MissingRows>,

    /// The length of time that a value covers. Clients see it as `windowSeconds` of the custom metrics API. A duration such as
    /// `90s` or `2m`. Default: the widest range in the rendered query; with `semantics: PrometheusAdapter` none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = duration::PATTERN), length(max = duration::MAX_LENGTH))]
    pub window: Option<String>,

    /// How long an answer of the backend may be served again before the operator asks anew, 0s to 60s. The answer keeps the time
    /// of its query. `0s` (only in a `ClusterMetricRule`): every request asks anew. In a `MetricRule` a shorter
    /// time than `limits.perRule.minRefresh` of the `MetricBackend` is raised to it (`AboveCeiling`). Requests for the same data join a query that is on its way.
    /// Default: `5s`; in a `ClusterMetricRule` with `semantics: PrometheusAdapter` `0s`. Example: `15s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = duration::PATTERN), length(max = duration::MAX_LENGTH))]
    pub refresh: Option<String>,

    /// How long the rule keeps a metric whose series are gone. Until then requests get `NoData`; afterwards `UnknownMetric`, or
    /// the metric of another rule. A series is gone only if a successful listing lacks it. 0s to 720h (30 days); `0s`: the
    /// rule gives up the metric with its series. Default: `24h`; with `semantics: PrometheusAdapter` `0s`. Example: `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = duration::PATTERN), length(max = duration::MAX_LENGTH))]
    pub retain_after_idle: Option<String>,

    /// Bounds for the series, metrics and samples of the rule. For a `MetricRule`, `limits.perRule` of the `MetricBackend` applies
    /// where it is lower (`AboveCeiling`). Default: 10000 series, 100 metrics, 50000 samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<RuleLimits>,

    /// Decides which rule answers if several rules of the same kind make the same metric for the same resource: the one with the
    /// higher number, then the older rule, then the lower name. A `MetricRule` of the requested namespace comes before every
    /// `ClusterMetricRule`. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub priority: Option<i32>,

    /// The form of queries and answers where there is more than one. `Standard`: as documented here. `PrometheusAdapter`: as
    /// prometheus-adapter sends and answers them, for rules that come from it. That concerns the text of `.LabelMatchers` and
    /// `.LabelValuesByName`, values cut off after a thousandth, NaN as 0, the last of several rows for one object, its 404s and
    /// timestamps. A `MetricRule` stays confined to its namespace either way. Default: `Standard`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Semantics", extend("default" = "Standard"))]
    pub semantics: Option<Semantics>,
}

/// The form of queries and answers where there is more than one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Semantics {
    /// As documented.
    #[default]
    Standard,
    /// As prometheus-adapter does it.
    PrometheusAdapter,
}

/// A `MetricBackend` by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendRef {
    /// The name of the `MetricBackend`. Required. Example: `default`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A pattern for the series name: exactly one of `is` and `isNot`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::SERIES_FILTER))]
pub struct SeriesFilter {
    /// A regular expression (RE2) that must match the series name; it is not anchored. At most 1024
    /// characters. Example: `^http_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub is: Option<String>,

    /// A regular expression (RE2) that must not match the series name; it is not anchored. At most 1024
    /// characters. Example: `_bucket$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub is_not: Option<String>,
}

/// Maps labels of the series to Kubernetes objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = invariant::into_schema(invariants::RESOURCES))]
pub struct ResourceMapping {
    /// A Go template with `<<` and `>>` that makes a label name from a kind: `<<.Resource>>` is its singular name,
    /// `<<.Group>>` its API group with `.` and `-` as `_`. The operator also uses it in reverse, to find the kind of a label.
    /// An override takes precedence. At most 1024 characters. Example: `kube_<<.Group>>_<<.Resource>>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub template: Option<String>,

    /// Label name to kind. At most 32, each label name of at most 256 characters, and one label for each kind. A kind that the
    /// cluster does not know disables its entry, but not the rule, until its CRD appears (`UnknownResource`).
    /// Example: `{namespace: {resource: namespaces}, pod: {resource: pods}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub overrides: BTreeMap<String, GroupResourceRef>,

    /// Only for `api: External`: whether a query is limited to the namespace of the request. Only a `ClusterMetricRule` with an
    /// explicit `namespaceSelector` may set `false`. Default: `true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaced: Option<bool>,
}

/// A Kubernetes kind, by its resource name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct GroupResourceRef {
    /// The API group, `""` for the core group. Default: the group that the cluster's discovery gives. Example: `apps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,

    /// The resource, plural or singular; case does not matter. Required. Examples: `pods`, `deployment`.
    #[schemars(regex(pattern = "^[a-zA-Z][-a-zA-Z0-9]*$"), length(min = 1, max = 63))]
    pub resource: String,
}

/// How to make the name of a metric from the name of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NameMapping {
    /// A regular expression (RE2) for the series name; it is not anchored. Series that do not match make no
    /// metric (`NameNotMatched`). At most 1024 characters. Default, and `""`: `.*`. Example: `^(.*)_total$`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub matches: Option<String>,

    /// The replacement of the match: `$1` and `${1}` are its capture groups, `$$` is a dollar sign. A result that is empty,
    /// contains `/`, `%` or control characters, or is longer than 512 bytes makes no metric (`InvalidName`). At most 1024
    /// characters. Default, and `""`: `$0` if `matches` has no capture group, `$1` if it has one. Example:
    /// `${1}_per_second`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub r#as: Option<String>,
}

/// What to do with a negative value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NegativePolicy {
    /// Serve it.
    Pass,
    /// Serve 0.
    Zero,
    /// Fail the request.
    Error,
}

/// What to do with an answer that lacks rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum MissingRows {
    /// Fail the request.
    Fail,
    /// Serve the other rows, with a warning in the log.
    Accept,
}

/// Bounds for the series, metrics and samples of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleLimits {
    /// The most series that the rule considers; the rest is cut off in lexical order (`Truncated`). 0 to 10000000;
    /// 0 means no limit, only in a `ClusterMetricRule`. Default: 10000.
    #[schemars(range(max = 10_000_000))]
    pub max_series: u32,

    /// The most metrics that the rule makes; the rest is cut off in lexical order (`Truncated`). 0 to 100000; 0 means
    /// no limit, only in a `ClusterMetricRule`. Default: 100.
    #[schemars(range(max = 100_000))]
    pub max_metrics: u32,

    /// The most rows of one answer of the backend; a longer answer fails the request (`LimitExceeded`). 0 to
    /// 10000000; 0 means no limit, only in a `ClusterMetricRule`. Default: 50000.
    #[schemars(range(max = 10_000_000))]
    pub max_samples: u32,

    /// Only in a `ClusterMetricRule`: allows a `seriesQuery` without a selective matcher, which may read every series of the
    /// backend. Default: `false`.
    pub allow_match_all: bool,
}

// === impl RuleSpec ===

impl RuleSpec {
    /// The limits as written, or the defaults.
    pub fn effective_limits(&self) -> RuleLimits {
        self.limits.clone().unwrap_or_default()
    }

    /// The negative policy as written, or the one that follows from `api` and `semantics`.
    pub fn effective_negative(&self) -> NegativePolicy {
        let derived = match (self.api, self.effective_semantics()) {
            (MetricsApi::External, Semantics::Standard) => NegativePolicy::Zero,
            _ => NegativePolicy::Pass,
        };
        self.negative.unwrap_or(derived)
    }

    /// The policy for missing rows as written, or the one that follows from `semantics`.
    pub fn effective_missing_rows(&self) -> MissingRows {
        let derived = match self.effective_semantics() {
            Semantics::Standard => MissingRows::Fail,
            Semantics::PrometheusAdapter => MissingRows::Accept,
        };
        self.missing_rows.unwrap_or(derived)
    }

    /// The `retainAfterIdle` of a rule that sets none.
    pub fn derived_retain(&self) -> Duration {
        match self.effective_semantics() {
            Semantics::Standard => DEFAULT_RETAIN,
            Semantics::PrometheusAdapter => Duration::ZERO,
        }
    }

    /// The semantics as written, or [`Semantics::Standard`].
    pub fn effective_semantics(&self) -> Semantics {
        self.semantics.unwrap_or_default()
    }

    /// A rule without a `seriesQuery`: named by `name.as`, nothing discovered.
    pub const fn is_static(&self) -> bool {
        self.series_query.is_none()
    }
}

// === impl RuleLimits ===

impl Default for RuleLimits {
    fn default() -> Self {
        Self {
            max_series: 10_000,
            max_metrics: 100,
            max_samples: 50_000,
            allow_match_all: false,
        }
    }
}
