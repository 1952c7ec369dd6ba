//! `metricrule export`.

use std::{fmt::Write as _, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{FAILED, LEFT_OUT, fail, files, print_with};
use crate::{export, reason::Reason};

/// Convert rules back to a prometheus-adapter configuration.
///
/// Prints the fields "rules" and "externalRules". The rule that wins in metricrule (the higher priority, then the older, then the
/// lower name) comes last, because in prometheus-adapter the later rule wins. Rules that prometheus-adapter cannot express are left
/// out and reported on standard error with their place: MetricRules (it confines nothing to a namespace), rules without a
/// seriesQuery or with a namespaceSelector, and rules of a backend other than the default. If there is no rule, or a file cannot be
/// read, the command prints nothing: an incomplete configuration would remove the metrics of the missing rules.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  kubectl get clustermetricrules -o yaml | metricrule export - > config.yaml

Exit codes:
  0   every rule was printed
  1   something cannot be read, or it contains no rule; nothing is printed
  3   a rule was left out; the others, if any, are printed
  64  wrong arguments")]
pub(super) struct ExportArgs {
    /// Files, folders (with every .yaml, .yml and .json file below them, sorted by name), or - for standard input.
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
            // A part of the rules is not a configuration.
            let printed = print_with(&findings, "");
            for message in &unread {
                let _ = fail(FAILED, message);
            }
            return match printed {
                Err(error) => fail(FAILED, &error.to_string()),
                Ok(()) => fail(FAILED, "nothing is printed, because not everything could be read"),
            };
        }
        if export.rules == 0 {
            return fail(
                FAILED,
                "the input contains no ClusterMetricRule, so nothing is printed; check that it is the right cluster or file",
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
