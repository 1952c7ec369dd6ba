//! The same requests to a prometheus-adapter and to metricrule, on one control plane and one Prometheus: equal status, items and
//! values in `PrometheusAdapter` semantics, and in `Standard` semantics only differences of a list.
//!
//!     make differential PEER=path [DIR=folder]   compare, over the folder's configurations or our own
//!     make recordings PEER=path                  write what the adapter answers and sends for our own
//!
//! Without `PEER`, as under `cargo test`, the requests of the recordings are put to metricrule, and their answers compared.

mod answer;
mod bench;
mod cluster;
mod compare;
mod example;
mod made_up;
mod played;
mod record;
mod replay;
mod requests;
mod run;
mod select;
mod standard;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;

/// Our own configurations, and what was recorded for each.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/adapter-queries");

fn main() -> ExitCode {
    let variable = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let outcome = match variable("PEER") {
        None => return replayed(),
        Some(peer) if variable("METRICRULE_WRITE").is_some() => {
            on_runtime(record::record(&peer, Path::new(FIXTURES))).map(|()| true)
        }
        Some(peer) => {
            let folder = variable("DIR").unwrap_or_else(|| FIXTURES.into());
            on_runtime(run::run(&peer, &folder))
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("differential: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// One test among others, for `cargo test` and its filters.
fn replayed() -> ExitCode {
    let test = Trial::test("every_recording_is_answered_as_it_was", || {
        match on_runtime(replay::replay(Path::new(FIXTURES))) {
            Ok(true) => Ok(()),
            Ok(false) => Err("some are not".into()),
            Err(error) => Err(format!("{error:#}").into()),
        }
    });
    libtest_mimic::run(&Arguments::from_args(), vec![test]).exit_code()
}

fn on_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    Runtime::new()?.block_on(work)
}

/// A line that is there at once, whoever reads it.
fn say(line: &str) {
    // a closed standard output is nobody's concern
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
