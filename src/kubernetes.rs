//! Kubernetes cluster: its objects, REST mapping, credentials and reviews, read and requested.

pub mod authentication;
pub mod client;
pub mod credentials;
#[cfg(test)]
pub(crate) mod fake;
pub mod hpa;
pub mod mapper;
pub mod objects;
pub mod port_forward;
pub mod reviews;
pub mod rights;
pub mod targets;
pub mod watch;
