//! Kubernetes custom and external metrics from rules: a `MetricRule` applied with kubectl makes a plain HPA scale.
//!
//! The way of data reads from left to right; each stage is a function or a task of its own:
//!
//! ```text
//! watches → rule::Index → RuleTable → relist → Catalog                        what is served
//! request → server::route → answer { catalog, query::plan, backend, query::project } → server::respond
//! facts   → status → controller (the leader alone): status, Events, APIServices, CA
//! ```
//!
//! `reason` and `metrics_api`, then `api`, `sample`, `resource`, `document`, `manifest`, `rule`, `import`, `export`, `check`,
//! `catalog`, `query`, `outcome` and `status` (rings 0 and 1) are pure, as are the packages in `crates/`: no clock, no client, no
//! runtime. Ring 2 does the I/O, `app` puts it together, `cli` is what a user types. `docs/architecture.md` says who may use whom,
//! and a test holds the code to it.

pub mod answer;
pub mod api;
pub mod app;
pub mod backend;
pub mod catalog;
pub mod check;
pub mod cli;
pub mod compare;
pub mod controller;
pub mod document;
pub mod export;
pub mod import;
pub mod kubernetes;
pub mod logbook;
pub mod manifest;
pub mod metrics;
pub mod metrics_api;
pub mod outcome;
pub mod pki;
pub mod preview;
pub mod query;
pub mod reason;
pub mod relist;
pub mod resource;
pub mod rule;
pub mod sample;
pub mod server;
pub mod status;
pub mod telemetry;
