//! Refusals: a `metav1.Status` for every way to fail.

use std::time::Duration;

use http::{
    HeaderValue, StatusCode,
    header::{RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};

use super::{Reply, TEXT, accept::NotAcceptable};
use crate::{
    api::status::{Status, StatusCause, StatusDetails},
    kubernetes::reviews::ReviewError,
    query::Failure,
    reason::Reason,
    server::{
        admission::Overloaded,
        authn::AuthnError,
        authz::{AuthzError, Forbidden},
        route::RouteError,
    },
};

/// Seconds after which a client may come again when too many requests are in flight. client-go waits that long, up to ten
/// times, for every reply with `Retry-After`, and blocks one of the HPA controller's five workers meanwhile: so it is short,
/// and no other reply has one.
const RETRY_AFTER_SECONDS: u32 = 1;
/// `tooManyRequests` of `pkg/server/filters/maxinflight.go` of k8s.io/apiserver, which is no Status.
const TOO_MANY_REQUESTS: &str = "Too many requests, please try again later.";

/// A request that is not answered with what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Refusal {
    /// For the metric and the log.
    pub(in crate::server) reason: Reason,
    code: u16,
    /// For the client: it holds nothing that the client may not know.
    pub(in crate::server) message: String,
    details: Option<Box<StatusDetails>>,
    /// The text repeats what the client sent.
    nosniff: bool,
    /// Whoever asks, as the reference does where negotiation itself failed.
    indented: bool,
    /// Not a Status.
    text: bool,
}

// === impl Refusal ===

impl Refusal {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        // A reason that fails no request has no business here; it must not become a success.
        let code = match reason.http_status() {
            code @ 400.. => code,
            _ => 500,
        };
        Self {
            reason,
            code,
            message: message.into(),
            details: None,
            nosniff: false,
            indented: false,
            text: false,
        }
    }

    fn details(self, details: StatusDetails) -> Self {
        Self {
            details: Some(Box::new(details)),
            ..self
        }
    }

    /// Our own failure; what failed is in the log.
    pub(in crate::server) fn internal(what: &str) -> Self {
        Self::new(
            Reason::Internal,
            format!("Internal error occurred: {what}; see metricrule's log for the cause"),
        )
    }

    /// Nothing at this path.
    pub(in crate::server) fn not_found() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(Reason::NotFound, message).details(StatusDetails::default())
    }

    /// The request's own deadline, `limit` after its head.
    pub(in crate::server) fn deadline(limit: Duration) -> Self {
        let message = format!(
            "Timeout: request did not complete within the allotted timeout: {}: no answer within {limit:?}; make the query \
             cheaper, or look at the backend's load",
            Reason::Timeout
        );
        Self::new(Reason::Timeout, message).details(StatusDetails::default())
    }

    /// The limit on requests in flight.
    pub(in crate::server) fn too_many_requests() -> Self {
        Self {
            text: true,
            ..Self::new(Reason::TooManyRequests, TOO_MANY_REQUESTS)
        }
    }

    /// The reply. Errors are JSON whatever the client accepts: they say what it may accept. The limit on requests is a text, as
    /// the reference has it; what a client does then depends on the header alone.
    pub(in crate::server) fn reply(self) -> Reply {
        let Self {
            reason,
            code,
            message,
            details,
            nosniff,
            indented,
            text,
        } = self;
        let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = if text {
            Reply::text(code, TEXT, format!("{message}\n"))
        } else {
            let details = details.map(|details| *details);
            let reply = Reply::json(Status::failure(code.as_u16(), message, details));
            if indented { reply.indented() } else { reply }
        };
        reply.code = code;
        reply.reason = Some(reason);
        if text {
            let seconds = HeaderValue::from(RETRY_AFTER_SECONDS);
            reply.headers.insert(RETRY_AFTER, seconds);
        }
        if nosniff {
            reply.with(X_CONTENT_TYPE_OPTIONS, "nosniff")
        } else {
            reply
        }
    }
}

/// A metric that is not answered: Kubernetes' sentence, the reason, the cause; no details.
impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::new(failure.reason, failure.to_string())
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        let RouteError {
            reason,
            code,
            message,
            details,
            cause,
        } = error;
        let cause = cause.map(|cause| StatusCause {
            reason: cause.reason,
            message: cause.message,
            field: cause.field,
        });
        let details = details.map(|(group, kind)| {
            let causes = cause.into_iter().collect();
            let (group, kind) = (group.to_owned(), kind.to_owned());
            Box::new(StatusDetails {
                group,
                kind,
                causes,
                ..StatusDetails::default()
            })
        });
        Self {
            code,
            details,
            ..Self::new(reason, message)
        }
    }
}

impl From<Overloaded> for Refusal {
    fn from(_: Overloaded) -> Self {
        Self::too_many_requests()
    }
}

impl From<AuthnError> for Refusal {
    fn from(error: AuthnError) -> Self {
        match error {
            AuthnError::Unauthorized(_) => Self::new(Reason::Unauthorized, "Unauthorized"),
            AuthnError::Busy => Self::too_many_requests(),
            error @ AuthnError::Impersonation { .. } => {
                Self::new(Reason::Forbidden, error.to_string()).details(StatusDetails::default())
            }
        }
    }
}

impl From<AuthzError> for Refusal {
    fn from(error: AuthzError) -> Self {
        match error {
            AuthzError::Denied(Forbidden {
                message,
                name,
                group,
                kind,
            }) => {
                let details = StatusDetails {
                    name,
                    group,
                    kind,
                    ..StatusDetails::default()
                };
                Self {
                    nosniff: true,
                    ..Self::new(Reason::Forbidden, message).details(details)
                }
            }
            AuthzError::Failed(ReviewError::Busy(_)) => Self::too_many_requests(),
            AuthzError::Failed(error) => {
                tracing::error!(%error, "could not find out whether a request is allowed");
                Self::internal("metricrule could not find out whether the request is allowed")
            }
        }
    }
}

impl From<NotAcceptable> for Refusal {
    fn from(error: NotAcceptable) -> Self {
        let refusal = match error {
            NotAcceptable::MediaType => {
                let message = "406: Not Acceptable\n\nAvailable representations: application/json";
                Self::new(Reason::NotAcceptable, message).details(StatusDetails::default())
            }
            NotAcceptable::Form => {
                let message = "only the following media types are accepted: application/json";
                Self::new(Reason::NotAcceptable, message)
            }
        };
        Self {
            indented: true,
            ..refusal
        }
    }
}
