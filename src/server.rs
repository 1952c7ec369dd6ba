//! The aggregated API server.

mod admission;
pub mod answers;
mod apis;
pub mod authn;
pub mod authz;
mod chain;
mod discovery;
mod handlers;
pub mod health;
pub mod identity;
pub mod listener;
mod openapi;
pub mod peer;
mod respond;
pub mod route;
pub mod router;
pub mod state;
pub mod tls;

#[cfg(test)]
mod testing;
