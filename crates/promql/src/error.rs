//! Refusal of a text: [`ParseError`].

use crate::span::{Location, Span};

/// A text is not valid PromQL, or it is beyond the bounds of this parser.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// The cause, as a sentence without a full stop.
    pub message: String,
    /// What is wrong, in bytes of the text. It is empty at the end of a text that ends too early.
    pub span: Span,
    /// What kind of refusal it is.
    pub kind: ParseErrorKind,
}

/// Kinds of refusal that a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseErrorKind {
    /// The text does not follow the grammar, or its types do not fit.
    Invalid,
    /// A selector that every series passes, which Prometheus refuses.
    MatchAll,
    /// `or` between the matchers of a selector, which VictoriaMetrics has and Prometheus has not.
    Alternatives,
    /// A pattern that is not valid RE2.
    Pattern,
    /// A function or a form that the [`Dialect`](crate::Dialect) does not have.
    Dialect,
    /// The text is too long, too deep, or has too many operators, strings or patterns.
    Bound,
}

// === impl ParseError ===

impl ParseError {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self::of_kind(ParseErrorKind::Invalid, span, message)
    }

    pub(crate) fn of_kind(kind: ParseErrorKind, span: Span, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            span,
            kind,
        }
    }

    /// Line and column of the cause in the text that was refused.
    ///
    /// ```
    /// let text = "sum(requests_total)\n  by (pod) / ";
    /// let error = promql::parse(text).unwrap_err();
    /// assert_eq!(error.to_string(), "expected an expression, found the end");
    /// assert_eq!(error.location(text).to_string(), "2:13");
    /// ```
    pub fn location(&self, text: &str) -> Location {
        self.span.location(text)
    }
}
