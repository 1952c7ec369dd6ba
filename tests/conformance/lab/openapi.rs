//! The `OpenAPI` documents, as the cluster takes them up.

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use testbed::{PATIENCE, eventually};

use super::disturbed::Disturbed;
use crate::lab;
use crate::target::{EXTERNAL, V1BETA1, V1BETA2};

/// What each version's list is called in them.
const LISTS: [(&str, &str); 3] = [
    (
        V1BETA1,
        "io.k8s.metrics.pkg.apis.custom_metrics.v1beta1.MetricValueList",
    ),
    (
        V1BETA2,
        "io.k8s.metrics.pkg.apis.custom_metrics.v1beta2.MetricValueList",
    ),
    (
        EXTERNAL,
        "io.k8s.metrics.pkg.apis.external_metrics.v1beta1.ExternalMetricValueList",
    ),
];

/// A document that Kubernetes' own parsers were shown (`tests/oracles/openapi`).
#[derive(Deserialize)]
struct Judged {
    path: String,
    document: String,
    error: String,
}

/// There from the moment that a replica is ready; merged by the aggregator, which parses version 2 with kube-openapi.
pub(crate) async fn taken_up() -> Result<()> {
    {
        let testbed = Disturbed::get().await?;
        let [_, admin] = testbed.admins().await?;
        testbed.replicas()[1].restart().await?;
        for path in ["/openapi/v2", "/openapi/v3"] {
            admin.get(path).await?.json(200)?;
        }
        for (version, _) in LISTS {
            admin
                .get(&format!("/openapi/v3/apis/{version}"))
                .await?
                .json(200)?;
        }
    }
    let admin = lab::target().await?.admin.clone();
    let version = format!("\"version\":\"{}\"}}", env!("CARGO_PKG_VERSION"));
    for judged in serde_json::from_str::<Vec<Judged>>(include_str!("../../fixtures/openapi.json"))? {
        let served = admin.get(&judged.path).await?.text();
        let served = served.trim_end().replace(&version, "\"version\":\"0.0.0\"}");
        ensure!(
            served == judged.document,
            "{} is not what was judged",
            judged.path
        );
        ensure!(judged.error.is_empty(), "{}: {}", judged.path, judged.error);
    }
    let cluster = lab::cluster().await?;
    let client = cluster.client().await?;
    let get = async |path: &str| {
        anyhow::Ok(
            client
                .request::<Value>(http::Request::get(path).body(Vec::new())?)
                .await?,
        )
    };
    eventually(PATIENCE, "the cluster's OpenAPI has our versions", || async {
        let index = get("/openapi/v3").await?;
        for (version, list) in LISTS {
            let url = &index["paths"][format!("apis/{version}")]["serverRelativeURL"];
            let url = url
                .as_str()
                .with_context(|| format!("{version} is not in /openapi/v3"))?;
            let document = get(url).await?;
            ensure!(
                document["components"]["schemas"][list].is_object(),
                "{url} has no {list}"
            );
        }
        let merged = get("/openapi/v2").await?;
        for (_, list) in LISTS {
            ensure!(
                merged["definitions"][list].is_object(),
                "/openapi/v2 has no {list}"
            );
        }
        Ok(())
    })
    .await
}
