//! Discovery, OpenAPI and the bodies themselves, as Go's libraries read them.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::eventually;

use super::program::{Answer, JSON, PROTOBUF, Program};
use super::scene::in_scene;

const CUSTOM: &str = "custom.metrics.k8s.io";
const EXTERNAL: &str = "external.metrics.k8s.io";
/// kube-apiserver looks for OpenAPI documents once a minute.
pub(super) const OPENAPI: std::time::Duration = std::time::Duration::from_secs(150);

#[tokio::test]
async fn go_walks_through_discovery() -> Result<()> {
    in_scene("clients-discovery", async |scene| {
        let mapping = |kind: &str| json!({"name": kind, "call": "mapping", "kind": kind});
        let calls = [
            plain("groups"),
            plain("legacy-groups"),
            plain("preferred"),
            mapping("Deployment.apps"),
            mapping("MetricRule.metricrule.dev"),
        ];
        for content_type in [PROTOBUF, JSON] {
            let program = Program::new(&scene, scene.admin()).content_type(content_type);
            let answers = program.run(&calls).await?;
            let [groups, legacy, preferred, deployment, rule] = answers.as_slice() else {
                anyhow::bail!("{answers:?}")
            };
            discovered(groups)?;
            listed(legacy)?;
            // what can be deleted is what stands in the way of a namespace's end
            ensure!(read(preferred)?["deletable"] == json!({}), "{preferred:?}");
            ensure!(
                read(deployment)? == &json!({"resource": "deployments", "scope": "namespace"}),
                "{deployment:?}"
            );
            ensure!(
                read(rule)? == &json!({"resource": "metricrules", "scope": "namespace"}),
                "{rule:?}"
            );
        }
        Ok(())
    })
    .await
}

/// Aggregated discovery names groups and versions, and no resource.
fn discovered(answer: &Answer) -> Result<()> {
    let wanted = json!({
        CUSTOM: {"preferred": "v1beta2", "versions": ["v1beta2", "v1beta1"], "resources": {"v1beta1": [], "v1beta2": []}},
        EXTERNAL: {"preferred": "v1beta1", "versions": ["v1beta1"], "resources": {"v1beta1": []}},
    });
    ensure!(read(answer)? == &wanted, "{}", answer.result);
    Ok(())
}

/// The lists of each version name the metrics; nothing but `get` can be done with them.
fn listed(answer: &Answer) -> Result<()> {
    let groups = read(answer)?;
    ensure!(
        groups[CUSTOM]["versions"] == json!(["v1beta2", "v1beta1"]),
        "{groups}"
    );
    for (list, entry) in [
        (
            &groups[CUSTOM]["resources"]["v1beta1"],
            "pods/clients_load namespaced MetricValueList get",
        ),
        (
            &groups[CUSTOM]["resources"]["v1beta2"],
            "pods/clients_load namespaced MetricValueList get",
        ),
        (
            &groups[CUSTOM]["resources"]["v1beta2"],
            "nodes/clients_power cluster MetricValueList get",
        ),
        (
            &groups[CUSTOM]["resources"]["v1beta2"],
            "deployments.apps/clients_backlog namespaced MetricValueList get",
        ),
        (
            &groups[EXTERNAL]["resources"]["v1beta1"],
            "clients_queue namespaced ExternalMetricValueList get",
        ),
    ] {
        let entries = list.as_array().with_context(|| format!("no list: {groups}"))?;
        ensure!(
            entries.iter().any(|is| is == entry),
            "no {entry:?} in {entries:?}"
        );
        ensure!(
            entries
                .iter()
                .all(|entry| entry.as_str().is_some_and(|entry| entry.ends_with(" get"))),
            "{entries:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn go_reads_the_openapi_documents() -> Result<()> {
    in_scene("clients-openapi", async |scene| {
        eventually(OPENAPI, "kube-apiserver has our OpenAPI documents", || async {
            let program = Program::new(&scene, scene.admin());
            let answers = program.run(&[plain("openapi-v2"), plain("openapi-v3")]).await?;
            let v2 = read(answers.first().context("no answer")?)?;
            let v3 = read(answers.last().context("no answer")?)?;
            for (version, kind) in [
                (
                    "custom.metrics.k8s.io/v1beta1",
                    "custom_metrics.v1beta1.MetricValueList",
                ),
                (
                    "custom.metrics.k8s.io/v1beta2",
                    "custom_metrics.v1beta2.MetricValueList",
                ),
                (
                    "external.metrics.k8s.io/v1beta1",
                    "external_metrics.v1beta1.ExternalMetricValueList",
                ),
            ] {
                let kind = format!("io.k8s.metrics.pkg.apis.{kind}");
                let has = |list: &Value, wanted: &str| {
                    list.as_array()
                        .is_some_and(|list| list.iter().any(|is| is == wanted))
                };
                ensure!(has(&v2["definitions"], &kind), "no {kind}: {v2}");
                ensure!(
                    has(&v2["paths"], &format!("/apis/{version}/")),
                    "no path of {version}: {v2}"
                );
                let document = &v3[format!("apis/{version}")];
                ensure!(has(&document["schemas"], &kind), "no {kind}: {v3}");
                ensure!(document["paths"].as_u64() > Some(0), "no path of {version}: {v3}");
            }
            Ok(())
        })
        .await
    })
    .await
}

/// Each body decodes strictly into Go's own type and comes back from it unchanged.
#[tokio::test]
async fn go_writes_every_body_back_as_it_was() -> Result<()> {
    in_scene("clients-bodies", async |scene| {
        let namespace = &scene.namespace;
        let mut wanted = vec![
            (format!("/apis/{CUSTOM}"), "v1 APIGroup".to_owned()),
            (format!("/apis/{EXTERNAL}"), "v1 APIGroup".to_owned()),
            (
                format!("/apis/{EXTERNAL}/v1beta1"),
                "v1 APIResourceList".to_owned(),
            ),
        ];
        for query in ["", "?labelSelector=queue%3Dmails", "?labelSelector=queue%3Dnone"] {
            wanted.push((
                format!("/apis/{EXTERNAL}/v1beta1/namespaces/{namespace}/clients_queue{query}"),
                format!("{EXTERNAL}/v1beta1 ExternalMetricValueList"),
            ));
        }
        for version in ["v1beta1", "v1beta2"] {
            wanted.push((
                format!("/apis/{CUSTOM}/{version}"),
                "v1 APIResourceList".to_owned(),
            ));
            for path in [
                &format!("/namespaces/{namespace}/pods/*/clients_load"),
                &format!("/namespaces/{namespace}/pods/*/clients_load?metricLabelSelector=verb%21%3DGET"),
                &format!("/namespaces/{namespace}/pods/%2A/clients_load?metricLabelSelector=verb"),
                &format!("/namespaces/{namespace}/pods/*/clients_load?labelSelector=app%3Dnone"),
                &format!("/namespaces/{namespace}/pods/front/clients_load"),
                &format!("/namespaces/{namespace}/deployments.apps/web/clients_backlog"),
                &format!("/namespaces/{namespace}/metrics/clients_budget"),
                "/nodes/*/clients_power",
            ] {
                wanted.push((
                    format!("/apis/{CUSTOM}/{version}{path}"),
                    format!("{CUSTOM}/{version} MetricValueList"),
                ));
            }
        }
        let calls: Vec<Value> = wanted
            .iter()
            .map(|(path, _)| json!({"name": path, "call": "document", "path": path}))
            .collect();
        let answers = Program::new(&scene, scene.admin()).run(&calls).await?;
        for (answer, (path, kind)) in answers.iter().zip(&wanted) {
            ensure!(read(answer)? == kind, "{path}: {}", answer.result);
        }
        Ok(())
    })
    .await
}

/// A metrics API that nobody has registered, an unparsable selector, a path that is none: what client-go makes of each.
#[tokio::test]
async fn go_understands_what_it_is_refused() -> Result<()> {
    in_scene("clients-refused", async |scene| {
        let namespace = &scene.namespace;
        let load = format!("/apis/{CUSTOM}/v1beta2/namespaces/{namespace}/pods/*/clients_load");
        let queue = format!("/apis/{EXTERNAL}/v1beta1/namespaces/{namespace}/clients_queue");
        let wanted = [
            (
                format!("{load}?labelSelector=%21%21"),
                400,
                "BadRequest",
                "unable to parse requirement",
            ),
            (
                format!("{load}?metricLabelSelector=%21%21"),
                400,
                "BadRequest",
                "unable to parse requirement",
            ),
            (
                format!("{queue}?labelSelector=%21%21"),
                400,
                "BadRequest",
                "unable to parse requirement",
            ),
            (
                format!("{queue}?labelSelector=a%20in%20b"),
                400,
                "BadRequest",
                "unable to parse requirement",
            ),
            (
                format!("{load}/more"),
                404,
                "NotFound",
                "could not find the requested resource",
            ),
            (
                format!("/apis/{CUSTOM}/v1beta2/namespaces/{namespace}/x"),
                400,
                "BadRequest",
                "invalid request path",
            ),
        ];
        let mut calls: Vec<Value> = wanted
            .iter()
            .map(|(path, ..)| json!({"name": path, "call": "document", "path": path}))
            .collect();
        calls.push(json!({"name": "pods", "call": "pods", "namespace": namespace}));
        calls.push(json!({"name": "nodes", "call": "nodes"}));
        let answers = Program::new(&scene, scene.admin()).run(&calls).await?;
        for (answer, (path, code, is, says)) in answers.iter().zip(&wanted) {
            let error = answer
                .error
                .as_ref()
                .with_context(|| format!("{path} is answered {}", answer.result))?;
            ensure!(error.code == *code && error.is == [*is], "{path}: {error:?}");
            ensure!(error.message.contains(says), "{path}: {error:?}");
            ensure!(answer.warnings.is_empty(), "{answer:?}");
        }
        for answer in &answers[wanted.len()..] {
            // kube-apiserver's own answer, which is no Status
            let error = answer.error.as_ref().context("metrics.k8s.io is served")?;
            ensure!(
                error.code == 404 && error.is == ["NotFound", "UnexpectedServerError"],
                "{error:?}"
            );
        }
        Ok(())
    })
    .await
}

fn plain(name: &str) -> Value {
    json!({"name": name, "call": name})
}

fn read(answer: &Answer) -> Result<&Value> {
    ensure!(
        answer.warnings.is_empty(),
        "{} is warned: {:?}",
        answer.name,
        answer.warnings
    );
    answer.result()
}
