//! Output of a report, for people and programs.

mod github;
mod json;
mod sarif;
mod text;

pub use self::{github::github, json::json, sarif::sarif, text::text};
