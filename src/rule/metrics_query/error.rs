//! Failure to render a query for a request: [`RenderError`].

use language::template::Position;
use promql::{ConfineError, ParseError, ParseErrorKind};

use crate::reason::Reason;

/// Why a rendering came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RenderError {
    /// `SelectorRequired`, `BadRequest`, `LimitExceeded`, `InvalidTemplate`, `NotConfinable` or `RangeTooLong`.
    pub reason: Reason,
    /// Where in the template, as far as it is known.
    pub position: Option<Position>,
    /// Names the template's place or the selector's key; never the query's text.
    pub message: String,
}

// === impl RenderError ===

impl RenderError {
    /// More than can be sent.
    pub(super) fn beyond(bound: &str) -> Self {
        Self {
            reason: Reason::LimitExceeded,
            position: None,
            message: format!("the query for these objects is beyond a limit: {bound}; select fewer objects"),
        }
    }
}

/// A rule's query reads with made-up values; with those of a request it does not. They can do that without a way out of their
/// strings: `{a=""}` picks everything.
impl From<ParseError> for RenderError {
    fn from(error: ParseError) -> Self {
        match error.kind {
            ParseErrorKind::Bound => Self::beyond(&error.message),
            _ => Self {
                reason: Reason::BadRequest,
                position: None,
                message: "with these values the query is not valid PromQL".to_owned(),
            },
        }
    }
}

impl From<ConfineError> for RenderError {
    fn from(error: ConfineError) -> Self {
        match error {
            // Alternatives are the template's doing, and what is missing is a way to confine them.
            ConfineError::Parse(error) if error.kind != ParseErrorKind::Alternatives => error.into(),
            ConfineError::Bound(bound) => Self::beyond(&bound),
            error => Self {
                reason: Reason::NotConfinable,
                position: None,
                message: error.to_string(),
            },
        }
    }
}
