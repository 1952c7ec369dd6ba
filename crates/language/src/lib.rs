//! Languages of rules and requests: text in, values out.
//!
//! Nothing here knows a clock, a client or a Kubernetes object. Each module parses once and hands back a value
//! that can only be well formed.
#![warn(missing_docs)]

pub mod dns;
pub mod duration;
pub mod escaping;
#[cfg(test)]
mod fixture;
pub mod quantity;
pub mod quote;
pub mod selector;
pub mod span;
pub mod template;
pub mod terminal;

/// The example of the README is run with those of the package.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
