//! A cluster in which somebody has registered v1beta1 alone.

use anyhow::Result;
use serde_json::json;
use testbed::Testbed;

use super::program::Program;
use super::scene::in_scene_of;
use super::{cases, judge};
use crate::support::{builder, list};

/// Only what an adapter of years ago has.
const OLDER: [(&str, &str); 2] = [
    ("custom.metrics.k8s.io", "v1beta1"),
    ("external.metrics.k8s.io", "v1beta1"),
];

#[tokio::test]
async fn go_asks_the_older_version_where_no_newer_is_registered() -> Result<()> {
    let testbed = builder().replicas(1).value("register=never").start().await?;
    register(&testbed, testbed.balancer().port(), &OLDER).await?;
    in_scene_of(&testbed, &OLDER, "clients-older", async |scene| {
        let program = Program::new(&scene, scene.admin()).expecting("v1beta1");
        judge(&program, &cases::all(&scene.namespace)).await
    })
    .await
}

/// Registers versions, each to be answered at `port` of this machine, as somebody without the chart would.
pub(super) async fn register(testbed: &Testbed, port: u16, versions: &[(&str, &str)]) -> Result<()> {
    let mut manifests = vec![json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "by-hand", "namespace": "default"},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"name": "https", "port": port}]},
    })];
    for (group, version) in versions {
        let priority = if *version == "v1beta2" { 200 } else { 100 };
        manifests.push(json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": format!("{version}.{group}")},
            "spec": {
                "group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": priority,
                "insecureSkipTLSVerify": true,
                "service": {"namespace": "default", "name": "by-hand", "port": port},
            },
        }));
    }
    testbed.apply_anywhere(&list(&manifests)).await.map(drop)
}
