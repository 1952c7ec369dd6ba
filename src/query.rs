//! From a request to what a backend is asked, and from its rows to the reply: pure on both sides.

mod adapter;
pub mod answer;
pub mod failure;
pub mod plan;
pub mod project;
pub mod request;
mod resolve;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::{
    answer::{Answer, CustomItem, ExternalItem, Items},
    failure::Failure,
    plan::{Ask, Plan, plan},
    project::{Projection, project},
    resolve::{Refusal, may_answer, resolve},
    verdict::{RowVerdict, Tally},
};
