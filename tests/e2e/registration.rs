//! The registration beside a rival that owns one of the APIs: never touched, told to who looks, taken only when it is given.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::{PATIENCE, Testbed, eventually, throughout};

use crate::support::{
    builder, condition, ensure_conditions, ensure_no_refusal, get, list, read_rule, rule, serves,
};

const EXTERNAL: &str = "v1beta1.external.metrics.k8s.io";
/// How long the rival has to be left alone.
const LEFT_ALONE: Duration = Duration::from_mins(1);
/// Longer than the second that lies between two writes to one `APIService`.
const SOON: Duration = Duration::from_secs(5);
const TAKE_OVER: &str = "metricrule.dev/take-over";

/// Another adapter's `APIService` and Service. What answers behind it is ours, so that it is Available, as a rival in use is.
fn rival(testbed: &Testbed) -> String {
    let port = testbed.balancer().port();
    list(&[
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "rival"}}),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "other-adapter", "namespace": "rival"},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"name": "https", "port": port}]},
        }),
        json!({
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": EXTERNAL, "labels": {"app.kubernetes.io/name": "other-adapter"}},
            "spec": rival_spec(port),
        }),
    ])
}

fn rival_spec(port: u16) -> Value {
    json!({
        "group": "external.metrics.k8s.io", "version": "v1beta1",
        "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": true,
        "service": {"namespace": "rival", "name": "other-adapter", "port": port},
    })
}

async fn api_service(client: &Client, name: &str) -> Result<Value> {
    get(
        client,
        &format!("/apis/apiregistration.k8s.io/v1/apiservices/{name}"),
    )
    .await
}

#[tokio::test]
async fn a_rivals_api_is_left_alone_and_taken_once_it_is_given() -> Result<()> {
    let testbed = builder().chart().start().await?;
    let client = testbed.client().await?;
    let replica = testbed.replica("replica-0")?;
    replica.start().await?;
    // Before any rule needs the API. What stands behind it runs by now, for kube-apiserver looks again at what it does not
    // reach only after half a minute.
    testbed.apply_anywhere(&rival(&testbed)).await?;

    testbed
        .with_namespace("shop", async |namespace| {
            let rules = [("custom", "Custom"), ("external", "External")].map(|(name, api)| {
                let overrides = json!({"namespace": {"resource": "namespaces"}});
                let mut spec =
                    json!({"api": api, "name": {"as": name}, "metricsQuery": "sum(up{<<.LabelMatchers>>})"});
                if api == "Custom" {
                    spec["resources"] = json!({ "overrides": overrides });
                }
                rule(name, &spec)
            });
            testbed.apply(&namespace, &list(&rules)).await?;

            // Whether kube-apiserver reaches the rival is written there by kube-apiserver; afterwards nobody writes.
            let rivals = eventually(PATIENCE, "the rival is reached", || async {
                let object = api_service(&client, EXTERNAL).await?;
                ensure_conditions(&object, &[("Available", "True")])?;
                Ok(object)
            })
            .await?;
            let untouched = || async {
                let now = api_service(&client, EXTERNAL).await?;
                ensure!(now == rivals, "it was {rivals}, it is {now}");
                ensure!(
                    replica.process().is_running(),
                    "the replica has ended{}",
                    replica.process().tail()
                );
                Ok(())
            };
            futures::try_join!(
                throughout(LEFT_ALONE, "the rival's APIService stays as it is", untouched),
                the_reason_is_told(&testbed, &client, &namespace, &replica),
                custom_metrics_are_registered(&testbed, &client, &namespace),
            )?;
            the_rival_gives_it(&testbed, &client, &namespace, &rivals).await?;
            ensure_no_refusal(std::slice::from_ref(&replica))
        })
        .await
}

/// By the rule's condition, by an Event, and in the log, each naming the owner's Service and namespace.
async fn the_reason_is_told(
    testbed: &Testbed,
    client: &Client,
    namespace: &str,
    replica: &testbed::adapter::Replica,
) -> Result<()> {
    let owner = "rival/other-adapter";
    eventually(PATIENCE, "the rule's condition names the owner", || async {
        let rule = read_rule(client, Some(namespace), "external").await?;
        let registered = condition(&rule, "Registered")?;
        let message = registered["message"].as_str().unwrap_or_default();
        ensure!(
            registered["status"] == "False"
                && registered["reason"] == "OwnedByOther"
                && message.contains(owner),
            "{registered}"
        );
        ensure!(message.contains(EXTERNAL), "{registered}");
        // a rule whose API is another's is good all the same
        ensure_conditions(&rule, &[("Accepted", "True"), ("Ready", "True")])
    })
    .await?;
    eventually(PATIENCE, "an Event names the owner", || async {
        let events = testbed
            .kubectl(&[
                "get",
                "events",
                "--namespace=default",
                "--field-selector=reason=OwnedByOther",
                "--output=json",
            ])
            .await?;
        let events: Value = serde_json::from_str(&events)?;
        let told = events["items"].as_array().into_iter().flatten().any(|event| {
            event["involvedObject"]["kind"] == "APIService"
                && event["involvedObject"]["name"] == EXTERNAL
                && event["type"] == "Warning"
                && event["message"]
                    .as_str()
                    .is_some_and(|message| message.contains(owner))
        });
        ensure!(told, "{events}");
        Ok(())
    })
    .await?;
    let log = replica.process().log_text();
    let told = log
        .lines()
        .any(|line| line.contains("OwnedByOther") && line.contains(owner));
    ensure!(
        told,
        "the log does not name the owner{}",
        replica.process().tail()
    );
    Ok(())
}

/// The other API is not held up by it.
async fn custom_metrics_are_registered(testbed: &Testbed, client: &Client, namespace: &str) -> Result<()> {
    serves(client, Some(namespace), "custom").await?;
    for version in ["v1beta1", "v1beta2"] {
        let object = api_service(client, &format!("{version}.custom.metrics.k8s.io")).await?;
        ensure_conditions(&object, &[("Available", "True")])?;
        ensure!(object["spec"]["service"]["namespace"] == NAMESPACE, "{object}");
        ensure!(object["spec"]["caBundle"].is_string(), "no caBundle: {object}");
        let owner = &object["metadata"]["ownerReferences"];
        ensure!(
            owner[0]["kind"] == "ClusterRole" && owner[0]["name"] == "metricrule",
            "no owner: {object}"
        );
    }
    let group = testbed
        .kubectl(&["get", "--raw", "/apis/custom.metrics.k8s.io"])
        .await?;
    let group: Value = serde_json::from_str(&group)?;
    ensure!(group["preferredVersion"]["version"] == "v1beta2", "{group}");
    let versions = group["versions"].as_array().context("a group without versions")?;
    ensure!(versions.len() == 2, "{group}");
    Ok(())
}

/// Given by the annotation it is taken, with its former spec kept; taken back, it stays the rival's.
async fn the_rival_gives_it(
    testbed: &Testbed,
    client: &Client,
    namespace: &str,
    rivals: &Value,
) -> Result<()> {
    // the command that the condition names
    let rule = read_rule(client, Some(namespace), "external").await?;
    let message = condition(&rule, "Registered")?["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let service = get(
        client,
        &format!("/api/v1/namespaces/{NAMESPACE}/services/metricrule"),
    )
    .await?;
    let uid = service["metadata"]["uid"]
        .as_str()
        .context("a Service without uid")?;
    ensure!(
        message.contains(&format!("kubectl annotate apiservice {EXTERNAL} {TAKE_OVER}=")),
        "{message}"
    );

    // another Service's uid gives nothing
    testbed
        .kubectl(&[
            "annotate",
            "apiservice",
            EXTERNAL,
            &format!("{TAKE_OVER}=not-ours"),
        ])
        .await?;
    throughout(SOON, "a foreign uid gives nothing", || async {
        let now = api_service(client, EXTERNAL).await?;
        ensure!(now["spec"] == rivals["spec"], "{now}");
        Ok(())
    })
    .await?;

    testbed
        .kubectl(&[
            "annotate",
            "--overwrite",
            "apiservice",
            EXTERNAL,
            &format!("{TAKE_OVER}={uid}"),
        ])
        .await?;
    let taken = eventually(PATIENCE, "it is taken over", || async {
        let now = api_service(client, EXTERNAL).await?;
        ensure!(now["spec"]["service"]["namespace"] == NAMESPACE, "{now}");
        ensure_conditions(&now, &[("Available", "True")])?;
        Ok(now)
    })
    .await?;
    let annotations = &taken["metadata"]["annotations"];
    ensure!(annotations.get(TAKE_OVER).is_none(), "{annotations}");
    let former = annotations["metricrule.dev/former"]
        .as_str()
        .context("the former spec is not kept")?;
    let former: Value = serde_json::from_str(former)?;
    ensure!(
        former["spec"] == rivals["spec"],
        "{former} is not the rival's {}",
        rivals["spec"]
    );
    ensure!(
        taken["spec"]["insecureSkipTLSVerify"].is_null() && taken["spec"]["caBundle"].is_string(),
        "{taken}"
    );
    serves(client, Some(namespace), "external").await?;

    let back = json!({"spec": former["spec"], "metadata": {"annotations": {"metricrule.dev/former": null}}});
    let mut back = back;
    back["spec"]["caBundle"] = Value::Null;
    testbed
        .kubectl(&[
            "patch",
            "apiservice",
            EXTERNAL,
            "--type=merge",
            "--patch",
            &back.to_string(),
        ])
        .await?;
    let state = |now: &Value| (now["spec"].clone(), now["metadata"]["annotations"].clone());
    let returned = state(&api_service(client, EXTERNAL).await?);
    throughout(SOON, "what was taken back is not taken again", || async {
        let now = state(&api_service(client, EXTERNAL).await?);
        ensure!(now == returned, "it was {returned:?}, it is {now:?}");
        Ok(())
    })
    .await?;
    eventually(PATIENCE, "the rule says that it is the rival's again", || async {
        let rule = read_rule(client, Some(namespace), "external").await?;
        ensure!(
            condition(&rule, "Registered")?["reason"] == "OwnedByOther",
            "{rule}"
        );
        Ok(())
    })
    .await
}
