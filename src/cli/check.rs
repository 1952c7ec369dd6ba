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

/// Judge rules in files, without a cluster: what would be refused, and what would not do what it should.
///
/// Reads `MetricRule`s, `ClusterMetricRule`s and `MetricBackend`s from YAML or JSON (several documents, `List`s); objects of other
/// kinds are passed over. The compiler is that of the operator, so every error has the reason that the rule's conditions would
/// give, and every warning is one of its `status.warnings`. Backends, CRDs and Namespaces in the files are known to all rules.
/// What only the cluster knows, such as the backend of a rule whose `MetricBackend` is not in the files, is taken to be there.
///
/// Nothing but regular files is read, and no link leads out of a folder: for what a program writes, name - and pipe it in. A file
/// has at most 64 MiB, all of them have 256 MiB.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  metricrule check rules/                          every .yaml, .yml and .json file below a folder
  helm template my-chart | metricrule check -      what a chart makes
  metricrule check --strict --output github rules/ in a workflow of GitHub Actions, as annotations
  metricrule check --output sarif rules/ > out.sarif

In CI:
  - run: metricrule check --strict --output github rules/

Exit codes:
  0   nothing, notes, or warnings without --strict
  1   errors; warnings with --strict; a file cannot be read
  64  wrong arguments

The reasons are explained in docs/reasons.md, the rest in docs/checking.md.")]
pub(super) struct CheckArgs {
    /// Files, folders (every .yaml, .yml and .json file below), or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Fail on warnings too.
    #[arg(long)]
    strict: bool,

    /// The namespace of a `MetricRule` that names none, as kubectl's own.
    #[arg(long, value_name = "NAME", default_value = "default")]
    namespace: String,

    /// How often the targets are scraped, to judge ranges by: a duration such as 15s or 1m.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = scrape_interval)]
    scrape_interval: Duration,
}

/// A format for what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: place, reason, the line itself, what to write instead
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
            return fail(USAGE, "no .yaml, .yml or .json file found");
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
        Ok(interval) if interval.is_zero() => Err("more than 0s".to_owned()),
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}
