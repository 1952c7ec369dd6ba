//! Problems of a rule: what is wrong, and where.

use std::fmt;

use language::template::Position;

use crate::reason::Reason;

/// How much a finding weighs. Where a [`Problem`] stands says it: among the refusals of a rule, or among its warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing; nothing is wrong.
    Note,
    /// It works, but hardly as its author means.
    Warning,
    /// It does not work.
    Error,
}

/// One finding about a rule: why, in which field, where inside its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The code that conditions, replies and metrics carry.
    pub reason: Reason,
    /// The field, for example `spec.metricsQuery` or `spec.seriesFilters[1].is`.
    pub path: String,
    /// Line and column inside the field's string, from 1, in characters; `None` where the whole field is meant.
    pub position: Option<Position>,
    /// The cause and, where there is one, the next step.
    pub message: String,
    /// What to write instead: a short sentence that begins in lower case, the text itself in backticks.
    pub suggestion: Option<String>,
}

// === impl Severity ===

impl Severity {
    /// `error`, `warning` or `note`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Problem ===

impl Problem {
    /// A finding about a whole field.
    pub fn new(reason: Reason, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason,
            path: path.into(),
            position: None,
            message: message.into(),
            suggestion: None,
        }
    }

    /// The same, with what to write instead.
    #[must_use]
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// The same, at a position inside the field's text.
    #[must_use]
    pub fn at(mut self, position: Position) -> Self {
        self.position = Some(position);
        self
    }

    /// The field and the position: `spec.metricsQuery:2:17`.
    pub fn place(&self) -> String {
        match self.position {
            Some(Position { line, column }) => format!("{}:{line}:{column}", self.path),
            None => self.path.clone(),
        }
    }

    /// The message, and the suggestion behind it: what a place without room for two fields prints.
    pub fn text(&self) -> String {
        match &self.suggestion {
            Some(suggestion) => format!("{}; {suggestion}", self.message),
            None => self.message.clone(),
        }
    }
}

/// `spec.metricsQuery:2:17: unexpected "}"`, as conditions print it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.text())
        } else {
            write!(f, "{}: {}", self.place(), self.text())
        }
    }
}
