//! Connections straight to a replica, past the kube-apiserver: what a front proxy, a user or a stranger sees.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use testbed::pki::Pair;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// The name that the aggregator verifies.
const SERVER_NAME: &str = "metricrule.metricrule-system.svc";

/// An HTTP/1.1 connection.
pub(super) struct Direct {
    sender: SendRequest<Empty<Bytes>>,
    /// The certificate that the replica showed.
    pub(super) leaf: CertificateDer<'static>,
}

impl Direct {
    /// Connects to a replica's port, believing the CAs of `bundle` (PEM), with a client certificate or none.
    pub(super) async fn connect(port: u16, bundle: &[u8], pair: Option<&Pair>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle) {
            roots.add(certificate.context("the bundle")?)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match pair {
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate_pem.as_bytes());
                builder.with_client_auth_cert(
                    chain.collect::<Result<_, _>>()?,
                    PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes())?,
                )?
            }
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from(SERVER_NAME)?, stream)
            .await
            .context("the handshake")?;
        let leaf = stream
            .get_ref()
            .1
            .peer_certificates()
            .and_then(|chain| chain.first())
            .context("no certificate")?
            .clone()
            .into_owned();
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, leaf })
    }

    /// The status of `GET /apis` for the user that the front proxy's header names. The connection stays open.
    pub(super) async fn ask_as(&mut self, user: &str) -> Result<StatusCode> {
        self.sender.ready().await.context("the connection was closed")?;
        let request = Request::get("/apis")
            .header("Host", SERVER_NAME)
            .header("X-Remote-User", user)
            .header("X-Remote-Group", "system:masters")
            .body(Empty::new())?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        http_body_util::BodyExt::collect(response.into_body()).await?;
        Ok(status)
    }

    /// The status must be this one.
    pub(super) async fn expect(&mut self, status: StatusCode) -> Result<()> {
        let answer = self.ask_as("system:kube-aggregator").await?;
        ensure!(answer == status, "{answer}, not {status}");
        Ok(())
    }
}
