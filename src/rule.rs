//! Rules: from a spec to something that can answer, and the table of all of them.
//!
//! [`compile()`] turns a spec into a [`CompiledRule`] or says with a [`Problem`] where it is wrong; [`index`] keeps every
//! rule, backend and namespace that the watches have seen and publishes an immutable [`RuleTable`].

pub mod advice;
pub mod association;
pub mod backend;
pub mod budget;
mod ceilings;
pub mod compile;
pub mod index;
mod locate;
pub mod metrics_query;
pub mod namespaces;
pub mod naming;
pub mod object;
pub mod problem;
pub mod table;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod weight;

pub use self::{
    advice::Assumptions,
    association::Association,
    backend::BackendRecord,
    compile::{CompiledRule, compile, compile_assuming},
    index::Index,
    metrics_query::MetricsQuery,
    namespaces::{NamespaceScope, Namespaces},
    naming::Naming,
    object::{BackendObject, RuleObject},
    problem::{Problem, Severity},
    table::RuleTable,
};
