use std::fmt;

use super::MAX_LENGTH;
use crate::quote;

/// Why a text is not a selector; reads as `labels.Parse` puts it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text is longer than [`MAX_LENGTH`].
    #[error("a selector must be no more than {MAX_LENGTH} bytes")]
    TooLong,
    /// A token between two requirements is not what may stand there.
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        /// The token; empty at the end of the text.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A requirement is not well formed.
    #[error("unable to parse requirement: {0}")]
    Requirement(#[from] RequirementError),
}

/// How many things that are wrong with one requirement are told. Upstream tells all, which makes a text a hundred times as long
/// as the selector.
const MAX_TOLD: usize = 8;

/// Why a requirement is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequirementError {
    /// A token is not what may stand there.
    Unexpected {
        /// The token; empty at the end of the text.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// `in` or `notin` without a list.
    ListExpected {
        /// The token; empty at the end of the text.
        found: String,
    },
    /// Key or values are not valid; at least one.
    Invalid(Vec<FieldError>),
}

/// One thing that is wrong with a key or a value, as `field.Error` puts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub(super) field: String,
    pub(super) value: BadValue,
    pub(super) detail: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadValue {
    Text(String),
    List(Vec<String>),
}

impl std::error::Error for RequirementError {}

impl fmt::Display for RequirementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unexpected { found, expected } => write!(f, "found '{found}', expected: {expected}"),
            // upstream writes no comma here
            Self::ListExpected { found } => write!(f, "found '{found}' expected: '('"),
            Self::Invalid(errors) => match errors.as_slice() {
                [error] => error.fmt(f),
                errors => {
                    let mut texts: Vec<_> = errors.iter().take(MAX_TOLD).map(ToString::to_string).collect();
                    let untold = errors.len() - texts.len();
                    if untold > 0 {
                        texts.push(format!("and {untold} more"));
                    }
                    write!(f, "[{}]", texts.join(", "))
                }
            },
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, value, detail } = self;
        let value = match value {
            BadValue::Text(text) => quote::quote(text),
            BadValue::List(items) => {
                let items: Vec<_> = items.iter().map(|item| quote::quote(item)).collect();
                format!("[{}]", items.join(","))
            }
        };
        write!(f, "{field}: Invalid value: {value}: {detail}")
    }
}
