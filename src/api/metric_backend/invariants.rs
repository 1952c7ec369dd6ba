//! Invariants of a backend that `OpenAPI` cannot express: fields that require, or exclude, each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration as StdDuration,
};

use super::{
    AllowedNamespaces, AuthSpec, AuthType, BackendLabels, BackendType, DiscoverySettings, MetricBackend,
    MetricBackendSpec, NamespacesFrom, PerRuleLimits, PrometheusSpec, ServiceAccountTokenAuth, TlsSpec,
};
use crate::api::{
    duration::Duration,
    invariant::{self, Invariant, Violation, selector},
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;

/// Headers that the client sets itself, in lower case.
const OWN_HEADERS: [&str; 2] = ["authorization", "host"];
/// Parameters that the client sets itself.
const OWN_PARAMS: [&str; 6] = ["query", "time", "timeout", "match[]", "start", "end"];

/// The longest name of a header or parameter, in characters.
const MAX_FIELD_NAME: usize = 256;
/// The longest value of one, in characters.
const MAX_FIELD: usize = 1_024;
/// The most headers, and the most parameters.
const MAX_FIELDS: usize = 16;
/// The longest address, in characters.
const MAX_URL: usize = 2_048;

pub(super) const BACKEND: &[Invariant<MetricBackendSpec>] = &[Invariant {
    at: ".prometheus",
    message: "required with type Prometheus",
    cel: "(self.type == 'Prometheus') == has(self.prometheus)",
    holds: |spec| match spec.r#type {
        BackendType::Prometheus => spec.prometheus.is_some(),
    },
}];

pub(super) const PROMETHEUS: &[Invariant<PrometheusSpec>] = &[
    Invariant {
        at: ".url",
        message: "must be an http:// or https:// address without user-info, query or fragment",
        cel: r"self.url.matches('^https?://[^/?#@\\s]+(/[^?#\\s]*)?$')",
        holds: |spec| is_plain_url(&spec.url),
    },
    Invariant {
        at: ".timeout",
        message: "must be from 100ms to 60s",
        cel: "duration(self.timeout) >= duration('100ms') && duration(self.timeout) <= duration('60s')",
        holds: |spec| {
            (StdDuration::from_millis(100)..=StdDuration::from_mins(1)).contains(&spec.timeout.get())
        },
    },
    Invariant {
        at: ".headers",
        message: "names must be valid header names other than Authorization (use auth) and Host",
        cel: r"!has(self.headers) || self.headers.all(name, name.matches('^[-!#$%&*+.^_|~0-9A-Za-z]+$') && !(name.lowerAscii() in ['authorization', 'host']))",
        holds: |spec| spec.headers.keys().all(|name| is_header_name(name)),
    },
    Invariant {
        at: ".queryParams",
        message: "must not contain query, time, timeout, match[], start or end: the operator sets them",
        cel: "!has(self.queryParams) || self.queryParams.all(name, !(name in ['query', 'time', 'timeout', \
              'match[]', 'start', 'end']))",
        holds: |spec| {
            spec.query_params
                .keys()
                .all(|name| !OWN_PARAMS.contains(&name.as_str()))
        },
    },
    Invariant {
        at: ".headers",
        message: "a name has at most 256 characters",
        cel: "!has(self.headers) || self.headers.all(name, size(name) <= 256)",
        holds: |spec| has_short_names(&spec.headers),
    },
    Invariant {
        at: ".queryParams",
        message: "a name has at most 256 characters",
        cel: "!has(self.queryParams) || self.queryParams.all(name, size(name) <= 256)",
        holds: |spec| has_short_names(&spec.query_params),
    },
    Invariant {
        at: ".tls",
        message: "allowed only with an https:// address",
        cel: "!has(self.tls) || self.url.startsWith('https://')",
        holds: |spec| spec.tls.is_none() || spec.url.starts_with("https://"),
    },
    Invariant {
        at: ".auth",
        message: "credentials are sent to an http:// address only with allowPlaintextCredentials: true",
        cel: "!has(self.auth) || self.url.startsWith('https://') || self.allowPlaintextCredentials",
        holds: |spec| {
            spec.auth.is_none() || spec.url.starts_with("https://") || spec.allow_plaintext_credentials
        },
    },
];

pub(super) const TLS: &[Invariant<TlsSpec>] = &[Invariant {
    at: ".insecureSkipVerify",
    message: "must not be combined with caRef, which would have no effect",
    cel: "!(has(self.caRef) && self.insecureSkipVerify)",
    holds: |tls| !(tls.ca_ref.is_some() && tls.insecure_skip_verify),
}];

pub(super) const AUTH: &[Invariant<AuthSpec>] = &[
    Invariant {
        at: ".basic",
        message: "required with type Basic, and only with it",
        cel: "(self.type == 'Basic') == has(self.basic)",
        holds: |auth| (auth.r#type == AuthType::Basic) == auth.basic.is_some(),
    },
    Invariant {
        at: ".bearer",
        message: "required with type Bearer, and only with it",
        cel: "(self.type == 'Bearer') == has(self.bearer)",
        holds: |auth| (auth.r#type == AuthType::Bearer) == auth.bearer.is_some(),
    },
    Invariant {
        at: ".serviceAccountToken",
        message: "required with type ServiceAccountToken, and only with it",
        cel: "(self.type == 'ServiceAccountToken') == has(self.serviceAccountToken)",
        holds: |auth| (auth.r#type == AuthType::ServiceAccountToken) == auth.service_account_token.is_some(),
    },
];

pub(super) const SERVICE_ACCOUNT_TOKEN: &[Invariant<ServiceAccountTokenAuth>] = &[Invariant {
    at: ".expiration",
    message: "must be from 10m to 24h",
    cel: "duration(self.expiration) >= duration('10m') && duration(self.expiration) <= duration('24h')",
    holds: |token| is_between(token.expiration, 10 * MINUTE, 24 * HOUR),
}];

pub(super) const LABELS: &[Invariant<BackendLabels>] = &[Invariant {
    at: ".namespaces",
    message: "must list each label only once",
    cel: "self.namespaces.all(label, self.namespaces.exists_one(other, other == label))",
    holds: |labels| labels.namespaces.iter().collect::<BTreeSet<_>>().len() == labels.namespaces.len(),
}];

pub(super) const ALLOWED_NAMESPACES: &[Invariant<AllowedNamespaces>] = &[
    Invariant {
        at: ".selector",
        message: "required with from Selector, and only with it",
        cel: "(self.from == 'Selector') == has(self.selector)",
        holds: |allowed| (allowed.from == NamespacesFrom::Selector) == allowed.selector.is_some(),
    },
    Invariant {
        at: ".selector",
        message: "a key of matchLabels has at most 317 characters",
        cel: "!has(self.selector) || !has(self.selector.matchLabels) || \
              self.selector.matchLabels.all(key, size(key) <= 317)",
        holds: |allowed| selector::has_short_keys(allowed.selector.as_ref()),
    },
];

pub(super) const DISCOVERY: &[Invariant<DiscoverySettings>] = &[
    Invariant {
        at: ".interval",
        message: "must be from 1s to 1h",
        cel: "duration(self.interval) >= duration('1s') && duration(self.interval) <= duration('1h')",
        holds: |discovery| is_between(discovery.interval, 1, HOUR),
    },
    Invariant {
        at: ".lookback",
        message: "must be from 1s to 24h",
        cel: "duration(self.lookback) >= duration('1s') && duration(self.lookback) <= duration('24h')",
        holds: |discovery| is_between(discovery.lookback, 1, 24 * HOUR),
    },
];

pub(super) const PER_RULE: &[Invariant<PerRuleLimits>] = &[
    Invariant {
        at: ".maxRange",
        message: "must be 1s or more",
        cel: "duration(self.maxRange) >= duration('1s')",
        holds: |limits| limits.max_range.get() >= StdDuration::from_secs(1),
    },
    Invariant {
        at: ".minRefresh",
        message: "must be 60s or less",
        cel: "duration(self.minRefresh) <= duration('60s')",
        holds: |limits| is_between(limits.min_refresh, 0, MINUTE),
    },
];

impl MetricBackend {
    /// What the schema would refuse, by path: empty for every object that went through an API server which serves
    /// the present CRD.
    pub fn violations(&self) -> Vec<Violation> {
        let (spec, mut found) = (&self.spec, Vec::new());
        invariant::check(BACKEND, spec, "spec", &mut found);
        invariant::check(LABELS, &spec.labels, "spec.labels", &mut found);
        invariant::check(
            ALLOWED_NAMESPACES,
            &spec.allowed_namespaces,
            "spec.allowedNamespaces",
            &mut found,
        );
        if let Some(selector) = &spec.allowed_namespaces.selector {
            selector::check(selector, "spec.allowedNamespaces.selector", &mut found);
        }
        invariant::check(DISCOVERY, &spec.discovery, "spec.discovery", &mut found);
        if let Some(prometheus) = &spec.prometheus {
            prometheus.check("spec.prometheus", &mut found);
        }
        let labels = &spec.labels.namespaces;
        if !(1..=8).contains(&labels.len()) || !labels.iter().all(|label| is_label_name(label)) {
            found.push(Violation {
                path: "spec.labels.namespaces".into(),
                message: "must have 1 to 8 label names".into(),
            });
        }
        let (limits, rule) = (&spec.limits, &spec.limits.per_rule);
        invariant::check(PER_RULE, rule, "spec.limits.perRule", &mut found);
        for (field, value, max) in [
            ("maxConcurrent", limits.max_concurrent, 1_000),
            ("queriesPerSecond", limits.queries_per_second, 10_000),
            (
                "perNamespace.maxConcurrent",
                limits.per_namespace.max_concurrent,
                1_000,
            ),
            ("perRule.maxConcurrent", rule.max_concurrent, 1_000),
            ("perRule.maxSeries", rule.max_series, 10_000_000),
            ("perRule.maxMetrics", rule.max_metrics, 100_000),
            ("perRule.maxSamples", rule.max_samples, 10_000_000),
        ] {
            if !(1..=max).contains(&value) {
                found.push(Violation {
                    path: format!("spec.limits.{field}"),
                    message: format!("must be from 1 to {max}"),
                });
            }
        }
        found.sort();
        found
    }
}

impl PrometheusSpec {
    fn check(&self, path: &str, found: &mut Vec<Violation>) {
        invariant::check(PROMETHEUS, self, path, found);
        if let Some(tls) = &self.tls {
            invariant::check(TLS, tls, &format!("{path}.tls"), found);
        }
        if let Some(auth) = &self.auth {
            invariant::check(AUTH, auth, &format!("{path}.auth"), found);
            if let Some(token) = &auth.service_account_token {
                let path = format!("{path}.auth.serviceAccountToken");
                invariant::check(SERVICE_ACCOUNT_TOKEN, token, &path, found);
            }
        }
        for (field, fields) in [("headers", &self.headers), ("queryParams", &self.query_params)] {
            let path = format!("{path}.{field}");
            if fields.len() > MAX_FIELDS {
                found.push(Violation {
                    path: path.clone(),
                    message: format!("at most {MAX_FIELDS}"),
                });
            }
            for value in fields.values() {
                invariant::check_length(value, MAX_FIELD, path.as_str(), found);
            }
        }
        invariant::check_length(&self.url, MAX_URL, format!("{path}.url"), found);
        if self
            .headers
            .values()
            .any(|value| !value.bytes().all(|byte| matches!(byte, b' '..=b'~')))
        {
            let message = "values must be printable ASCII".to_owned();
            found.push(Violation {
                path: format!("{path}.headers"),
                message,
            });
        }
    }
}

/// The bounds are in seconds.
fn is_between(duration: Duration, min: u64, max: u64) -> bool {
    (StdDuration::from_secs(min)..=StdDuration::from_secs(max)).contains(&duration.get())
}

/// A classic Prometheus label name.
fn is_label_name(text: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    text.bytes().next().is_some_and(letter) && text.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

fn has_short_names(fields: &BTreeMap<String, String>) -> bool {
    fields.keys().all(|name| name.chars().count() <= MAX_FIELD_NAME)
}

/// A token of RFC 9110 that is not one of ours.
fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-!#$%&*+.^_|~".contains(&byte))
        && !OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn is_plain_url(url: &str) -> bool {
    let Some(rest) = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))
    else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    !authority.is_empty()
        && !authority.contains('@')
        && !rest.contains(['?', '#', ' ', '\t', '\n', '\r', '\x0c'])
}
