//! Configuration of authentication: the content of the ConfigMap, parsed.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, sync::Arc};

use http::HeaderName;
use tokio_rustls::rustls::{
    self, DistinguishedName, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const CLIENT_CA: &str = "client-ca-file";
const FRONT_PROXY_CA: &str = "requestheader-client-ca-file";
const ALLOWED_NAMES: &str = "requestheader-allowed-names";
const USERNAME_HEADERS: &str = "requestheader-username-headers";
const GROUP_HEADERS: &str = "requestheader-group-headers";
const EXTRA_PREFIXES: &str = "requestheader-extra-headers-prefix";
const UID_HEADERS: &str = "requestheader-uid-headers";

/// A ConfigMap holds at most 1 MiB; a bundle of CAs has a handful of certificates.
const MAX_CERTIFICATES: usize = 256;
/// Entries of one list.
const MAX_ENTRIES: usize = 256;
/// Bytes of one entry.
const MAX_ENTRY: usize = 1024;

/// Whom to believe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthenticationConfig {
    /// Issuers of client certificates whose subject is the user.
    pub client_ca: Option<CaBundle>,
    /// The front proxy: the cluster's API server when it passes on requests.
    pub requestheader: Option<RequestHeader>,
}

/// How the front proxy is known, and where it writes the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// Issuers of the front proxy's certificate.
    pub ca: CaBundle,
    /// The CNs that it may have; empty for any.
    pub allowed_names: Vec<String>,
    /// Headers with the user's name; the first that is not empty counts.
    pub username_headers: Vec<HeaderName>,
    /// Headers with the user's groups.
    pub group_headers: Vec<HeaderName>,
    /// Prefixes, in lower case, of headers with extras.
    pub extra_prefixes: Vec<String>,
    /// Headers with the user's UID; there is no default.
    pub uid_headers: Vec<HeaderName>,
}

/// CA certificates, ready to verify with.
#[derive(Clone)]
pub struct CaBundle {
    certificates: Vec<CertificateDer<'static>>,
    subjects: Vec<DistinguishedName>,
    /// From when to when each is valid, in Unix seconds. webpki does not look at the dates of an anchor; Go does, and so an
    /// ended CA vouches for nobody.
    lives: Vec<RangeInclusive<i64>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// A key of the ConfigMap that was not taken; what was known of it before stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct Problem {
    /// The ConfigMap's key.
    pub key: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// Why a chain does not lead to a bundle.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// There is no certificate.
    #[error("no certificate")]
    Empty,
    /// The chain is not valid.
    #[error("{0}")]
    Invalid(rustls::Error),
}

// === impl AuthenticationConfig ===

impl AuthenticationConfig {
    /// Reads the ConfigMap's `data`. What is missing, empty or unreadable is taken from `last`, each half (client CA, front
    /// proxy) on its own, as k8s.io/apiserver does.
    pub fn read(data: &BTreeMap<String, String>, last: Option<&Self>) -> (Self, Vec<Problem>) {
        let client_ca = value(data, CLIENT_CA).map(|pem| {
            let bundle = CaBundle::parse(pem);
            bundle.map_err(|message| Problem::new(CLIENT_CA, message))
        });
        let requestheader = value(data, FRONT_PROXY_CA).map(|pem| RequestHeader::read(pem, data));

        let mut problems = Vec::new();
        let client_ca = client_ca.transpose().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let requestheader = requestheader.transpose().unwrap_or_else(|problem| {
            problems.push(problem);
            None
        });
        let config = Self {
            client_ca: client_ca.or_else(|| last?.client_ca.clone()),
            requestheader: requestheader.or_else(|| last?.requestheader.clone()),
        };
        (config, problems)
    }

    /// The names of all CAs, for the handshake to tell clients which certificates are of use.
    pub fn subjects(&self) -> Vec<DistinguishedName> {
        let client = self.client_ca.iter();
        let bundles = client.chain(self.requestheader.iter().map(|requestheader| &requestheader.ca));
        let mut subjects: Vec<DistinguishedName> = Vec::new();
        for subject in bundles.flat_map(|bundle| &bundle.subjects) {
            if !subjects.iter().any(|known| known.as_ref() == subject.as_ref()) {
                subjects.push(subject.clone());
            }
        }
        subjects
    }
}

// === impl RequestHeader ===

impl RequestHeader {
    fn read(pem: &str, data: &BTreeMap<String, String>) -> Result<Self, Problem> {
        Ok(Self {
            ca: CaBundle::parse(pem).map_err(|message| Problem::new(FRONT_PROXY_CA, message))?,
            allowed_names: list(data, ALLOWED_NAMES)?,
            username_headers: header_names(data, USERNAME_HEADERS)?,
            group_headers: header_names(data, GROUP_HEADERS)?,
            // A prefix is held to the same rule as a name: an empty one would make an extra of every header.
            extra_prefixes: header_names(data, EXTRA_PREFIXES)?
                .iter()
                .map(|prefix| prefix.as_str().to_owned())
                .collect(),
            uid_headers: header_names(data, UID_HEADERS)?,
        })
    }
}

// === impl CaBundle ===

impl CaBundle {
    /// Reads a PEM bundle. A certificate that cannot be an anchor is left out; a bundle without any is refused.
    pub fn parse(pem: &str) -> Result<Self, String> {
        let mut certificates = Vec::new();
        let mut lives = Vec::new();
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            // Without the reader's words, which quote a line of what may be a key in the wrong place.
            let certificate = certificate.map_err(|_| "not a PEM bundle, or truncated".to_owned())?;
            if certificates.len() == MAX_CERTIFICATES {
                return Err(format!("more than {MAX_CERTIFICATES} certificates"));
            }
            let usable = life(&certificate).and_then(|life| {
                let added = roots.add(certificate.clone());
                added.map(|()| life).map_err(|error| error.to_string())
            });
            match usable {
                Ok(life) => {
                    certificates.push(certificate);
                    lives.push(life);
                }
                Err(error) => tracing::warn!(error, "a CA certificate of the cluster cannot be used"),
            }
        }
        if certificates.is_empty() {
            return Err("no usable certificate".to_owned());
        }
        Ok(Self {
            certificates,
            subjects: roots.subjects(),
            lives,
            verifier: verifier(roots).map_err(|error| error.to_string())?,
        })
    }

    /// The anchors.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Whether `chain` (leaf first) leads to an anchor of this bundle, is in force at `now`, and is meant for clients: an
    /// extended key usage, where there is one, must list `clientAuth`.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), VerifyError> {
        let (leaf, intermediates) = chain.split_first().ok_or(VerifyError::Empty)?;
        let verified = match self.without_ended(now) {
            None => self.verifier.verify_client_cert(leaf, intermediates, now),
            Some(roots) => {
                let verifier = verifier(roots).map_err(|error| {
                    VerifyError::Invalid(rustls::Error::General(format!("no CA is in use: {error}")))
                })?;
                verifier.verify_client_cert(leaf, intermediates, now)
            }
        };
        verified.map(|_| ()).map_err(VerifyError::Invalid)
    }

    /// The anchors in force at `now`; `None` where all are.
    fn without_ended(&self, now: UnixTime) -> Option<RootCertStore> {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if self.lives.iter().all(|life| life.contains(&now)) {
            return None;
        }
        let mut roots = RootCertStore::empty();
        for (certificate, life) in self.certificates.iter().zip(&self.lives) {
            if life.contains(&now) {
                // It was added before.
                _ = roots.add(certificate.clone());
            }
        }
        Some(roots)
    }
}

fn verifier(roots: RootCertStore) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()
}

fn life(certificate: &CertificateDer<'_>) -> Result<RangeInclusive<i64>, String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let validity = certificate.validity();
    Ok(validity.not_before.timestamp()..=validity.not_after.timestamp())
}

impl PartialEq for CaBundle {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for CaBundle {}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaBundle({} certificates)", self.certificates.len())
    }
}

// === impl Problem ===

impl Problem {
    fn new(key: &'static str, message: impl Into<String>) -> Self {
        Self {
            key,
            message: message.into(),
        }
    }
}

fn value<'a>(data: &'a BTreeMap<String, String>, key: &str) -> Option<&'a str> {
    data.get(key)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

/// A JSON array of strings in a string; a missing key is an empty list.
fn list(data: &BTreeMap<String, String>, key: &'static str) -> Result<Vec<String>, Problem> {
    let Some(text) = value(data, key) else {
        return Ok(Vec::new());
    };
    let entries: Option<Vec<String>> = serde_json::from_str(text)
        .map_err(|error| Problem::new(key, format!("not a JSON list of strings: {error}")))?;
    let entries = entries.unwrap_or_default();
    if entries.len() > MAX_ENTRIES || entries.iter().any(|entry| entry.len() > MAX_ENTRY) {
        let message = format!("more than {MAX_ENTRIES} entries or one of more than {MAX_ENTRY} bytes");
        return Err(Problem::new(key, message));
    }
    Ok(entries)
}

fn header_names(data: &BTreeMap<String, String>, key: &'static str) -> Result<Vec<HeaderName>, Problem> {
    let names = list(data, key)?;
    names
        .iter()
        .map(|name| {
            let parsed = HeaderName::try_from(name.trim());
            parsed.map_err(|_| Problem::new(key, format!("{name:?} is not the name of a header")))
        })
        .collect()
}

#[cfg(test)]
mod tests;
