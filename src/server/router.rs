//! Router: the way of a request through parsing, authentication, admission, authorization and its handler, with a deadline; and
//! what is written down about it.

mod account;

#[cfg(test)]
mod tests;

use std::{any::Any, panic::AssertUnwindSafe, sync::Arc};

use axum::{Router, body::Body, extract::State};
use futures::FutureExt as _;
use http::{Response, request::Parts};
use tokio::time::{Instant, sleep_until};

use self::account::Account;
use super::{
    handlers,
    health::Health,
    identity::Identity,
    peer::Peer,
    respond::{Refusal, Reply, Style, Written},
    route::{Endpoint, Request},
    state::{Api, Server},
};
use crate::metrics::Metrics;

/// The service for the TLS listener. Requests carry a [`Peer`] in their extensions; one without is taken for a peer that
/// showed no certificate.
///
/// # Errors
///
/// A constant document cannot be written, which is a mistake of ours.
pub fn router(api: Api) -> serde_json::Result<Router> {
    let server = Server::new(api)?;
    Ok(Router::new().fallback(serve).with_state(Arc::new(server)))
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
    let (parsed, style) = read(&head);
    let reply = match parsed.endpoint {
        Ok(Endpoint::Metrics) => Some(handlers::metrics(&metrics)),
        Ok(Endpoint::Health(request)) => health.answer(&request, request.verbose),
        Err(error) => Some(Refusal::from(error).reply()),
        Ok(_) => None,
    };
    let reply = reply.unwrap_or_else(|| Refusal::not_found().reply());
    reply.write(&style).finish(&style).await
}

async fn serve(State(server): State<Arc<Server>>, request: axum::extract::Request) -> Response<Body> {
    // The body is never read; it is kept so that its stream is not reset before the reply is sent.
    let (mut head, _body) = request.into_parts();
    let (parsed, style) = read(&head);
    let account = Account::open(
        &server.api.metrics.server,
        parsed.endpoint.as_ref().map_or("other", Endpoint::label),
    );

    let written = AssertUnwindSafe(write(&server, &mut head, &parsed, &style))
        .catch_unwind()
        .await;
    let written = written.unwrap_or_else(|panic| {
        tracing::error!(
            path = head.uri.path(),
            panic = message(&*panic),
            "answering a request panicked"
        );
        Err(Refusal::internal("answering the request failed"))
    });
    let (written, refused) = match written {
        Ok(written) => (written, None),
        Err(refusal) => {
            let message = refusal.message.clone();
            (refusal.reply().write(&style), Some(message))
        }
    };
    account.close(&head, &style, &written, refused.as_deref());
    drop(head);
    written.finish(&style).await
}

fn read(head: &Parts) -> (Request, Style) {
    let parsed = Request::parse(head.method.as_str(), head.uri.path(), head.uri.query());
    let style = Style::of(&head.method, &head.headers, parsed.pretty);
    (parsed, style)
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// The reply, written, with the room that it takes until it is sent.
async fn write(
    server: &Server,
    head: &mut Parts,
    parsed: &Request,
    style: &Style,
) -> Result<Written, Refusal> {
    let written = answer_in_time(server, head, parsed, style).await?;
    let room = server.admission.reply(head, parsed, written.len())?;
    Ok(written.holding(room))
}

async fn answer_in_time(
    server: &Server,
    head: &mut Parts,
    parsed: &Request,
    style: &Style,
) -> Result<Written, Refusal> {
    let most = server.api.limits.deadline;
    let limit = parsed.timeout.map_or(most, |timeout| timeout.min(most));
    let deadline = Instant::now() + limit;
    tokio::select! {
        // The request's own deadline goes before a backend's that ends at the same time.
        biased;
        () = sleep_until(deadline) => Err(Refusal::deadline(limit)),
        answer = answer(server, head, parsed, style, deadline) => answer,
    }
}

async fn answer(
    server: &Server,
    head: &mut Parts,
    parsed: &Request,
    style: &Style,
    deadline: Instant,
) -> Result<Written, Refusal> {
    let _head = server.admission.head(head)?;
    let peer = head.extensions.get::<Peer>().cloned();
    let peer = peer.unwrap_or_else(|| Peer::new(([0, 0, 0, 0], 0).into(), Vec::new()));
    let identity = server.api.authenticator.authenticate(head, &peer).await?;
    head.extensions.insert(identity.clone());

    let Some(place) = server.admission.request(head, parsed)? else {
        return Ok(permitted(server, &identity, head, parsed, deadline)
            .await?
            .write(style));
    };
    tokio::select! {
        biased;
        () = place.taken_away() => Err(Refusal::too_many_requests()),
        // Written while the place is held, and the permit of a large head.
        reply = permitted(server, &identity, head, parsed, deadline) => Ok(reply?.write(style)),
    }
}

async fn permitted(
    server: &Server,
    identity: &Identity,
    head: &Parts,
    parsed: &Request,
    deadline: Instant,
) -> Result<Reply, Refusal> {
    server
        .api
        .authorizer
        .authorize(identity, &parsed.attributes)
        .await?;
    // What is wrong with a request is told only to those who may make it.
    let endpoint = parsed.endpoint.as_ref().map_err(Clone::clone)?;
    handlers::handle(server, endpoint, head, deadline).await
}
