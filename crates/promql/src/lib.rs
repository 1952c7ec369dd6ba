//! PromQL, the query language of Prometheus: a parser with a place on every node, a printer, and what a program wants to know of
//! a query before it is asked.
//!
//! ```
//! let expr = promql::parse("sum by (pod) (rate(requests_total{code=~\"5..\"}[5m])) > 0")?;
//! let selector = expr.selectors()[0];
//! assert_eq!(selector.name.as_ref().unwrap().text, "requests_total");
//! assert_eq!(selector.matchers[0].matcher.to_string(), "code=~\"5..\"");
//! assert_eq!(selector.span().range(), 19..46);
//! # Ok::<(), promql::ParseError>(())
//! ```
//!
//! What Prometheus' own parser accepts is accepted, and becomes an equal tree; what it refuses is refused, with a sentence and a
//! place. The tests ask it. A [`Dialect`] picks the version of Prometheus and what is switched on there.
//!
//! The crate talks to nobody and knows no clock. Nothing in it panics on whatever text, and every depth has a bound.
#![warn(missing_docs)]

pub mod ast;
pub mod function;
pub mod lexer;
pub mod literal;
pub mod matcher;
pub mod operator;
pub mod span;

mod check;
mod dialect;
mod error;
mod number;
mod parser;
mod printer;
mod value;

/// One source with the package beside, which still compiles `src/language/re2.rs` for itself. When that package becomes a user
/// of this crate, the file and its folder move here, and this module goes.
#[path = "../../../src/language"]
mod language {
    pub mod re2;

    #[cfg(test)]
    pub(crate) mod fixture {
        use serde::de::DeserializeOwned;

        /// What Go made of things, in `tests/fixtures` of the workspace.
        pub(crate) fn read<T: DeserializeOwned>(name: &str) -> T {
            let path = format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
        }
    }
}

pub use ast::Expr;
pub use check::MAX_PATTERNS;
pub use dialect::{Dialect, Version};
pub use error::{ParseError, ParseErrorKind};
pub use function::Function;
pub use language::re2;
pub use matcher::{MatchOp, Matcher};
pub use parser::{parse, parse_with};
pub use span::Span;
pub use value::ValueType;
