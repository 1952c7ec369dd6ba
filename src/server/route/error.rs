//! Errors of requests that name nothing we have.

use crate::{metrics_api::MetricsApi, reason::Reason};

/// Why a request has no endpoint; told only to those who may ask (authorization comes first).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RouteError {
    /// Our code; it decides the status, 422 aside.
    pub reason: Reason,
    /// The HTTP status.
    pub code: u16,
    /// The texts of k8s.io/apiserver, where it has one.
    pub message: String,
    /// `details.group` and `details.kind`; `None` leaves `details` out, empty ones give `{}`.
    pub details: Option<(&'static str, &'static str)>,
    /// `details.causes`, at most one.
    pub cause: Option<FieldCause>,
}

/// What is wrong with one field (`metav1.StatusCause`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldCause {
    /// For example `FieldValueForbidden`.
    pub reason: &'static str,
    /// In words.
    pub message: &'static str,
    /// The field's name.
    pub field: &'static str,
}

// === impl RouteError ===

impl RouteError {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self {
            reason: Reason::BadRequest,
            code: 400,
            message: message.into(),
            details: None,
            cause: None,
        }
    }

    pub(super) fn invalid_selector(message: impl Into<String>) -> Self {
        Self {
            reason: Reason::InvalidSelector,
            ..Self::bad_request(message)
        }
    }

    pub(super) fn invalid_path() -> Self {
        Self::bad_request("invalid request path")
    }

    /// `errors.NewGenericServerResponse(404, …)` of apimachinery.
    pub(super) fn not_found() -> Self {
        let message = "the server could not find the requested resource".to_owned();
        Self {
            reason: Reason::NotFound,
            code: 404,
            message,
            details: Some(("", "")),
            cause: None,
        }
    }

    pub(super) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource".to_owned();
        Self {
            reason: Reason::MethodNotAllowed,
            code: 405,
            message,
            details: Some(("", "")),
            cause: None,
        }
    }

    pub(super) fn watch_not_supported() -> Self {
        let group = MetricsApi::External.group();
        let message = format!("watch is not supported on resources of kind \"*.{group}\"");
        let details = Some((group, "*"));
        Self {
            reason: Reason::MethodNotAllowed,
            code: 405,
            message,
            details,
            cause: None,
        }
    }

    /// `ValidateListOptions` of apimachinery.
    pub(super) fn forbidden_version_match() -> Self {
        let cause = FieldCause {
            reason: "FieldValueForbidden",
            message: "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            field: "resourceVersionMatch",
        };
        let message = format!(
            "ListOptions.meta.k8s.io \"\" is invalid: {}: {}",
            cause.field, cause.message
        );
        let details = Some(("meta.k8s.io", "ListOptions"));
        Self {
            reason: Reason::BadRequest,
            code: 422,
            message,
            details,
            cause: Some(cause),
        }
    }
}
