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

/// Dry-run rules: show the series they match, the metrics they create, their queries and values.
///
/// The command compiles the rules as the operator does, lists their series, and sends the queries for the objects that the series
/// name. With a cluster, it also shows which rule would answer if others make the same metric, and the HPAs that would use the
/// metrics. It writes nothing.
///
/// If the address of a backend is a Service of the cluster, the command reaches it through a port-forward. It sends the credentials
/// that a MetricBackend names only where a MetricBackend in the cluster already sends them. For any other address it says what it
/// would send where, and sends it only with --with-credentials. --backend asks another address instead, without credentials. With
/// --backend and without --kubeconfig and --context the command reads no cluster, and knows only the kinds that every cluster has.
///
/// Permissions: list metricrules, clustermetricrules, metricbackends, namespaces and horizontalpodautoscalers. For a port-forward: get
/// services, list endpointslices and create pods/portforward in the namespace of the backend. For credentials: get the Secrets that
/// the backend names. Missing permissions are listed.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  metricrule preview -f rule.yaml
  metricrule preview -f rule.yaml --backend http://localhost:9090
  metricrule preview -f rules/ -n shop --metric http_requests_per_second -l code=500 -o json

Exit codes:
  0   all rules are accepted, their backends answered, and all requests have values
  1   anything else: NOT ACCEPTED, NOT REACHED, NOT LISTED, FAILS, a metric whose rows were all
      dropped, or a file that cannot be read
  64  wrong arguments

docs/previewing.md explains the output.")]
pub(super) struct PreviewArgs {
    /// Files with rules, folders of such files, or - for standard input. A MetricBackend in the files replaces the cluster's. Other
    /// kinds are ignored.
    #[arg(long = "filename", short = 'f', value_name = "RULE", required = true, num_args = 1..)]
    files: Vec<PathBuf>,

    /// The address of a Prometheus to query instead of the backends that the rules name.
    #[arg(long, value_name = "URL")]
    backend: Option<String>,

    /// Send the credentials that a MetricBackend in the files names to the address that it names, whoever wrote it. Without this
    /// flag they go only where a MetricBackend in the cluster already sends them.
    #[arg(long, conflicts_with = "backend")]
    with_credentials: bool,

    #[command(flatten)]
    cluster: ClusterArgs,

    /// The namespaces to show queries and values for. The first is also the namespace of a MetricRule that sets none. Default: the
    /// namespaces that have series, at most five.
    #[arg(long, short, value_name = "NAME", value_delimiter = ',')]
    namespace: Vec<String>,

    /// The metrics to show. Default: all, with queries and values for the first twenty.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    metric: Vec<String>,

    /// The metric selector of the requests, as in an HPA.
    #[arg(long, short = 'l', value_name = "SELECTOR", default_value = "", value_parser = selector)]
    selector: Selector,

    /// The operator's namespace, which contains the Secrets of backends. Default: the namespace of the Service with the label
    /// app.kubernetes.io/name=metricrule, or metricrule-system.
    #[arg(long, value_name = "NAME")]
    operator_namespace: Option<String>,

    /// How to print the result.
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
            return fail(USAGE, "the files contain no MetricRule and no ClusterMetricRule");
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
