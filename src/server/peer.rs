//! Peer: the other end of a connection.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use super::chain::Verified;
use crate::kubernetes::authentication::AuthenticationConfig;

/// What is known of a connection; every request on it carries a clone in its extensions.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    addr: SocketAddr,
    /// As offered in the handshake, leaf first; only the possession of the leaf's key is proven.
    chain: Vec<CertificateDer<'static>>,
    close: CancellationToken,
    standing: AtomicU8,
    /// The last check of the chain, so that not every request of a connection repeats it.
    verified: Mutex<Option<Arc<Verified>>>,
}

/// Nothing is known of it.
const STRANGER: u8 = 0;
/// A request of it was authenticated.
const KNOWN: u8 = 1;
/// It is the front proxy: it speaks for everyone who asks through the cluster's API server.
const FRONT_PROXY: u8 = 2;

// === impl Peer ===

impl Peer {
    /// A peer at `addr` that offered `chain`, which may be empty.
    pub fn new(addr: SocketAddr, chain: Vec<CertificateDer<'static>>) -> Self {
        Self(Arc::new(Inner {
            addr,
            chain,
            close: CancellationToken::new(),
            standing: AtomicU8::new(STRANGER),
            verified: Mutex::new(None),
        }))
    }

    /// Where the connection comes from.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// The client's certificates, leaf first, **not verified**.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.chain
    }

    /// Ends the connection once the requests in flight on it are answered: GOAWAY, or `Connection: close`.
    pub fn close(&self) {
        self.0.close.cancel();
    }

    /// Whether a request on this connection was ever authenticated.
    pub(super) fn is_known(&self) -> bool {
        self.0.standing.load(Ordering::Relaxed) != STRANGER
    }

    /// Whether the front proxy was ever believed on this connection.
    pub(super) fn is_front_proxy(&self) -> bool {
        self.0.standing.load(Ordering::Relaxed) == FRONT_PROXY
    }

    pub(super) fn set_known(&self) {
        self.0.standing.fetch_max(KNOWN, Ordering::Relaxed);
    }

    pub(super) fn set_front_proxy(&self) {
        self.0.standing.store(FRONT_PROXY, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.0.close.is_cancelled()
    }

    /// Resolves after [`Peer::close`].
    pub(super) async fn closing(&self) {
        self.0.close.cancelled().await;
    }

    /// The verdicts on the chain under `config`, from the connection's memory while they hold.
    pub(super) fn verified(&self, config: &Arc<AuthenticationConfig>) -> Arc<Verified> {
        let now = Instant::now();
        let known = || self.0.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verified) = known().as_ref().filter(|verified| verified.holds(config, now)) {
            return Arc::clone(verified);
        }
        // Not under the lock: two requests at once may both verify, and neither waits.
        let verified = Arc::new(Verified::new(self.chain(), config, now));
        *known() = Some(Arc::clone(&verified));
        verified
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("addr", &self.0.addr)
            .field("certificates", &self.0.chain.len())
            .finish_non_exhaustive()
    }
}
