//! What commands that read a cluster share.

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

/// Which cluster.
#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    /// Kubeconfig of the cluster. Default, as with kubectl: KUBECONFIG, else ~/.kube/config, else the Pod's service account. The
    /// server that is asked is printed on standard error.
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig. Default: its current one.
    #[arg(long, value_name = "NAME")]
    pub(super) context: Option<String>,
}

/// How an outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people.
    Text,
    /// For programs.
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

/// Connects, and tells to which cluster: another one than was meant would give an answer, too.
pub(super) async fn connect(options: ClientOptions) -> anyhow::Result<Connection> {
    let connection = Connection::new(options).await?;
    let _ = writeln!(
        io::stderr(),
        "the cluster: {}",
        shown(&connection.server).behind()
    );
    Ok(connection)
}

/// What takes long is told on standard error, where it is in nobody's way.
pub(super) fn progress(step: &str) {
    let _ = writeln!(io::stderr(), "{} …", shown(step));
}

/// Prints what was found; the exit code says whether it is good.
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
        _ => Err("it is not NAMESPACE/NAME".to_owned()),
    }
}
