//! Controller: everything that the operator writes to the cluster (statuses, Events, `APIService`s, its CA), and the lease that
//! decides which replica may write.
//!
//! Every part is a pure core with a table of tests and a shell around it. A shell is a future that its owner spawns; it
//! ends when the token it was given is cancelled, and an end of any other kind is an error that should end the process.

pub mod authority;
mod bucket;
mod call;
pub mod claims;
mod clock;
pub mod desired;
pub mod events;
pub mod expiry;
#[cfg(test)]
mod fake;
mod leadership;
pub mod lease;
pub mod outcomes;
pub mod own_service;
pub mod probes;
pub mod registration;
mod single;
pub mod status_writer;
pub mod trust;
pub mod watches;

pub use self::{
    clock::Clock,
    leadership::{Leadership, Term},
};

/// The field manager of every write, and the value of the label [`MANAGED_BY`].
pub const MANAGER: &str = "metricrule";

/// The label that says who looks after an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
