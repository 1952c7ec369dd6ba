//! Replicas of the adapter: the `metricrule` binary, started as the chart's Deployment would start it, with a token of the
//! chart's `ServiceAccount` and nothing else.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::EnvVar;

use crate::install::{Install, NAMESPACE};
use crate::process::Process;
use crate::{http, ports};

/// A debug binary on a machine that is busy building still starts in this time.
const START: Duration = Duration::from_mins(1);
/// Shutdown delay and drain deadline, with room.
const STOP: Duration = Duration::from_mins(1);

/// What the testbed decides instead of the chart.
const DECIDED: [&str; 6] = [
    "--kubeconfig",
    "--bind-address",
    "--secure-port",
    "--http-port",
    "--identity",
    "--shutdown-delay",
];

/// One replica. It is killed when it is dropped.
#[derive(Debug)]
pub struct Replica {
    process: Process,
    secure_port: u16,
    http_port: u16,
}

/// How replicas are started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) binary: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    /// How long a replica keeps serving after SIGTERM before it closes its port; the chart's default suits real clusters.
    pub(crate) shutdown_delay: String,
    pub(crate) args: Vec<String>,
}

/// The binary: `METRICRULE_BIN`, else `metricrule` in the target folder that this program was built into.
///
/// # Errors
/// Neither is there.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("METRICRULE_BIN") {
        return Ok(path.into());
    }
    // a test is in target/<profile>/deps, a program in target/<profile>
    let here = std::env::current_exe().context("this program's own path")?;
    let found = here
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("metricrule"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "no binary `metricrule` beside {}: run `cargo build` first, or set METRICRULE_BIN",
            here.display()
        )
    })
}

// === impl Replica ===

impl Replica {
    pub(crate) fn new(name: &str, launch: &Launch, install: &Install) -> Result<Self> {
        let (secure_port, http_port) = (ports::free()?, ports::free()?);
        let container = Container::of(&install.deployment, name)?;
        let mut process = Process::new(name, &launch.binary, &launch.logs)
            .args(["serve".to_owned()])
            .args([
                format!("--kubeconfig={}", launch.kubeconfig.display()),
                "--bind-address=127.0.0.1".to_owned(),
                format!("--secure-port={secure_port}"),
                format!("--http-port={http_port}"),
                format!("--identity={name}"),
                format!("--shutdown-delay={}", launch.shutdown_delay),
            ])
            .args(container.args)
            .args(launch.args.clone());
        for (name, value) in container.env {
            process = process.env(&name, &value);
        }
        Ok(Self {
            process,
            secure_port,
            http_port,
        })
    }

    /// The name: its identity in the Lease, and its log file's.
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// The port of the aggregated API, TLS.
    pub fn secure_port(&self) -> u16 {
        self.secure_port
    }

    /// The port of health and metrics, plain HTTP.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// Its process: log, process id, freeze and thaw.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Starts it (again, on the same ports) and waits until `/readyz` is green.
    ///
    /// # Errors
    /// It ended, or was not ready within a minute; with the end of its log.
    pub async fn start(&self) -> Result<()> {
        self.process.start()?;
        self.process
            .ready(START, || async {
                let (status, text) = self.get("/readyz").await?;
                ensure!(status == 200, "/readyz answers {status}: {text}");
                Ok(())
            })
            .await
    }

    /// Starts it and returns at once.
    ///
    /// # Errors
    /// The binary cannot be started.
    pub fn launch(&self) -> Result<()> {
        self.process.start()
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// It still runs after a minute.
    pub async fn terminate(&self) -> Result<Option<ExitStatus>> {
        self.process.stop(STOP).await
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// SIGTERM, then a start.
    ///
    /// # Errors
    /// It does not end, or does not become ready again.
    pub async fn restart(&self) -> Result<()> {
        self.terminate().await?;
        self.start().await
    }

    /// Gets a path from its plain HTTP port: status code and body.
    ///
    /// # Errors
    /// No answer within 5 s.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        http::get(
            &format!("http://127.0.0.1:{}{path}", self.http_port),
            Duration::from_secs(5),
        )
        .await
    }
}

/// What the chart gives its container that also holds outside one.
struct Container {
    args: Vec<String>,
    env: Vec<(String, String)>,
}

impl Container {
    fn of(deployment: &Deployment, pod: &str) -> Result<Self> {
        let template = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref());
        let container = template
            .and_then(|spec| spec.containers.first())
            .context("the Deployment has no container")?;
        let env: Vec<(String, String)> = container
            .env
            .iter()
            .flatten()
            .filter_map(|variable| Some((variable.name.clone(), value(variable, pod)?)))
            .collect();
        let words: Vec<String> = container
            .command
            .iter()
            .flatten()
            .skip(1)
            .chain(container.args.iter().flatten())
            .map(|word| expand(word, &env))
            .collect();
        Ok(Self {
            args: kept(&words),
            env,
        })
    }
}

/// An environment variable's value as the kubelet would find it.
fn value(variable: &EnvVar, pod: &str) -> Option<String> {
    if let Some(value) = &variable.value {
        return Some(value.clone());
    }
    let field = variable.value_from.as_ref()?.field_ref.as_ref()?;
    match &*field.field_path {
        "metadata.namespace" => Some(NAMESPACE.to_owned()),
        "metadata.name" => Some(pod.to_owned()),
        "status.podIP" | "status.hostIP" => Some("127.0.0.1".to_owned()),
        _ => None,
    }
}

/// `$(NAME)` as the kubelet expands it.
fn expand(word: &str, env: &[(String, String)]) -> String {
    env.iter().fold(word.to_owned(), |word, (name, value)| {
        word.replace(&format!("$({name})"), value)
    })
}

/// The flags of `serve` that the testbed does not decide itself; both `--flag=value` and `--flag value`.
fn kept(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.iter().filter(|word| *word != "serve").peekable();
    while let Some(word) = words.next() {
        let flag = word.split('=').next().unwrap_or(word);
        let mut taken = vec![word.clone()];
        if !word.contains('=')
            && let Some(value) = words.next_if(|next| !next.starts_with("--"))
        {
            taken.push(value.clone());
        }
        if !DECIDED.contains(&flag) {
            kept.extend(taken);
        }
    }
    kept
}

/// Writes the kubeconfig of the chart's `ServiceAccount`.
pub(crate) fn kubeconfig(path: &Path, server: &str, ca: &Path, token: &str) -> Result<PathBuf> {
    crate::kubeconfig::write(
        path,
        server,
        Some(ca),
        &crate::kubeconfig::User::Token(token),
        NAMESPACE,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charts_flags_are_kept_but_those_that_the_testbed_decides() {
        let words: Vec<String> = [
            "serve",
            "--secure-port",
            "6443",
            "--log-format=json",
            "--namespace",
            "$(NS)",
            "--http-port=8080",
            "--flag",
        ]
        .map(|word| expand(word, &[("NS".to_owned(), "x".to_owned())]))
        .into();
        assert_eq!(kept(&words), ["--log-format=json", "--namespace", "x", "--flag"]);
    }
}
