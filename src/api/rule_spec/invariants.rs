//! Invariants of a rule that `OpenAPI` cannot express: fields that require, or exclude, each other.

use std::time::Duration;

use super::{
    MAX_ITEMS, MAX_LABEL_NAME, MAX_METRICS_QUERY, MAX_PATTERN, MAX_REFRESH, MAX_RETAIN, MAX_SERIES_QUERY,
    MetricsApi, ResourceMapping, RuleSpec, SeriesFilter,
};
use crate::api::{
    duration::parse_duration,
    invariant::{self, Invariant, Violation, selector},
};

/// The longest name of an object, and the longest API group.
const MAX_NAME: usize = 253;
/// The longest name of a resource.
const MAX_RESOURCE: usize = 63;

/// Both kinds.
pub(super) const RULE: &[Invariant<RuleSpec>] = &[
    Invariant {
        at: ".name.as",
        message: "a rule without seriesQuery is static: set the name of its metric here, without $",
        cel: "has(self.seriesQuery) || (has(self.name) && has(self.name.__as__) && self.name.__as__ != '' && \
              !self.name.__as__.contains('$'))",
        holds: |spec| !spec.is_static() || as_text(spec).is_some_and(|text| !text.contains('$')),
    },
    Invariant {
        at: ".name.matches",
        message: "a rule without seriesQuery is static: it has no series name to match",
        cel: "has(self.seriesQuery) || !has(self.name) || !has(self.name.matches) || self.name.matches == ''",
        holds: |spec| {
            !spec.is_static()
                || spec
                    .name
                    .as_ref()
                    .and_then(|name| name.matches.as_deref())
                    .is_none_or(str::is_empty)
        },
    },
    Invariant {
        at: ".seriesFilters",
        message: "a rule without seriesQuery is static: it has no series to filter",
        cel: "has(self.seriesQuery) || !has(self.seriesFilters) || size(self.seriesFilters) == 0",
        holds: |spec| !spec.is_static() || spec.series_filters.is_empty(),
    },
    Invariant {
        at: ".resources.template",
        message: "a rule without seriesQuery is static: name its kinds in resources.overrides",
        cel: "has(self.seriesQuery) || !has(self.resources) || !has(self.resources.template)",
        holds: |spec| !spec.is_static() || spec.resources.as_ref().is_none_or(|map| map.template.is_none()),
    },
    Invariant {
        at: ".resources",
        message: "a rule with api Custom needs resources.template or resources.overrides to find the described objects",
        cel: "self.api == 'External' || (has(self.resources) && (has(self.resources.template) || \
              (has(self.resources.overrides) && size(self.resources.overrides) > 0)))",
        holds: |spec| {
            spec.api == MetricsApi::External
                || spec
                    .resources
                    .as_ref()
                    .is_some_and(|map| map.template.is_some() || !map.overrides.is_empty())
        },
    },
    Invariant {
        at: ".resources.namespaced",
        message: "only a rule with api External may set this to false",
        cel: "self.api == 'External' || !has(self.resources) || !has(self.resources.namespaced) || \
              self.resources.namespaced",
        holds: |spec| spec.api == MetricsApi::External || is_namespaced(spec),
    },
    Invariant {
        at: ".missingRows",
        message: "only a rule with api External may set this",
        cel: "self.api == 'External' || !has(self.missingRows)",
        holds: |spec| spec.api == MetricsApi::External || spec.missing_rows.is_none(),
    },
    Invariant {
        at: ".refresh",
        message: "must be from 0s to 60s",
        cel: "!has(self.refresh) || duration(self.refresh) <= duration('60s')",
        holds: |spec| refresh(spec).is_none_or(|refresh| refresh <= MAX_REFRESH),
    },
    Invariant {
        at: ".retainAfterIdle",
        message: "must be from 0s to 720h (30 days)",
        cel: "!has(self.retainAfterIdle) || duration(self.retainAfterIdle) <= duration('720h')",
        holds: |spec| retain(spec).is_none_or(|retain| retain <= MAX_RETAIN),
    },
];

/// Only [`crate::api::MetricRule`].
pub(crate) const METRIC_RULE: &[Invariant<RuleSpec>] = &[
    Invariant {
        at: ".resources.namespaced",
        message: "only a ClusterMetricRule may set this to false",
        cel: "!has(self.resources) || !has(self.resources.namespaced) || self.resources.namespaced",
        holds: is_namespaced,
    },
    Invariant {
        at: ".limits",
        message: "only a ClusterMetricRule may set 0 (no limit)",
        cel: "!has(self.limits) || (self.limits.maxSeries > 0 && self.limits.maxMetrics > 0 && \
              self.limits.maxSamples > 0)",
        holds: |spec| {
            let limits = spec.effective_limits();
            limits.max_series > 0 && limits.max_metrics > 0 && limits.max_samples > 0
        },
    },
    Invariant {
        at: ".limits.allowMatchAll",
        message: "only a ClusterMetricRule may set this to true",
        cel: "!has(self.limits) || !self.limits.allowMatchAll",
        holds: |spec| !spec.effective_limits().allow_match_all,
    },
    Invariant {
        at: ".refresh",
        message: "only a ClusterMetricRule may set 0s, which asks anew for every request",
        cel: "!has(self.refresh) || duration(self.refresh) > duration('0s')",
        holds: |spec| refresh(spec).is_none_or(|refresh| !refresh.is_zero()),
    },
];

/// Only [`crate::api::ClusterMetricRule`].
pub(crate) const CLUSTER_METRIC_RULE: &[Invariant<RuleSpec>] = &[
    Invariant {
        at: ".namespaceSelector",
        message: "required with resources.namespaced false; {} selects all namespaces",
        cel: "!has(self.resources) || !has(self.resources.namespaced) || self.resources.namespaced || \
              has(self.namespaceSelector)",
        holds: |spec| is_namespaced(spec) || spec.namespace_selector.is_some(),
    },
    Invariant {
        at: ".namespaceSelector",
        message: "a key of matchLabels has at most 317 characters",
        cel: "!has(self.namespaceSelector) || !has(self.namespaceSelector.matchLabels) || \
              self.namespaceSelector.matchLabels.all(key, size(key) <= 317)",
        holds: |spec| selector::has_short_keys(spec.namespace_selector.as_ref()),
    },
];

/// `resources`.
pub(super) const RESOURCES: &[Invariant<ResourceMapping>] = &[Invariant {
    at: ".overrides",
    message: "a label name has at most 256 characters",
    cel: "!has(self.overrides) || self.overrides.all(label, size(label) <= 256)",
    holds: |resources| {
        resources
            .overrides
            .keys()
            .all(|label| label.chars().count() <= MAX_LABEL_NAME)
    },
}];

/// One item of `seriesFilters`.
pub(super) const SERIES_FILTER: &[Invariant<SeriesFilter>] = &[Invariant {
    at: "",
    message: "set exactly one of is and isNot",
    cel: "has(self.is) != has(self.isNot)",
    holds: |filter| filter.is.is_some() != filter.is_not.is_some(),
}];

impl RuleSpec {
    /// What the schema of either kind would refuse, `kind` being the rows of the one at hand.
    pub(crate) fn violations(&self, kind: &[Invariant<Self>]) -> Vec<Violation> {
        let mut found = Vec::new();
        invariant::check(RULE, self, "spec", &mut found);
        invariant::check(kind, self, "spec", &mut found);
        self.check_bounds(&mut found);
        found.sort();
        found
    }

    fn check_bounds(&self, found: &mut Vec<Violation>) {
        invariant::check_length(&self.metrics_query, MAX_METRICS_QUERY, "spec.metricsQuery", found);
        if self.metrics_query.is_empty() {
            found.push(Violation {
                path: "spec.metricsQuery".into(),
                message: "required".into(),
            });
        }
        if let Some(query) = &self.series_query {
            invariant::check_length(query, MAX_SERIES_QUERY, "spec.seriesQuery", found);
        }
        for (index, filter) in self.series_filters.iter().enumerate() {
            let path = format!("spec.seriesFilters[{index}]");
            invariant::check(SERIES_FILTER, filter, &path, found);
            for (field, pattern) in [("is", &filter.is), ("isNot", &filter.is_not)] {
                invariant::check_length(
                    pattern.as_deref().unwrap_or(""),
                    MAX_PATTERN,
                    format!("{path}.{field}"),
                    found,
                );
            }
        }
        if let Some(name) = &self.name {
            for (field, text) in [("matches", &name.matches), ("as", &name.r#as)] {
                let path = format!("spec.name.{field}");
                invariant::check_length(text.as_deref().unwrap_or(""), MAX_PATTERN, path, found);
            }
        }
        let overrides = self.resources.as_ref().map_or(0, |map| map.overrides.len());
        let counts = [
            ("spec.seriesFilters", self.series_filters.len()),
            ("spec.resources.overrides", overrides),
        ];
        for (path, count) in counts {
            if count > MAX_ITEMS {
                found.push(Violation {
                    path: path.into(),
                    message: format!("at most {MAX_ITEMS}"),
                });
            }
        }
        if let Some(resources) = &self.resources {
            invariant::check(RESOURCES, resources, "spec.resources", found);
            resources.check_kinds(found);
        }
        if let Some(name) = self.backend_ref.as_ref().map(|backend| &backend.name) {
            invariant::check_length(name, MAX_NAME, "spec.backendRef.name", found);
        }
        if let Some(selector) = &self.namespace_selector {
            selector::check(selector, "spec.namespaceSelector", found);
        }
        if let Some(template) = self.resources.as_ref().and_then(|map| map.template.as_deref()) {
            invariant::check_length(template, MAX_PATTERN, "spec.resources.template", found);
        }
        for (path, text) in [
            ("spec.window", &self.window),
            ("spec.refresh", &self.refresh),
            ("spec.retainAfterIdle", &self.retain_after_idle),
        ] {
            if let Some(Err(error)) = text.as_deref().map(parse_duration) {
                found.push(Violation {
                    path: path.into(),
                    message: error.to_string(),
                });
            }
        }
    }
}

impl ResourceMapping {
    /// The kinds that it names.
    fn check_kinds(&self, found: &mut Vec<Violation>) {
        for (label, kind) in &self.overrides {
            let label: String = label.chars().take(MAX_LABEL_NAME).collect();
            let path = format!("spec.resources.overrides[{label}]");
            let group = kind.group.as_deref().unwrap_or_default();
            invariant::check_length(group, MAX_NAME, format!("{path}.group"), found);
            invariant::check_length(&kind.resource, MAX_RESOURCE, format!("{path}.resource"), found);
        }
    }
}

/// `name.as`, where it says something.
fn as_text(spec: &RuleSpec) -> Option<&str> {
    spec.name
        .as_ref()
        .and_then(|name| name.r#as.as_deref())
        .filter(|text| !text.is_empty())
}

/// `refresh`, where it is there and a duration at all.
fn refresh(spec: &RuleSpec) -> Option<Duration> {
    parse_duration(spec.refresh.as_deref()?).ok()
}

/// `retainAfterIdle`, where it is there and a duration at all.
fn retain(spec: &RuleSpec) -> Option<Duration> {
    parse_duration(spec.retain_after_idle.as_deref()?).ok()
}

fn is_namespaced(spec: &RuleSpec) -> bool {
    spec.resources
        .as_ref()
        .and_then(|map| map.namespaced)
        .unwrap_or(true)
}
