//! `metricrule import`.

mod cluster;

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use self::cluster::FromArgs;
use super::{FAILED, LEFT_OUT, fail, files::Files, print_with};
use crate::{
    api::{duration::parse_duration, rule_spec::Semantics},
    import::{
        Import, Severity,
        adapter::{self, Options},
    },
};

/// Convert a prometheus-adapter (or KEDA) configuration to metricrule resources.
///
/// Reads these inputs, and recognises them by their content: prometheus-adapter's configuration file; a ConfigMap with it; the
/// Deployment of prometheus-adapter, for its flags; values of its Helm chart, by themselves or under "prometheus-adapter:" in the
/// values of another chart such as kube-prometheus-stack; a Flux HelmRelease or an Argo CD Application with such values; folders of
/// these.
///
/// Also reads KEDA's ScaledObjects with Prometheus triggers, and HPAs with the annotations of zalando's kube-metrics-adapter. Each
/// becomes its rules, the MetricBackends that they use, and a plain HPA.
///
/// Each rule becomes a ClusterMetricRule named after its metric. Its priority follows from its position, because in
/// prometheus-adapter the later rule wins. It has no limits, so nothing is cut off. The flags become the MetricBackend "default".
/// The command prints YAML and applies nothing.
///
/// Findings go to standard error, one per line, with file, line, column, level, reason and message. They show what each rule became,
/// which matchers were ignored, which rules could never work, and what a rule costs.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  metricrule import prometheus-adapter/values.yaml > rules.yaml
  metricrule import --from-helm-release monitoring/prometheus-adapter > rules.yaml
  kubectl get deploy,cm -n monitoring -o yaml | metricrule import - > rules.yaml

Exit codes:
  0   everything was converted
  1   a file cannot be read, or prometheus-adapter would not load it; the rest is printed
  3   something has no counterpart (such as resourceRules) and was left out; the rest is printed
  64  wrong arguments

docs/migrating-from-prometheus-adapter.md describes the take-over, and the way back.")]
pub(super) struct ImportArgs {
    /// Files, folders (with every .yaml, .yml and .json file below them, sorted by name), or - for standard input.
    #[arg(value_name = "PATH", required_unless_present_any = ["from_configmap", "from_helm_release"])]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    from: FromArgs,

    /// The form of queries and answers. PrometheusAdapter: as before, so that the migration changes nothing. Standard: as in new
    /// rules, with rounded values, escaped names, and NaN as no data.
    #[arg(long, value_enum, value_name = "NAME", default_value_t = SemanticsArg::PrometheusAdapter, ignore_case = true)]
    semantics: SemanticsArg,

    /// How long an answer may be used again, 0s to 60s. Default: 0s for PrometheusAdapter, 5s for Standard.
    #[arg(long, value_name = "DURATION", value_parser = refresh)]
    refresh: Option<String>,

    /// With "namespace", convert each rule that names one namespace, and can be confined to it, to a MetricRule that its team can
    /// own.
    #[arg(long, value_enum, value_name = "BY")]
    split: Option<SplitArg>,

    /// Print only the objects with these names.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,

    /// How to write the findings: text, one line each, or json, one list of {level, file, line, column, reason, message}.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ReportArg::Text)]
    report: ReportArg,

    /// Write the findings to this file. Default: standard error.
    #[arg(long, value_name = "FILE")]
    report_file: Option<PathBuf>,
}

/// `spec.semantics`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SemanticsArg {
    #[value(name = "Standard")]
    Standard,
    #[value(name = "PrometheusAdapter")]
    PrometheusAdapter,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SplitArg {
    Namespace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ReportArg {
    Text,
    Json,
}

// === impl ImportArgs ===

impl ImportArgs {
    pub(super) fn run(self) -> ExitCode {
        let (mut of_cluster, mut unread) = (Vec::new(), Vec::new());
        self.from.read(&mut of_cluster, &mut unread);
        let mut files = Files::new(&self.paths);
        let options = Options {
            semantics: match self.semantics {
                SemanticsArg::Standard => Semantics::Standard,
                SemanticsArg::PrometheusAdapter => Semantics::PrometheusAdapter,
            },
            refresh: self.refresh,
            split: self.split.is_some(),
        };
        let mut import = adapter::import(files.by_ref().chain(of_cluster), &options);
        unread.splice(0..0, files.unread().iter().map(ToString::to_string));
        if !self.only.is_empty() {
            unread.extend(missing(&self.only, &import));
            import
                .objects
                .retain(|object| self.only.iter().any(|name| object.name() == *name));
        }
        let findings = match report(&import, self.report, self.report_file.as_deref()) {
            Ok(findings) => findings,
            Err(error) => return fail(FAILED, &error.to_string()),
        };
        if let Err(error) = print_with(&findings, &import.yaml()) {
            return fail(FAILED, &error.to_string());
        }
        for message in &unread {
            let _ = fail(FAILED, message);
        }
        if !unread.is_empty() || import.has(Severity::Error) {
            ExitCode::from(FAILED)
        } else if import.has(Severity::Unsupported) {
            ExitCode::from(LEFT_OUT)
        } else {
            ExitCode::SUCCESS
        }
    }
}

/// The names that no object has.
fn missing(names: &[String], import: &Import) -> Vec<String> {
    let absent = |name: &&String| import.objects.iter().all(|object| object.name() != **name);
    names
        .iter()
        .filter(absent)
        .map(|name| {
            format!("--only {name}: this import has no object with that name; without --only all objects are printed")
        })
        .collect()
}

/// The text that is left for standard error: empty if the findings go to a file.
fn report(import: &Import, format: ReportArg, file: Option<&Path>) -> io::Result<String> {
    let text = match format {
        ReportArg::Json => import.report_json(),
        ReportArg::Text => {
            let lines = import.notes.iter().map(|note| format!("{note}\n"));
            let mut text: String = lines.collect();
            text.push_str(&import.summary());
            text
        }
    };
    match file {
        Some(file) => match std::fs::write(file, text) {
            Ok(()) => Ok(String::new()),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("{}: {error}", file.display()),
            )),
        },
        None => Ok(text),
    }
}

fn refresh(text: &str) -> Result<String, String> {
    let length = parse_duration(text).map_err(|error| error.to_string())?;
    if length > crate::api::rule_spec::MAX_REFRESH {
        return Err("it must be 60s or less".to_owned());
    }
    Ok(text.to_owned())
}
