//! What is wrong with a rule, and where.

use std::fmt;

use crate::{language::template::Position, reason::Reason};

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
        }
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
}

/// `spec.metricsQuery:2:17: unexpected "}"`, as conditions print it.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.place(), self.message)
        }
    }
}
