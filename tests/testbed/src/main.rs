//! `testbed demo` shows a plain HPA scale on a `MetricRule`; `testbed up` starts a testbed to play with.

mod demo;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use testbed::Testbed;
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
