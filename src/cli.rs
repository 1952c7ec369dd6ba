//! Command line: the arguments of a user, parsed and then validated.

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

/// `EX_USAGE` of sysexits.h: the arguments are wrong, and nothing was tried.
const USAGE: u8 = 64;
/// Something that was tried failed.
const FAILED: u8 = 1;
/// Something has no counterpart and was left out; everything else was converted.
const LEFT_OUT: u8 = 3;

/// Scale any workload on any Prometheus query, with a plain HorizontalPodAutoscaler.
///
/// "metricrule serve" is the operator. It reads MetricRules, ClusterMetricRules and MetricBackends, answers custom.metrics.k8s.io
/// and external.metrics.k8s.io from them, and registers both APIs with the API server. A Helm chart installs it; see
/// github.com/metricrule/metricrule. The other commands help you write, check and migrate rules.
#[derive(Debug, Parser)]
#[command(name = "metricrule", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    // The texts are those of the types; a text here would replace them.
    Serve(Box<ServeArgs>),
    Check(CheckArgs),
    Preview(Box<PreviewArgs>),
    Import(ImportArgs),
    Export(ExportArgs),
    Compare(Box<CompareArgs>),
    Crds(CrdsArgs),
}

/// Print this version's custom resource definitions as YAML.
///
/// Helm installs CRDs but never upgrades them. After an upgrade, run: metricrule crds | kubectl apply --server-side -f -
#[derive(Debug, Args)]
struct CrdsArgs {
    /// Write one file per kind into this folder instead of printing them.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
}

// === impl Cli ===

impl Cli {
    /// Reads the arguments of the process and runs the command.
    ///
    /// Exit codes: 0, 64 for wrong arguments, 1 for any other failure.
    pub fn run() -> ExitCode {
        let cli = match Self::try_parse() {
            Ok(cli) => cli,
            Err(error) => {
                let code = if error.use_stderr() { USAGE } else { 0 };
                // If even this cannot be printed, nothing is left to do.
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

/// Prints findings to standard error and the outcome to standard output. A failure of the one does not stop the other.
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
