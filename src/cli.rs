//! The command line: what a user types, parsed and then validated.

mod check;
mod cluster;
mod compare;
mod export;
mod files;
mod import;
mod preview;
mod serve;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use language::terminal::shown;

use self::{
    check::CheckArgs, compare::CompareArgs, export::ExportArgs, import::ImportArgs, preview::PreviewArgs,
    serve::ServeArgs,
};
use crate::api::crds;

/// `EX_USAGE` of sysexits.h: the arguments are wrong; nothing was tried.
const USAGE: u8 = 64;
/// Something that was tried failed.
const FAILED: u8 = 1;
/// Something has no counterpart and was left out; the rest is there.
const LEFT_OUT: u8 = 3;

/// Kubernetes custom and external metrics from rules.
///
/// `metricrule serve` is the operator: it reads `MetricRule`s, `ClusterMetricRule`s and `MetricBackend`s, answers
/// custom.metrics.k8s.io and external.metrics.k8s.io from them, and registers both with the API server. It is installed with
/// a Helm chart; see <https://github.com/metricrule/metricrule>.
#[derive(Debug, Parser)]
#[command(
    name = "metricrule",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // No text here: it would hide the whole of those of the types.
    Serve(Box<ServeArgs>),
    Check(CheckArgs),
    Preview(Box<PreviewArgs>),
    Import(ImportArgs),
    Export(ExportArgs),
    Compare(Box<CompareArgs>),
    Crds(CrdsArgs),
}

/// Print the custom resource definitions of this version as YAML.
///
/// Helm installs CRDs but never upgrades them. After an upgrade: `metricrule crds | kubectl apply --server-side -f -`.
#[derive(Debug, Args)]
struct CrdsArgs {
    /// Write one file for each kind into this folder instead of printing them.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

// === impl Cli ===

impl Cli {
    /// Reads the arguments of the process and does what they say.
    ///
    /// Exit codes: 0, 64 for wrong arguments, 1 for anything else that fails.
    pub fn run() -> ExitCode {
        let cli = match Self::try_parse() {
            Ok(cli) => cli,
            Err(error) => {
                let code = if error.use_stderr() { USAGE } else { 0 };
                // Nothing is left to be done where even this cannot be printed.
                let _ = error.print();
                return ExitCode::from(code);
            }
        };
        match cli.command {
            Command::Serve(args) => args.run(),
            Command::Import(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Preview(args) => args.run(),
            Command::Compare(args) => args.run(),
            Command::Crds(args) => match args.run() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(FAILED, &error.to_string()),
            },
        }
    }
}

// === impl CrdsArgs ===

impl CrdsArgs {
    fn run(&self) -> io::Result<()> {
        let Some(folder) = &self.output_dir else {
            return print(&crds::yaml());
        };
        std::fs::create_dir_all(folder)?;
        crds::files()
            .into_iter()
            .try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
    }
}

/// Text on standard output.
fn print(text: &str) -> io::Result<()> {
    write(io::stdout(), text)
}

/// Findings on standard error and the outcome on standard output: that the one cannot be written does not keep the other back.
fn print_with(findings: &str, text: &str) -> io::Result<()> {
    let told = write(io::stderr(), findings);
    print(text)?;
    told
}

fn write(mut to: impl io::Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()) {
        // Whoever reads has seen enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// One clear sentence on standard error, and the code.
fn fail(code: u8, message: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "metricrule: {}", shown(message).behind());
    ExitCode::from(code)
}
