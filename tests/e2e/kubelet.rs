//! A kubelet for port-forwards: KWOK's own one, which leads a pod's port to a program on loopback.

use std::net::Ipv4Addr;

use anyhow::Result;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;
use testbed::control_plane::NODE;
use testbed::process::Process;
use testbed::{PATIENCE, Testbed, ports};
use tokio::net::TcpStream;

/// Runs for as long as it is there.
pub(crate) struct Kubelet {
    _process: Process,
}

impl Kubelet {
    /// Leads these ports of all pods of a namespace to ports on loopback, and makes KWOK's node name it as its kubelet.
    pub(crate) async fn start(testbed: &Testbed, namespace: &str, leads: &[(u16, u16)]) -> Result<Self> {
        let forwards: Vec<_> = leads
            .iter()
            .map(|(port, to)| json!({"ports": [port], "target": {"address": "127.0.0.1", "port": to}}))
            .collect();
        let config = json!({
            "apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "ClusterPortForward", "metadata": {"name": "leads"},
            "spec": {"selector": {"matchNamespaces": [namespace]}, "forwards": forwards},
        });
        let port = ports::free()?;
        let name = format!("kubelet-{port}");
        let file = testbed.folder().join(format!("{name}.json"));
        std::fs::write(&file, config.to_string())?;
        let process = Process::new(&name, testbed.program("kwok")?, &testbed.folder().join("logs")).args([
            format!("--kubeconfig={}", testbed.control_plane().kubeconfig().display()),
            // the other one plays the pods and the node
            "--manage-all-nodes=false".to_owned(),
            "--manage-single-node=nobody".to_owned(),
            format!("--server-address=127.0.0.1:{port}"),
            format!("--config={}", file.display()),
        ]);
        process.start()?;
        process
            .ready(PATIENCE, async || {
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                Ok(())
            })
            .await?;
        let nodes: Api<Node> = Api::all(testbed.client().await?);
        let status = json!({"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": port}}}});
        nodes
            .patch_status(NODE, &PatchParams::default(), &Patch::Merge(&status))
            .await?;
        Ok(Self { _process: process })
    }
}
