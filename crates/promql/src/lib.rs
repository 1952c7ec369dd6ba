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
pub mod labels;
pub mod lexer;
pub mod literal;
pub mod matcher;
pub mod operator;
pub mod re2;
pub mod span;
pub mod usage;

mod check;
mod confine;
mod dialect;
mod error;
#[cfg(test)]
mod fixture;
mod number;
mod parser;
mod printer;
mod range;
mod rows;
mod series;
mod value;

/// The examples of the README are run with those of the crate.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use ast::Expr;
pub use check::MAX_PATTERNS;
pub use confine::{ConfineError, Confined, confine};
pub use dialect::{Dialect, Patterns, Version};
pub use error::{ParseError, ParseErrorKind};
pub use function::Function;
pub use matcher::{MatchOp, Matcher};
pub use parser::{parse, parse_with};
pub use series::SeriesSelector;
pub use span::Span;
pub use value::ValueType;
