//! A small L4 balancer: what a Service with its `EndpointSlices` is to a cluster.
//!
//! A backend gets new connections while its readiness probe succeeds, as an endpoint does while its pod is Ready. Connections
//! that exist go on when it leaves, as they do with kube-proxy. With no ready backend a connection is reset, as kube-proxy
//! rejects those for a Service without endpoints.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::{http, runtime};

/// Between two probes of one backend; a kubelet takes whole seconds, tests have less time.
const PROBE_PERIOD: Duration = Duration::from_millis(200);
/// How long a probe may take, as with the `timeoutSeconds` of a kubelet.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection to a backend may take to be made before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A running balancer; it ends when it is dropped, with the connections that it carries.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    shared: Arc<Shared>,
    accept: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    backends: Mutex<Vec<Arc<Backend>>>,
    next: AtomicUsize,
    connections: AtomicUsize,
    /// Aborted when dropped, with the probes and the connections that it holds.
    tasks: Mutex<tokio::task::JoinSet<()>>,
}

#[derive(Debug)]
struct Backend {
    name: String,
    port: u16,
    ready: AtomicBool,
    gone: AtomicBool,
    served: AtomicUsize,
}

// === impl Balancer ===

impl Balancer {
    /// Listens on a free port of loopback, without backends yet.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn start() -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let (port, accept) = runtime::run(async move {
            // "localhost" may be looked up as ::1 first; the aggregator's dialer then falls back to this address
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .context("the balancer's port")?;
            let port = listener.local_addr()?.port();
            Ok((port, tokio::spawn(accept(listener, accepting))))
        })
        .await?;
        Ok(Self { port, shared, accept })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a backend: connections go to `port`, and `http://127.0.0.1:<probe_port>/readyz` decides whether it is ready. It
    /// takes the place of one with the same name.
    ///
    /// # Errors
    /// The testbed's runtime is gone.
    pub fn add(&self, name: &str, port: u16, probe_port: u16) -> Result<()> {
        self.remove(name);
        let backend = Arc::new(Backend {
            name: name.to_owned(),
            port,
            ready: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            served: AtomicUsize::new(0),
        });
        lock(&self.shared.backends).push(Arc::clone(&backend));
        lock(&self.shared.tasks).spawn_on(probe(backend, probe_port), &runtime::handle()?);
        Ok(())
    }

    /// Takes a backend away: it gets no new connections from now on.
    pub fn remove(&self, name: &str) {
        lock(&self.shared.backends).retain(|backend| {
            let keep = backend.name != name;
            backend.gone.store(!keep, Ordering::Relaxed);
            keep
        });
    }

    /// The names of the backends that get new connections now.
    pub fn ready(&self) -> Vec<String> {
        let backends = lock(&self.shared.backends);
        backends
            .iter()
            .filter(|backend| backend.is_ready())
            .map(|backend| backend.name.clone())
            .collect()
    }

    /// How many connections a backend has been given so far.
    pub fn served(&self, name: &str) -> usize {
        let backends = lock(&self.shared.backends);
        backends
            .iter()
            .find(|backend| backend.name == name)
            .map_or(0, |backend| backend.served.load(Ordering::Relaxed))
    }

    /// How many connections it has accepted so far, those that were reset included.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.accept.abort();
        lock(&self.shared.tasks).abort_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // out of file descriptors, say: give connections time to end
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let carrying = Arc::clone(&shared);
        let mut tasks = lock(&shared.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move { carry(client, &carrying).await });
    }
}

/// Gives a connection to a ready backend, in turn, and carries its bytes until both sides are done.
async fn carry(mut client: TcpStream, shared: &Shared) {
    let ready: Vec<_> = lock(&shared.backends)
        .iter()
        .filter(|backend| backend.is_ready())
        .cloned()
        .collect();
    let first = shared.next.fetch_add(1, Ordering::Relaxed);
    for number in 0..ready.len() {
        let backend = &ready[(first + number) % ready.len()];
        let connect = TcpStream::connect((Ipv4Addr::LOCALHOST, backend.port));
        if let Ok(Ok(mut server)) = timeout(CONNECT_TIMEOUT, connect).await {
            backend.served.fetch_add(1, Ordering::Relaxed);
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            // either side may reset the connection; that is theirs to notice
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
    // closed with a reset instead of an orderly end
    let _ = client.set_zero_linger();
}

async fn probe(backend: Arc<Backend>, port: u16) {
    let url = format!("http://127.0.0.1:{port}/readyz");
    while !backend.gone.load(Ordering::Relaxed) {
        let green = matches!(http::get(&url, PROBE_TIMEOUT).await, Ok((200, _)));
        backend.ready.store(green, Ordering::Relaxed);
        sleep(PROBE_PERIOD).await;
    }
}

// === impl Backend ===

impl Backend {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !self.gone.load(Ordering::Relaxed)
    }
}
