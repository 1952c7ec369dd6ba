//! Accepts connections and serves them, with a limit on everything that a client can make us wait for or keep.

mod activity;
mod connection;

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tower::Service;

use self::connection::Shared;
use crate::metrics::ServerMetrics;

/// The pause after a failed `accept`, doubled while it goes on failing. Without one, a process that is out of file
/// descriptors would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const MAX_ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What a client may make the listener wait for or keep.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections, handshakes included. At the limit new ones wait in the kernel's queue. From three quarters of it,
    /// idle connections have [`Limits::crowded_idle`] instead of [`Limits::idle`].
    pub connections: usize,
    /// From the accepted connection to the end of the TLS handshake.
    pub handshake: Duration,
    /// To send the head of a request; on a connection that has had none yet, also to begin one.
    pub header: Duration,
    /// Without a request in flight. (On HTTP/1.1 the shorter of this and `header`.)
    pub idle: Duration,
    /// As `idle`, when connections become scarce.
    pub crowded_idle: Duration,
    /// With a request in flight but nothing moving: neither a new request nor a part of a reply. Longer than any request's
    /// deadline.
    pub stalled: Duration,
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
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(32),
            idle: Duration::from_secs(90),
            crowded_idle: Duration::from_secs(5),
            stalled: Duration::from_mins(2),
            header_bytes: 256 * 1024,
            streams: 100,
            ping: (Duration::from_secs(30), Duration::from_secs(15)),
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
        let permits = Arc::new(Semaphore::new(self.limits.connections));
        let shared = Arc::new(Shared {
            service,
            limits: self.limits,
            metrics: self.metrics,
            permits: Arc::clone(&permits),
            shutdown: shutdown.clone(),
        });
        let mut connections = JoinSet::new();
        let mut pause = ACCEPT_PAUSE;
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&permits).acquire_owned() => permit,
                () = shutdown.cancelled() => break,
            };
            // The semaphore is never closed.
            let Ok(permit) = permit else { break };
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
                    let tls = self.tls.as_ref().map(|tls| Arc::clone(&tls.borrow()));
                    let connection = connection::serve(stream, addr, tls, Arc::clone(&shared));
                    connections.spawn(async move {
                        connection.await;
                        drop(permit);
                    });
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
                "connections cut: their requests did not end in time"
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
