//! Languages of rules and requests: text in, values out.
//!
//! Nothing here knows a clock, a client or a Kubernetes object. Each module parses once and hands back a value
//! that can only be well formed.

pub mod dns;
pub mod duration;
#[cfg(test)]
mod fixture;
pub mod promql;
pub mod quantity;
pub mod quote;
pub mod re2;
pub mod selector;
pub mod span;
pub mod template;
pub mod terminal;
