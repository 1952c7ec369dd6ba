//! `metricrule export`.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{FAILED, LEFT_OUT, fail, files, print};
use crate::{export, reason::Reason};

/// Print prometheus-adapter's configuration of rules: the way back from import.
///
/// Prints `rules` and `externalRules` in the order of their priority, since there the later rule wins. What
/// prometheus-adapter cannot say is left out and reported on standard error with its place: `MetricRule`s (it confines
/// nothing to a namespace), rules without a `seriesQuery`, with a `namespaceSelector`, or of another backend than the default
/// one.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kubectl get clustermetricrules -o yaml | metricrule export - > config.yaml

Exit codes:
  0   every rule was printed
  1   something cannot be read
  3   a rule was left out; the rest is printed
  64  wrong arguments")]
pub(super) struct ExportArgs {
    /// Files, folders (every .yaml, .yml and .json file below, in the order of their names), or - for standard input.
    #[arg(value_name = "RULE", required = true)]
    paths: Vec<PathBuf>,
}

// === impl ExportArgs ===

impl ExportArgs {
    pub(super) fn run(&self) -> ExitCode {
        let (files, unread) = files::read(&self.paths);
        let export = export::export(files.iter().map(|file| (file.name.as_str(), file.text.as_str())));
        let mut findings = String::new();
        for finding in &export.findings {
            // Writing to a String cannot fail.
            let _ = writeln!(findings, "{finding}");
        }
        let outcome = io::stderr()
            .write_all(findings.as_bytes())
            .and_then(|()| print(&export.yaml));
        if let Err(error) = outcome {
            return fail(FAILED, &error.to_string());
        }
        for message in &unread {
            let _ = fail(FAILED, message);
        }
        let undecodable = export
            .findings
            .iter()
            .any(|it| it.problem.reason == Reason::Undecodable);
        if !unread.is_empty() || undecodable {
            ExitCode::from(FAILED)
        } else if export.findings.iter().any(|finding| finding.left_out) {
            ExitCode::from(LEFT_OUT)
        } else {
            ExitCode::SUCCESS
        }
    }
}
