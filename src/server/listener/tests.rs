mod frames;
mod limits;

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{Router, extract::State, response::IntoResponse};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
    task::JoinHandle,
    time::Instant,
};

use super::*;
use crate::{
    kubernetes::{authentication::AuthenticationConfig, reviews::Reviewer},
    metrics::Metrics,
    pki::ServingCertificate,
    server::{
        authn::{Authenticator, AuthnError},
        peer::Peer,
        testing::{Ca, FakeReviewer, Pair, Pki, connect},
        tls::TlsConfigs,
    },
};

const H1: &[&[u8]] = &[b"http/1.1"];
const H2: &[&[u8]] = &[b"h2", b"http/1.1"];
/// For what should happen soon, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A listener on loopback whose service names the user, and waits where the path is `/slow`.
struct Bench {
    pki: Pki,
    addr: SocketAddr,
    config: watch::Sender<Option<Arc<AuthenticationConfig>>>,
    serving: watch::Sender<Arc<ServingCertificate>>,
    metrics: Metrics,
    slow: Arc<Slow>,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

#[derive(Default)]
struct Slow {
    entered: AtomicUsize,
    release: Notify,
}

#[derive(Clone)]
struct App {
    authenticator: Authenticator,
    slow: Arc<Slow>,
}

/// One HTTP connection.
enum Client {
    Http1(http1::SendRequest<Empty<bytes::Bytes>>),
    Http2(http2::SendRequest<Empty<bytes::Bytes>>),
}

struct Reply {
    code: u16,
    text: String,
    headers: HeaderMap,
}

async fn answer(State(app): State<App>, request: Request<Body>) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().unwrap().clone();
    if parts.uri.path() == "/slow" {
        app.slow.entered.fetch_add(1, Ordering::SeqCst);
        app.slow.release.notified().await;
    }
    if parts.uri.path() == "/open" {
        return "open".into_response();
    }
    match app.authenticator.authenticate(&mut parts, &peer).await {
        Ok(identity) => identity.user.into_response(),
        Err(AuthnError::Unauthorized(_)) => StatusCode::UNAUTHORIZED.into_response(),
        Err(error) => (StatusCode::FORBIDDEN, error.to_string()).into_response(),
    }
}

impl Bench {
    async fn new(limits: Limits) -> Self {
        Self::with_grace(limits, SOON).await
    }

    async fn with_grace(limits: Limits, grace: Duration) -> Self {
        let pki = Pki::new();
        let metrics = Metrics::new();
        let (config, config_receiver) = watch::channel(Some(pki.config(&["front-proxy-client"])));
        let (serving, serving_receiver) = watch::channel(pki.serving.serving());
        let (configs, tls) = TlsConfigs::new(
            serving_receiver,
            config_receiver.clone(),
            metrics.controller.clone(),
        )
        .unwrap();
        tokio::spawn(configs.run());

        let reviewer: Arc<dyn Reviewer> = Arc::new(FakeReviewer::default());
        let slow = Arc::new(Slow::default());
        let app = App {
            authenticator: Authenticator::new(config_receiver, reviewer),
            slow: Arc::clone(&slow),
        };
        let router = Router::new().fallback(answer).with_state(app);
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener::new(tcp, Some(tls), limits, metrics.server.clone());
        let addr = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(listener.serve(router, shutdown.clone(), grace));
        Self {
            pki,
            addr,
            config,
            serving,
            metrics,
            slow,
            shutdown,
            served,
        }
    }

    async fn connect(&self, pair: Option<&Pair>, alpn: &[&[u8]]) -> Client {
        let stream = connect(self.addr, &self.pki.serving.der, pair, alpn, false)
            .await
            .unwrap();
        Client::new(stream, alpn == H2).await
    }

    /// A request on a connection of its own.
    async fn ask(&self, pair: Option<&Pair>, alpn: &[&[u8]], headers: &[(&str, &str)]) -> Reply {
        self.connect(pair, alpn).await.get("/", headers).await.unwrap()
    }

    async fn is_answering(&self) {
        let reply = timeout(SOON, self.ask(None, H2, &[("Authorization", "Bearer good")]))
            .await
            .unwrap();
        assert_eq!(reply.text, "alice");
    }

    /// Sends bytes without TLS and waits for the other side to close.
    async fn raw(&self, bytes: &[u8]) {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = timeout(SOON, stream.read_to_end(&mut rest))
            .await
            .expect("closed in time");
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + SOON;
        while !done(self) {
            assert!(Instant::now() < deadline, "{what}: {}", self.metrics.encode());
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_counted(&self, line: &str) {
        self.until(line, |bench| bench.metrics.encode().contains(line))
            .await;
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.served.abort();
    }
}

impl Client {
    async fn new(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool) -> Self {
        let io = TokioIo::new(stream);
        if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Self::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Self::Http1(sender)
        }
    }

    async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> hyper::Result<Reply> {
        let mut request = Request::get(format!("https://{}{path}", crate::server::testing::SERVER_NAME));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::new()).unwrap();
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply {
            code: parts.status.as_u16(),
            text: String::from_utf8(body.to_vec()).unwrap(),
            headers: parts.headers,
        })
    }

    async fn until_closed(&mut self) {
        let closed = async {
            while !match self {
                Self::Http1(sender) => sender.is_closed(),
                Self::Http2(sender) => sender.is_closed(),
            } {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, closed).await.expect("closed in time");
    }
}

#[tokio::test]
async fn tells_who_connects_over_both_protocols() {
    let bench = Bench::new(Limits::default()).await;
    let proxy = bench.pki.proxy();
    let alice = bench.pki.client.client("carol", &[]);
    let stranger = Ca::new("stranger").client("front-proxy-client", &[]);
    for alpn in [H1, H2] {
        let ask = |pair, headers| bench.ask(pair, alpn, headers);
        assert_eq!(ask(Some(&proxy), &[("X-Remote-User", "bob")]).await.text, "bob");
        assert_eq!(ask(Some(&alice), &[("X-Remote-User", "bob")]).await.text, "carol");
        assert_eq!(
            ask(None, &[("X-Remote-User", "bob")]).await.text,
            "system:anonymous"
        );
        // A certificate of nobody's is a matter of HTTP, not of TLS.
        assert_eq!(ask(Some(&stranger), &[("X-Remote-User", "bob")]).await.code, 401);
        assert_eq!(ask(Some(&proxy), &[]).await.code, 401);
        let reply = ask(
            Some(&proxy),
            &[("X-Remote-User", "bob"), ("Impersonate-User", "zed")],
        )
        .await;
        assert_eq!(reply.code, 403);
        assert!(
            reply.text.contains("impersonation is not supported"),
            "{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn serves_tls_1_2_too_and_prefers_http_2() {
    let bench = Bench::new(Limits::default()).await;
    let proxy = bench.pki.proxy();
    for tls12 in [true, false] {
        let stream = connect(
            bench.addr,
            &bench.pki.serving.der,
            Some(&proxy),
            &[b"http/1.1", b"h2"],
            tls12,
        )
        .await
        .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let mut client = Client::new(stream, true).await;
        assert_eq!(
            client.get("/", &[("X-Remote-User", "bob")]).await.unwrap().text,
            "bob"
        );
        let without = connect(bench.addr, &bench.pki.serving.der, Some(&proxy), &[], tls12)
            .await
            .unwrap();
        let mut client = Client::new(without, false).await;
        assert_eq!(
            client.get("/", &[("X-Remote-User", "bob")]).await.unwrap().text,
            "bob"
        );
    }
}

#[tokio::test]
async fn refuses_tls_1_1() {
    let bench = Bench::new(Limits::default()).await;
    let mut hello = vec![0x16, 0x03, 0x01, 0x00, 0x2d, 0x01, 0x00, 0x00, 0x29, 0x03, 0x02];
    hello.extend([0x5a; 32]);
    // No session, one cipher suite (AES128-SHA), no compression.
    hello.extend([0x00, 0x00, 0x02, 0x00, 0x2f, 0x01, 0x00]);
    let mut stream = TcpStream::connect(bench.addr).await.unwrap();
    stream.write_all(&hello).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .expect("closed in time")
        .unwrap();
    // An alert record: fatal; handshake_failure or protocol_version.
    assert_eq!(answer.first(), Some(&0x15));
    assert!(matches!(answer.get(5..), Some([2, 40 | 70])), "{answer:?}");
}

#[tokio::test]
async fn keeps_a_connection_of_a_user_and_closes_others() {
    let bench = Bench::new(Limits::default()).await;
    for alpn in [H1, H2] {
        let mut client = bench.connect(None, alpn).await;
        for _ in 0..3 {
            let reply = client
                .get("/", &[("Authorization", "Bearer good")])
                .await
                .unwrap();
            assert_eq!(reply.text, "alice");
        }
        let reply = client.get("/", &[]).await.unwrap();
        assert_eq!(reply.text, "system:anonymous");
        if alpn == H1 {
            assert_eq!(reply.headers["connection"], "close");
        }
        client.until_closed().await;
    }
}

#[tokio::test]
async fn rotates_cas_and_certificate_under_an_open_connection() {
    let bench = Bench::new(Limits::default()).await;
    let bob: &[(&str, &str)] = &[("X-Remote-User", "bob")];
    let old = bench.pki.proxy();
    let mut open = bench.connect(Some(&old), H2).await;
    assert_eq!(open.get("/", bob).await.unwrap().text, "bob");

    // The new serving certificate is shown to new connections; the open one goes on.
    let next = Pki::new();
    bench.serving.send_replace(next.serving.serving());
    let deadline = Instant::now() + SOON;
    while connect(bench.addr, &next.serving.der, Some(&old), H2, false)
        .await
        .is_err()
    {
        assert!(Instant::now() < deadline);
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(open.get("/", bob).await.unwrap().text, "bob");

    // A new CA of the front proxy: its certificates are believed, the old one's no longer, on the open connection too.
    bench
        .config
        .send_replace(Some(next.config(&["front-proxy-client"])));
    let stream = connect(bench.addr, &next.serving.der, Some(&next.proxy()), H2, false)
        .await
        .unwrap();
    assert_eq!(
        Client::new(stream, true).await.get("/", bob).await.unwrap().text,
        "bob"
    );
    assert_eq!(open.get("/", bob).await.unwrap().code, 401);
    open.until_closed().await;
}

#[tokio::test]
async fn drains() {
    for alpn in [H1, H2] {
        let mut bench = Bench::new(Limits::default()).await;
        let mut idle = bench.connect(None, alpn).await;
        idle.get("/open", &[]).await.unwrap();
        let mut busy = bench.connect(None, alpn).await;
        let request = tokio::spawn(async move {
            let reply = busy.get("/slow", &[("Authorization", "Bearer good")]).await;
            (busy, reply)
        });
        bench
            .until("entered", |bench| bench.slow.entered.load(Ordering::SeqCst) == 1)
            .await;

        bench.shutdown.cancel();
        idle.until_closed().await;
        let refused = async {
            while TcpStream::connect(bench.addr).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, refused).await.expect("new connections are refused");
        assert!(!bench.served.is_finished(), "waits for the request");

        bench.slow.release.notify_waiters();
        let (mut busy, reply) = timeout(SOON, request).await.unwrap().unwrap();
        assert_eq!(reply.unwrap().text, "alice");
        busy.until_closed().await;
        timeout(SOON, &mut bench.served)
            .await
            .expect("serve ends")
            .unwrap();
    }
}

#[tokio::test]
async fn cuts_what_does_not_end_in_time() {
    let mut bench = Bench::with_grace(Limits::default(), Duration::from_millis(200)).await;
    let mut busy = bench.connect(None, H2).await;
    let request = tokio::spawn(async move { busy.get("/slow", &[]).await.map(|reply| reply.code) });
    bench
        .until("entered", |bench| bench.slow.entered.load(Ordering::SeqCst) == 1)
        .await;
    bench.shutdown.cancel();
    timeout(SOON, &mut bench.served)
        .await
        .expect("serve ends")
        .unwrap();
    assert!(timeout(SOON, request).await.unwrap().unwrap().is_err());
}
