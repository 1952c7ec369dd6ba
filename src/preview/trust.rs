//! Trust in a backend's address: whether the cluster's credentials may go there. Pure.
//!
//! A file is not the cluster: whoever wrote it need have no right there. So a credential goes only where a `MetricBackend` of the
//! cluster, which only its platform team can write, sends this very credential already.

use reqwest::Url;

use crate::api::{AuthType, MetricBackendSpec, PrometheusSpec};

/// What a backend would be sent of the cluster's, for people; `home` is the namespace of the operator.
pub(super) fn sent(spec: &MetricBackendSpec, home: &str) -> Vec<String> {
    let Some(prometheus) = &spec.prometheus else {
        return Vec::new();
    };
    let mut sent = Vec::new();
    if let Some(auth) = &prometheus.auth {
        if let Some(basic) = &auth.basic {
            let name = &basic.secret_ref.name;
            sent.push(format!("the user name and password in the Secret {home}/{name}"));
        }
        if let Some(bearer) = &auth.bearer {
            let name = &bearer.secret_ref.name;
            sent.push(format!("the token in the Secret {home}/{name}"));
        }
        if let Some(token) = &auth.service_account_token {
            let (name, audience) = (&token.service_account_ref.name, &token.audience);
            sent.push(format!(
                "a token of the ServiceAccount {home}/{name} for the audience {audience:?}"
            ));
        }
        // Something is wrong with it, and the pool will say what; until then it is not nothing.
        if sent.is_empty() {
            let kind = match auth.r#type {
                AuthType::Basic => "user name and password",
                AuthType::Bearer | AuthType::ServiceAccountToken => "a token",
            };
            sent.push(kind.to_owned());
        }
    }
    if let Some(certificate) = prometheus
        .tls
        .as_ref()
        .and_then(|tls| tls.certificate_ref.as_ref())
    {
        sent.push(format!(
            "the client certificate in the Secret {home}/{}",
            certificate.name
        ));
    }
    sent
}

/// Whether a backend of the cluster sends the same credentials to the same server already.
pub(super) fn is_trusted<'a>(
    spec: &MetricBackendSpec,
    cluster: impl IntoIterator<Item = &'a MetricBackendSpec>,
) -> bool {
    let Some(given) = &spec.prometheus else {
        return true;
    };
    let mut known = cluster.into_iter().filter_map(|known| known.prometheus.as_ref());
    known.any(|known| is_same_server(given, known) && given.auth == known.auth)
}

/// The same scheme, host, port and path, as sure to be the one that is meant: how the server proves who it is, and the headers by
/// which a proxy may choose another.
fn is_same_server(given: &PrometheusSpec, known: &PrometheusSpec) -> bool {
    let (Some(to), Some(there)) = (address(&given.url), address(&known.url)) else {
        return false;
    };
    to == there
        && given.tls == known.tls
        && given.headers == known.headers
        && (known.allow_plaintext_credentials || !given.allow_plaintext_credentials)
}

type Address = (String, String, u16, String);

/// Behind one host and port there may be many servers, told apart by the path.
fn address(url: &str) -> Option<Address> {
    let url = Url::parse(url).ok()?;
    let path = url.path().trim_end_matches('/').to_owned();
    let rest = [url.username(), url.password().unwrap_or_default()].concat();
    if !rest.is_empty() || url.query().is_some() || url.fragment().is_some() {
        return None;
    }
    let host = url.host_str()?.to_owned();
    Some((url.scheme().to_owned(), host, url.port_or_known_default()?, path))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(prometheus: &Value) -> MetricBackendSpec {
        serde_json::from_value(json!({"type": "Prometheus", "prometheus": prometheus})).unwrap()
    }

    fn with(mut prometheus: Value, more: &Value) -> Value {
        for (key, value) in more.as_object().unwrap() {
            prometheus[key] = value.clone();
        }
        prometheus
    }

    fn basic() -> Value {
        json!({
            "url": "https://prom.example.org:443/team-a",
            "auth": {"type": "Basic", "basic": {"secretRef": {"name": "prom-creds"}}},
        })
    }

    #[test]
    fn a_previewed_file_got_the_clusters_credentials() {
        let known = [spec(&basic())];
        let trusted = |more: Value| is_trusted(&spec(&with(basic(), &more)), &known);
        assert!(trusted(json!({})));
        for same in [
            json!({"url": "https://prom.example.org/team-a/"}),
            json!({"url": "HTTPS://PROM.example.org/team-a"}),
            // what is asked, and how long, is not whom
            json!({"method": "GET", "timeout": "1s", "queryParams": {"dedup": "true"}}),
        ] {
            assert!(trusted(same.clone()), "{same}");
        }
        for other in [
            json!({"url": "https://evil.example.org/team-a"}),
            json!({"url": "https://prom.example.org.evil.org/team-a"}),
            json!({"url": "https://prom.example.org@evil.org/team-a"}),
            json!({"url": "https://u@prom.example.org/team-a"}),
            json!({"url": "http://prom.example.org/team-a", "allowPlaintextCredentials": true}),
            json!({"url": "https://prom.example.org:8443/team-a"}),
            json!({"url": "https://prom.example.org/team-b"}),
            json!({"url": "https://prom.example.org/team-a/../team-b"}),
            json!({"url": "https://prom.example.org/team-a/b"}),
            json!({"url": "https://prom.example.org/"}),
            json!({"url": "nonsense"}),
            // another server in its place
            json!({"tls": {"insecureSkipVerify": true}}),
            json!({"tls": {"serverName": "evil.example.org"}}),
            json!({"tls": {"caRef": {"kind": "ConfigMap", "name": "other"}}}),
            json!({"headers": {"X-Route": "evil"}}),
            // other credentials
            json!({"auth": {"type": "Basic", "basic": {"secretRef": {"name": "other"}}}}),
            json!({"auth": {"type": "Basic", "basic": {"secretRef": {"name": "prom-creds", "passwordKey": "other"}}}}),
            json!({"auth": {"type": "Bearer", "bearer": {"secretRef": {"name": "prom-creds"}}}}),
            json!({"auth": {"type": "ServiceAccountToken", "serviceAccountToken": {
                "serviceAccountRef": {"name": "backend-reader"}, "audience": "https://kubernetes.default.svc",
            }}}),
        ] {
            assert!(!trusted(other.clone()), "{other}");
        }
        // Nothing in the cluster has them.
        assert!(!is_trusted(&spec(&basic()), &[]));
        // What the operator itself would not send in the clear.
        let plain = json!({"url": "http://prom.example.org/team-a"});
        let careful = [spec(&with(basic(), &plain))];
        let eager = with(with(basic(), &plain), &json!({"allowPlaintextCredentials": true}));
        assert!(!is_trusted(&spec(&eager), &careful));
        assert!(is_trusted(&spec(&eager), &[spec(&eager)]));
    }

    #[test]
    fn what_would_be_sent_is_told() {
        let told = |prometheus: Value| sent(&spec(&prometheus), "home").join("; ");
        assert_eq!(told(json!({"url": "http://p"})), "");
        // Trusting a server gives nothing away.
        let ca = json!({"url": "https://p", "tls": {"caRef": {"kind": "Secret", "name": "ca"}}});
        assert_eq!(told(ca), "");
        assert_eq!(
            told(basic()),
            "the user name and password in the Secret home/prom-creds"
        );
        let both = json!({"url": "https://p", "tls": {"certificateRef": {"name": "client"}}, "auth": {
            "type": "ServiceAccountToken",
            "serviceAccountToken": {"serviceAccountRef": {"name": "reader"}, "audience": "prom"},
        }});
        assert_eq!(
            told(both),
            "a token of the ServiceAccount home/reader for the audience \"prom\"; the client certificate in the Secret home/client"
        );
        // Half written is not nothing.
        assert_eq!(
            told(json!({"url": "https://p", "auth": {"type": "Bearer"}})),
            "a token"
        );
    }
}
