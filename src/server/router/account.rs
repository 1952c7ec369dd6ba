//! Request log: what is counted and logged about a request, however it ends.

use http::request::Parts;
use tokio::time::Instant;

use crate::{
    metrics::{Raised, ServerMetrics},
    server::{
        identity::Identity,
        peer::Peer,
        respond::{Style, Written},
    },
};

/// The code of a request whose client went away before the reply: no client sees it.
const CLIENT_GONE: u16 = 499;

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Account {
    metrics: ServerMetrics,
    route: &'static str,
    started: Instant,
    closed: bool,
    _in_flight: Raised,
}

// === impl Account ===

impl Account {
    pub(super) fn open(metrics: &ServerMetrics, route: &'static str) -> Self {
        let in_flight = metrics.begin_request();
        Self {
            metrics: metrics.clone(),
            route,
            started: Instant::now(),
            closed: false,
            _in_flight: in_flight,
        }
    }

    /// One line for each request. Failures of ours are worth reading without being asked for. The query is left out: it may
    /// be long, and a client may have put anything into it.
    pub(super) fn close(mut self, head: &Parts, style: &Style, reply: &Written, refused: Option<&str>) {
        self.closed = true;
        let took = self.started.elapsed();
        let (code, reason) = (
            reply.code.as_u16(),
            reply.reason.map_or("", |reason| reason.code()),
        );
        self.metrics.request(self.route, code, reason, took);
        let user = head
            .extensions
            .get::<Identity>()
            .map_or("", |identity| &identity.user);
        let peer = head
            .extensions
            .get::<Peer>()
            .map(|peer| tracing::field::display(peer.addr()));
        let (method, path) = (&head.method, head.uri.path());
        // As the API server's audit log has it, so that the two can be joined.
        let audit_id = style.audit_id.to_str().unwrap_or_default();
        if code >= 500 && self.route != "health" {
            tracing::info!(%method, path, user, code, reason, ?took, peer, audit_id, error = refused, "request failed");
        } else {
            tracing::debug!(%method, path, user, code, reason, ?took, peer, audit_id, error = refused, "request");
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if !self.closed {
            self.metrics
                .request(self.route, CLIENT_GONE, "", self.started.elapsed());
        }
    }
}
