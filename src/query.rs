//! Query planning and projection: from a request to the query that a backend gets, and from its rows to
//! the reply. Pure on both sides.

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
