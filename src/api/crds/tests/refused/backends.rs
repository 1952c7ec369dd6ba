//! Broken `MetricBackend`s.

use super::*;

pub(super) fn backend_cases() -> Vec<Case> {
    let with = |blame, patch| case("MetricBackend", blame, patch);
    vec![
        with(&[], json!({})),
        with(&["spec.prometheus"], json!({ "prometheus": null })),
        with(
            &[],
            json!({ "allowedNamespaces": { "from": "Selector", "selector": {} } }),
        ),
        with(
            &["spec.allowedNamespaces.selector"],
            json!({ "allowedNamespaces": { "from": "Selector" } }),
        ),
        with(
            &["spec.allowedNamespaces.selector"],
            json!({ "allowedNamespaces": { "from": "Selector", "selector": { "matchLabels": { "l".repeat(318): "a" } } } }),
        ),
        with(
            &["spec.prometheus.headers"],
            json!({ "prometheus": { "headers": { "H".repeat(257): "a" } } }),
        ),
        with(
            &["spec.prometheus.queryParams"],
            json!({ "prometheus": { "queryParams": { "p".repeat(257): "a" } } }),
        ),
        with(
            &[],
            json!({ "prometheus": { "headers": { "H".repeat(256): "a" }, "queryParams": { "p".repeat(256): "a" } } }),
        ),
        with(
            &["spec.allowedNamespaces.selector"],
            json!({ "allowedNamespaces": { "selector": {} } }),
        ),
        with(&[], json!({ "labels": { "namespaces": ["a", "b"] } })),
        with(
            &["spec.labels.namespaces"],
            json!({ "labels": { "namespaces": ["a", "b", "a"] } }),
        ),
        with(
            &[],
            json!({ "discovery": { "interval": "1s", "lookback": "24h" } }),
        ),
        with(
            &["spec.discovery.interval"],
            json!({ "discovery": { "interval": "999ms" } }),
        ),
        with(
            &["spec.discovery.interval"],
            json!({ "discovery": { "interval": "1h1ms" } }),
        ),
        with(
            &["spec.discovery.lookback"],
            json!({ "discovery": { "lookback": "0s" } }),
        ),
        with(
            &["spec.discovery.lookback"],
            json!({ "discovery": { "lookback": "25h" } }),
        ),
        with(
            &[],
            json!({ "limits": { "perRule": { "maxRange": "1s", "minRefresh": "0s" } } }),
        ),
        with(
            &["spec.limits.perRule.maxRange"],
            json!({ "limits": { "perRule": { "maxRange": "999ms" } } }),
        ),
        with(
            &["spec.limits.perRule.minRefresh"],
            json!({ "limits": { "perRule": { "minRefresh": "61s" } } }),
        ),
    ]
}

/// With a patch on `spec.prometheus`, whose address is http.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the table reads better without borrows"
)]
fn prometheus(blame: &'static [&'static str], patch: Value) -> Case {
    case("MetricBackend", blame, json!({ "prometheus": patch }))
}

/// The same with an https address.
fn https(blame: &'static [&'static str], mut patch: Value) -> Case {
    patch["url"] = json!("https://p");
    prometheus(blame, patch)
}

const EXPIRATION: &[&str] = &["spec.prometheus.auth.serviceAccountToken.expiration"];

pub(super) fn credential_cases() -> Vec<Case> {
    let login = json!({ "secretRef": { "name": "login" } });
    let basic = json!({ "type": "Basic", "basic": login });
    let mut cases = vec![
        prometheus(&["spec.prometheus.tls"], json!({ "tls": { "serverName": "p" } })),
        https(&[], json!({ "tls": { "insecureSkipVerify": true } })),
        https(
            &["spec.prometheus.tls.insecureSkipVerify"],
            json!({ "tls": { "insecureSkipVerify": true, "caRef": { "kind": "Secret", "name": "ca" } } }),
        ),
        prometheus(&["spec.prometheus.auth"], json!({ "auth": basic })),
        prometheus(
            &["spec.prometheus.auth"],
            json!({ "auth": basic, "allowPlaintextCredentials": false }),
        ),
        prometheus(&[], json!({ "auth": basic, "allowPlaintextCredentials": true })),
        https(&[], json!({ "auth": basic })),
        https(
            &["spec.prometheus.auth.basic"],
            json!({ "auth": { "type": "Basic" } }),
        ),
        https(
            &["spec.prometheus.auth.bearer"],
            json!({ "auth": { "type": "Bearer" } }),
        ),
        https(
            &["spec.prometheus.auth.serviceAccountToken"],
            json!({ "auth": { "type": "ServiceAccountToken" } }),
        ),
        https(
            &["spec.prometheus.auth.basic", "spec.prometheus.auth.bearer"],
            json!({ "auth": { "type": "Bearer", "basic": login } }),
        ),
        https(
            &["spec.prometheus.auth.bearer"],
            json!({ "auth": { "type": "Basic", "basic": login, "bearer": login } }),
        ),
    ];
    for (expiration, blame) in [
        ("10m", &[][..]),
        ("24h", &[]),
        ("599s", EXPIRATION),
        ("24h1s", EXPIRATION),
    ] {
        let token =
            json!({ "serviceAccountRef": { "name": "r" }, "audience": "p", "expiration": expiration });
        cases.push(https(
            blame,
            json!({ "auth": { "type": "ServiceAccountToken", "serviceAccountToken": token } }),
        ));
    }
    cases
}

pub(super) fn request_cases() -> Vec<Case> {
    const URL: &[&str] = &["spec.prometheus.url"];
    const HEADERS: &[&str] = &["spec.prometheus.headers"];
    const PARAMS: &[&str] = &["spec.prometheus.queryParams"];
    const TIMEOUT: &[&str] = &["spec.prometheus.timeout"];
    let good = [
        "http://p",
        "https://p:9090",
        "http://[::1]:9090/",
        "https://p/a@b/c",
        "http://10.0.0.1/prefix/api",
    ];
    let bad = [
        "p:9090",
        "ftp://p",
        "HTTP://p",
        "http://",
        "http:///x",
        "http://user:secret@p",
        "https://user@p/x",
        "http://p?x=1",
        "http://p/x?y",
        "http://p#x",
        "http://p q",
        "http://p/x\ny",
    ];
    let urls = good
        .map(|url| (url, &[][..]))
        .into_iter()
        .chain(bad.map(|url| (url, URL)));
    let timeouts = ["100ms", "60s", "1m"].map(|text| (text, &[][..]));
    let timeouts = timeouts
        .into_iter()
        .chain(["99ms", "61s", "0s"].map(|text| (text, TIMEOUT)));
    let headers = [
        "Authorization",
        "aUTHORIZATION",
        "Host",
        "host",
        "",
        "X Y",
        "X:",
        "X\r\nY",
    ];
    let headers = headers
        .map(|name| (name, HEADERS))
        .into_iter()
        .chain([("X-Scope-OrgID", &[][..])]);
    let params = ["query", "time", "timeout", "match[]", "start", "end"].map(|name| (name, PARAMS));
    let params = params
        .into_iter()
        .chain(["dedup", "Query"].map(|name| (name, &[][..])));
    urls.map(|(url, blame)| prometheus(blame, json!({ "url": url })))
        .chain(timeouts.map(|(timeout, blame)| prometheus(blame, json!({ "timeout": timeout }))))
        .chain(
            headers.map(|(name, blame)| prometheus(blame, json!({ "headers": { "X-A": "1", name: "v" } }))),
        )
        .chain(
            params.map(|(name, blame)| prometheus(blame, json!({ "queryParams": { "a": "1", name: "v" } }))),
        )
        .collect()
}
