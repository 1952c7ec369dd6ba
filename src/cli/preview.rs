//! `metricrule preview`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use language::selector::Selector;

use super::{
    FAILED, USAGE,
    cluster::{ClusterArgs, Output, connect, progress, tell},
    fail, files,
};
use crate::{
    app,
    document::SourceFile,
    preview::{self, Options, input::Files},
};

/// Show what rules would do now: what they make of which series, who would answer, the queries and their values.
///
/// The rules are compiled as the operator compiles them, their series are listed, and the queries are sent for the objects that
/// the series name. With a cluster the rules are set against those that are there (who answers where both make a metric), and the
/// HPAs that would use them are shown. Nothing is written anywhere.
///
/// A backend whose address is a Service of the cluster is reached through a port-forward. Credentials that its `MetricBackend` names
/// are sent where a `MetricBackend` of the cluster sends them already; for any other address it is said what would be sent where, and
/// nothing is sent without --with-credentials. --backend asks another address instead, without credentials. With --backend and neither
/// --kubeconfig nor --context no cluster is read: then the kinds are those that every cluster has.
///
/// Rights: list metricrules, clustermetricrules, metricbackends, namespaces and horizontalpodautoscalers; for a port-forward get
/// services, list endpointslices and create pods/portforward where the backend is; get the Secrets that it names. What is lacking
/// is named.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:
  metricrule preview -f rule.yaml
  metricrule preview -f rule.yaml --backend http://localhost:9090
  metricrule preview -f rules/ -n shop --metric http_requests_per_second --selector code=500 --output json

Exit codes: 0 all rules are accepted, their backends answered, and what is shown has values; 1 not so (NOT ACCEPTED, NOT REACHED,
NOT LISTED, FAILS, or every row of a metric dropped), or a file cannot be read; 64 wrong arguments.")]
pub(super) struct PreviewArgs {
    /// A file with rules, a folder of such, or - for standard input. Several may be given. A `MetricBackend` in them stands in for
    /// one of the cluster; objects of other kinds are left out.
    #[arg(long = "filename", short = 'f', value_name = "RULE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,

    /// The address of a Prometheus to ask, instead of the backends that the rules name.
    #[arg(long, value_name = "URL")]
    backend: Option<String>,

    /// Send the credentials that a `MetricBackend` of the files names to the address that it names, whoever wrote it. Without this
    /// they go only where a `MetricBackend` of the cluster sends them.
    #[arg(long, conflicts_with = "backend")]
    with_credentials: bool,

    #[command(flatten)]
    cluster: ClusterArgs,

    /// Namespaces to show queries and values for, and the namespace of a `MetricRule` that names none (the first). Default: those
    /// that have series, at most five.
    #[arg(long, short, value_name = "NAME", value_delimiter = ',')]
    namespace: Vec<String>,

    /// Metrics to show. Default: all, with queries and values for the first twenty.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    metric: Vec<String>,

    /// What requests select series by, as in an HPA's metric selector.
    #[arg(long, short = 'l', value_name = "SELECTOR", default_value = "", value_parser = selector)]
    selector: Selector,

    /// The operator's namespace, where the Secrets of backends are. Default: that of the Service with the label
    /// app.kubernetes.io/name=metricrule, else metricrule-system.
    #[arg(long, value_name = "NAME")]
    operator_namespace: Option<String>,

    /// How to print the outcome.
    #[arg(long, short, value_name = "FORMAT", value_enum, default_value_t = Output::Text)]
    output: Output,
}

// === impl PreviewArgs ===

impl PreviewArgs {
    pub(super) fn run(self) -> ExitCode {
        let output = self.output;
        let mut files = Files::default();
        let (texts, unread) = files::read(&self.files);
        if let Some(message) = unread.first() {
            return fail(FAILED, message);
        }
        for SourceFile { name, text } in &texts {
            if let Err(error) = files.add(name, text) {
                let place = error.position;
                let message = format!("{name}:{}:{}: {}", place.line, place.column, error.message);
                return fail(FAILED, &message);
            }
        }
        if files.rules.is_empty() {
            return fail(
                USAGE,
                "there is no MetricRule and no ClusterMetricRule in the files",
            );
        }
        let alone =
            self.backend.is_some() && self.cluster.kubeconfig.is_none() && self.cluster.context.is_none();
        let cluster = self.cluster.options();
        let options = Options {
            backend: self.backend,
            namespaces: self.namespace,
            metrics: self.metric,
            selector: self.selector,
            with_credentials: self.with_credentials,
            operator_namespace: self.operator_namespace,
        };
        let looked_at = app::once(async {
            let connection = if alone {
                None
            } else {
                Some(connect(cluster).await?)
            };
            anyhow::Ok(preview::preview(connection.as_ref(), files, &options, &progress).await?)
        });
        match looked_at {
            Ok(report) => tell(&report, output, report.is_good()),
            Err(error) => fail(FAILED, &format!("{error:#}")),
        }
    }
}

fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|error| error.to_string())
}
