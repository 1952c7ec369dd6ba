//! `testbed demo` shows a plain HPA scale on a `MetricRule`; `testbed up` starts a testbed to play with; `testbed corpus`
//! tries the import on a folder.

mod demo;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use testbed::{Testbed, adapter, corpus, figures};
use tokio::signal::unix::{SignalKind, signal};

/// A real control plane, Prometheus and the adapter on this machine, without containers.
#[derive(Debug, Parser)]
#[command(name = "testbed", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Installs the chart, applies an example, raises the load and shows the HPA follow.
    Demo(demo::Options),
    /// Imports each prometheus-adapter configuration of a folder, applies it, and prints what became of it; exit 0 if every one is
    /// accepted or diagnosed with its place.
    Corpus {
        /// The folder: *.yaml, *.yml, *.json.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Measures a release binary on bad days: memory, lateness, files; prints each figure with its goal and `ok` or `short`.
    Figures {
        /// Only scenes with this in their names: files, answers, listings, neighbour, values, hang, fat, start, round.
        #[arg(value_name = "SCENE")]
        only: Vec<String>,
        /// A prometheus-adapter binary to run the round beside.
        #[arg(long, value_name = "PATH", env = "PEER")]
        peer: Option<PathBuf>,
    },
    /// Starts everything, prints how to reach it and waits for Ctrl-C.
    Up {
        /// Replicas of the adapter; the chart is installed when there is at least one.
        #[arg(long, default_value_t = 1)]
        replicas: usize,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let work = async {
        match cli.command {
            Command::Demo(options) => demo::run(&options).await,
            Command::Corpus { folder } => judge(&folder).await,
            Command::Figures { only, peer } => figures::run(&figures::Options { only, peer }, say).await,
            Command::Up { replicas } => up(replicas).await,
        }
    };
    let outcome = tokio::select! {
        outcome = work => outcome,
        // dropping the work stops its processes
        () = interrupted() => {
            say("stopping");
            return ExitCode::from(130);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn up(replicas: usize) -> Result<()> {
    let mut builder = Testbed::builder().on_progress(say);
    if replicas > 0 {
        builder = builder.replicas(replicas);
    }
    let testbed = builder.start().await?;
    let line = |name: &str, value: PathBuf| say(&format!("{name:<20} {}", value.display()));
    line("KUBECONFIG", testbed.control_plane().kubeconfig().to_path_buf());
    line("Prometheus", testbed.prometheus().url().into());
    line(
        "exporter",
        format!("http://{}/metrics", testbed.exporter().address()).into(),
    );
    line("logs", testbed.folder().join("logs"));
    say("Ctrl-C stops all");
    std::future::pending().await
}

async fn judge(folder: &Path) -> Result<()> {
    let files = corpus::files(folder)?;
    let binary = adapter::binary()?;
    // Series are not needed: what is judged is the specs.
    let testbed = Testbed::builder().replicas(1).prometheus(false).start().await?;
    let mut failed = 0;
    for file in &files {
        let outcome = corpus::judge(&testbed, &binary, file).await?;
        failed += usize::from(outcome.failed());
        say(&outcome.to_string());
    }
    say(&format!(
        "{} of {} accepted or diagnosed",
        files.len() - failed,
        files.len()
    ));
    if failed > 0 {
        testbed.keep_logs("a configuration failed");
        bail!("{failed} of {} failed", files.len());
    }
    Ok(())
}

/// Returns on SIGINT or SIGTERM.
async fn interrupted() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[expect(
    clippy::print_stdout,
    reason = "this is a program: its standard output is what it is for"
)]
fn say(text: &str) {
    println!("{text}");
}

#[expect(
    clippy::print_stderr,
    reason = "the reason of a failure belongs to standard error"
)]
fn complain(error: &anyhow::Error) {
    eprintln!("testbed: {error:#}");
}
