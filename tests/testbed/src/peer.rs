//! Another metrics adapter beside ours: a prometheus-adapter binary that somebody has, on the same control plane, and not
//! registered in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use kube::Client;

use crate::kubeconfig::{self, User, client_without_retries};
use crate::process::Process;
use crate::testbed::Testbed;
use crate::{ports, reference, runtime};

/// It waits for the cluster's authentication `ConfigMap` and for the first relist.
const START: Duration = Duration::from_secs(40);
const STOP: Duration = Duration::from_secs(10);

/// A running prometheus-adapter. It ends when it is dropped.
#[derive(Debug)]
pub struct Peer {
    process: Process,
    kubeconfig: PathBuf,
}

/// What an adapter makes of a configuration.
#[derive(Debug)]
pub enum Started {
    /// It serves.
    Serves(Peer),
    /// It ended, with these words.
    Refused(String),
}

// === impl Peer ===

impl Peer {
    /// Starts `program` with the configuration in the file `config`, a Prometheus at `prometheus`, and a relist every second;
    /// waits until it answers.
    ///
    /// # Errors
    /// It neither serves nor ends within the time.
    pub async fn start(
        testbed: &Testbed,
        program: &Path,
        config: &Path,
        prometheus: &str,
    ) -> Result<Started> {
        let plane = testbed.control_plane();
        let port = ports::free()?;
        let name = format!("peer-{port}");
        let kubeconfig = direct_kubeconfig(testbed, port)?;
        let process = Process::new(&name, program, &testbed.folder().join("logs"))
            .args(reference::serving(plane, &name, port)?)
            .args([
                format!("--config={}", config.display()),
                format!("--prometheus-url={prometheus}"),
                "--metrics-relist-interval=1s".to_owned(),
                "--metrics-max-age=10m".to_owned(),
            ]);
        process.start()?;
        let peer = Self { process, kubeconfig };
        let path = peer.kubeconfig.clone();
        let ready = peer
            .process
            .ready(START, || {
                let path = path.clone();
                runtime::run(async move { recognises(&path).await })
            })
            .await;
        match ready {
            Ok(()) => Ok(Started::Serves(peer)),
            Err(_) if peer.process.ended().is_some() => Ok(Started::Refused(peer.last_words())),
            Err(error) => Err(error),
        }
    }

    /// A client of `system:masters` that asks this adapter and nobody else.
    ///
    /// # Errors
    /// The kubeconfig is gone.
    pub async fn client(&self) -> Result<Client> {
        client_without_retries(&self.kubeconfig).await
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// It still runs after 10 s.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await.map(drop)
    }

    /// The last line of its log that says what went wrong.
    fn last_words(&self) -> String {
        let log = self.process.log_text();
        let fatal = log.lines().rev().find(|line| line.starts_with(['F', 'E']));
        let line = fatal.or_else(|| log.lines().last()).unwrap_or_default();
        // klog's header ends with a bracket
        line.split_once("] ").map_or(line, |(_, text)| text).to_owned()
    }
}

/// A client of `system:masters` that asks the extension server on a port of loopback and not the kube-apiserver. Which
/// certificate the server shows is not looked at.
///
/// # Errors
/// The kubeconfig cannot be written.
pub async fn direct(testbed: &Testbed, port: u16) -> Result<Client> {
    client_without_retries(&direct_kubeconfig(testbed, port)?).await
}

fn direct_kubeconfig(testbed: &Testbed, port: u16) -> Result<PathBuf> {
    kubeconfig::write(
        &testbed.folder().join(format!("direct-{port}.kubeconfig")),
        &format!("https://127.0.0.1:{port}"),
        None,
        &User::Certificate(&testbed.control_plane().pki().admin),
        "default",
    )
}

/// It knows who asks, whatever it serves. Each try makes a connection of its own: one made before it knows the CA of client
/// certificates stays anonymous.
async fn recognises(kubeconfig: &Path) -> Result<()> {
    let client = client_without_retries(kubeconfig).await?;
    let request = axum::http::Request::get("/apis").body(Vec::new())?;
    client.request_text(request).await?;
    Ok(())
}
