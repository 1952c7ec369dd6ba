//! Settings of a client, from a `MetricBackend`'s spec and the credentials that it names: everything that a client is built from,
//! and the value by which a change is told.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::{
    BackendError, Said,
    auth::{Auth, Credential, Secret},
    tls::{Tls, unusable},
};
use crate::{
    api::{
        AuthSpec, AuthType, CaRefKind, HttpMethod, MetricBackendSpec, PartialResponse, PrometheusSpec,
        TlsSpec,
    },
    reason::Reason,
};

/// Finds the bytes under a key of a Secret or `ConfigMap`.
pub(super) type Lookup<'a> = dyn Fn(CaRefKind, &str, &str) -> Option<Bytes> + 'a;

#[derive(Clone, PartialEq)]
pub(super) struct Settings {
    /// The address without `/api/v1/…`, ending in `/`.
    pub(super) base: Url,
    pub(super) method: HttpMethod,
    pub(super) timeout: Duration,
    pub(super) partial_response: PartialResponse,
    pub(super) headers: HeaderMap,
    pub(super) tls: Tls,
    pub(super) auth: Auth,
}

// === impl Settings ===

impl Settings {
    /// Fails with `InvalidSpec` for what the CRD's schema refuses and a newer or older one let through, with
    /// `CredentialsNotFound` and `CredentialsInvalid`.
    pub(super) fn compile(spec: &MetricBackendSpec, lookup: &Lookup<'_>) -> Result<Self, BackendError> {
        let spec = spec
            .prometheus
            .as_ref()
            .ok_or_else(|| invalid("spec.prometheus is required with type Prometheus"))?;
        let base = base(spec)?;
        let auth = match &spec.auth {
            None => Auth::Fixed(Credential::None),
            Some(_) if base.scheme() != "https" && !spec.allow_plaintext_credentials => {
                return Err(invalid(
                    "spec.prometheus.auth with an http:// address requires allowPlaintextCredentials",
                ));
            }
            Some(auth) => credentials(auth, lookup)?,
        };
        let tls = match &spec.tls {
            None => Tls::default(),
            Some(_) if base.scheme() != "https" => {
                return Err(invalid("spec.prometheus.tls requires an https:// address"));
            }
            Some(tls) => transport(tls, lookup)?,
        };
        Ok(Self {
            base,
            method: spec.method,
            timeout: spec.timeout.get(),
            partial_response: spec.partial_response,
            headers: headers(spec)?,
            tls,
            auth,
        })
    }
}

/// Headers may hold what their author should have put elsewhere, and so may parameters in the address.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("host", &self.base.host_str())
            .field("method", &self.method)
            .field("timeout", &self.timeout)
            .field("tls", &self.tls)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

/// The address, with a `/` at its end and the parameters of every request as its query.
fn base(spec: &PrometheusSpec) -> Result<Url, BackendError> {
    let mut url = Url::parse(&spec.url).map_err(|_| invalid("spec.prometheus.url is not a valid address"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(invalid(
            "spec.prometheus.url must begin with http:// or https:// and a host",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("spec.prometheus.url must not have user-info: use auth"));
    }
    url.set_fragment(None);
    let path = format!("{}/", url.path().trim_end_matches('/'));
    url.set_path(&path);
    if !spec.query_params.is_empty() {
        url.query_pairs_mut().extend_pairs(&spec.query_params);
    }
    Ok(url)
}

fn headers(spec: &PrometheusSpec) -> Result<HeaderMap, BackendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &spec.headers {
        let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(invalid(
                "spec.prometheus.headers has a name or value that is not valid in a header",
            ));
        };
        if name == http::header::AUTHORIZATION || name == http::header::HOST {
            return Err(invalid(
                "spec.prometheus.headers must not contain Authorization or Host",
            ));
        }
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn credentials(spec: &AuthSpec, lookup: &Lookup<'_>) -> Result<Auth, BackendError> {
    let secret = |name: &str, key: &str| text(CaRefKind::Secret, name, key, lookup);
    let auth = match (
        spec.r#type,
        &spec.basic,
        &spec.bearer,
        &spec.service_account_token,
    ) {
        (AuthType::Basic, Some(basic), ..) => {
            let reference = &basic.secret_ref;
            Auth::Fixed(Credential::Basic {
                username: secret(&reference.name, &reference.username_key)?,
                password: secret(&reference.name, &reference.password_key)?,
            })
        }
        (AuthType::Bearer, _, Some(bearer), _) => {
            let reference = &bearer.secret_ref;
            let token = secret(&reference.name, &reference.key)?;
            let fits =
                !token.expose().is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
            if !fits {
                let detail = format!(
                    "Secret {}, key {}: not a valid bearer token",
                    reference.name, reference.key
                );
                return Err(unusable(&detail));
            }
            Auth::Fixed(Credential::Bearer(token))
        }
        (AuthType::ServiceAccountToken, _, _, Some(token)) => Auth::ServiceAccountToken {
            service_account: token.service_account_ref.name.as_str().into(),
            audience: token.audience.as_str().into(),
            lifetime: token.expiration.get(),
        },
        _ => return Err(invalid("spec.prometheus.auth lacks the field of its type")),
    };
    Ok(auth)
}

fn transport(spec: &TlsSpec, lookup: &Lookup<'_>) -> Result<Tls, BackendError> {
    let authorities = spec
        .ca_ref
        .as_ref()
        .map(|ca| bytes(ca.kind, &ca.name, &ca.key, lookup))
        .transpose()?;
    let identity = spec.certificate_ref.as_ref().map(|reference| {
        let part = |key: &str| bytes(CaRefKind::Secret, &reference.name, key, lookup);
        Ok((part("tls.crt")?, part("tls.key")?))
    });
    Ok(Tls {
        authorities,
        identity: identity.transpose()?,
        server_name: spec.server_name.clone(),
        insecure_skip_verify: spec.insecure_skip_verify,
    })
}

fn bytes(kind: CaRefKind, name: &str, key: &str, lookup: &Lookup<'_>) -> Result<Bytes, BackendError> {
    lookup(kind, name, key).ok_or_else(|| {
        BackendError::new(
            Reason::CredentialsNotFound,
            "credentials that the MetricBackend names do not exist",
        )
        .with_detail(&Said::ours(format!("{kind:?} {name}, key {key}")))
    })
}

/// A line end at the end is an editor's, not the password's.
fn text(kind: CaRefKind, name: &str, key: &str, lookup: &Lookup<'_>) -> Result<Secret, BackendError> {
    let bytes = bytes(kind, name, key, lookup)?;
    let text = str::from_utf8(&bytes)
        .map_err(|_| unusable(&format!("{kind:?} {name}, key {key}: not valid UTF-8")))?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

fn invalid(detail: &str) -> BackendError {
    BackendError::new(Reason::InvalidSpec, "the MetricBackend's spec is invalid")
        .with_detail(&Said::ours(detail))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(prometheus: &Value) -> MetricBackendSpec {
        serde_json::from_value(json!({"type": "Prometheus", "prometheus": prometheus})).unwrap()
    }

    fn compile(prometheus: &Value) -> Result<Settings, BackendError> {
        let spec = spec(prometheus);
        Settings::compile(&spec, &|kind, name, key| {
            let text = match (kind, name, key) {
                (CaRefKind::Secret, "login", "username") => "admin\n",
                (CaRefKind::Secret, "login", "password") => " s3cr3t \r\n",
                (CaRefKind::Secret, "login", "token") => "abc.def\n",
                (CaRefKind::Secret, "login", "bad") => "a b",
                (CaRefKind::ConfigMap, "ca", "ca.crt") => "PEM",
                _ => return None,
            };
            Some(Bytes::from_static(text.as_bytes()))
        })
    }

    fn auth(kind: &str, field: &str, settings: &Value) -> Value {
        json!({"url": "https://p", "auth": {"type": kind, field: settings}})
    }

    #[test]
    fn the_address_keeps_its_prefix_and_gets_the_parameters() {
        for (url, params, expected) in [
            ("http://prom:9090", json!({}), "http://prom:9090/"),
            ("http://prom:9090/", json!({}), "http://prom:9090/"),
            ("https://mimir/prometheus", json!({}), "https://mimir/prometheus/"),
            (
                "https://vm/select/0/prometheus//",
                json!({}),
                "https://vm/select/0/prometheus/",
            ),
            (
                "http://[::1]:9090",
                json!({"dedup": "true", "x": "a&b"}),
                "http://[::1]:9090/?dedup=true&x=a%26b",
            ),
            (
                "http://p/x?tenant=1#f",
                json!({"y": "2"}),
                "http://p/x/?tenant=1&y=2",
            ),
        ] {
            let settings = compile(&json!({"url": url, "queryParams": params})).unwrap();
            assert_eq!(settings.base.as_str(), expected, "{url}");
        }
    }

    #[test]
    fn credentials_come_from_the_secrets_named() {
        let basic = compile(&auth("Basic", "basic", &json!({"secretRef": {"name": "login"}}))).unwrap();
        let expected = Credential::Basic {
            username: "admin".into(),
            password: " s3cr3t ".into(),
        };
        assert_eq!(basic.auth, Auth::Fixed(expected));
        assert!(!format!("{basic:?}").contains("s3cr3t"), "{basic:?}");

        let bearer = compile(&auth(
            "Bearer",
            "bearer",
            &json!({"secretRef": {"name": "login"}}),
        ))
        .unwrap();
        assert_eq!(bearer.auth, Auth::Fixed(Credential::Bearer("abc.def".into())));
        assert!(!format!("{bearer:?}").contains("abc"), "{bearer:?}");
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_reason() {
        let login = json!({"secretRef": {"name": "login"}});
        let plain = json!({"url": "http://p", "auth": {"type": "Bearer", "bearer": login}});
        let mut allowed = plain.clone();
        allowed["allowPlaintextCredentials"] = json!(true);
        assert!(compile(&allowed).is_ok());

        for (prometheus, reason, detail) in [
            (plain, Reason::InvalidSpec, "allowPlaintextCredentials"),
            (
                json!({"url": "ftp://p"}),
                Reason::InvalidSpec,
                "http:// or https://",
            ),
            (
                json!({"url": "p:9090"}),
                Reason::InvalidSpec,
                "http:// or https://",
            ),
            (
                json!({"url": "nonsense"}),
                Reason::InvalidSpec,
                "not a valid address",
            ),
            (json!({"url": "http://u:p@h"}), Reason::InvalidSpec, "user-info"),
            (
                json!({"url": "http://h", "headers": {"aUthorization": "x"}}),
                Reason::InvalidSpec,
                "Authorization",
            ),
            (
                json!({"url": "http://h", "headers": {"a b": "x"}}),
                Reason::InvalidSpec,
                "headers",
            ),
            (
                json!({"url": "http://h", "tls": {}}),
                Reason::InvalidSpec,
                "https",
            ),
            (
                json!({"url": "https://h", "auth": {"type": "Basic"}}),
                Reason::InvalidSpec,
                "auth",
            ),
            (
                auth(
                    "Bearer",
                    "bearer",
                    &json!({"secretRef": {"name": "login", "key": "none"}}),
                ),
                Reason::CredentialsNotFound,
                "Secret login, key none",
            ),
            (
                auth(
                    "Bearer",
                    "bearer",
                    &json!({"secretRef": {"name": "login", "key": "bad"}}),
                ),
                Reason::CredentialsInvalid,
                "not a valid bearer token",
            ),
            (
                json!({"url": "https://h", "tls": {"caRef": {"kind": "Secret", "name": "ca"}}}),
                Reason::CredentialsNotFound,
                "Secret ca, key ca.crt",
            ),
            (
                json!({"url": "https://h", "tls": {"certificateRef": {"name": "client"}}}),
                Reason::CredentialsNotFound,
                "Secret client, key tls.crt",
            ),
        ] {
            let error = compile(&prometheus).unwrap_err();
            assert_eq!(error.reason(), reason, "{prometheus}");
            assert!(error.detail().contains(detail), "{prometheus}: {error:?}");
            assert!(
                !error.to_string().contains("login"),
                "clients learn no names of Secrets"
            );
        }
    }
}
