//! The conformance suite: what a server of the custom and external metrics APIs has to do, in 110 points.
//!
//! Each point is one test, named by its number, and of one kind: `url` points need nothing but a server's URL, its CA and
//! credentials, so they can be asked of any metrics API server; `lab` points rotate, count and stop things in the testbed;
//! `unit` points look at a part of the server; a `url` point may go on in the lab or on a part. A whole run also
//! judges the suite itself (`judge`) and compares `docs/conformance.md` with its results.
//!
//!     make conformance                                        all points, and the table anew
//!     make conformance URL=https://host:port CA=… CERT=… KEY=…   the url points, of any server that holds the data of data.json

mod ask;
mod backend;
mod expect;
mod golden;
mod judge;
mod lab;
mod point;
mod points;
mod run;
mod table;
mod target;
mod unit;
mod uri;
mod url;

use std::process::ExitCode;

fn main() -> ExitCode {
    run::run().unwrap_or_else(|error| {
        run::say(&format!("conformance: {error:#}"));
        ExitCode::FAILURE
    })
}
