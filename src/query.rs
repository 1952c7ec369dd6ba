//! From a request to what a backend is asked, and from its rows to the reply: pure on both sides.

mod adapter;
pub mod answer;
pub mod failure;
pub mod plan;
pub mod project;
pub mod request;
#[cfg(test)]
mod tests;

pub use self::{
    answer::{Answer, CustomItem, ExternalItem, Tally},
    failure::Failure,
    plan::{Ask, Plan, plan_custom, plan_external},
    project::{project_custom, project_external},
};
