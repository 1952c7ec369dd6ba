//! Types of values: [`ValueType`].

use std::fmt;

/// The type of what an expression gives (`promql/parser/value.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Rows with one value each.
    Vector,
    /// A number.
    Scalar,
    /// Rows with the values of a window of time.
    Matrix,
    /// A string.
    String,
}

// === impl ValueType ===

impl ValueType {
    /// Its name in the documentation of PromQL (`DocumentedType`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vector => "instant vector",
            Self::Scalar => "scalar",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
