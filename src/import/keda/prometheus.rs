//! Metadata of a Prometheus trigger: where the query goes, and what becomes of its answer.

use std::{collections::BTreeMap, time::Duration as StdDuration};

use promql::Dialect;

use super::trimmed;
use crate::{
    api::{
        duration::Duration,
        metric_backend::{
            AuthSpec, AuthType, BasicAuth, BasicSecretRef, BearerAuth, BearerSecretRef, CertificateRef,
            PrometheusSpec,
        },
    },
    document::Node,
    import::{external, findings::Findings},
    reason::Reason,
};

/// What is read here or by the parent; the rest does nothing in KEDA either.
const KNOWN: [&str; 16] = [
    "serverAddress",
    "query",
    "queryParameters",
    "threshold",
    "activationThreshold",
    "namespace",
    "customHeaders",
    "ignoreNullValues",
    "unsafeSsl",
    "awsRegion",
    "timeout",
    "identityOwner",
    "authModes",
    "authMode",
    "metricName",
    "cortexOrgID",
];

/// The bounds of a backend's `timeout`.
const TIMEOUT: (StdDuration, StdDuration) = (StdDuration::from_millis(100), StdDuration::from_mins(1));

/// How a trigger's Prometheus is reached.
pub(super) fn settings(
    address: &Node,
    trigger: &Node,
    metadata: &Node,
    findings: &mut Findings<'_>,
) -> PrometheusSpec {
    let value = |key: &str| metadata.get(key).filter(|node| !trimmed(node).is_empty());
    let mut spec = PrometheusSpec::new(trimmed(address).trim_end_matches('/'));
    if let Some(node) = value("namespace") {
        // Thanos' tenancy proxy reads it
        spec.query_params
            .insert("namespace".to_owned(), trimmed(node).to_owned());
    }
    if let Some(node) = value("queryParameters") {
        spec.query_params.extend(pairs(node, findings));
    }
    if let Some(node) = value("customHeaders") {
        spec.headers = pairs(node, findings);
    }
    if let Some(node) = value("cortexOrgID") {
        spec.headers
            .insert("X-Scope-OrgID".to_owned(), trimmed(node).to_owned());
    }
    if let Some(node) = value("timeout") {
        timeout(node, &mut spec, findings);
    }
    authentication(trigger, metadata, &mut spec, findings);
    let unsafe_ssl = value("unsafeSsl").filter(|node| external::go_bool(trimmed(node)) == Some(true));
    if let Some(node) = unsafe_ssl.filter(|_| spec.url.starts_with("https://")) {
        findings.warn(
            Reason::InsecureTls,
            node,
            "the MetricBackend accepts any certificate, as KEDA did: name the authority in tls.caRef instead",
        );
        spec.tls.get_or_insert_default().insecure_skip_verify = true;
    }
    for (key, _) in metadata.entries() {
        let name = key.text().unwrap_or_default();
        if !KNOWN.contains(&name) {
            findings.info(
                Reason::Ineffective,
                key,
                format!("{name} has no effect in a prometheus trigger"),
            );
        }
    }
    spec
}

/// What the HPA sees of the query's answer, where that differs.
pub(super) fn about_values(query: &Node, metadata: &Node, findings: &mut Findings<'_>) {
    let ignores = metadata.get("ignoreNullValues").map_or("true", trimmed);
    let text = query.text().unwrap_or_default();
    let may_be_empty = promql::parse_with(text, Dialect::SENT).is_ok() && !text.contains("vector");
    if external::go_bool(ignores) != Some(false) && may_be_empty {
        findings.info(
            Reason::NoData,
            query,
            "if the query has no result, KEDA counts it as 0 (ignoreNullValues) and the HPA scales down; now the HPA \
             keeps its replicas. Append `or vector(0)` to keep the old behavior",
        );
    }
    if let Some(node) = metadata
        .get("activationThreshold")
        .filter(|node| trimmed(node).parse() != Ok(0.0))
    {
        findings.warn(
            Reason::Unsupported,
            node,
            "activationThreshold applies to the step between 0 and 1 replicas, which an HPA does not make",
        );
    }
}

/// `a=b, c=d`
fn pairs(node: &Node, findings: &mut Findings<'_>) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for pair in trimmed(node).split(',') {
        match pair.split_once('=') {
            Some((key, value)) if !value.contains('=') => {
                pairs.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            _ => findings.error(node, format!("{:?} must have the form key=value", pair.trim())),
        }
    }
    pairs
}

/// Milliseconds, or a duration with units.
fn timeout(node: &Node, spec: &mut PrometheusSpec, findings: &mut Findings<'_>) {
    let text = trimmed(node);
    let parsed = match text.parse::<u64>() {
        Ok(milliseconds) => Some(StdDuration::from_millis(milliseconds)),
        Err(_) => text.parse::<Duration>().ok().map(Duration::get),
    };
    match parsed {
        // KEDA's own default, then
        Some(StdDuration::ZERO) => {}
        Some(timeout) => {
            let bounded = timeout.clamp(TIMEOUT.0, TIMEOUT.1);
            if bounded != timeout {
                let message =
                    format!("a backend's timeout must be from 100ms to 60s, so it became {bounded:?}");
                findings.warn(Reason::InvalidSpec, node, message);
            }
            spec.timeout = format!("{}ms", bounded.as_millis())
                .parse()
                .unwrap_or(spec.timeout);
        }
        None => findings.error(node, format!("{text:?} is not a valid timeout")),
    }
}

fn authentication(trigger: &Node, metadata: &Node, spec: &mut PrometheusSpec, findings: &mut Findings<'_>) {
    let modes = ["authModes", "authMode"].iter().find_map(|key| metadata.get(key));
    let reference = trigger.get("authenticationRef");
    let Some(node) = modes.or(reference) else { return };
    let named = reference.and_then(|reference| reference.get("name")).map(trimmed);
    let secret = external::name(&[named.unwrap_or("prometheus")]);
    let Some(modes) = modes else {
        return findings.warn(
            Reason::Unsupported,
            node,
            "import does not convert the credentials of a TriggerAuthentication: set spec.prometheus.auth and tls of the MetricBackend",
        );
    };
    let mut needs = Vec::new();
    for mode in trimmed(modes)
        .split(',')
        .map(str::trim)
        .filter(|mode| !mode.is_empty())
    {
        match mode {
            "basic" => {
                spec.auth = Some(basic(&secret));
                needs.push("username and password");
            }
            "bearer" => {
                spec.auth = Some(bearer(&secret));
                needs.push("token");
            }
            "tls" => {
                let name = external::name(&[&secret, "tls"]);
                spec.tls.get_or_insert_default().certificate_ref = Some(CertificateRef { name });
                needs.push("tls.crt and tls.key (in a separate Secret, with the suffix -tls)");
            }
            _ => findings.unsupported(
                modes,
                format!("a MetricBackend has no counterpart for the authentication {mode:?}"),
            ),
        }
    }
    if !needs.is_empty() {
        let message = format!(
            "the MetricBackend reads its credentials from the Secret {secret:?} in the operator's namespace, with \
             the label metricrule.dev/backend: \"true\": create it with {}",
            needs.join(", and ")
        );
        findings.warn(Reason::Unsupported, modes, message);
    }
    if spec.auth.is_some() && spec.url.starts_with("http://") {
        spec.allow_plaintext_credentials = true;
        findings.warn(
            Reason::PlaintextCredentials,
            modes,
            "the credentials go over plain http, as they did before: use https",
        );
    }
}

fn basic(secret: &str) -> AuthSpec {
    AuthSpec {
        r#type: AuthType::Basic,
        basic: Some(BasicAuth {
            secret_ref: BasicSecretRef {
                name: secret.to_owned(),
                username_key: "username".to_owned(),
                password_key: "password".to_owned(),
            },
        }),
        bearer: None,
        service_account_token: None,
    }
}

fn bearer(secret: &str) -> AuthSpec {
    AuthSpec {
        r#type: AuthType::Bearer,
        basic: None,
        bearer: Some(BearerAuth {
            secret_ref: BearerSecretRef {
                name: secret.to_owned(),
                key: "token".to_owned(),
            },
        }),
        service_account_token: None,
    }
}
