//! `metricrule check`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, ValueEnum};

use super::{FAILED, USAGE, fail, files::Files, print};
use crate::{
    api::duration::parse_duration,
    check::{self, Options, Report, output},
    document::SourceFile,
    rule::{Assumptions, Severity},
};

/// Check rule files offline: report errors, and warn about rules that are valid but probably wrong.
///
/// Reads MetricRules, ClusterMetricRules and MetricBackends from YAML or JSON, including several documents and Lists. Other kinds
/// are ignored. The command uses the operator's own compiler, so every error has the reason that the rule's conditions would have,
/// and every warning is one of its status.warnings. All rules can refer to the backends, CRDs and Namespaces in the files. If only
/// the cluster can know something, such as a MetricBackend that is not in the files, the command assumes that it exists.
///
/// The command reads only regular files, and follows no link out of a folder. To check the output of a program, name - and pipe it
/// in. A file may have 64 MiB, all files together 256 MiB.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  metricrule check rules/                           every .yaml, .yml and .json file below a folder
  helm template my-chart | metricrule check -       the output of a chart
  metricrule check --strict --output github rules/  annotations in a workflow of GitHub Actions
  metricrule check --output sarif rules/ > out.sarif

Exit codes:
  0   no findings, only notes, or warnings without --strict
  1   errors; warnings with --strict; or a file cannot be read
  64  wrong arguments

docs/reasons.md explains the reasons, docs/checking.md everything else.")]
pub(super) struct CheckArgs {
    /// Files, folders (with every .yaml, .yml and .json file below them), or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How to print the findings.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Also fail on warnings.
    #[arg(long)]
    strict: bool,

    /// The namespace of a MetricRule that sets none, like kubectl's --namespace.
    #[arg(long, value_name = "NAME", default_value = "default")]
    namespace: String,

    /// How often Prometheus scrapes the targets, to check ranges: a duration such as 15s or 1m.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = scrape_interval)]
    scrape_interval: Duration,
}

/// A format for findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: place, reason, the line, and what to write instead
    Text,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands of GitHub Actions: annotations in a pull request
    Github,
}

// === impl CheckArgs ===

impl CheckArgs {
    pub(super) fn run(self) -> ExitCode {
        let options = Options {
            namespace: self.namespace,
            assumptions: Assumptions {
                scrape_interval: self.scrape_interval,
            },
        };
        // Their texts are not needed any more.
        let mut names = Vec::new();
        let name = |name: &str| SourceFile {
            name: name.to_owned(),
            text: String::new(),
        };
        let mut files = Files::new(&self.files);
        let read = files.by_ref().inspect(|file| names.push(name(&file.name)));
        let mut report = check::check(read, &options);
        let unread = files.unread();
        if names.is_empty() && unread.is_empty() {
            return fail(USAGE, "found no .yaml, .yml or .json file");
        }
        for unread in unread {
            report.add_unread(names.len(), &unread.why);
            names.push(name(&unread.name));
        }
        let files = names;
        let text = match self.output {
            Output::Text => output::text(&report, &files),
            Output::Json => output::json(&report, &files),
            Output::Sarif => output::sarif(&report, &files),
            Output::Github => output::github(&report, &files),
        };
        if let Err(error) = print(&text) {
            return fail(FAILED, &format!("standard output: {error}"));
        }
        let _ = writeln!(io::stderr(), "metricrule: {}", report.summary());
        verdict(&report, self.strict)
    }
}

fn verdict(report: &Report, strict: bool) -> ExitCode {
    let bad = report.count(Severity::Error) > 0 || strict && report.count(Severity::Warning) > 0;
    if bad {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    }
}

fn scrape_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(interval) if interval.is_zero() => Err("it must be more than 0s".to_owned()),
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}
