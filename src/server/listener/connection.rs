//! One connection: handshake, protocol, the end.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use http::{HeaderValue, Request, Response, Version, header::CONNECTION};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::{HttpService, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{
    LazyConfigAcceptor,
    rustls::{ServerConfig, server::Acceptor},
    server::TlsStream,
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};

use super::{
    Limits,
    activity::{Activity, Tracked, Verdict},
    places::Seat,
    set_up,
};
use crate::{metrics::ServerMetrics, server::peer::Peer};

/// Header fields of a request: a user may be in many groups, one field each.
const MAX_HTTP1_HEADERS: usize = 2048;
/// Bytes of request bodies that are kept unread on a connection; nothing here reads them.
const WINDOW: u32 = 65_535;
/// Bytes of a reply that are kept for a slow reader, on each stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that a client reset before they were looked at (CVE-2023-44487); more end the connection.
const MAX_RESET_STREAMS: usize = 20;
/// Streams that were reset because of what the client sent (CVE-2025-8671); more end the connection.
const MAX_ERROR_STREAMS: usize = 100;

/// How long a known peer whose place is needed has to take notice.
const NOTICE: Duration = Duration::from_secs(1);

/// What the connections of a listener have in common.
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) limits: Limits,
    pub(super) metrics: ServerMetrics,
    pub(super) shutdown: CancellationToken,
}

/// Serves a connection to its end.
pub(super) async fn serve<S>(
    stream: TcpStream,
    addr: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    seat: Seat,
    shared: Arc<Shared<S>>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    set_up(&stream);
    let Some(tls) = tls else {
        return shared.http1(stream, Peer::new(addr, Vec::new()), &seat).await;
    };
    let handshake = timeout(shared.limits.handshake, shake_hands(stream, tls, &seat));
    let handshake = tokio::select! {
        handshake = handshake => handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        () = seat.taken() => return shared.metrics.connection_error("crowded"),
        () = shared.shutdown.cancelled() => return,
    };
    let stream = match handshake {
        Ok(stream) => stream,
        Err(error) => {
            // Port scanners and probes make these; who misconfigured a client sees it there.
            tracing::debug!(%error, peer = %addr, "TLS handshake failed");
            return shared.metrics.connection_error("handshake");
        }
    };
    let _open = shared.metrics.begin_connection();
    let session = stream.get_ref().1;
    let chain = session.peer_certificates().unwrap_or_default().to_vec();
    let peer = Peer::new(addr, chain);
    if session.alpn_protocol() == Some(b"h2") {
        shared.http2(stream, peer, &seat).await;
    } else {
        shared.http1(stream, peer, &seat).await;
    }
}

/// In two steps: who does not even send a `ClientHello` is told apart from who does.
async fn shake_hands(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    seat: &Seat,
) -> io::Result<TlsStream<TcpStream>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    seat.shaking();
    start.into_stream(tls).await
}

impl<S> Shared<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    async fn http1(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        seat: &Seat,
    ) {
        let activity = Activity::new();
        seat.open(&peer, &activity);
        let service = self.service(&peer, &activity);
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header)
            .max_headers(MAX_HTTP1_HEADERS)
            .max_header_size(self.limits.header_bytes as usize)
            .max_buf_size((self.limits.header_bytes as usize).max(64 * 1024))
            .half_close(false);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        self.drive(connection, &peer, &activity, seat).await;
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        seat: &Seat,
    ) {
        let activity = Activity::new();
        seat.open(&peer, &activity);
        let service = self.service(&peer, &activity);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(self.limits.header_bytes)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
            .max_local_error_reset_streams(MAX_ERROR_STREAMS)
            .keep_alive_interval(self.limits.ping.0)
            .keep_alive_timeout(self.limits.ping.1);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        self.drive(connection, &peer, &activity, seat).await;
    }

    /// Passes requests to the service, with their peer. Borrows nothing: hyper runs HTTP/2 streams as tasks of their own.
    fn service(
        &self,
        peer: &Peer,
        activity: &Activity,
    ) -> impl HttpService<Incoming, ResBody = Tracked, Error = Infallible, Future: Send> + Send + use<S> {
        let (service, peer, activity) = (self.service.clone(), peer.clone(), activity.clone());
        service_fn(move |request: Request<Incoming>| {
            let in_flight = activity.begin();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            let (http1, peer) = (request.version() <= Version::HTTP_11, peer.clone());
            let response = service.clone().oneshot(request);
            async move {
                let mut response = response.await?.map(|body| in_flight.track(body));
                if http1 && peer.is_closing() {
                    // hyper says so by itself only where it was told before the reply was ready.
                    response
                        .headers_mut()
                        .insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        })
    }

    /// Polls a connection until it ends by itself, is to end, or has outlived a limit.
    async fn drive<C>(&self, connection: C, peer: &Peer, activity: &Activity, seat: &Seat)
    where
        C: GracefulConnection<Error = hyper::Error>,
    {
        let mut connection = pin!(connection);
        let (mut closing, mut leaving, mut abused) = (false, false, false);
        let mut look = Instant::now();
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, peer = %peer.addr(), "connection ended");
                        // Also how an idle HTTP/1.1 connection ends.
                        if !error.is_timeout() {
                            self.metrics.connection_error("serve");
                        }
                    }
                    return;
                }
                () = self.shutdown.cancelled(), if !closing => {
                    closing = true;
                    look = Instant::now();
                    connection.as_mut().graceful_shutdown();
                }
                () = peer.closing(), if !closing => {
                    closing = true;
                    look = Instant::now();
                    connection.as_mut().graceful_shutdown();
                }
                () = activity.abuse(), if !abused => {
                    abused = true;
                    self.metrics.connection_error("abuse");
                    tracing::debug!(peer = %peer.addr(), "closed a connection whose client cancels too many requests");
                    if !peer.is_front_proxy() {
                        return;
                    }
                    // Others' requests are on it as well; these end in peace, and the next connection starts anew.
                    closing = true;
                    look = Instant::now();
                    connection.as_mut().graceful_shutdown();
                }
                () = seat.taken(), if !leaving => {
                    leaving = true;
                    self.metrics.connection_error("crowded");
                    if !peer.is_known() {
                        return;
                    }
                    closing = true;
                    look = Instant::now() + NOTICE;
                    connection.as_mut().graceful_shutdown();
                }
                () = sleep_until(look) => {
                    if leaving {
                        return;
                    }
                    let now = Instant::now();
                    let hurry = closing || (!peer.is_known() && seat.is_crowded());
                    match activity.verdict(now, &self.limits, hurry) {
                        Verdict::Fine(until) => look = until,
                        Verdict::Idle if !closing => {
                            closing = true;
                            connection.as_mut().graceful_shutdown();
                            // It has as long as a crowded listener leaves an idle one.
                            look = now + self.limits.crowded_idle;
                        }
                        Verdict::Idle => return,
                        Verdict::Stalled => {
                            tracing::debug!(peer = %peer.addr(), "closed a connection whose client does not read");
                            self.metrics.connection_error("serve");
                            return;
                        }
                    }
                }
            }
        }
    }
}
