//! Rules between fields, each said once for the API server (CEL, in the CRD schema) and once for us (a predicate).
//!
//! Both stand in one row, so that neither can be forgotten; a test holds them against each other. The predicate is
//! needed because an object can get past CEL: an older schema is served, or the file was never sent to an API server.

pub(crate) mod selector;

use schemars::Schema;
use serde_json::{Value, json};

/// A rule about `T` and the fields below it.
pub(crate) struct Invariant<T> {
    /// The field to blame, relative to `T`: `.name.as`. It must exist in the schema. Empty: `T` itself.
    pub(crate) at: &'static str,
    /// What is wanted, in one sentence.
    pub(crate) message: &'static str,
    /// True for a good `self`, after defaulting.
    pub(crate) cel: &'static str,
    /// The same in Rust.
    pub(crate) holds: fn(&T) -> bool,
}

/// A rule of the schema that an object breaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Violation {
    /// The field: `spec.name.as`.
    pub path: String,
    /// What is wanted there, in one sentence.
    pub message: String,
}

/// Writes the rows into a type's schema, for `#[schemars(transform = …)]`.
pub(crate) fn into_schema<T>(rows: &'static [Invariant<T>]) -> impl FnMut(&mut Schema) {
    move |schema| {
        let rules = rows.iter().map(|row| {
            let mut rule = json!({ "rule": row.cel, "message": row.message });
            if !row.at.is_empty() {
                rule["fieldPath"] = row.at.into();
            }
            rule
        });
        let entry = schema
            .ensure_object()
            .entry("x-kubernetes-validations")
            .or_insert_with(|| json!([]));
        if let Value::Array(present) = entry {
            present.extend(rules);
        }
    }
}

/// Collects what breaks the rows, with `path` (`spec`) as the place of `value`.
pub(crate) fn check<T>(rows: &[Invariant<T>], value: &T, path: &str, found: &mut Vec<Violation>) {
    found.extend(
        rows.iter()
            .filter(|row| !(row.holds)(value))
            .map(|row| Violation {
                path: format!("{path}{}", row.at),
                message: row.message.to_owned(),
            }),
    );
}

/// The schema's `maxLength`, in characters.
pub(crate) fn check_length(text: &str, max: usize, path: impl Into<String>, found: &mut Vec<Violation>) {
    if text.chars().count() > max {
        found.push(Violation {
            path: path.into(),
            message: format!("at most {max} characters"),
        });
    }
}
