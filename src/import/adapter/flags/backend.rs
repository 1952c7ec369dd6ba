//! Backend from flags: the `MetricBackend` that they describe.

use std::time::Duration as StdDuration;

use language::duration;

use super::Flags;
use crate::{
    api::{
        AuthSpec, AuthType, BearerAuth, BearerSecretRef, CaRef, CaRefKind, CertificateRef, DiscoverySettings,
        HttpMethod, IS_DEFAULT_ANNOTATION, MetricBackend, MetricBackendSpec, PrometheusSpec, TlsSpec,
    },
    import::{Note, Severity},
    reason::Reason,
};

/// The name of the one that is made.
const NAME: &str = "default";
/// The adapter's own default of `--metrics-relist-interval`.
const RELIST: StdDuration = StdDuration::from_mins(10);
/// Where a Pod finds the token of its own account.
const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
/// What is to be done with an object that a backend names.
const PUT_IT: &str =
    "copy it to the namespace of metricrule, with the label metricrule.dev/backend: \"true\"";

/// `None` where the address cannot be read, and a note says so.
pub(super) fn backend(flags: &Flags, notes: &mut Vec<Note>) -> Option<MetricBackend> {
    let mut maker = Maker { flags, notes };
    let mut prometheus = PrometheusSpec::new(maker.url()?);
    let secure = prometheus.url.starts_with("https://");
    prometheus.method = maker.method();
    maker.headers(&mut prometheus);
    prometheus.tls = maker.tls(secure);
    prometheus.auth = maker.auth();
    if prometheus.auth.is_some() && !secure {
        prometheus.allow_plaintext_credentials = true;
        maker.warn(
            "prometheus-token-file",
            Reason::PlaintextCredentials,
            "the token goes over plain http, and anyone on the network path can read it",
        );
    }
    let spec = MetricBackendSpec {
        discovery: maker.discovery(),
        ..MetricBackendSpec::new(prometheus)
    };
    let mut backend = MetricBackend::new(NAME, spec);
    let annotation = (IS_DEFAULT_ANNOTATION.to_owned(), "true".to_owned());
    backend.metadata.annotations = Some([annotation].into());
    let violations = backend.violations();
    for violation in &violations {
        maker.unsupported(
            "prometheus-url",
            &format!("no MetricBackend was created, because it would not be valid: {violation}"),
        );
    }
    if !violations.is_empty() {
        return None;
    }
    maker.note(
        Severity::Info,
        "prometheus-url",
        Reason::Imported,
        "became MetricBackend default",
    );
    Some(backend)
}

/// Whether a backend may have the header.
fn can_be_sent(name: &str, value: &str) -> bool {
    let mut prometheus = PrometheusSpec::new("http://localhost");
    prometheus.headers.insert(name.to_owned(), value.to_owned());
    MetricBackend::new(NAME, MetricBackendSpec::new(prometheus))
        .violations()
        .is_empty()
}

struct Maker<'a> {
    flags: &'a Flags,
    notes: &'a mut Vec<Note>,
}

// === impl Maker ===

impl Maker<'_> {
    fn note(&mut self, severity: Severity, flag: &str, reason: Reason, message: &str) {
        let place = self.flags.place(flag);
        self.notes
            .push(Note::new(severity, place, reason, format!("--{flag}: {message}")));
    }

    fn warn(&mut self, flag: &str, reason: Reason, message: &str) {
        self.note(Severity::Warning, flag, reason, message);
    }

    fn unsupported(&mut self, flag: &str, message: &str) {
        self.note(Severity::Unsupported, flag, Reason::Unsupported, message);
    }

    /// The address without what ours may not have.
    fn url(&mut self) -> Option<String> {
        let flag = "prometheus-url";
        if self.flags.get(flag).is_none() {
            let message = "it is missing, so import uses prometheus-adapter's own default, https://localhost";
            self.warn(flag, Reason::BackendNotFound, message);
        }
        let given = self.flags.get(flag).unwrap_or("https://localhost").to_owned();
        if ["{{", "$(", "${"].iter().any(|begin| given.contains(begin)) {
            let message = "Helm or the kubelet fills in the address: write a MetricBackend with the address itself, \
                           or import the Deployment from the cluster";
            self.unsupported(flag, message);
            return None;
        }
        let (scheme, rest) = given.split_once("://").unwrap_or(("", &given));
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "http" | "https") || rest.is_empty() {
            self.unsupported(
                flag,
                "the address is neither http nor https; no MetricBackend was created",
            );
            return None;
        }
        let rest = match rest.split_once('#') {
            Some((rest, _)) => rest,
            None => rest,
        };
        let rest = match rest.split_once('?') {
            Some((rest, _)) => {
                self.warn(
                    flag,
                    Reason::Ineffective,
                    "the query part of the address was left out: use queryParams",
                );
                rest
            }
            None => rest,
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let host = match authority.rsplit_once('@') {
            Some((_, host)) => {
                let message = "the user and password in the address were left out: put them into a Secret, and name \
                               it in auth.basic of the MetricBackend";
                self.unsupported(flag, message);
                host
            }
            None => authority,
        };
        Some(format!("{scheme}://{host}{}", path.trim_end_matches('/')))
    }

    /// The adapter asks by GET unless it is told otherwise.
    fn method(&mut self) -> HttpMethod {
        match self.flags.get("prometheus-verb") {
            None | Some("GET") => HttpMethod::Get,
            Some("POST") => HttpMethod::Post,
            Some(_) => {
                self.warn(
                    "prometheus-verb",
                    Reason::InvalidSpec,
                    "prometheus-adapter starts only with GET or POST; import uses POST",
                );
                HttpMethod::Post
            }
        }
    }

    fn headers(&mut self, prometheus: &mut PrometheusSpec) {
        let flag = "prometheus-header";
        let given: Vec<String> = self.flags.all(flag).map(str::to_owned).collect();
        for header in given {
            let (name, value) = header.split_once('=').unwrap_or((&header, ""));
            if name.eq_ignore_ascii_case("authorization") {
                self.unsupported(
                    flag,
                    "Authorization was left out: put the credentials into a Secret, and name it in auth of the MetricBackend",
                );
            } else if name.eq_ignore_ascii_case("host") {
                self.unsupported(flag, "Host was left out: it follows from the address");
            } else if !can_be_sent(name, value) {
                self.unsupported(
                    flag,
                    &format!("a MetricBackend must not set the header {name:?}; it was left out"),
                );
            } else if prometheus
                .headers
                .insert(name.to_owned(), value.to_owned())
                .is_some()
            {
                self.warn(
                    flag,
                    Reason::Ineffective,
                    &format!("{name} is set twice; the last value counts"),
                );
            }
        }
    }

    fn tls(&mut self, secure: bool) -> Option<TlsSpec> {
        let authority = self.flags.get("prometheus-ca-file").map(str::to_owned);
        let certificate = self
            .flags
            .get("prometheus-client-tls-cert-file")
            .map(str::to_owned);
        let Some(authority) = authority else {
            if certificate.is_some() {
                let message =
                    "prometheus-adapter uses it only together with --prometheus-ca-file, so it was left out";
                self.warn("prometheus-client-tls-cert-file", Reason::Ineffective, message);
            }
            return None;
        };
        if !secure {
            self.warn(
                "prometheus-ca-file",
                Reason::Ineffective,
                "the address is not https, so it was left out",
            );
            return None;
        }
        let (kind, name, key) = self.object("prometheus-ca-file", &authority, "prometheus-ca", "ca.crt");
        let certificate_ref = certificate.map(|file| {
            let flag = "prometheus-client-tls-cert-file";
            let (_, name, key) = self.object(flag, &file, "prometheus-client", "tls.crt");
            if key != "tls.crt" {
                let message =
                    format!("its key there is {key}, but the copy needs the keys tls.crt and tls.key");
                self.warn(flag, Reason::CredentialsNotFound, &message);
            }
            CertificateRef { name }
        });
        Some(TlsSpec {
            ca_ref: Some(CaRef { kind, name, key }),
            certificate_ref,
            ..TlsSpec::default()
        })
    }

    fn auth(&mut self) -> Option<AuthSpec> {
        let replaced = "create a separate ServiceAccount for the backend in the namespace of metricrule, and name it \
                        in auth.serviceAccountToken of the MetricBackend with the audience that the backend expects";
        let has_authority = self.flags.get("prometheus-ca-file").is_some();
        for flag in ["prometheus-auth-incluster", "prometheus-auth-config"] {
            let set = self.flags.get(flag).is_some() && flag.ends_with("config")
                || flag.ends_with("incluster") && self.flags.is_set(flag);
            if set && has_authority {
                self.warn(
                    flag,
                    Reason::Ineffective,
                    "prometheus-adapter ignores it if --prometheus-ca-file is set",
                );
            } else if set && flag.ends_with("incluster") {
                let message = format!("the operator never sends its own token to a backend: {replaced}");
                self.unsupported(flag, &message);
            } else if set {
                let message = format!(
                    "a kubeconfig has no counterpart: put a token into a Secret for auth.bearer, or {replaced}"
                );
                self.unsupported(flag, &message);
            }
        }
        let flag = "prometheus-token-file";
        let file = self.flags.get(flag)?.to_owned();
        if file == OWN_TOKEN {
            let message = format!("the operator never sends its own token to a backend: {replaced}");
            self.unsupported(flag, &message);
            return None;
        }
        let (kind, name, key) = self.object(flag, &file, "prometheus-token", "token");
        if kind == CaRefKind::ConfigMap {
            self.warn(
                flag,
                Reason::CredentialsNotFound,
                "it comes from a ConfigMap: create a Secret with its content",
            );
        }
        Some(AuthSpec {
            r#type: AuthType::Bearer,
            basic: None,
            bearer: Some(BearerAuth {
                secret_ref: BearerSecretRef { name, key },
            }),
            service_account_token: None,
        })
    }

    /// The object that a file comes from, or one that is to be made.
    fn object(&mut self, flag: &str, file: &str, name: &str, key: &str) -> (CaRefKind, String, String) {
        if let Some((kind, object, key)) = self.flags.source(file) {
            let (object, key) = (object.to_owned(), key.to_owned());
            let message = format!("{file} comes from the {kind:?} {object}: {PUT_IT}");
            self.warn(flag, Reason::CredentialsNotFound, &message);
            return (kind, object, key);
        }
        let message = format!(
            "the input does not say where {file} comes from: create a Secret {name} with the key {key}; {PUT_IT}"
        );
        self.warn(flag, Reason::CredentialsNotFound, &message);
        (CaRefKind::Secret, name.to_owned(), key.to_owned())
    }

    fn discovery(&mut self) -> DiscoverySettings {
        let relist = self
            .length("metrics-relist-interval")
            .filter(|it| !it.is_zero())
            .unwrap_or(RELIST);
        let age = self
            .length("metrics-max-age")
            .filter(|it| !it.is_zero())
            .unwrap_or(relist);
        if age < relist {
            self.warn(
                "metrics-max-age",
                Reason::InvalidSpec,
                "prometheus-adapter does not start with less than --metrics-relist-interval",
            );
        }
        DiscoverySettings {
            interval: self.clamped("metrics-relist-interval", relist, 3600),
            lookback: self.clamped("metrics-max-age", age, 24 * 3600),
        }
    }

    fn length(&mut self, flag: &str) -> Option<StdDuration> {
        let text = self.flags.get(flag)?.to_owned();
        let length = duration::length(&text);
        if length.is_none() {
            self.warn(
                flag,
                Reason::InvalidSpec,
                &format!("{text:?} is not a valid duration, and prometheus-adapter does not start with it"),
            );
        }
        length
    }

    /// From one second to `most` seconds.
    fn clamped(&mut self, flag: &str, length: StdDuration, most: u32) -> crate::api::Duration {
        let seconds = u32::try_from(length.as_secs()).unwrap_or(u32::MAX).clamp(1, most);
        let clamped = crate::api::Duration::from_secs(seconds);
        if clamped.get() != length {
            self.warn(
                flag,
                Reason::InvalidSpec,
                &format!("import uses {clamped}: it must be whole seconds, from 1s to {most}s"),
            );
        }
        clamped
    }
}
