//! Accepts connections and serves them, with a limit on everything that a client can make us wait for or keep.

mod activity;
mod connection;
mod places;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tower::Service;

use self::{connection::Shared, places::Places};
use crate::metrics::ServerMetrics;

/// The pause after a failed `accept`, doubled while it goes on failing. Without one, a process that is out of file
/// descriptors would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const MAX_ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What a client may make the listener wait for or keep.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections, handshakes included. At the limit a new one is let in and another goes: see `places`.
    pub connections: usize,
    /// Of these, handshakes that are not finished.
    pub handshakes: usize,
    /// Of these, connections on which no request was authenticated yet. From three quarters on they have
    /// [`Limits::crowded_idle`] instead of [`Limits::idle`].
    pub strangers: usize,
    /// From the accepted connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// To send the head of a request; on a connection that has had none yet, also to begin one.
    pub header: Duration,
    /// Without a request in flight. (On HTTP/1.1 the shorter of this and `header`.)
    pub idle: Duration,
    /// As `idle` and `unread`, when connections become scarce, and for those that are to end.
    pub crowded_idle: Duration,
    /// With a request that waits for its reply, and nothing else moving. Longer than any request's deadline.
    pub stalled: Duration,
    /// With a reply of which the client takes nothing.
    pub unread: Duration,
    /// Bytes of a request's head.
    pub header_bytes: u32,
    /// HTTP/2 streams of a connection at a time.
    pub streams: u32,
    /// How often an HTTP/2 client is asked for a sign of life, and how long it has to give one.
    pub ping: (Duration, Duration),
}

/// A socket that serves HTTP: over TLS HTTP/1.1 and HTTP/2 as the handshake agrees, plainly HTTP/1.1 alone.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    limits: Limits,
    metrics: ServerMetrics,
}

// === impl Limits ===

impl Default for Limits {
    /// The deadlines of `pkg/server/secure_serving.go` of k8s.io/apiserver. The bound on heads is a quarter of Go's 1 MiB: heads
    /// are kept before anyone is authenticated, one for each stream.
    fn default() -> Self {
        Self {
            connections: 1000,
            handshakes: 256,
            strangers: 512,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(32),
            idle: Duration::from_secs(90),
            crowded_idle: Duration::from_secs(5),
            stalled: Duration::from_mins(2),
            unread: Duration::from_secs(30),
            header_bytes: 256 * 1024,
            streams: 100,
            ping: (Duration::from_secs(30), Duration::from_secs(15)),
        }
    }
}

/// File descriptors that the process needs besides the connections of its TLS port: the plain port's, the watches, backends, and
/// connections that were told to go and have not gone yet.
const OTHER_DESCRIPTORS: u64 = 512;

impl Limits {
    /// With as many connections as so many file descriptors allow.
    #[must_use]
    pub fn within(self, descriptors: u64) -> Self {
        let possible = usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX);
        let connections = self.connections.min(possible.max(64));
        if connections < self.connections {
            tracing::warn!(
                descriptors,
                connections,
                "the limit on open files is low (ulimit -Hn), so the server accepts fewer connections"
            );
        }
        let share = |part: usize| (part * connections / self.connections.max(1)).max(1);
        Self {
            connections,
            handshakes: share(self.handshakes),
            strangers: share(self.strangers),
            ..self
        }
    }

    /// Those of a port for probes and scrapes, where everyone is a stranger.
    pub fn plain() -> Self {
        Self {
            connections: 200,
            strangers: 200,
            ..Self::default()
        }
    }
}

// === impl Listener ===

impl Listener {
    /// Serves on `tcp`. With `tls` each handshake takes the configuration in force when it begins.
    pub fn new(
        tcp: TcpListener,
        tls: Option<watch::Receiver<Arc<ServerConfig>>>,
        limits: Limits,
        metrics: ServerMetrics,
    ) -> Self {
        Self {
            tcp,
            tls,
            limits,
            metrics,
        }
    }

    /// The address in use, with the port that was picked for port 0.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves `service` until `shutdown`, then lets the requests in flight end for up to `grace`: HTTP/2 clients are sent
    /// GOAWAY, HTTP/1.1 ones `Connection: close`. What is still open after that is cut.
    ///
    /// Each request carries the [`Peer`](super::peer::Peer) of its connection in its extensions. Dropping the future cuts all
    /// connections.
    pub async fn serve<S>(self, service: S, shutdown: CancellationToken, grace: Duration)
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
    {
        let places = Places::new(&self.limits);
        let shared = Arc::new(Shared {
            service,
            limits: self.limits,
            metrics: self.metrics,
            shutdown: shutdown.clone(),
        });
        let mut connections = JoinSet::new();
        let mut pause = ACCEPT_PAUSE;
        loop {
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            while let Some(ended) = connections.try_join_next() {
                report(ended);
            }
            match accepted {
                Ok((stream, addr)) => {
                    pause = ACCEPT_PAUSE;
                    let Some((seat, crowded)) = places.take(addr) else {
                        shared.metrics.connection_error("crowded");
                        continue;
                    };
                    let tls = self.tls.as_ref().map(|tls| Arc::clone(&tls.borrow()));
                    connections.spawn(connection::serve(stream, addr, tls, seat, Arc::clone(&shared)));
                    if crowded {
                        // Those who have to go, go before more come.
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if is_the_clients(&error) => shared.metrics.connection_error("accept"),
                Err(error) => {
                    shared.metrics.connection_error("accept");
                    tracing::warn!(%error, ?pause, "cannot accept connections; trying again");
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = shutdown.cancelled() => break,
                    }
                    pause = (pause * 2).min(MAX_ACCEPT_PAUSE);
                }
            }
        }
        // From here on new connections are refused, so that clients turn to another replica at once.
        drop(self.tcp);
        let drained = timeout(grace, async {
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                ?grace,
                "closed connections whose requests did not finish in time"
            );
            connections.shutdown().await;
        }
    }
}

/// Whether `accept` failed for a reason that lies with one client.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "serving a connection panicked");
    }
}

/// Replies are small and awaited: they go out at once.
fn set_up(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
}

#[cfg(test)]
mod tests;
