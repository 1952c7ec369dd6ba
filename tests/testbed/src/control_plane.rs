//! etcd, kube-apiserver, kube-controller-manager and KWOK as processes on loopback.
//!
//! KWOK plays the kubelet of one node, `kwok-0`; there is no scheduler, so a pod template names that node itself. The
//! `ServiceAccount` admission plugin is off (pods need no token), Service addresses lead nowhere (there is no kube-proxy).

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::kubeconfig::{self, User};
use crate::pki::Pki;
use crate::poll::eventually;
use crate::process::Process;
use crate::programs::Programs;
use crate::{ports, runtime};

/// The one node. Pods that name it turn Running and Ready within seconds.
pub const NODE: &str = "kwok-0";

/// How long the start of one program may take. Each takes seconds on an idle machine; a build may be running beside it.
const START: Duration = Duration::from_secs(90);
/// KWOK 0.7.0 rarely dies at its first node, of a race of its own (`pkg/utils/cel/environment.go`); in a cluster it would be started
/// again.
const KWOK_STARTS: u32 = 3;

/// What the controller manager is told about HPAs.
#[derive(Clone, Copy, Debug)]
pub struct HpaTiming {
    /// How often each HPA is computed. Kubernetes' default is 15 s.
    pub sync: Duration,
    /// For how long a lower recommendation has to stand before it is followed. Kubernetes' default is 300 s.
    pub downscale_stabilization: Duration,
}

/// A running control plane; it ends when it is dropped.
#[derive(Debug)]
pub struct ControlPlane {
    // in the order in which they are killed
    kwok: Process,
    controller_manager: Process,
    apiserver: Process,
    etcd: Process,
    pki: Pki,
    server: String,
    kubeconfig: PathBuf,
}

// === impl HpaTiming ===

impl Default for HpaTiming {
    fn default() -> Self {
        Self {
            sync: Duration::from_secs(1),
            downscale_stabilization: Duration::from_secs(5),
        }
    }
}

// === impl ControlPlane ===

impl ControlPlane {
    /// Starts everything in `folder` and waits until pods can run.
    ///
    /// # Errors
    /// A program ended or was not ready in time; the error names it and shows the end of its log.
    pub async fn start(programs: &Programs, folder: &Path, timing: HpaTiming) -> Result<Self> {
        let logs = folder.join("logs");
        let pki_folder = folder.join("pki");
        for path in [&logs, &pki_folder] {
            std::fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        }
        let pki = Pki::new(&pki_folder)?;
        let port = ports::free()?;
        let server = format!("https://127.0.0.1:{port}");
        let ca = Some(pki.cluster.certificate.as_path());
        let admin = User::Certificate(&pki.admin);
        let manager = User::Certificate(&pki.controller_manager);
        let kubeconfig = kubeconfig::write(&folder.join("admin.kubeconfig"), &server, ca, &admin, "default")?;
        let manager = kubeconfig::write(
            &folder.join("manager.kubeconfig"),
            &server,
            ca,
            &manager,
            "default",
        )?;

        let etcd_port = ports::free()?;
        let etcd = etcd(programs, folder, &logs, etcd_port)?;
        let apiserver = apiserver(programs, &logs, &pki, etcd_port, port)?;
        let controller_manager = controller_manager(programs, &logs, &pki, &manager, timing)?;
        let kwok = kwok(programs, &logs, &kubeconfig)?;
        let plane = Self {
            kwok,
            controller_manager,
            apiserver,
            etcd,
            pki,
            server,
            kubeconfig,
        };
        plane.launch().await?;
        Ok(plane)
    }

    async fn launch(&self) -> Result<()> {
        // kube-apiserver waits for etcd by itself; the other two give up when the API server is not there soon
        self.etcd.start()?;
        self.apiserver.start()?;
        let path = self.kubeconfig.clone();
        let client = runtime::run(async move { kubeconfig::client(&path).await }).await?;
        self.apiserver
            .ready(START, || {
                let client = client.clone();
                runtime::run(async move { readyz(&client).await })
            })
            .await?;
        self.controller_manager.start()?;
        self.kwok.start()?;
        let node = {
            let client = client.clone();
            runtime::run(async move { create_node(&client).await })
        };
        node.await.context("creating the node")?;
        for attempt in 1..=KWOK_STARTS {
            let ready = self.kwok.ready(START, || {
                let client = client.clone();
                runtime::run(async move { node_ready(&client).await })
            });
            match ready.await {
                // Its last words stay in its log.
                Err(_) if self.kwok.ended().is_some() && attempt < KWOK_STARTS => self.kwok.start()?,
                ready => {
                    ready?;
                    break;
                }
            }
        }
        self.controller_manager
            .ready(START, || {
                let client = client.clone();
                runtime::run(async move {
                    // the manager's first visible work: without it namespaces are not usable as in a cluster
                    let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
                    accounts.get("default").await?;
                    Ok(())
                })
            })
            .await
    }

    /// The API server's address, `https://127.0.0.1:PORT`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The kubeconfig of `system:masters`.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The certificates, for tests that make clients of their own.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The processes, to be looked at or disturbed: `kube-apiserver`, `kube-controller-manager`, `kwok`, `etcd`.
    pub fn processes(&self) -> [&Process; 4] {
        [&self.apiserver, &self.controller_manager, &self.kwok, &self.etcd]
    }

    /// kube-apiserver's process.
    pub fn apiserver(&self) -> &Process {
        &self.apiserver
    }

    /// kube-controller-manager's process.
    pub fn controller_manager(&self) -> &Process {
        &self.controller_manager
    }
}

async fn readyz(client: &Client) -> Result<()> {
    let request = axum::http::Request::get("/readyz").body(Vec::new())?;
    let text = client.request_text(request).await?;
    ensure!(text == "ok", "/readyz says {text}");
    Ok(())
}

/// Created by server-side apply until it succeeds: right after `/readyz` the API server can still answer 403 while its own RBAC
/// informers fill.
async fn create_node(client: &Client) -> Result<()> {
    let node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": NODE,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux", "type": "kwok"},
        },
        "status": {"allocatable": {"cpu": "256", "memory": "1Ti", "pods": "5000"}},
    });
    let nodes: Api<Node> = Api::all(client.clone());
    eventually(START, "the node can be created", || async {
        nodes
            .patch(NODE, &PatchParams::apply("testbed").force(), &Patch::Apply(&node))
            .await?;
        Ok(())
    })
    .await
}

async fn node_ready(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = nodes.get(NODE).await?;
    let conditions = node
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    let ready = conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ensure!(ready, "node {} is not ready", node.name_any());
    Ok(())
}

fn etcd(programs: &Programs, folder: &Path, logs: &Path, port: u16) -> Result<Process> {
    let client = format!("http://127.0.0.1:{port}");
    let peer = format!("http://127.0.0.1:{}", ports::free()?);
    Ok(Process::new("etcd", programs.path("etcd")?, logs).args([
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // nothing here outlives a crash
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]))
}

fn apiserver(programs: &Programs, logs: &Path, pki: &Pki, etcd_port: u16, port: u16) -> Result<Process> {
    let file = |path: &Path| path.display().to_string();
    Ok(
        Process::new("kube-apiserver", programs.path("kube-apiserver")?, logs).args([
            format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            // a loopback address in the Endpoints of `kubernetes` is refused
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--disable-admission-plugins=ServiceAccount".to_owned(),
            format!("--tls-cert-file={}", file(&pki.apiserver.certificate)),
            format!("--tls-private-key-file={}", file(&pki.apiserver.key)),
            format!("--client-ca-file={}", file(&pki.cluster.certificate)),
            format!(
                "--requestheader-client-ca-file={}",
                file(&pki.front_proxy.certificate)
            ),
            "--requestheader-allowed-names=front-proxy-client".to_owned(),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-uid-headers=X-Remote-Uid".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
            format!(
                "--proxy-client-cert-file={}",
                file(&pki.front_proxy_client.certificate)
            ),
            format!("--proxy-client-key-file={}", file(&pki.front_proxy_client.key)),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!(
                "--service-account-key-file={}",
                file(&pki.service_account_public_key)
            ),
            format!(
                "--service-account-signing-key-file={}",
                file(&pki.service_account_key)
            ),
        ]),
    )
}

fn controller_manager(
    programs: &Programs,
    logs: &Path,
    pki: &Pki,
    kubeconfig: &Path,
    timing: HpaTiming,
) -> Result<Process> {
    let kubeconfig = kubeconfig.display();
    let stabilization = timing.downscale_stabilization.as_millis();
    Ok(Process::new(
        "kube-controller-manager",
        programs.path("kube-controller-manager")?,
        logs,
    )
    .args([
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={}", ports::free()?),
        "--leader-elect=false".to_owned(),
        "--use-service-account-credentials=true".to_owned(),
        format!(
            "--service-account-private-key-file={}",
            pki.service_account_key.display()
        ),
        format!("--root-ca-file={}", pki.cluster.certificate.display()),
        format!(
            "--horizontal-pod-autoscaler-sync-period={}ms",
            timing.sync.as_millis()
        ),
        format!("--horizontal-pod-autoscaler-downscale-stabilization={stabilization}ms"),
        "--horizontal-pod-autoscaler-initial-readiness-delay=1s".to_owned(),
        "--controllers=*,-nodeipam,-nodelifecycle,-persistentvolume-binder-controller".to_owned(),
        // its default of 20 requests a second throttles HPAs beyond a few hundred
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ]))
}

fn kwok(programs: &Programs, logs: &Path, kubeconfig: &Path) -> Result<Process> {
    Ok(Process::new("kwok", programs.path("kwok")?, logs).args([
        format!("--kubeconfig={}", kubeconfig.display()),
        "--manage-all-nodes=true".to_owned(),
        "--cidr=10.244.0.0/16".to_owned(),
        "--node-ip=127.0.0.1".to_owned(),
        format!("--server-address=127.0.0.1:{}", ports::free()?),
    ]))
}
