//! `--register never` with the operator's own CA: whoever writes the `APIService`s hears of what they lack.

use anyhow::{Context as _, Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::{PATIENCE, Testbed, eventually};
use tokio::time::Duration;

use crate::support::{builder, condition, get, list, read_rule, rule};

const EXTERNAL: &str = "v1beta1.external.metrics.k8s.io";
/// The minute that whoever writes it is given, and some air.
const TOLD: Duration = Duration::from_mins(2);

#[tokio::test]
async fn with_register_never_an_api_service_that_lacks_our_ca_is_told_before_and_after_a_rotation()
-> Result<()> {
    let testbed = builder().value("register=never").replicas(1).start().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("never", async |namespace| {
            let spec = json!({"api": "External", "name": {"as": "never"}, "metricsQuery": "sum(up{<<.LabelMatchers>>})"});
            testbed.apply(&namespace, &list(&[rule("never", &spec)])).await?;
            write(&testbed, None).await?;
            registered(&client, &namespace, "False", "CaBundleOutdated", "cannot verify").await?;
            told(&testbed).await?;

            write(&testbed, Some(&bundle(&client).await?)).await?;
            registered(&client, &namespace, "True", "NotManaged", "").await?;

            // A next CA joins the bundle, and nobody writes it there.
            testbed
                .kubectl(&[
                    "annotate",
                    "secret",
                    "metricrule-ca",
                    &format!("--namespace={NAMESPACE}"),
                    "metricrule.dev/rotate=now",
                ])
                .await?;
            registered(&client, &namespace, "True", "CaBundleOutdated", "364 days").await?;
            let page = testbed.replicas().first().context("no replica")?.get("/metrics").await?.1;
            ensure!(
                page.contains(&format!(
                    "metricrule_apiservice_trust_end_timestamp_seconds{{apiservice=\"{EXTERNAL}\"}}"
                )),
                "{page}"
            );
            write(&testbed, Some(&bundle(&client).await?)).await?;
            registered(&client, &namespace, "True", "NotManaged", "").await
        })
        .await
}

/// Writes the `APIService` as a `GitOps` tool would.
async fn write(testbed: &Testbed, bundle: Option<&str>) -> Result<()> {
    let mut spec = json!({
        "group": "external.metrics.k8s.io", "version": "v1beta1",
        "groupPriorityMinimum": 100, "versionPriority": 100,
        "service": {"namespace": NAMESPACE, "name": testbed.install()?.service, "port": testbed.balancer().port()},
    });
    if let Some(bundle) = bundle {
        spec["caBundle"] = json!(bundle);
    }
    let object = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": EXTERNAL, "labels": {"app.kubernetes.io/managed-by": "argocd"}},
        "spec": spec,
    });
    testbed.apply_anywhere(&object.to_string()).await?;
    Ok(())
}

/// `ca.crt` of the Secret, in base64 as a `caBundle` has it.
async fn bundle(client: &Client) -> Result<String> {
    let secret = get(
        client,
        &format!("/api/v1/namespaces/{NAMESPACE}/secrets/metricrule-ca"),
    )
    .await?;
    let bundle = secret["data"]["ca.crt"].as_str().context("no ca.crt")?;
    Ok(bundle.to_owned())
}

async fn registered(client: &Client, namespace: &str, status: &str, reason: &str, text: &str) -> Result<()> {
    eventually(TOLD, &format!("Registered is {status}, {reason}"), || async {
        let rule = read_rule(client, Some(namespace), "never").await?;
        let registered = condition(&rule, "Registered")?;
        ensure!(
            registered["status"] == status && registered["reason"] == reason,
            "{registered}"
        );
        let message = registered["message"].as_str().unwrap_or_default();
        ensure!(message.contains(text), "{registered}");
        Ok(())
    })
    .await
}

/// An Event on the operator's Service.
async fn told(testbed: &Testbed) -> Result<()> {
    eventually(PATIENCE, "an Event on the Service", || async {
        let namespace = format!("--namespace={NAMESPACE}");
        let events = testbed
            .kubectl(&["get", "events", &namespace, "--output=json"])
            .await?;
        let events: Value = serde_json::from_str(&events)?;
        let found = events["items"].as_array().into_iter().flatten().any(|event| {
            event["reason"] == "CaBundleOutdated" && event["involvedObject"]["kind"] == "Service"
        });
        ensure!(found, "{events}");
        Ok(())
    })
    .await
}
