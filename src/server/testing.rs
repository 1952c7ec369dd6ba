//! A PKI, a reviewer and a client for the tests of the server.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures::future::BoxFuture;
use http::HeaderName;
use k8s_openapi::api::{authentication::v1::UserInfo, authorization::v1::SubjectAccessReviewSpec};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
        version::{TLS12, TLS13},
    },
};

use crate::{
    kubernetes::{
        authentication::{AuthenticationConfig, CaBundle, RequestHeader},
        reviews::{AccessOutcome, ReviewError, Reviewer, Token, TokenOutcome},
    },
    pki::ServingCertificate,
};

/// A name that the serving certificate is for.
pub(super) const SERVER_NAME: &str = "metricrule.monitoring.svc";

/// A CA.
pub(super) struct Ca {
    pub(super) der: CertificateDer<'static>,
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(super) struct Pair {
    pub(super) chain: Vec<CertificateDer<'static>>,
    key: Vec<u8>,
}

/// The CAs of a cluster and the operator's own.
pub(super) struct Pki {
    pub(super) serving: Ca,
    pub(super) client: Ca,
    pub(super) front_proxy: Ca,
}

/// Knows the token `good` (alice of the group devs); `down` makes it fail, `busy` sends away. Allows what the user `bob` asks.
#[derive(Default)]
pub(super) struct FakeReviewer {
    pub(super) tokens: AtomicUsize,
    pub(super) accesses: AtomicUsize,
}

// === impl Ca ===

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(super) fn bundle(&self) -> CaBundle {
        CaBundle::parse(&self.pem).unwrap()
    }

    /// A client certificate for `CN=user`, `O=…groups`.
    pub(super) fn client(&self, user: &str, groups: &[&str]) -> Pair {
        self.leaf(user, groups, ExtendedKeyUsagePurpose::ClientAuth)
    }

    pub(super) fn leaf(&self, user: &str, groups: &[&str], usage: ExtendedKeyUsagePurpose) -> Pair {
        let mut params = CertificateParams::new([SERVER_NAME.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, user);
        for group in groups {
            params.distinguished_name.push(DnType::OrganizationName, *group);
        }
        params.extended_key_usages.push(usage);
        let key = KeyPair::generate().unwrap();
        Pair {
            chain: vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()],
            key: key.serialize_der(),
        }
    }

    pub(super) fn serving(&self) -> Arc<ServingCertificate> {
        let pair = self.leaf("serving", &[], ExtendedKeyUsagePurpose::ServerAuth);
        let key = pair.key();
        Arc::new(ServingCertificate::new(pair.chain, key).unwrap())
    }
}

// === impl Pair ===

impl Pair {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }
}

// === impl Pki ===

impl Pki {
    pub(super) fn new() -> Self {
        Self {
            serving: Ca::new("metricrule"),
            client: Ca::new("kubernetes"),
            front_proxy: Ca::new("kubernetes-front-proxy"),
        }
    }

    pub(super) fn requestheader(&self, allowed_names: &[&str]) -> RequestHeader {
        RequestHeader {
            ca: self.front_proxy.bundle(),
            allowed_names: allowed_names.iter().map(|name| (*name).to_owned()).collect(),
            username_headers: vec![HeaderName::from_static("x-remote-user")],
            group_headers: vec![HeaderName::from_static("x-remote-group")],
            extra_prefixes: vec!["x-remote-extra-".to_owned()],
            uid_headers: vec![HeaderName::from_static("x-remote-uid")],
        }
    }

    pub(super) fn config(&self, allowed_names: &[&str]) -> Arc<AuthenticationConfig> {
        Arc::new(AuthenticationConfig {
            client_ca: Some(self.client.bundle()),
            requestheader: Some(self.requestheader(allowed_names)),
        })
    }

    pub(super) fn proxy(&self) -> Pair {
        self.front_proxy.client("front-proxy-client", &[])
    }
}

// === impl FakeReviewer ===

impl Reviewer for FakeReviewer {
    fn token<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenOutcome, ReviewError>> {
        self.tokens.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            match token.expose() {
                "good" => Ok(TokenOutcome::Authenticated(Box::new(UserInfo {
                    username: Some("alice".to_owned()),
                    groups: Some(vec!["devs".to_owned()]),
                    ..UserInfo::default()
                }))),
                "down" => Err(ReviewError::Timeout("TokenReview")),
                "busy" => Err(ReviewError::Busy("TokenReview")),
                "nobody" => Ok(TokenOutcome::Authenticated(Box::default())),
                _ => Ok(TokenOutcome::Rejected {
                    error: "expired".to_owned(),
                }),
            }
        })
    }

    fn access<'a>(
        &'a self,
        spec: &'a SubjectAccessReviewSpec,
    ) -> BoxFuture<'a, Result<AccessOutcome, ReviewError>> {
        self.accesses.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            match spec.user.as_deref() {
                Some("bob") => Ok(AccessOutcome {
                    allowed: true,
                    reason: String::new(),
                }),
                Some("down") => Err(ReviewError::Timeout("SubjectAccessReview")),
                _ => Ok(AccessOutcome {
                    allowed: false,
                    reason: "RBAC: nope".to_owned(),
                }),
            }
        })
    }
}

/// A TLS connection to `addr` that believes `ca` and shows `pair`, offering the protocols of `alpn`.
pub(super) async fn connect(
    addr: SocketAddr,
    ca: &CertificateDer<'static>,
    pair: Option<&Pair>,
    alpn: &[&[u8]],
    tls12: bool,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone()).unwrap();
    let versions = if tls12 { [&TLS12] } else { [&TLS13] };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match pair {
        Some(pair) => builder
            .with_client_auth_cert(pair.chain.clone(), pair.key())
            .unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
