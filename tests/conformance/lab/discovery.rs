//! Discovery while things come and go.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::{PATIENCE, eventually, throughout};
use tokio::time::Instant;

use super::disturbed::Disturbed;
use crate::ask::{Ask, Protocol};
use crate::expect::same;
use crate::lab;
use crate::target::{EXTERNAL, V1BETA1, V1BETA2};
use crate::url::discovery::{aggregated, discovered, resources};

const VERSIONS: [&str; 3] = [V1BETA1, V1BETA2, EXTERNAL];

/// The same tag everywhere: with other rules, on the other replica, after a restart.
pub(crate) async fn tags() -> Result<()> {
    let testbed = Disturbed::get().await?;
    let [first, second] = testbed.admins().await?;
    let tag = aggregated(&first).await?.header("etag").to_owned();
    same(
        &aggregated(&second).await?.header("etag"),
        &tag.as_str(),
        "the other replica",
    )?;
    testbed.replicas()[1].restart().await?;
    same(
        &aggregated(&second).await?.header("etag"),
        &tag.as_str(),
        "after a restart",
    )?;
    let known = Ask::get("/apis")
        .header(
            "accept",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        )
        .header("if-none-match", &tag);
    same(
        &second.send(&known).await?.status,
        &304,
        "the other replica's tag",
    )
}

/// Each group of ours with its versions, in one document.
pub(crate) async fn registered() -> Result<()> {
    let target = lab::target().await?;
    let items = discovered(&aggregated(&target.admin).await?)?;
    let versions = |item: &Value| {
        item["versions"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|version| version["version"].clone())
            .collect::<Vec<_>>()
    };
    let found: Vec<_> = items
        .iter()
        .map(|item| (item["metadata"]["name"].clone(), versions(item)))
        .collect();
    let want = vec![
        (
            json!("custom.metrics.k8s.io"),
            vec![json!("v1beta2"), json!("v1beta1")],
        ),
        (json!("external.metrics.k8s.io"), vec![json!("v1beta1")]),
    ];
    same(&found, &want, "groups and versions")?;
    // and the aggregator takes them over as they are
    let cluster = lab::cluster().await?;
    let client = cluster.client().await?;
    for (group, version) in VERSIONS.iter().filter_map(|version| version.split_once('/')) {
        eventually(PATIENCE, "the cluster's discovery has it", || async {
            let request = http::Request::get("/apis")
                .header(
                    "accept",
                    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                )
                .body(Vec::new())?;
            let all: Value = client.request(request).await?;
            let item = all["items"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|item| item["metadata"]["name"] == group);
            let versions = item.context("no such group")?["versions"]
                .as_array()
                .into_iter()
                .flatten();
            let found = versions
                .into_iter()
                .find(|item| item["version"] == version)
                .context("no such version")?;
            same(&found["freshness"], &json!("Current"), group)
        })
        .await?;
    }
    Ok(())
}

/// Every metric of the suite's data, with the scope of its kind.
pub(crate) async fn listed() -> Result<()> {
    let target = lab::target().await?;
    let metrics = &target.data.metrics;
    for version in [V1BETA1, V1BETA2] {
        let listed = resources(&target.admin, version).await?;
        for (name, namespaced) in [
            (format!("pods/{}", metrics.pods), true),
            (format!("deployments.apps/{}", metrics.deployments), true),
            (format!("ingresses.networking.k8s.io/{}", metrics.ingresses), true),
            (format!("namespaces/{}", metrics.namespaces), false),
            (format!("nodes/{}", metrics.nodes), false),
        ] {
            same(
                &listed.get(&name),
                &Some(&namespaced),
                &format!("{version}: {name}"),
            )?;
        }
    }
    let external = resources(&target.admin, EXTERNAL).await?;
    same(&external.get(&metrics.external), &Some(&true), &metrics.external)
}

/// From memory: the list is the one from before, at once.
pub(crate) async fn without_backend() -> Result<()> {
    let testbed = Disturbed::get().await?;
    let [admin, _] = testbed.admins().await?;
    eventually(PATIENCE, "the series is found", || async {
        let listed = resources(&admin, V1BETA2).await?;
        ensure!(listed.contains_key("pods/disturbed_found"), "{listed:?}");
        Ok(())
    })
    .await?;
    let mut before = Vec::new();
    for version in VERSIONS {
        before.push(resources(&admin, version).await?);
    }
    testbed.prometheus().freeze()?;
    let outcome = async {
        let mut connection = admin.connect(Protocol::Http2).await?;
        for (version, before) in VERSIONS.iter().zip(&before) {
            let mut fastest = Duration::MAX;
            // one of ten: the machine may be busy with other things
            for _ in 0..10 {
                let began = Instant::now();
                let reply = connection.send(&Ask::get(&format!("/apis/{version}"))).await?;
                fastest = fastest.min(began.elapsed());
                reply.json(200)?;
            }
            ensure!(
                fastest < Duration::from_millis(100),
                "{version}: {fastest:?} at best"
            );
            same(&resources(&admin, version).await?, before, version)?;
        }
        throughout(Duration::from_secs(3), "available", || testbed.available()).await
    }
    .await;
    testbed.prometheus().thaw()?;
    outcome
}

/// The last rule goes: empty lists, and still there.
pub(crate) async fn without_metrics() -> Result<()> {
    let testbed = Disturbed::get().await?;
    let admins = testbed.admins().await?;
    testbed.drop_rules().await?;
    let outcome = async {
        for admin in &admins {
            eventually(PATIENCE, "nothing is listed", || async {
                for version in VERSIONS {
                    let reply = admin.get(&format!("/apis/{version}")).await?;
                    ensure!(reply.text().contains("\"resources\":[]"), "{}", reply.text());
                    reply.json(200)?;
                }
                Ok(())
            })
            .await?;
            let items = discovered(&aggregated(admin).await?)?;
            let versions = items
                .iter()
                .flat_map(|item| item["versions"].as_array().into_iter().flatten());
            for version in versions {
                same(&version["freshness"], &json!("Current"), "without metrics")?;
            }
        }
        // nobody has looked at the APIServices since: a change has the aggregator look at once
        testbed
            .kubectl(&[
                "annotate",
                "apiservice",
                "v1beta1.external.metrics.k8s.io",
                "conformance=1",
                "--overwrite",
            ])
            .await?;
        throughout(Duration::from_secs(3), "available", || testbed.available()).await
    }
    .await;
    testbed.make_rules().await?;
    outcome
}

/// The front proxy's certificate and a name, without a group: as the aggregator's fallback asks.
pub(crate) async fn as_the_aggregator() -> Result<()> {
    let target = lab::target().await?;
    let cluster = lab::cluster().await?;
    let proxy = lab::identity(&cluster.control_plane().pki().front_proxy_client)?;
    let aggregator = target.admin.with_identity(proxy);
    let named = |path: &str| Ask::get(path).header("x-remote-user", "system:kube-aggregator");
    let mut paths = vec![
        "/apis".to_owned(),
        "/openapi/v2".to_owned(),
        "/openapi/v3".to_owned(),
    ];
    for version in VERSIONS {
        paths.push(format!("/apis/{version}"));
        paths.push(format!("/openapi/v3/apis/{version}"));
    }
    for path in &paths {
        aggregator
            .send(&named(path).header("accept", "application/json"))
            .await?
            .json(200)?;
    }
    let document = named("/apis").header(
        "accept",
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    );
    discovered(&aggregator.send(&document).await?)?;
    // it is nobody special: what discovery's roles do not give, it does not get
    let refused = aggregator
        .send(&named(&target.external()))
        .await?
        .failure(403, "Forbidden")?;
    ensure!(
        refused.message.contains("User \"system:kube-aggregator\""),
        "{refused:?}"
    );
    // a stranger is asked about as well
    target
        .admin
        .anonymous()
        .get("/apis")
        .await?
        .failure(403, "Forbidden")?;
    Ok(())
}
