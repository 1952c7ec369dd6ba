//! The way of a request: parse, deadline, authentication, limit, authorization, handler; and what is written down about it.

mod account;
mod places;
pub(super) mod room;

#[cfg(test)]
mod tests;

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::State};
use futures::FutureExt as _;
use http::{Response, request::Parts};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use self::{
    account::Account,
    places::{Owner, Place, Places},
    room::Room,
};
use super::{
    answers::Answers,
    authn::Authenticator,
    authz::Authorizer,
    discovery::Discovery,
    handlers,
    health::{self, Health},
    identity::Identity,
    openapi::OpenApi,
    peer::Peer,
    respond::{Refusal, Reply, Style},
    route::{Endpoint, Request},
};
use crate::metrics::Metrics;

/// The aggregated API: what answers a request, and who may ask.
pub struct Api {
    /// Tells who asks.
    pub authenticator: Authenticator,
    /// Tells whether they may.
    pub authorizer: Authorizer,
    /// Has the values.
    pub answers: Arc<dyn Answers>,
    /// Has the checks.
    pub health: Health,
    /// Counts.
    pub metrics: Metrics,
    /// Bounds.
    pub limits: RequestLimits,
}

/// What a request may take. The defaults are those of k8s.io/apiserver.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Requests being answered at a time, of those that came through the front proxy, and as many of all others: who connects by
    /// himself cannot take what an HPA needs. Further ones are sent away with 429, or take the place of a request of the namespace
    /// that has most of them; the HPA controller's go before people's. Members of `system:masters`, health and
    /// discovery are not counted: under load the cluster must not lose sight of us.
    pub in_flight: usize,
    /// Bytes of large replies that are not sent yet, of those to the front proxy, and as many of all others; where there is no
    /// room, 429. A client can ask for much more than it reads. The replies about one namespace take as much as they leave free.
    pub reply_room: usize,
    /// From a request's head to its reply; `?timeout=` can make it shorter.
    pub deadline: Duration,
}

/// What all requests share.
pub(super) struct Server {
    pub(super) api: Api,
    pub(super) discovery: Discovery,
    pub(super) openapi: OpenApi,
    /// Through the front proxy.
    proxied: Places,
    direct: Places,
    /// For large replies.
    proxied_room: Room,
    direct_room: Room,
    /// Requests with a large head, which is kept until the reply.
    large: Semaphore,
}

/// A head that is larger, in bytes, needs one of so many permits.
const LARGE_HEAD: usize = 32 * 1024;
const LARGE_HEADS: usize = 64;
/// A reply that is larger, in bytes, needs room.
const LARGE_REPLY: usize = 64 * 1024;

// === impl RequestLimits ===

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            in_flight: 400,
            // Part of the sum in `backend::budget`.
            reply_room: 32 * 1024 * 1024,
            deadline: Duration::from_mins(1),
        }
    }
}

// === impl Api ===

impl Api {
    /// The service for the TLS listener. Requests carry a [`Peer`] in their extensions; one without is taken for a peer that
    /// showed no certificate.
    ///
    /// # Errors
    ///
    /// A constant document cannot be written, which is a mistake of ours.
    pub fn router(self) -> serde_json::Result<Router> {
        let server = Server {
            discovery: Discovery::new()?,
            openapi: OpenApi::new()?,
            proxied: Places::new(self.limits.in_flight),
            direct: Places::new(self.limits.in_flight),
            proxied_room: Room::new(self.limits.reply_room),
            direct_room: Room::new(self.limits.reply_room),
            large: Semaphore::new(LARGE_HEADS),
            api: self,
        };
        Ok(Router::new().fallback(serve).with_state(Arc::new(server)))
    }
}

/// The service for the plain listener: own metrics and health, for anyone; why a check fails is shown with `?verbose`.
pub fn plain_router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .fallback(serve_plainly)
        .with_state((health, metrics))
}

async fn serve_plainly(
    State((health, metrics)): State<(Health, Metrics)>,
    request: axum::extract::Request,
) -> Response<Body> {
    let (head, _body) = request.into_parts();
    let parsed = Request::parse(head.method.as_str(), head.uri.path(), head.uri.query());
    let style = Style::of(&head.method, &head.headers, parsed.pretty);
    let answer = match parsed.endpoint {
        Ok(Endpoint::Metrics) => Some(handlers::metrics(&metrics)),
        Ok(Endpoint::Health {
            endpoint,
            check,
            verbose,
            exclude,
        }) => {
            let check = check.as_deref();
            let ask = health::Ask {
                endpoint,
                check,
                verbose,
                exclude: &exclude,
                show_causes: verbose,
            };
            health.answer(&ask)
        }
        Err(error) => Some(Refusal::from(error).reply(style.pretty)),
        Ok(_) => None,
    };
    answer
        .unwrap_or_else(|| Refusal::not_found().reply(style.pretty))
        .finish(&style)
        .await
}

async fn serve(State(server): State<Arc<Server>>, request: axum::extract::Request) -> Response<Body> {
    // The body is never read; it is kept so that its stream is not reset before the reply is sent.
    let (mut head, _body) = request.into_parts();
    let parsed = Request::parse(head.method.as_str(), head.uri.path(), head.uri.query());
    let style = Style::of(&head.method, &head.headers, parsed.pretty);
    let account = Account::open(
        &server.api.metrics.server,
        parsed.endpoint.as_ref().map_or("other", Endpoint::label),
    );

    let answer = AssertUnwindSafe(server.answer_in_time(&mut head, &parsed, &style))
        .catch_unwind()
        .await;
    let answer = answer.unwrap_or_else(|panic| {
        tracing::error!(
            path = head.uri.path(),
            panic = message(&*panic),
            "answering a request panicked"
        );
        Err(Refusal::internal("answering the request failed"))
    });
    let answer = answer.and_then(|reply| server.make_room(&head, &parsed, reply));
    let (reply, refused) = match answer {
        Ok(reply) => (reply, None),
        Err(refusal) => {
            let message = refusal.message.clone();
            (refusal.reply(style.pretty), Some(message))
        }
    };
    account.close(&head, &style, &reply, refused.as_deref());
    reply.finish(&style).await
}

/// Bytes of a head, as HTTP/2 counts them (RFC 9113, section 6.5.2).
fn size(head: &Parts) -> usize {
    let path = head.uri.path_and_query().map_or(0, |path| path.as_str().len());
    let fields = head.headers.iter();
    path + fields
        .map(|(name, value)| name.as_str().len() + value.len() + 32)
        .sum::<usize>()
}

/// The namespace that is asked about, where there is one.
fn namespace(endpoint: &Endpoint) -> Option<&str> {
    match endpoint {
        Endpoint::Metric(request) => request.namespace(),
        _ => None,
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

// === impl Server ===

impl Server {
    async fn answer_in_time(
        &self,
        head: &mut Parts,
        parsed: &Request,
        style: &Style,
    ) -> Result<Reply, Refusal> {
        let most = self.api.limits.deadline;
        let limit = parsed.timeout.map_or(most, |timeout| timeout.min(most));
        let deadline = Instant::now() + limit;
        tokio::select! {
            // The request's own deadline goes before a backend's that ends at the same time.
            biased;
            () = sleep_until(deadline) => Err(Refusal::deadline(limit)),
            answer = self.answer(head, parsed, style, deadline) => answer,
        }
    }

    /// The reply with the room that it takes until it is sent.
    fn make_room(&self, head: &Parts, parsed: &Request, reply: Reply) -> Result<Reply, Refusal> {
        let is_master = head.extensions.get::<Identity>().is_some_and(Identity::is_master);
        if reply.len() <= LARGE_REPLY || is_master {
            return Ok(reply);
        }
        let is_proxied = head.extensions.get::<Peer>().is_some_and(Peer::is_front_proxy);
        let room = if is_proxied {
            &self.proxied_room
        } else {
            &self.direct_room
        };
        let namespace = parsed.endpoint.as_ref().ok().and_then(namespace);
        let room = room.take(namespace, reply.len());
        Ok(reply.holding(room.ok_or_else(Refusal::too_many_requests)?))
    }

    async fn answer(
        &self,
        head: &mut Parts,
        parsed: &Request,
        style: &Style,
        deadline: Instant,
    ) -> Result<Reply, Refusal> {
        let peer = head.extensions.get::<Peer>().cloned();
        let peer = peer.unwrap_or_else(|| Peer::new(([0, 0, 0, 0], 0).into(), Vec::new()));
        let _large = if size(head) > LARGE_HEAD {
            Some(
                self.large
                    .try_acquire()
                    .map_err(|_| Refusal::too_many_requests())?,
            )
        } else {
            None
        };
        let identity = self.api.authenticator.authenticate(head, &peer).await?;
        head.extensions.insert(identity.clone());

        let Some(place) = self.place(parsed, &peer, &identity)? else {
            return self.permitted(&identity, head, parsed, style, deadline).await;
        };
        tokio::select! {
            biased;
            () = place.taken_away() => Err(Refusal::too_many_requests()),
            answer = self.permitted(&identity, head, parsed, style, deadline) => answer,
        }
    }

    /// A place for what is counted.
    fn place(&self, parsed: &Request, peer: &Peer, identity: &Identity) -> Result<Option<Place>, Refusal> {
        // Those of the last kinds need no backend and are few, so that reviews of them are answered from the cache.
        let namespace = match &parsed.endpoint {
            Ok(endpoint @ Endpoint::Metric(_)) => namespace(endpoint).map(ToOwned::to_owned),
            Ok(_) => return Ok(None),
            Err(_) => None,
        };
        if identity.is_master() {
            return Ok(None);
        }
        let places = if peer.is_front_proxy() {
            &self.proxied
        } else {
            &self.direct
        };
        let owner = Owner {
            is_autoscaler: identity.is_autoscaler(),
            namespace,
        };
        places
            .take(owner, parsed.endpoint.is_ok())
            .map(Some)
            .ok_or_else(Refusal::too_many_requests)
    }

    async fn permitted(
        &self,
        identity: &Identity,
        head: &Parts,
        parsed: &Request,
        style: &Style,
        deadline: Instant,
    ) -> Result<Reply, Refusal> {
        self.api
            .authorizer
            .authorize(identity, &parsed.attributes)
            .await?;
        // What is wrong with a request is told only to those who may make it.
        let endpoint = parsed.endpoint.as_ref().map_err(Clone::clone)?;
        handlers::handle(self, endpoint, head, style.pretty, deadline).await
    }
}
