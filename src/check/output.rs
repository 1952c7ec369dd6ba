//! A report as people and programs want it.

mod github;
mod json;
mod sarif;
mod text;

pub use self::{github::github, json::json, sarif::sarif, text::text};
