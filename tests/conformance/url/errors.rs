//! What is said when there is no value (points 37 to 39).

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::ask::Reply;
use crate::expect::{Failure, same};
use crate::golden::Golden;
use crate::lab;
use crate::point::{Point, lab, url};
use crate::target::{CUSTOM, EXTERNAL, Target, V1BETA2};
use crate::uri::with;

pub(super) const POINTS: &[Point] = &[
    url(
        37,
        "a missing metric is 404 NotFound without details; the message begins with one of Go's three sentences",
        |target| Box::pin(unknown_metrics(target)),
    )
    .and_lab(|| Box::pin(lab::backends::unknown_external())),
    url(
        38,
        "401 and 403 are Go's, letter for letter, with `at the cluster scope`, details and nosniff",
        |target| Box::pin(refusals(target)),
    ),
    lab(
        39,
        "a backend that is down or fails is 503 or 500 with a reason, and the reply contains neither its address nor the query",
        || Box::pin(lab::backends::down()),
    ),
];

/// The sentence, alone or with a reason after it.
fn begins(failure: &Failure, sentence: &str) -> Result<()> {
    let rest = failure.message.strip_prefix(sentence);
    ensure!(
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', ' '])),
        "want {sentence:?} first: {failure:?}"
    );
    same(&failure.details, &None, "details")
}

async fn unknown_metrics(target: Arc<Target>) -> Result<()> {
    let (pod, _) = target.data.first().pod();
    let metric = &target.data.metrics.pods;
    for version in CUSTOM {
        let of = |name: &str| target.pods(version, name);
        let unknown = of(pod).replace(metric.as_str(), "nobody_makes_this");
        let sentence = "the server could not find the metric nobody_makes_this for pods";
        begins(
            &target.admin.get(&unknown).await?.failure(404, "NotFound")?,
            sentence,
        )?;
        let sentence = format!("the server could not find the metric {metric} for pods nobody-here");
        begins(
            &target
                .admin
                .get(&of("nobody-here"))
                .await?
                .failure(404, "NotFound")?,
            &sentence,
        )?;
        for selector in ["verb=POST", "verb in (POST,PUT)"] {
            let path = with(&of(pod), &[("metricLabelSelector", selector)]);
            let sentence = format!(
                "the server could not find the metric {metric} for pods {pod} with selector {selector}"
            );
            begins(
                &target.admin.get(&path).await?.failure(404, "NotFound")?,
                &sentence,
            )?;
        }
        let path = format!(
            "/apis/{version}/nodes/{}/nobody_makes_this",
            target.data.node.name
        );
        let sentence = "the server could not find the metric nobody_makes_this for nodes";
        begins(
            &target.admin.get(&path).await?.failure(404, "NotFound")?,
            sentence,
        )?;
    }
    Ok(())
}

const USER: &str = "system:anonymous";

async fn refusals(target: Arc<Target>) -> Result<()> {
    let data = &target.data;
    let namespace = &data.first().name;
    let (pod, _) = data.first().pod();
    let (pods, nodes, external) = (&data.metrics.pods, &data.metrics.nodes, &data.metrics.external);
    let inside = format!("in the namespace \"{namespace}\"");
    let root = "at the cluster scope";
    let custom = "custom.metrics.k8s.io";
    let below = format!("/apis/{V1BETA2}/namespaces/{namespace}");
    let one = target.pods(V1BETA2, pod);
    // path, verb, resource, subresource, name, scope
    let get = |path: String, resource, metric, name, scope| (path, "get", resource, metric, name, scope);
    let asked = [
        get(one.clone(), "pods", pods.as_str(), pod, inside.as_str()),
        get(target.pods(V1BETA2, "*"), "pods", pods, "*", &inside),
        get(
            format!("/apis/{V1BETA2}/nodes/n1/{nodes}"),
            "nodes",
            nodes,
            "n1",
            root,
        ),
        get(
            format!("{below}/deployments.apps/web/m"),
            "deployments.apps",
            "m",
            "web",
            &inside,
        ),
        get(format!("{below}/metrics/{nodes}"), "metrics", "", nodes, &inside),
        get(
            format!("{below}/pods/a%26b/x%3Cy%3E"),
            "pods",
            "x&lt;y&gt;",
            "a&b",
            &inside,
        ),
    ];
    let anonymous = target.admin.anonymous();
    for (path, verb, resource, metric, name, scope) in asked {
        let metric = if metric.is_empty() {
            String::new()
        } else {
            format!("/{metric}")
        };
        let said = format!(
            "User \"{USER}\" cannot {verb} resource \"{resource}{metric}\" in API group \"{custom}\" {scope}"
        );
        let reply = anonymous.get(&path).await?;
        let failure = reply.failure(403, "Forbidden")?;
        begins(
            &without_details(&failure),
            &format!("{resource}.{custom} \"{name}\" is forbidden: {said}"),
        )?;
        let details = json!({"name": name, "group": custom, "kind": resource});
        same(&failure.details, &Some(details), &path)?;
        not_sniffed(&reply)?;
        if path == one {
            let (_, message) = failure.message.split_once("is forbidden: ").unwrap_or_default();
            Golden::read("status forbidden", false)?
                .with("@name@", pod)?
                .with("@message@", message)?
                .ensure_is(&reply)?;
        }
    }

    let reply = anonymous.get(&target.external()).await?;
    let failure = reply.failure(403, "Forbidden")?;
    let group = EXTERNAL.split('/').next().unwrap_or_default();
    let sentence = format!(
        "{external}.{group} is forbidden: User \"{USER}\" cannot list resource \"{external}\" in API group \"{group}\" {inside}"
    );
    begins(&without_details(&failure), &sentence)?;
    same(
        &failure.details,
        &Some(json!({"group": group, "kind": external})),
        "external",
    )?;
    not_sniffed(&reply)?;

    for path in ["/apis", "/metrics", "/readyz/ping", &format!("/apis/{V1BETA2}")] {
        let reply = anonymous.get(path).await?;
        let failure = reply.failure(403, "Forbidden")?;
        let sentence = format!("forbidden: User \"{USER}\" cannot get path \"{path}\"");
        begins(&without_details(&failure), &sentence)?;
        same(&failure.details, &Some(json!({})), path)?;
        not_sniffed(&reply)?;
    }

    let unknown = target.admin.with_token("nobody-made-this-token");
    for path in [one, target.external(), "/apis".to_owned(), "/healthz".to_owned()] {
        let reply = unknown.get(&path).await?;
        let failure = reply.failure(401, "Unauthorized")?;
        same(&failure.message.as_str(), &"Unauthorized", &path)?;
        same(&failure.details, &None, &path)?;
        Golden::read("status unauthorized", false)?.ensure_is(&reply)?;
    }
    Ok(())
}

fn without_details(failure: &Failure) -> Failure {
    Failure {
        details: None,
        ..failure.clone()
    }
}

fn not_sniffed(reply: &Reply) -> Result<()> {
    match reply.header("x-content-type-options") {
        "nosniff" => Ok(()),
        _ => reply.fail("want X-Content-Type-Options: nosniff"),
    }
}
