//! What the repository promises about itself: who imports whom, how long a file may be, what the chart grants.

mod adapter;
mod chart;
mod check;
mod circles;
mod cli;
mod crds;
mod default_rules;
mod docs;
mod files;
mod imports;
mod logs;
mod metrics;
mod recorded;
mod repository;
#[path = "../differential/select.rs"]
mod select;
mod source;
