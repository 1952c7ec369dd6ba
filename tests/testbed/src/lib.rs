//! A real control plane on one machine, without containers: etcd, kube-apiserver, kube-controller-manager and KWOK as processes
//! on loopback, a real Prometheus, an exporter whose series a test sets, and replicas of the adapter behind a small balancer.
//!
//! ```text
//! test ──sets──▶ exporter ◀──scrapes── Prometheus ◀──PromQL── replica ◀── balancer ◀── kube-apiserver ◀── HPA controller
//! ```
//!
//! [`Testbed::builder`] starts one, [`Shared`] one for all tests of a binary. Ports are chosen free, everything is written to
//! one temporary folder, every process is stopped by its process id, also when a test panics or is killed.

pub mod adapter;
pub mod balancer;
pub mod command;
pub mod control_plane;
pub mod corpus;
pub mod example;
pub mod exporter;
pub mod figures;
pub mod folder;
pub mod hpa;
pub mod http;
pub mod install;
pub mod kubeconfig;
pub mod peer;
pub mod pki;
pub mod poll;
pub mod ports;
pub mod process;
pub mod programs;
pub mod prometheus;
pub mod recorder;
pub mod reference;
pub mod runtime;
pub mod served;
pub mod shared;
pub mod stand_in;
pub mod testbed;

pub use crate::poll::{eventually, throughout};
pub use crate::shared::Shared;
pub use crate::testbed::{Builder, PATIENCE, Testbed};
