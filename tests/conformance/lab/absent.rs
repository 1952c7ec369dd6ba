//! What is not served yet.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::ask::Ask;
use crate::expect::same;
use crate::golden;
use crate::lab;
use crate::target::{CUSTOM, V1BETA2};

/// No resource metrics: 404, and nothing that leads kubectl or an HPA to us for them.
pub(crate) async fn resource_metrics() -> Result<()> {
    let target = lab::target().await?;
    for path in [
        "",
        "/nodes",
        "/pods",
        "/namespaces/conformance-a/pods",
        "/namespaces/conformance-a/pods/web-0",
    ] {
        let path = format!("/apis/metrics.k8s.io/v1beta1{path}");
        let failure = target.admin.get(&path).await?.failure(404, "NotFound")?;
        same(
            &failure.message.as_str(),
            &"the server could not find the requested resource",
            &path,
        )?;
        same(&failure.details, &Some(json!({})), &path)?;
    }
    let groups = target.admin.get("/apis").await?.json(200)?;
    ensure!(!groups.to_string().contains("\"metrics.k8s.io\""), "{groups}");
    let cluster = lab::cluster().await?;
    let services = cluster.kubectl(&["get", "apiservices", "--output=json"]).await?;
    let services: Value = serde_json::from_str(&services)?;
    let ours = services["items"].as_array().into_iter().flatten();
    for service in
        ours.filter(|service| service["spec"]["service"]["namespace"] == testbed::install::NAMESPACE)
    {
        ensure!(service["spec"]["group"] != "metrics.k8s.io", "{service}");
    }
    Ok(())
}

/// Who takes protobuf or anything else gets JSON; who takes protobuf alone is told so.
pub(crate) async fn protobuf() -> Result<()> {
    let target = lab::target().await?;
    let protobuf = "application/vnd.kubernetes.protobuf";
    for version in CUSTOM {
        let path = target.pods(version, "*");
        for accept in [format!("{protobuf}, */*"), format!("{protobuf},application/json")] {
            let reply = target
                .admin
                .send(&Ask::get(&path).header("accept", &accept))
                .await?;
            reply.list(version)?;
            golden::all_pods(&target, version)?.ensure_is(&reply)?;
        }
    }
    let alone = Ask::get(&target.pods(V1BETA2, "*")).header("accept", protobuf);
    target.admin.send(&alone).await?.failure(406, "NotAcceptable")?;
    Ok(())
}
