//! Which path leads where (points 1 to 15).

use std::sync::Arc;

use anyhow::{Result, ensure};
use http::Method;
use serde_json::json;

use crate::ask::Ask;
use crate::expect::{names, same, values};
use crate::point::{Point, url};
use crate::target::{CUSTOM, EXTERNAL, Target, V1BETA1, V1BETA2};

pub(super) const POINTS: &[Point] = &[
    url(
        1,
        "`…/v1beta1/namespaces/{ns}/pods/{pod}/{metric}` is a MetricValueList of v1beta1 with one item",
        |target| Box::pin(async move { one_pod(&target, V1BETA1).await }),
    ),
    url(2, "the same under `v1beta2`, in its shape", |target| {
        Box::pin(async move { one_pod(&target, V1BETA2).await })
    }),
    url(3, "`/pods/*/m` and `/pods/%2A/m` give the same", |target| {
        Box::pin(star_encoded_or_not(target))
    }),
    url(
        4,
        "`/nodes/{node}/m` and `/nodes/*/m` are looked up without a namespace",
        |target| Box::pin(root_scoped(target)),
    ),
    url(
        5,
        "`/namespaces/{ns}/metrics/m` is the metric of the Namespace object",
        |target| Box::pin(of_the_namespace(target)),
    ),
    url(
        6,
        "`deployments.apps` and `ingresses.networking.k8s.io` are group-resources; singular `pod` is understood",
        |target| Box::pin(group_resources(target)),
    ),
    url(
        7,
        "a cluster-scoped kind under a namespace, as an HPA asks for it, resolves or is a clear 404",
        |target| Box::pin(cluster_scoped_under_a_namespace(target)),
    ),
    url(
        8,
        "a trailing slash is accepted on metric and discovery paths",
        |target| Box::pin(trailing_slash(target)),
    ),
    url(
        9,
        "`E/namespaces/{ns}/q` is answered; shorter and longer external paths are 404 Statuses",
        |target| Box::pin(external_paths(target)),
    ),
    url(
        10,
        "short and long custom paths are 404 Statuses with `details: {}`",
        |target| Box::pin(wrong_lengths(target)),
    ),
    url(
        11,
        "`P/namespaces/{ns}/foo` is 400 `invalid request path`",
        |target| Box::pin(no_resource(target)),
    ),
    url(
        12,
        "an unknown version of a served group is a 404 Status in JSON",
        |target| Box::pin(unknown_version(target)),
    ),
    url(
        13,
        "POST, PUT, PATCH, DELETE, OPTIONS and HEAD on metric routes are 405 MethodNotAllowed",
        |target| Box::pin(other_methods(target)),
    ),
    url(
        14,
        "`+` in a query is a space; `%2C` and `%28` are decoded",
        |target| Box::pin(query_decoding(target)),
    ),
    url(
        15,
        "of a parameter that repeats the first counts; unknown ones are ignored",
        |target| Box::pin(repeated_parameters(target)),
    ),
];

async fn one_pod(target: &Target, version: &str) -> Result<()> {
    for (position, namespace) in target.data.namespaces.iter().enumerate() {
        for (pod, value) in namespace.pods() {
            let item = target
                .admin
                .get(&target.pods_in(position, version, pod))
                .await?
                .item(version)?;
            let described = &item["describedObject"];
            same(&described["kind"], &json!("Pod"), "the kind")?;
            same(&described["name"], &json!(pod), "the name")?;
            same(&described["namespace"], &json!(namespace.name), "the namespace")?;
            same(&item["value"], &json!(value), "the value")?;
            let name = if version == V1BETA1 {
                &item["metricName"]
            } else {
                &item["metric"]["name"]
            };
            same(name, &json!(target.data.metrics.pods), "the metric's name")?;
            ensure!(item["timestamp"].is_string(), "no timestamp: {item}");
        }
    }
    Ok(())
}

async fn star_encoded_or_not(target: Arc<Target>) -> Result<()> {
    for version in CUSTOM {
        for (position, namespace) in target.data.namespaces.iter().enumerate() {
            let plain = target
                .admin
                .get(&target.pods_in(position, version, "*"))
                .await?
                .list(version)?;
            let encoded = target
                .admin
                .get(&target.pods_in(position, version, "%2A"))
                .await?
                .list(version)?;
            let all = namespace.pods();
            for items in [&plain, &encoded] {
                let mut found: Vec<_> = names(items).into_iter().zip(values(items)).collect();
                found.sort_unstable();
                same(
                    &found,
                    &all.iter().map(|(name, value)| (*name, *value)).collect(),
                    "pods and values",
                )?;
            }
        }
    }
    Ok(())
}

async fn root_scoped(target: Arc<Target>) -> Result<()> {
    let (node, metric) = (&target.data.node, &target.data.metrics.nodes);
    for version in CUSTOM {
        for name in [node.name.as_str(), "*", "%2A"] {
            let reply = target
                .admin
                .get(&format!("/apis/{version}/nodes/{name}/{metric}"))
                .await?;
            let item = reply.item(version)?;
            same(&item["describedObject"]["kind"], &json!("Node"), "the kind")?;
            same(&item["describedObject"]["name"], &json!(node.name), "the name")?;
            ensure!(
                item["describedObject"].get("namespace").is_none(),
                "a node has no namespace: {item}"
            );
            same(&item["value"], &json!(node.value), "the value")?;
        }
    }
    Ok(())
}

async fn of_the_namespace(target: Arc<Target>) -> Result<()> {
    let metric = &target.data.metrics.namespaces;
    for version in CUSTOM {
        for namespace in &target.data.namespaces {
            let path = format!("/apis/{version}/namespaces/{}/metrics/{metric}", namespace.name);
            let item = target.admin.get(&path).await?.item(version)?;
            same(&item["describedObject"]["kind"], &json!("Namespace"), "the kind")?;
            same(
                &item["describedObject"]["name"],
                &json!(namespace.name),
                "the name",
            )?;
            same(&item["value"], &json!(namespace.value), "the value")?;
        }
    }
    Ok(())
}

async fn group_resources(target: Arc<Target>) -> Result<()> {
    let metrics = &target.data.metrics;
    for version in CUSTOM {
        for namespace in &target.data.namespaces {
            let (deployment, ingress) = (&namespace.deployment, &namespace.ingress);
            let (pod, value) = namespace.pod();
            let asked = [
                (
                    "deployments.apps",
                    deployment.name.as_str(),
                    &metrics.deployments,
                    &*deployment.value,
                    "Deployment",
                    "apps/v1",
                ),
                (
                    "ingresses.networking.k8s.io",
                    &ingress.name,
                    &metrics.ingresses,
                    &ingress.value,
                    "Ingress",
                    "networking.k8s.io/v1",
                ),
                ("pod", pod, &metrics.pods, value, "Pod", "/v1"),
                (
                    "deployment.apps",
                    &deployment.name,
                    &metrics.deployments,
                    &deployment.value,
                    "Deployment",
                    "apps/v1",
                ),
            ];
            for (resource, name, metric, value, kind, api_version) in asked {
                let path = format!(
                    "/apis/{version}/namespaces/{}/{resource}/{name}/{metric}",
                    namespace.name
                );
                let item = target.admin.get(&path).await?.item(version)?;
                same(&item["describedObject"]["kind"], &json!(kind), resource)?;
                same(
                    &item["describedObject"]["apiVersion"],
                    &json!(api_version),
                    resource,
                )?;
                same(&item["describedObject"]["name"], &json!(name), resource)?;
                same(&item["value"], &json!(value), resource)?;
            }
        }
    }
    Ok(())
}

async fn cluster_scoped_under_a_namespace(target: Arc<Target>) -> Result<()> {
    let (node, metric) = (&target.data.node, &target.data.metrics.nodes);
    for version in CUSTOM {
        for namespace in &target.data.namespaces {
            let path = format!(
                "/apis/{version}/namespaces/{}/nodes/{}/{metric}",
                namespace.name, node.name
            );
            let reply = target.admin.get(&path).await?;
            if reply.status == 200 {
                same(&reply.item(version)?["value"], &json!(node.value), "the value")?;
            } else {
                let failure = reply.failure(404, "NotFound")?;
                ensure!(
                    failure.message.contains(metric.as_str()),
                    "which metric: {failure:?}"
                );
            }
        }
    }
    Ok(())
}

async fn trailing_slash(target: Arc<Target>) -> Result<()> {
    let (pod, value) = target.data.first().pod();
    for version in CUSTOM {
        let item = target
            .admin
            .get(&format!("{}/", target.pods(version, pod)))
            .await?
            .item(version)?;
        same(&item["value"], &json!(value), "the value")?;
    }
    let external = target
        .admin
        .get(&format!("{}/", target.external()))
        .await?
        .list(EXTERNAL)?;
    same(
        &external.len(),
        &target.data.first().external.len(),
        "external series",
    )?;
    let documents = [
        ("/apis", "APIGroupList"),
        ("/apis/custom.metrics.k8s.io", "APIGroup"),
    ];
    let lists = [V1BETA1, V1BETA2, EXTERNAL].map(|version| (format!("/apis/{version}"), "APIResourceList"));
    let documents = documents.map(|(path, kind)| (path.to_owned(), kind));
    for (path, kind) in documents.into_iter().chain(lists) {
        let with = target.admin.get(&format!("{path}/")).await?.json(200)?;
        same(&with["kind"], &json!(kind), &path)?;
        same(&with, &target.admin.get(&path).await?.json(200)?, &path)?;
    }
    Ok(())
}

async fn external_paths(target: Arc<Target>) -> Result<()> {
    let metric = &target.data.metrics.external;
    for namespace in &target.data.namespaces {
        let root = format!("/apis/{EXTERNAL}/namespaces/{}", namespace.name);
        let items = target
            .admin
            .get(&format!("{root}/{metric}"))
            .await?
            .list(EXTERNAL)?;
        let mut found = values(&items);
        found.sort_unstable();
        let mut want: Vec<_> = namespace
            .external
            .iter()
            .map(|series| series.value.as_str())
            .collect();
        want.sort_unstable();
        same(&found, &want, "the series' values")?;
        for wrong in [
            root.clone(),
            format!("{root}/a/b"),
            format!("/apis/{EXTERNAL}/{metric}"),
        ] {
            not_found(&target, &wrong).await?;
        }
    }
    Ok(())
}

async fn wrong_lengths(target: Arc<Target>) -> Result<()> {
    for version in CUSTOM {
        let root = format!("/apis/{version}");
        let namespace = &target.data.first().name;
        for path in ["nodes", "nodes/n1", "nodes/n1/m/x/y", "namespaces"] {
            not_found(&target, &format!("{root}/{path}")).await?;
        }
        for path in ["", "/pods/p1", "/pods/p1/m/x"] {
            not_found(&target, &format!("{root}/namespaces/{namespace}{path}")).await?;
        }
    }
    Ok(())
}

/// 404 with the sentence of a route that is none.
async fn not_found(target: &Target, path: &str) -> Result<()> {
    let failure = target.admin.get(path).await?.failure(404, "NotFound")?;
    same(
        &failure.message.as_str(),
        &"the server could not find the requested resource",
        path,
    )?;
    same(&failure.details, &Some(json!({})), path)
}

async fn no_resource(target: Arc<Target>) -> Result<()> {
    for version in CUSTOM {
        let namespace = &target.data.first().name;
        for path in [
            format!("/apis/{version}/namespaces/{namespace}/foo"),
            format!("/apis/{version}/watch/n1/cpu"),
        ] {
            let failure = target.admin.get(&path).await?.failure(400, "BadRequest")?;
            same(&failure.message.as_str(), &"invalid request path", &path)?;
            same(&failure.details, &None, &path)?;
        }
    }
    Ok(())
}

async fn unknown_version(target: Arc<Target>) -> Result<()> {
    let namespace = &target.data.first().name;
    for path in [
        "custom.metrics.k8s.io/v1",
        "custom.metrics.k8s.io/v1beta3",
        "external.metrics.k8s.io/v1beta2",
    ] {
        not_found(&target, &format!("/apis/{path}")).await?;
        not_found(&target, &format!("/apis/{path}/namespaces/{namespace}/pods/p1/m")).await?;
    }
    Ok(())
}

async fn other_methods(target: Arc<Target>) -> Result<()> {
    let (pod, _) = target.data.first().pod();
    let paths = [
        target.pods(V1BETA1, pod),
        target.pods(V1BETA2, "*"),
        target.external(),
    ];
    for path in paths {
        for method in [
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ] {
            let failure = target
                .admin
                .send(&Ask::new(method, &path))
                .await?
                .failure(405, "MethodNotAllowed")?;
            let text = "the server does not allow this method on the requested resource";
            same(&failure.message.as_str(), &text, &path)?;
            same(&failure.details, &Some(json!({})), &path)?;
        }
        // a reply to HEAD has no body
        let reply = target.admin.send(&Ask::new(Method::HEAD, &path)).await?;
        if reply.status != 405 {
            return reply.fail("want 405");
        }
    }
    Ok(())
}

async fn query_decoding(target: Arc<Target>) -> Result<()> {
    let web: Vec<&str> = target.data.first().web.keys().map(String::as_str).collect();
    for version in CUSTOM {
        let all = target.pods(version, "*");
        for selector in [
            "app+in+%28web%2Cother%29",
            "app%20in%20(web,other)",
            "app+in+%28web%29%2Capp%21%3Ddb",
            "app%3Dweb",
        ] {
            let items = target
                .admin
                .get(&format!("{all}?labelSelector={selector}"))
                .await?
                .list(version)?;
            let mut found = names(&items);
            found.sort_unstable();
            same(&found, &web, selector)?;
        }
    }
    Ok(())
}

async fn repeated_parameters(target: Arc<Target>) -> Result<()> {
    for version in CUSTOM {
        let all = target.pods(version, "*");
        let namespace = target.data.first();
        let queries = [
            ("labelSelector=app%3Dweb&labelSelector=app%3Ddb", &namespace.web),
            (
                "labelSelector=app%3Ddb&labelSelector=app%3Dweb&labelSelector=!",
                &namespace.db,
            ),
            (
                "foo=bar&labelSelector=app%3Dweb&labelselector=app%3Ddb&=&&x",
                &namespace.web,
            ),
        ];
        for (query, want) in queries {
            let items = target.admin.get(&format!("{all}?{query}")).await?.list(version)?;
            let mut found = names(&items);
            found.sort_unstable();
            same(&found, &want.keys().map(String::as_str).collect(), query)?;
        }
    }
    Ok(())
}
