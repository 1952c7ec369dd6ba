//! What the repository promises about itself: who imports whom, how long a file may be, what the chart grants.

mod chart;
mod cli;
mod docs;
mod files;
mod imports;
mod metrics;
mod repository;
mod source;
