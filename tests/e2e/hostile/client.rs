//! Connections to the replica's TLS port, with client certificates of the cluster's CA and nothing in between.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, Client};
use percent_encoding::percent_encode_byte;
use testbed::{PATIENCE, Testbed, eventually, pki::Pair};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    },
};

use super::generate::{Hostile, Way, Who};

/// Longer than any answer takes: the backend's own deadline, with room for a busy machine.
const PATIENT: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Knows the way to the replica, and both certificates.
pub(super) struct Dialer {
    port: u16,
    name: ServerName<'static>,
    roots: RootCertStore,
    master: Pair,
    user: Pair,
}

/// The connections of one client that sends one request after the other.
pub(super) struct Lane {
    dialer: Arc<Dialer>,
    open: HashMap<(bool, bool), Open>,
}

enum Open {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

// === impl Dialer ===

impl Dialer {
    /// Takes name and CA from where the cluster's API server has them: the `APIService`.
    pub(super) async fn new(testbed: &Testbed, client: &Client) -> Result<Self> {
        let services: Api<APIService> = Api::all(client.clone());
        let (name, bundle) = eventually(PATIENCE, "the APIService has a CA", || async {
            let service = services.get("v1beta2.custom.metrics.k8s.io").await?;
            let spec = service.spec.context("no spec")?;
            let bundle = spec.ca_bundle.context("no caBundle")?;
            let service = spec.service.context("no service")?;
            let (name, namespace) = (
                service.name.context("no name")?,
                service.namespace.context("no namespace")?,
            );
            Ok((format!("{name}.{namespace}.svc"), bundle.0))
        })
        .await?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&bundle) {
            roots.add(certificate?)?;
        }
        let pki = testbed.control_plane().pki();
        Ok(Self {
            port: testbed.replicas().first().context("no replica")?.secure_port(),
            name: ServerName::try_from(name)?,
            roots,
            master: pki.cluster.client("hostile-admin", Some("system:masters"))?,
            user: pki.cluster.client("hostile", None)?,
        })
    }

    pub(super) fn lane(self: &Arc<Self>) -> Lane {
        Lane {
            dialer: Arc::clone(self),
            open: HashMap::new(),
        }
    }

    async fn connect(&self, who: Who, protocol: &[u8]) -> Result<TlsStream<TcpStream>> {
        let pair = match who {
            Who::Master => &self.master,
            Who::User => &self.user,
        };
        let chain =
            CertificateDer::pem_slice_iter(pair.certificate_pem.as_bytes()).collect::<Result<Vec<_>, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(self.roots.clone())
            .with_client_auth_cert(chain, key)?;
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(TlsConnector::from(Arc::new(config))
            .connect(self.name.clone(), stream)
            .await?)
    }
}

// === impl Lane ===

impl Lane {
    /// Sends a request and reads the whole answer.
    pub(super) async fn send(&mut self, request: &Hostile) -> Result<Reply> {
        timeout(PATIENT, async {
            match request.way {
                Way::Raw => self.raw(request).await,
                Way::Http1 | Way::Http2 => self.framed(request).await,
            }
        })
        .await
        .context("no answer in time")?
    }

    async fn framed(&mut self, hostile: &Hostile) -> Result<Reply> {
        let http2 = hostile.way == Way::Http2;
        let target = PathAndQuery::try_from(hostile.target.as_str())
            .or_else(|_| PathAndQuery::try_from(legal(&hostile.target)))?;
        let uri = if http2 {
            Uri::builder()
                .scheme("https")
                .authority("metricrule")
                .path_and_query(target)
                .build()?
        } else {
            Uri::from(target)
        };
        let mut request = Request::builder().method(hostile.method.as_bytes()).uri(uri);
        if !http2 {
            request = request.header("host", "metricrule");
        }
        for (name, value) in &hostile.headers {
            let name = HeaderName::try_from(name.to_ascii_lowercase().replace('%', ""))?;
            request = request.header(name, HeaderValue::from_bytes(value)?);
        }
        let request = request.body(Full::new(Bytes::from(hostile.body.clone())))?;
        let response = match self.connection(http2, hostile.who).await? {
            Open::Http1(sender) => sender.send_request(request).await?,
            Open::Http2(sender) => sender.send_request(request).await?,
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the body")?.to_bytes();
        Ok(Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    /// The connection of this kind, opened if there is none that takes a request.
    async fn connection(&mut self, http2: bool, who: Who) -> Result<&mut Open> {
        let key = (http2, who == Who::Master);
        let ready = match self.open.get_mut(&key) {
            Some(Open::Http1(sender)) => sender.ready().await.is_ok(),
            Some(Open::Http2(sender)) => sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            let protocol: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
            let stream = TokioIo::new(self.dialer.connect(who, protocol).await.context("connecting")?);
            // what ends a connection shows in the request that is on it
            let open = if http2 {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(async move { drop(connection.await) });
                Open::Http2(sender)
            } else {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(async move { drop(connection.await) });
                Open::Http1(sender)
            };
            self.open.insert(key, open);
        }
        self.open.get_mut(&key).context("just opened")
    }

    async fn raw(&self, hostile: &Hostile) -> Result<Reply> {
        let mut stream = self
            .dialer
            .connect(hostile.who, b"http/1.1")
            .await
            .context("connecting")?;
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
            hostile.method, hostile.target
        )
        .into_bytes();
        for (name, value) in &hostile.headers {
            text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        text.extend(format!("Content-Length: {}\r\n\r\n", hostile.body.len()).bytes());
        text.extend(&hostile.body);
        stream.write_all(&text).await?;
        let mut answer = Vec::new();
        // a connection that is cut after its answer is one that has answered
        let read = stream.read_to_end(&mut answer).await;
        ensure!(!answer.is_empty(), "closed without an answer: {read:?}");
        parse(&answer)
    }
}

/// An answer that ends with its connection.
fn parse(answer: &[u8]) -> Result<Reply> {
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .context("no end of the head")?;
    let head = std::str::from_utf8(&answer[..end])?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .context("no HTTP")?;
    let status = status.get(..3).context("no status")?.parse()?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').context("no header")?;
        headers.append(HeaderName::try_from(name)?, HeaderValue::from_str(value.trim())?);
    }
    let mut body = &answer[end + 4..];
    if headers.get("transfer-encoding").is_some() {
        bail!("in chunks: {head}");
    }
    if let Some(length) = headers.get("content-length") {
        let length: usize = length.to_str()?.parse()?;
        // the answer to HEAD has the length of what it leaves out
        ensure!(
            body.is_empty() || body.len() == length,
            "{} bytes, not {length}",
            body.len()
        );
        body = body.get(..length).unwrap_or(body);
    }
    Ok(Reply {
        status,
        headers,
        body: Bytes::copy_from_slice(body),
    })
}

/// The target with what HTTP does not take percent-encoded.
fn legal(target: &str) -> String {
    let mut legal = String::new();
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{}|#".contains(&byte) {
            legal.push(char::from(byte));
        } else {
            legal.push_str(percent_encode_byte(byte));
        }
    }
    if legal.starts_with('/') || legal == "*" {
        legal
    } else {
        format!("/{legal}")
    }
}
