//! The languages that rules and requests are written in: text in, values out.
//!
//! Nothing here knows a clock, a client or a Kubernetes object. Each module parses once and hands back a value
//! that can only be well formed.

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
