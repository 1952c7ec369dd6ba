//! Cluster flags and output, shared by the commands that read a cluster.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use language::terminal::{self, shown};
use serde::Serialize;

use super::{FAILED, fail, print};
use crate::kubernetes::client::{ClientOptions, Connection, First};

/// The cluster to read.
#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// The kubeconfig of the cluster. Default, as with kubectl: KUBECONFIG, then ~/.kube/config, then the Pod's service account. The
    /// command prints the server's address to standard error.
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// The context in the kubeconfig. Default: its current context.
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
}

/// How to print a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs
    Json,
}

// === impl ClusterArgs ===

impl ClusterArgs {
    pub(super) fn options(&self) -> ClientOptions {
        ClientOptions {
            kubeconfig: self.kubeconfig.clone(),
            first: First::Kubeconfig,
            context: self.context.clone(),
            namespace: None,
        }
    }
}

/// Connects, and prints the address of the cluster, because the wrong cluster would answer too.
pub(super) async fn connect(options: ClientOptions) -> anyhow::Result<Connection> {
    let connection = Connection::new(options).await?;
    let _ = writeln!(
        io::stderr(),
        "the cluster: {}",
        shown(&connection.server).behind()
    );
    Ok(connection)
}

/// Reports a slow step on standard error, where it disturbs no output.
pub(super) fn progress(step: &str) {
    let _ = writeln!(io::stderr(), "{} …", shown(step));
}

/// Prints the report; the exit code says whether it is good.
pub(super) fn tell(report: &(impl ToString + Serialize), output: Output, good: bool) -> ExitCode {
    let text = match output {
        Output::Text => report.to_string(),
        Output::Json => match serde_json::to_string_pretty(report) {
            Ok(json) => terminal::json(&(json + "\n")),
            Err(error) => return fail(FAILED, &error.to_string()),
        },
    };
    match print(&text) {
        Err(error) => fail(FAILED, &error.to_string()),
        Ok(()) if good => ExitCode::SUCCESS,
        Ok(()) => ExitCode::from(FAILED),
    }
}

/// NAMESPACE/NAME.
pub(super) fn object(text: &str) -> Result<(String, String), String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("it must be NAMESPACE/NAME".to_owned()),
    }
}
