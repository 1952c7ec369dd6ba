//! The reference server: Go's own server library for custom and external metrics with the provider of its test adapter, beside
//! the cluster and not registered in it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::control_plane::ControlPlane;
use crate::kubeconfig::{self, User};
use crate::process::Process;
use crate::testbed::Testbed;
use crate::{http, ports, runtime};

/// It waits for the cluster's authentication ConfigMap and for discovery.
const START: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(5);
const PROGRAM: &str = "custom-metrics-test-adapter";

/// A running reference server. It asks the testbed's kube-apiserver who a client is and what it may. It ends when it is dropped.
///
/// Custom metrics are what [`Self::write`] has put there, about kinds that the cluster had when it started. External metrics are built
/// in, the same for every namespace: `my-external-metric` is 42 with the labels `foo=bar` and 43 with `foo=baz`,
/// `other-external-metric` is 44 without labels; a name that it does not know is an empty list.
#[derive(Debug)]
pub struct Reference {
    process: Process,
    url: String,
    writes: String,
    kubeconfig: PathBuf,
}

// === impl Reference ===

impl Reference {
    /// Starts one and waits until it serves. Clients trust it by the cluster's CA (`control_plane().pki().cluster`) and show a
    /// certificate or token of the cluster, as to any extension API server.
    ///
    /// # Errors
    /// The program is not built, or was not ready within a minute; with the end of its log.
    pub async fn start(testbed: &Testbed) -> Result<Self> {
        let plane = testbed.control_plane();
        let (port, writes) = (ports::free()?, ports::free()?);
        // a folder of its own for each: certificates are named after the server
        let name = format!("reference-{port}");
        let url = format!("https://127.0.0.1:{port}");
        let kubeconfig = kubeconfig::write(
            &testbed.folder().join(format!("{name}.kubeconfig")),
            &url,
            Some(&plane.pki().cluster.certificate),
            &User::Certificate(&plane.pki().admin),
            "default",
        )?;
        let process = Process::new(&name, testbed.program(PROGRAM)?, &testbed.folder().join("logs"))
            .args(serving(plane, &name, port)?)
            .args([format!("--write-address=127.0.0.1:{writes}")]);
        process.start()?;
        let reference = Self {
            process,
            url,
            writes: format!("http://127.0.0.1:{writes}/write-metrics"),
            kubeconfig,
        };
        reference
            .process
            .ready(START, || {
                let path = reference.kubeconfig.clone();
                runtime::run(async move { recognises(&path).await })
            })
            .await?;
        Ok(reference)
    }

    /// Its address, `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A kubeconfig of `system:masters` whose server is this one.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Its process: log, freeze and thaw.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Sets a custom metric of one object, in thousandths. `resource` is `pods` or `deployments.apps`; `namespace` is empty for an
    /// object that has none, and for a Namespace (`namespaces`) itself.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn write(
        &self,
        namespace: &str,
        resource: &str,
        name: &str,
        metric: &str,
        milli: i64,
    ) -> Result<()> {
        self.write_labelled(namespace, resource, name, metric, "", milli)
            .await
    }

    /// [`Self::write`] with labels (`a=b,c=d`) that the metric selector of a request is compared with. An object has one value of a
    /// metric: the last one written, whatever its labels.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn write_labelled(
        &self,
        namespace: &str,
        resource: &str,
        name: &str,
        metric: &str,
        labels: &str,
        milli: i64,
    ) -> Result<()> {
        let path = match (namespace, resource) {
            // under the plural it would be kept as an object in a namespace, where no request looks
            ("", "namespaces") => format!("namespace/{name}/{metric}"),
            ("", _) => format!("{resource}/{name}/{metric}"),
            _ => format!("namespaces/{namespace}/{resource}/{name}/{metric}"),
        };
        let mut url = reqwest::Url::parse(&format!("{}/{path}", self.writes))?;
        if !labels.is_empty() {
            url.query_pairs_mut().append_pair("labels", labels);
        }
        let quantity = serde_json::to_string(&format!("{milli}m"))?;
        let (status, text) = http::post(url.as_str(), quantity, PATIENCE).await?;
        ensure!(status == 200, "POST {url}: {status} {text}");
        Ok(())
    }
}

/// What an extension API server of Kubernetes' own making is told of the cluster, and of the port of loopback that it serves on
/// with a certificate of its own.
///
/// # Errors
/// The certificate cannot be written.
pub(crate) fn serving(plane: &ControlPlane, name: &str, port: u16) -> Result<[String; 7]> {
    let addresses = [Ipv4Addr::LOCALHOST.into()];
    let pair = plane.pki().cluster.server(name, &["localhost"], &addresses)?;
    let cluster = plane.kubeconfig().display();
    Ok([
        format!("--lister-kubeconfig={cluster}"),
        format!("--authentication-kubeconfig={cluster}"),
        format!("--authorization-kubeconfig={cluster}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={}", pair.certificate.display()),
        format!("--tls-private-key-file={}", pair.key.display()),
    ])
}

/// It knows who asks. `/readyz` is green before it has taken up the CA of client certificates; a connection made until then stays
/// anonymous, so each try makes its own.
async fn recognises(kubeconfig: &Path) -> Result<()> {
    let client = kubeconfig::client(kubeconfig).await?;
    let path = "/apis/custom.metrics.k8s.io/v1beta2";
    let request = axum::http::Request::get(path).body(Vec::new())?;
    client.request_text(request).await.context(path)?;
    Ok(())
}
