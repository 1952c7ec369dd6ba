//! Requests as they are: raw paths, headers that repeat, either protocol, with or without a certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsConnector, rustls};

/// How long a request may take; the server's own deadline is a minute.
const PATIENCE: Duration = Duration::from_secs(75);

/// Where a server is, whom it has to be, and who asks.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    server_name: ServerName<'static>,
    roots: Arc<RootCertStore>,
    identity: Option<Identity>,
    token: Option<String>,
}

/// A client certificate with its chain, and the key.
#[derive(Debug)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Which protocol is offered; exactly one, so that a server cannot choose the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: Method,
    path: String,
    headers: HeaderMap,
    protocol: Protocol,
}

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The request, for messages.
    pub(crate) asked: String,
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A connection that several requests are made on.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

// === impl Identity ===

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

impl Identity {
    /// Of PEM texts.
    pub(crate) fn from_pem(chain: &str, key: &str) -> Result<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>()?;
        ensure!(!chain.is_empty(), "no certificate in the PEM text");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
        Ok(Self { chain, key })
    }
}

// === impl Client ===

impl Client {
    /// A client without credentials. `ca` is PEM; `server_name` is what the serving certificate has to be for.
    pub(crate) fn new(address: SocketAddr, server_name: &str, ca: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            roots.add(certificate?)?;
        }
        Ok(Self {
            address,
            server_name: ServerName::try_from(server_name.to_owned())?,
            roots: Arc::new(roots),
            identity: None,
            token: None,
        })
    }

    /// The same, with this certificate and no token.
    #[must_use]
    pub(crate) fn with_identity(&self, identity: Identity) -> Self {
        Self {
            identity: Some(identity),
            token: None,
            ..self.clone()
        }
    }

    /// The same, with this bearer token and no certificate.
    #[must_use]
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            identity: None,
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same, where the serving certificate has to be for another name.
    pub(crate) fn named(&self, server_name: &str) -> Result<Self> {
        Ok(Self {
            server_name: ServerName::try_from(server_name.to_owned())?,
            ..self.clone()
        })
    }

    /// The same without credentials.
    #[must_use]
    pub(crate) fn anonymous(&self) -> Self {
        Self {
            identity: None,
            token: None,
            ..self.clone()
        }
    }

    /// Where it connects to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// GET over HTTP/2, as the API server does it.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply> {
        self.send(&Ask::get(path)).await
    }

    /// Sends one request on a connection of its own.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Reply> {
        self.connect(ask.protocol).await?.send(ask).await
    }

    /// A TLS connection that offers these protocols by ALPN.
    pub(crate) async fn tls(&self, alpn: &[&[u8]]) -> Result<TlsStream<TcpStream>> {
        self.tls_of(alpn, rustls::DEFAULT_VERSIONS).await
    }

    /// The same with these versions of TLS alone.
    pub(crate) async fn tls_of(
        &self,
        alpn: &[&[u8]],
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_root_certificates(Arc::clone(&self.roots));
        let mut config = match self.identity.clone() {
            Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let connect = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let connector = TlsConnector::from(Arc::new(config));
            anyhow::Ok(connector.connect(self.server_name.clone(), stream).await?)
        };
        timeout(PATIENCE, connect)
            .await
            .context("the TLS connection is not made in time")?
    }

    /// A connection that speaks this protocol, carrying the client's token in every request.
    pub(crate) async fn connect(&self, protocol: Protocol) -> Result<Authorized> {
        let stream = self.tls(&[protocol.alpn()]).await?;
        let chosen = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        ensure!(
            chosen.as_deref() == Some(protocol.alpn()),
            "the server chose {chosen:?} for {protocol:?}"
        );
        let io = TokioIo::new(stream);
        let connection = match protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::handshake(io).await?;
                tokio::spawn(driver);
                Connection::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(driver);
                Connection::Http2(sender)
            }
        };
        Ok(Authorized {
            connection,
            token: self.token.clone(),
        })
    }
}

/// A connection whose requests carry a token.
pub(crate) struct Authorized {
    connection: Connection,
    token: Option<String>,
}

// === impl Authorized ===

impl Authorized {
    /// Another handle of the same connection, for requests at the same time: HTTP/2 alone can do that.
    pub(crate) fn share(&self) -> Result<Self> {
        match &self.connection {
            Connection::Http1(_) => bail!("HTTP/1.1 has one request at a time"),
            Connection::Http2(sender) => Ok(Self {
                connection: Connection::Http2(sender.clone()),
                token: self.token.clone(),
            }),
        }
    }

    /// Whether the server has ended it, or said that it will.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.connection {
            Connection::Http1(sender) => sender.is_closed(),
            Connection::Http2(sender) => sender.is_closed(),
        }
    }

    /// Sends a request; on HTTP/1.1 the ones before must have been answered.
    pub(crate) async fn send(&mut self, ask: &Ask) -> Result<Reply> {
        let asked = format!("{} {}", ask.method, ask.path);
        let reply = timeout(PATIENCE, self.exchange(ask)).await;
        let reply = reply.with_context(|| format!("{asked}: no answer within {PATIENCE:?}"))?;
        let (status, version, headers, body) = reply.with_context(|| asked.clone())?;
        Ok(Reply {
            asked,
            status,
            version,
            headers,
            body,
        })
    }

    async fn exchange(&mut self, ask: &Ask) -> Result<(u16, Version, HeaderMap, Bytes)> {
        let mut request = Request::new(Full::default());
        *request.method_mut() = ask.method.clone();
        *request.headers_mut() = ask.headers.clone();
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"))?;
            request.headers_mut().insert(http::header::AUTHORIZATION, value);
        }
        let response = match &mut self.connection {
            Connection::Http1(sender) => {
                request
                    .headers_mut()
                    .insert(http::header::HOST, HeaderValue::from_static("metrics"));
                *request.uri_mut() = ask.path.parse()?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Connection::Http2(sender) => {
                *request.uri_mut() = format!("https://metrics{}", ask.path).parse()?;
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok((head.status.as_u16(), head.version, head.headers, body))
    }
}

// === impl Protocol ===

impl Protocol {
    fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }
}

// === impl Ask ===

impl Ask {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            protocol: Protocol::Http2,
        }
    }

    pub(crate) fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    /// One more header; names may repeat.
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            self.headers.append(name, value);
        }
        self
    }

    #[must_use]
    pub(crate) fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }
}

// === impl Reply ===

impl Reply {
    /// A header's value; empty when it is not there or not text.
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Fails with the whole reply.
    pub(crate) fn fail<T>(&self, why: &str) -> Result<T> {
        let text = self.text();
        let shown: String = text.chars().take(2000).collect();
        bail!(
            "{}: {why}; answered {} {:?}: {shown}",
            self.asked,
            self.status,
            self.headers
        )
    }
}
