//! TLS settings of a handshake: the serving certificate and the names of the CAs, both as they change.

mod file;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_rustls::rustls::{
    DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, UnixTime},
    server::{
        NoServerSessionStorage,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};

pub use self::file::FileCertificate;
use crate::{
    kubernetes::authentication::AuthenticationConfig,
    metrics::ControllerMetrics,
    pki::{ServingCertificate, ServingError},
};

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the file {path} of the serving certificate cannot be read: {source}")]
    Read {
        /// Which one.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The pair of files cannot be served with.
    #[error("{certificate} and {key} cannot be used for serving: {source}")]
    Files {
        /// The certificate's.
        certificate: String,
        /// The key's.
        key: String,
        /// What is wrong.
        source: ServingError,
    },
    /// The certificate cannot be served with.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// rustls refuses the combination.
    #[error("TLS: {0}")]
    Config(#[from] Error),
}

/// Publishes a new configuration whenever the certificate or the CAs change. Connections that are open keep theirs.
pub struct TlsConfigs {
    serving: watch::Receiver<Arc<ServingCertificate>>,
    authentication: watch::Receiver<Option<Arc<AuthenticationConfig>>>,
    sender: watch::Sender<Arc<ServerConfig>>,
    metrics: ControllerMetrics,
}

/// Asks for a client certificate and takes any whose key the client holds, like Go's `tls.RequestClientCert`.
///
/// Whom it names and who may vouch for it is for authentication to say: two bundles are to be told apart there, and a
/// certificate that neither knows must end in a 401 or another way to authenticate, not in a broken handshake.
#[derive(Debug)]
struct RequestClientCert {
    hints: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

// === impl TlsConfigs ===

impl TlsConfigs {
    /// The first configuration, and what keeps it up to date.
    pub fn new(
        mut serving: watch::Receiver<Arc<ServingCertificate>>,
        mut authentication: watch::Receiver<Option<Arc<AuthenticationConfig>>>,
        metrics: ControllerMetrics,
    ) -> Result<(Self, watch::Receiver<Arc<ServerConfig>>), TlsError> {
        let first = build(&mut serving, &mut authentication, &metrics)?;
        let (sender, receiver) = watch::channel(Arc::new(first));
        let configs = Self {
            serving,
            authentication,
            sender,
            metrics,
        };
        Ok((configs, receiver))
    }

    /// Runs until it is dropped, or until both sources are gone.
    pub async fn run(mut self) {
        let (mut serving_open, mut authentication_open) = (true, true);
        while serving_open || authentication_open {
            tokio::select! {
                changed = self.serving.changed(), if serving_open => serving_open = changed.is_ok(),
                changed = self.authentication.changed(), if authentication_open => authentication_open = changed.is_ok(),
            }
            match build(&mut self.serving, &mut self.authentication, &self.metrics) {
                Ok(config) => _ = self.sender.send_replace(Arc::new(config)),
                Err(error) => tracing::error!(%error, "the old TLS configuration stays in use"),
            }
        }
    }
}

fn build(
    serving: &mut watch::Receiver<Arc<ServingCertificate>>,
    authentication: &mut watch::Receiver<Option<Arc<AuthenticationConfig>>>,
    metrics: &ControllerMetrics,
) -> Result<ServerConfig, TlsError> {
    let serving = Arc::clone(&serving.borrow_and_update());
    let authentication = authentication.borrow_and_update().clone();
    let hints = authentication.map(|config| config.subjects()).unwrap_or_default();
    let config = server_config(&serving, hints)?;
    metrics.certificate_expiry("serving", serving.not_after.as_second());
    Ok(config)
}

/// TLS 1.2 and 1.3, HTTP/2 preferred; `hints` are the names of CAs whose certificates are of use.
fn server_config(
    serving: &ServingCertificate,
    hints: Vec<DistinguishedName>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = RequestClientCert::new(hints, &provider);
    let certificate = SingleCertAndKey::from(serving.certified_key()?);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(certificate));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A resumed session would carry a client certificate whose key was not shown again; connections here live long.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

// === impl RequestClientCert ===

impl RequestClientCert {
    fn new(hints: Vec<DistinguishedName>, provider: &CryptoProvider) -> Self {
        Self {
            hints,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ClientCertVerifier for RequestClientCert {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
