//! Promises of the repository about itself: imports, file lengths, plain words, the permissions of the chart.

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
mod words;
