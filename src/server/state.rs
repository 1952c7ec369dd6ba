//! State of the server: what all requests share.

use std::{sync::Arc, time::Duration};

use super::{
    admission::Admission, answers::Answers, authn::Authenticator, authz::Authorizer, discovery::Discovery,
    health::Health, openapi::OpenApi,
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
    pub(super) admission: Admission,
}

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

// === impl Server ===

impl Server {
    /// The state behind `api`.
    ///
    /// # Errors
    ///
    /// A constant document cannot be written, which is a mistake of ours.
    pub(super) fn new(api: Api) -> serde_json::Result<Self> {
        Ok(Self {
            discovery: Discovery::new()?,
            openapi: OpenApi::new()?,
            admission: Admission::new(api.limits.in_flight, api.limits.reply_room),
            api,
        })
    }
}
