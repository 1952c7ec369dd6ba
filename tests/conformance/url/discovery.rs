//! Discovery, `OpenAPI`, version and health (points 51 to 62).

mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::ask::{Ask, Client, Reply};
use crate::expect::same;
use crate::lab;
use crate::point::{Point, lab, url};
use crate::target::{CUSTOM, EXTERNAL, Target, V1BETA1, V1BETA2};

pub(super) const POINTS: &[Point] = &[
    url(
        51,
        "aggregated discovery: the exact content type, a quoted SHA-512 as ETag, 304, `Vary: Accept`, `Cache-Control: public`",
        |target| Box::pin(aggregated_discovery(target)),
    ),
    lab(52, "its ETag is the same on all replicas and after a restart", || {
        Box::pin(lab::discovery::tags())
    }),
    url(
        53,
        "one document has every group that is registered; each version is `Current`",
        |target| Box::pin(whole(target)),
    )
    .and_lab(|| Box::pin(lab::discovery::registered())),
    url(
        54,
        "no resource is listed with two scopes; the only verb is get",
        |target| Box::pin(scopes_and_verbs(target)),
    )
    .and_lab(|| Box::pin(lab::discovery::listed())),
    lab(
        55,
        "legacy discovery answers from memory, within 100 ms, while the backend is down",
        || Box::pin(lab::discovery::without_backend()),
    ),
    lab(
        56,
        "without metrics it is 200 with `\"resources\":[]`, and the APIServices stay available",
        || Box::pin(lab::discovery::without_metrics()),
    ),
    url(
        57,
        "`/apis` and `/apis/{group}` list all versions that are served",
        |target| Box::pin(versions(target)),
    )
    .beyond("lists only v1beta1 of custom metrics, though v1beta2 is served; behind the aggregator nobody sees it"),
    lab(
        58,
        "system:kube-aggregator may read discovery without being a master, by a review",
        || Box::pin(lab::discovery::as_the_aggregator()),
    ),
    url(
        59,
        "`/openapi/v2` and `/openapi/v3` have an ETag, v3 lists every version; Go's parser and the aggregator take both, from the \
         first readiness on",
        |target| Box::pin(documents::openapi(target)),
    )
    .and_lab(|| Box::pin(lab::openapi::taken_up())),
    url(60, "`/version` is JSON", |target| Box::pin(documents::version(target))),
    url(
        61,
        "`/healthz`, `/livez`, `/readyz` are `ok` for anyone, single checks for authorized users; a failing check is 500 with `[-]`",
        |target| Box::pin(documents::health(target)),
    )
    .and_lab(|| Box::pin(lab::health::failing())),
    lab(
        62,
        "`/readyz` is red until the cluster's configuration and kinds are known, and not because the backend is down",
        || Box::pin(lab::health::gates()),
    ),
];

/// The content type of aggregated discovery.
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/apis` as the aggregator asks for it.
pub(crate) async fn aggregated(client: &Client) -> Result<Reply> {
    let reply = client
        .send(&Ask::get("/apis").header("accept", AGGREGATED))
        .await?;
    if reply.status != 200 || reply.header("content-type") != AGGREGATED {
        return reply.fail("want an APIGroupDiscoveryList");
    }
    Ok(reply)
}

/// What it says.
pub(crate) fn discovered(reply: &Reply) -> Result<Vec<Value>> {
    let body: Value = serde_json::from_slice(&reply.body)?;
    same(&body["kind"], &Value::from("APIGroupDiscoveryList"), "the kind")?;
    same(
        &body["apiVersion"],
        &Value::from("apidiscovery.k8s.io/v2"),
        "the version",
    )?;
    body["items"]
        .as_array()
        .cloned()
        .with_context(|| format!("no items: {body}"))
}

/// The names in a legacy list, each with whether it is namespaced.
pub(crate) async fn resources(client: &Client, version: &str) -> Result<BTreeMap<String, bool>> {
    let list = client.get(&format!("/apis/{version}")).await?.json(200)?;
    same(&list["kind"], &Value::from("APIResourceList"), version)?;
    same(&list["apiVersion"], &Value::from("v1"), version)?;
    same(&list["groupVersion"], &Value::from(version), version)?;
    let mut resources = BTreeMap::new();
    for resource in list["resources"]
        .as_array()
        .with_context(|| format!("no resources: {list}"))?
    {
        let name = resource["name"]
            .as_str()
            .with_context(|| format!("no name: {resource}"))?;
        let namespaced = resource["namespaced"]
            .as_bool()
            .with_context(|| format!("no scope: {resource}"))?;
        let kind = if version == EXTERNAL {
            "ExternalMetricValueList"
        } else {
            "MetricValueList"
        };
        same(&resource["kind"], &Value::from(kind), name)?;
        same(&resource["singularName"], &Value::from(""), name)?;
        same(&resource["verbs"], &serde_json::json!(["get"]), name)?;
        ensure!(
            resources.insert(name.to_owned(), namespaced).is_none(),
            "{version}: {name} twice"
        );
    }
    Ok(resources)
}

/// A quoted SHA-512 in upper case.
fn ensure_tag(reply: &Reply) -> Result<()> {
    let tag = reply.header("etag");
    let inner = tag
        .strip_prefix('"')
        .and_then(|tag| tag.strip_suffix('"'))
        .unwrap_or_default();
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    if inner.len() != 128 || !inner.bytes().all(hexadecimal) {
        return reply.fail("the ETag is no quoted SHA-512 in upper-case hexadecimal");
    }
    Ok(())
}

async fn aggregated_discovery(target: Arc<Target>) -> Result<()> {
    let older = format!(
        "{AGGREGATED},application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
    );
    let first = aggregated(&target.admin).await?;
    for accept in [AGGREGATED, &older] {
        let ask = || Ask::get("/apis").header("accept", accept);
        for known in [None, Some("\"abc\"")] {
            let ask = known
                .into_iter()
                .fold(ask(), |ask, tag| ask.header("if-none-match", tag));
            let reply = target.admin.send(&ask).await?;
            same(&reply.status, &200, accept)?;
            same(&reply.header("content-type"), &AGGREGATED, accept)?;
            same(&reply.header("cache-control"), &"public", accept)?;
            let vary = reply
                .headers
                .get_all("vary")
                .iter()
                .any(|value| value.as_bytes().eq_ignore_ascii_case(b"accept"));
            ensure!(vary, "no Vary: Accept: {:?}", reply.headers);
            ensure_tag(&reply)?;
            same(&reply.header("etag"), &first.header("etag"), "the tag")?;
            same(&reply.body, &first.body, "the document")?;
            discovered(&reply)?;
        }
        let known = ask().header("if-none-match", first.header("etag"));
        let reply = target.admin.send(&known).await?;
        same(&reply.status, &304, "with the tag")?;
        ensure!(reply.body.is_empty(), "a body: {}", reply.text());
    }
    // without it, the old list
    let plain = target
        .admin
        .send(&Ask::get("/apis").header("accept", "application/json"))
        .await?
        .json(200)?;
    same(&plain["kind"], &Value::from("APIGroupList"), "plain JSON")
}

async fn whole(target: Arc<Target>) -> Result<()> {
    let items = discovered(&aggregated(&target.admin).await?)?;
    let served: BTreeSet<_> = [V1BETA1, V1BETA2, EXTERNAL]
        .into_iter()
        .map(ToOwned::to_owned)
        .collect();
    let mut listed = BTreeSet::new();
    for item in &items {
        let group = item["metadata"]["name"]
            .as_str()
            .with_context(|| format!("no name: {item}"))?;
        for version in item["versions"]
            .as_array()
            .with_context(|| format!("no versions: {item}"))?
        {
            let name = version["version"]
                .as_str()
                .with_context(|| format!("no version: {version}"))?;
            same(&version["freshness"], &Value::from("Current"), group)?;
            ensure!(listed.insert(format!("{group}/{name}")), "{group}/{name} twice");
        }
    }
    // An empty document is whole too: a version that is not in it is one without resources to the aggregator, and current.
    ensure!(
        items.is_empty() || listed == served,
        "lists {listed:?}, serves {served:?}"
    );
    for version in &served {
        resources(&target.admin, version).await?;
    }
    Ok(())
}

async fn scopes_and_verbs(target: Arc<Target>) -> Result<()> {
    let mut of_custom = Vec::new();
    for version in CUSTOM {
        let resources = resources(&target.admin, version).await?;
        let mut scopes = BTreeMap::new();
        for (name, namespaced) in &resources {
            // one without a slash would be no metric; a server without metrics may list `/something`
            let (parent, metric) = name
                .split_once('/')
                .with_context(|| format!("{name} is no subresource"))?;
            ensure!(!metric.is_empty(), "{name}");
            let scope = *scopes.entry(parent.to_owned()).or_insert(*namespaced);
            same(
                namespaced,
                &scope,
                &format!("{version}: the scope of {name} and of another of {parent}"),
            )?;
        }
        of_custom.push(resources);
    }
    ensure!(
        of_custom.first() == of_custom.last(),
        "the versions list different metrics: {of_custom:?}"
    );
    for (name, namespaced) in resources(&target.admin, EXTERNAL).await? {
        ensure!(namespaced, "{name} is asked for in a namespace");
    }

    for item in discovered(&aggregated(&target.admin).await?)? {
        for version in item["versions"].as_array().into_iter().flatten() {
            let mut names = BTreeSet::new();
            for resource in version["resources"].as_array().into_iter().flatten() {
                let name = resource["resource"].as_str().unwrap_or_default();
                ensure!(names.insert(name.to_owned()), "{name} twice: {version}");
                let below = resource["subresources"].as_array().into_iter().flatten();
                for listed in below.chain([resource]) {
                    let verbs = listed["verbs"].as_array().into_iter().flatten();
                    ensure!(verbs.into_iter().all(|verb| verb == "get"), "{listed}");
                }
            }
        }
    }
    Ok(())
}

async fn versions(target: Arc<Target>) -> Result<()> {
    let list = target.admin.get("/apis").await?.json(200)?;
    same(&list["kind"], &Value::from("APIGroupList"), "/apis")?;
    for (group, served) in [
        ("custom.metrics.k8s.io", &["v1beta1", "v1beta2"][..]),
        ("external.metrics.k8s.io", &["v1beta1"]),
    ] {
        let alone = target.admin.get(&format!("/apis/{group}")).await?.json(200)?;
        same(&alone["kind"], &Value::from("APIGroup"), group)?;
        same(&alone["apiVersion"], &Value::from("v1"), group)?;
        let groups = list["groups"]
            .as_array()
            .with_context(|| format!("no groups: {list}"))?;
        let listed = groups.iter().find(|listed| listed["name"] == group);
        for found in [
            &alone,
            listed.with_context(|| format!("{group} is not in {list}"))?,
        ] {
            same(&found["name"], &Value::from(group), group)?;
            let mut versions = Vec::new();
            for version in found["versions"]
                .as_array()
                .with_context(|| format!("no versions: {found}"))?
            {
                let name = version["version"].as_str().unwrap_or_default();
                same(
                    &version["groupVersion"],
                    &Value::from(format!("{group}/{name}")),
                    group,
                )?;
                versions.push(name);
            }
            versions.sort_unstable();
            same(&versions.as_slice(), &served, group)?;
            let preferred = found["versions"].as_array().into_iter().flatten();
            ensure!(
                preferred
                    .into_iter()
                    .any(|version| version == &found["preferredVersion"]),
                "{found}"
            );
        }
    }
    Ok(())
}
