//! The way of a request: parse, deadline, authentication, limit, authorization, handler; and what is written down about it.

mod account;

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

use self::account::Account;
use super::{
    answers::Answers,
    authn::Authenticator,
    authz::Authorizer,
    discovery::Discovery,
    handlers,
    health::{self, Health},
    openapi::OpenApi,
    peer::Peer,
    respond::{Refusal, Reply, Style},
};
use crate::{
    metrics::Metrics,
    query::route::{Endpoint, Request},
};

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
    /// Requests being answered at a time; further ones are sent away with 429. Members of `system:masters`, health and
    /// discovery are not counted: under load the cluster must not lose sight of us.
    pub in_flight: usize,
    /// From a request's head to its reply; `?timeout=` can make it shorter.
    pub deadline: Duration,
}

/// What all requests share.
pub(super) struct Server {
    pub(super) api: Api,
    pub(super) discovery: Discovery,
    pub(super) openapi: OpenApi,
    permits: Semaphore,
}

// === impl RequestLimits ===

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            in_flight: 400,
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
            permits: Semaphore::new(self.limits.in_flight),
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

    async fn answer(
        &self,
        head: &mut Parts,
        parsed: &Request,
        style: &Style,
        deadline: Instant,
    ) -> Result<Reply, Refusal> {
        let peer = head.extensions.get::<Peer>().cloned();
        let peer = peer.unwrap_or_else(|| Peer::new(([0, 0, 0, 0], 0).into(), Vec::new()));
        let identity = self.api.authenticator.authenticate(head, &peer).await?;
        head.extensions.insert(identity.clone());

        // Those of the last kinds need no backend and are few, so that reviews of them are answered from the cache.
        let counted = match &parsed.endpoint {
            Ok(endpoint) => matches!(endpoint, Endpoint::Metric(_)),
            Err(_) => true,
        };
        let _permit = if counted && !identity.is_master() {
            let permit = self.permits.try_acquire();
            Some(permit.map_err(|_| Refusal::too_many_requests())?)
        } else {
            None
        };
        self.api
            .authorizer
            .authorize(&identity, &parsed.attributes)
            .await?;
        // What is wrong with a request is told only to those who may make it.
        let endpoint = parsed.endpoint.as_ref().map_err(Clone::clone)?;
        handlers::handle(self, endpoint, head, style.pretty, deadline).await
    }
}
