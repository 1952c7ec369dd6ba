//! kubectl of two ages: 1.20, which asks each version for its list and explains from the merged OpenAPI v2 document, and one of
//! today, which knows aggregated discovery and OpenAPI v3.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testbed::{PATIENCE, eventually};

use super::scene::{Scene, in_scene};

pub(super) const AGES: [(&str, &str); 2] = [("kubectl", "v1.36."), ("kubectl-1.20", "v1.20.")];
const OURS: [&str; 3] = ["metricrules", "clustermetricrules", "metricbackends"];
/// kube-apiserver merges the schemas of new kinds once in a while.
const EXPLAINED: Duration = Duration::from_secs(90);

#[tokio::test]
async fn kubectl_old_and_new_have_nothing_to_complain_of() -> Result<()> {
    in_scene("clients-kubectl", async |scene| {
        for (program, version) in AGES {
            let said = run(&scene, program, "version --client").await?;
            ensure!(said.contains(version), "{program} is {said}");
            resources(&scene, program).await?;
            raw(&scene, program).await?;
            explain(&scene, program).await?;
            let hpas = run(
                &scene,
                program,
                &format!("get hpa --namespace {}", scene.namespace),
            )
            .await?;
            ensure!(hpas.contains("Deployment/web"), "{hpas}");
            let rules = run(
                &scene,
                program,
                &format!("get metricrules --namespace {}", scene.namespace),
            )
            .await?;
            ensure!(rules.contains("Serving"), "{rules}");
            let told = run(
                &scene,
                program,
                &format!("describe hpa web --namespace {}", scene.namespace),
            )
            .await?;
            ensure!(told.contains("clients_load"), "{told}");
        }
        Ok(())
    })
    .await
}

/// Runs kubectl. It succeeds, and says nothing on standard error: no error, no warning.
async fn run(scene: &Scene<'_>, program: &str, line: &str) -> Result<String> {
    let args: Vec<&str> = line.split(' ').collect();
    let said = scene.testbed.run(program, scene.admin(), &args, "").await?;
    ensure!(
        said.success && said.stderr.is_empty(),
        "{program} {line}: {said:?}"
    );
    Ok(said.stdout)
}

async fn resources(scene: &Scene<'_>, program: &str) -> Result<()> {
    let all = run(scene, program, "api-resources").await?;
    let own = run(
        scene,
        program,
        "api-resources --api-group=metricrule.dev --output=name",
    )
    .await?;
    for kind in OURS {
        ensure!(
            all.lines().any(|line| line.starts_with(kind)),
            "{program}: no {kind}: {all}"
        );
        ensure!(
            own.contains(&format!("{kind}.metricrule.dev")),
            "{program}: no {kind}: {own}"
        );
    }
    // metrics of objects are subresources, which are not for this list; of external ones the old lists what it finds
    let custom = run(
        scene,
        program,
        "api-resources --no-headers --api-group=custom.metrics.k8s.io",
    )
    .await?;
    ensure!(custom.is_empty(), "{program}: {custom}");
    let external = run(
        scene,
        program,
        "api-resources --no-headers --api-group=external.metrics.k8s.io",
    )
    .await?;
    let lists = program == "kubectl-1.20";
    ensure!(
        external.contains("clients_queue") == lists,
        "{program}: {external}"
    );
    let versions = run(scene, program, "api-versions").await?;
    for version in [
        "custom.metrics.k8s.io/v1beta1",
        "custom.metrics.k8s.io/v1beta2",
        "external.metrics.k8s.io/v1beta1",
    ] {
        ensure!(
            versions.lines().any(|line| line == version),
            "{program}: no {version}: {versions}"
        );
    }
    Ok(())
}

/// Every kind of path, and what it holds.
async fn raw(scene: &Scene<'_>, program: &str) -> Result<()> {
    let namespace = &scene.namespace;
    let mut paths = vec![
        ("/apis".to_owned(), "/kind", "APIGroupList"),
        (
            "/apis/custom.metrics.k8s.io".to_owned(),
            "/preferredVersion/version",
            "v1beta2",
        ),
        (
            "/apis/external.metrics.k8s.io".to_owned(),
            "/preferredVersion/version",
            "v1beta1",
        ),
        (
            "/apis/external.metrics.k8s.io/v1beta1".to_owned(),
            "/kind",
            "APIResourceList",
        ),
        (
            "/openapi/v3/apis/external.metrics.k8s.io/v1beta1".to_owned(),
            "/openapi",
            "3.0.0",
        ),
    ];
    let queue = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/clients_queue");
    paths.push((
        format!("{queue}?labelSelector=queue%3Dorders"),
        "/items/0/value",
        "80",
    ));
    paths.push((queue, "/items/0/value", "12345m"));
    for version in ["v1beta1", "v1beta2"] {
        let root = format!("/apis/custom.metrics.k8s.io/{version}");
        let here = format!("{root}/namespaces/{namespace}");
        paths.extend([
            (format!("{here}/pods/*/clients_load"), "/items/1/value", "1500m"),
            (
                format!("{here}/pods/*/clients_load?labelSelector=app%3Ddb"),
                "/items/0/value",
                "-250m",
            ),
            (
                format!("{here}/pods/%2A/clients_load?metricLabelSelector=verb%3DPOST"),
                "/items/0/value",
                "2M",
            ),
            (
                format!("{here}/pods/front/clients_load"),
                "/items/0/value",
                "1500m",
            ),
            (
                format!("{here}/deployments.apps/web/clients_backlog"),
                "/items/0/value",
                "7",
            ),
            (
                format!("{here}/metrics/clients_budget"),
                "/items/0/value",
                "1234500m",
            ),
            (
                format!("{root}/nodes/*/clients_power"),
                "/items/0/value",
                "230500m",
            ),
            (
                format!("/openapi/v3/apis/custom.metrics.k8s.io/{version}"),
                "/openapi",
                "3.0.0",
            ),
            (root, "/kind", "APIResourceList"),
        ]);
    }
    for (path, pointer, wanted) in paths {
        // a value is cached for seconds and the first look at a document may be a while away
        eventually(PATIENCE, &path, || async {
            let text = run(scene, program, &format!("get --raw {path}")).await?;
            let body: Value = serde_json::from_str(&text).context("no JSON")?;
            ensure!(
                body.pointer(pointer).is_some_and(|is| is == wanted),
                "{pointer} is not {wanted}: {body}"
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}

async fn explain(scene: &Scene<'_>, program: &str) -> Result<()> {
    for (what, wanted) in [
        ("metricrules", "DESCRIPTION"),
        ("metricrule.spec", "metricsQuery"),
        ("mr.spec.metricsQuery", "<<.LabelMatchers>>"),
        ("metricrules.spec.resources.overrides", "FIELD"),
        ("clustermetricrules.spec.namespaceSelector", "FIELD"),
        ("metricbackends.spec.prometheus.url", "FIELD"),
        ("metricrules.status.conditions", "FIELD"),
        ("clustermetricrules --recursive", "seriesQuery"),
        ("hpa.spec.metrics", "DESCRIPTION"),
        ("pods", "DESCRIPTION"),
    ] {
        eventually(EXPLAINED, &format!("{program} explains {what}"), || async {
            let said = run(scene, program, &format!("explain {what}")).await?;
            ensure!(said.contains(wanted), "no {wanted}: {said}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
