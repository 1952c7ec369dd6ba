//! PromQL: building matchers, reading queries, placing values into them, and confining them to one namespace.
//!
//! ```text
//! place     spans of a rendered template  → text, each value escaped for where it stands
//! syntax    text                          → Query, or an error with line and column
//! confine   text + matcher                → text in which every selector holds the matcher
//! series    text                          → SeriesSelector (what `seriesQuery` holds)
//! range     Query                         → the widest window of time that it reads
//! tree      text                          → Tree: labels of the answer, what is read and how, with places
//! ```
//!
//! Text is always read by our own lexer first (`lex`), which bounds its size and depth and knows positions, and then by
//! promql-parser. Text is always written by our own printer (`print`), because promql-parser's loses some of a tree.

pub mod confine;
pub mod labels;
pub mod matcher;
pub mod place;
pub mod range;
pub mod series;
pub mod syntax;
pub mod tree;
pub mod usage;

mod diagnose;
mod lex;
mod literal;
mod print;
mod rows;
mod walk;

pub use confine::{ConfineError, confine};
pub use matcher::{MatchOp, Matcher};
pub use place::{PlaceError, place, place_verbatim};
pub use range::widest_range;
pub use series::SeriesSelector;
pub use syntax::{Query, QueryError, check_patterns};
pub use tree::Tree;
