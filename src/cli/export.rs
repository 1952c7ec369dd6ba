//! `metricrule export`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{FAILED, LEFT_OUT, fail, files, print_with};
use crate::{export, reason::Reason};

/// Print prometheus-adapter's configuration of rules: the way back from import.
///
/// Prints `rules` and `externalRules` so that the rule that wins here (the higher priority, then the older, then the lower name)
/// comes last, since there the later rule wins. What prometheus-adapter cannot say is left out and reported on standard error with
/// its place: `MetricRule`s (it confines nothing to a namespace), rules without a `seriesQuery`, with a `namespaceSelector`, or of
/// another backend than the default one. Without a rule, or with a file that cannot be read, nothing is printed: a configuration
/// that lacks rules takes their metrics away.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kubectl get clustermetricrules -o yaml | metricrule export - > config.yaml

Exit codes:
  0   every rule was printed
  1   something cannot be read, or there is no rule in it; nothing is printed
  3   a rule was left out; the rest, if any, is printed
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
        let undecodable = export
            .findings
            .iter()
            .any(|it| it.problem.reason == Reason::Undecodable);
        if !unread.is_empty() || undecodable {
            // A part of the rules is no configuration.
            let printed = print_with(&findings, "");
            for message in &unread {
                let _ = fail(FAILED, message);
            }
            return match printed {
                Err(error) => fail(FAILED, &error.to_string()),
                Ok(()) => fail(FAILED, "nothing is printed, since not everything could be read"),
            };
        }
        if export.rules == 0 {
            return fail(
                FAILED,
                "there is no ClusterMetricRule in what was read, so nothing is printed; is it the right cluster or file?",
            );
        }
        if let Err(error) = print_with(&findings, &export.yaml) {
            return fail(FAILED, &error.to_string());
        }
        if export.findings.iter().any(|finding| finding.left_out) {
            ExitCode::from(LEFT_OUT)
        } else {
            ExitCode::SUCCESS
        }
    }
}
