//! Documents that do not depend on metrics, and health.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::Value;

use super::ensure_tag;
use crate::ask::{Ask, Reply};
use crate::expect::same;
use crate::target::{EXTERNAL, Target, V1BETA1, V1BETA2};

/// A JSON document with a tag, which is not sent again to who has it.
async fn tagged(target: &Target, path: &str) -> Result<Value> {
    let reply = target.admin.get(path).await?;
    let document = reply.json(200)?;
    ensure_tag(&reply)?;
    let known = Ask::get(path).header("if-none-match", reply.header("etag"));
    let again = target.admin.send(&known).await?;
    same(&again.status, &304, path)?;
    ensure!(again.body.is_empty(), "{path}: 304 with a body");
    Ok(document)
}

pub(super) async fn openapi(target: Arc<Target>) -> Result<()> {
    let v2 = tagged(&target, "/openapi/v2").await?;
    same(&v2["swagger"], &Value::from("2.0"), "/openapi/v2")?;
    let paths = v2["paths"].as_object().context("no paths")?;
    let v3 = tagged(&target, "/openapi/v3").await?;
    for version in [V1BETA1, V1BETA2, EXTERNAL] {
        let root = format!("/apis/{version}/");
        ensure!(
            paths.keys().any(|path| path.starts_with(&root)),
            "/openapi/v2 has nothing below {root}"
        );
        let url = &v3["paths"][format!("apis/{version}")]["serverRelativeURL"];
        let url = url
            .as_str()
            .with_context(|| format!("/openapi/v3 has no apis/{version}: {v3}"))?;
        ensure!(
            url.starts_with(&format!("/openapi/v3/apis/{version}?hash=")),
            "{url}"
        );
        for path in [url, &format!("/openapi/v3/apis/{version}")] {
            let reply = target.admin.get(path).await?;
            let document = reply.json(200)?;
            ensure_tag(&reply)?;
            ensure!(
                document["openapi"]
                    .as_str()
                    .is_some_and(|openapi| openapi.starts_with("3.")),
                "{path}: {document}"
            );
            let paths = document["paths"].as_object().context("no paths")?;
            ensure!(
                paths.keys().all(|path| path.starts_with(&root)) && !paths.is_empty(),
                "{path}: {:?}",
                paths.keys()
            );
            let schemas = document["components"]["schemas"]
                .as_object()
                .context("no schemas")?;
            ensure!(
                schemas.keys().any(|name| name.ends_with("MetricValueList")),
                "{path}: {:?}",
                schemas.keys()
            );
        }
    }
    Ok(())
}

pub(super) async fn version(target: Arc<Target>) -> Result<()> {
    let version = target.admin.get("/version").await?.json(200)?;
    // all of version.Info that is not left out when it is empty
    for key in [
        "major",
        "minor",
        "gitVersion",
        "gitCommit",
        "gitTreeState",
        "buildDate",
        "goVersion",
        "compiler",
        "platform",
    ] {
        ensure!(version[key].is_string(), "{key}: {version}");
    }
    serde_json::from_value::<k8s_openapi::apimachinery::pkg::version::Info>(version.clone())?;
    ensure!(
        version["gitVersion"]
            .as_str()
            .is_some_and(|version| version.starts_with('v')),
        "{version}"
    );
    Ok(())
}

pub(super) async fn health(target: Arc<Target>) -> Result<()> {
    let anyone = target.admin.anonymous();
    for endpoint in ["healthz", "livez", "readyz"] {
        let path = format!("/{endpoint}");
        for method in [Method::GET, Method::POST] {
            let reply = anyone.send(&Ask::new(method, &path)).await?;
            text(&reply, 200)?;
            same(&reply.text().as_str(), &"ok", &path)?;
        }
        for query in ["?verbose", "?verbose=true"] {
            let reply = anyone.get(&format!("{path}{query}")).await?;
            let said = text(&reply, 200)?;
            ensure!(said.contains("[+]ping ok\n"), "{said}");
            ensure!(said.ends_with(&format!("{endpoint} check passed\n")), "{said}");
        }
        let said = text(&anyone.get(&format!("{path}?verbose&exclude=ping")).await?, 200)?;
        ensure!(said.contains("[+]ping excluded: ok\n"), "{said}");

        let one = format!("{path}/ping");
        anyone.get(&one).await?.failure(403, "Forbidden")?;
        // Go's server has nosniff on the whole, not on a single check
        let reply = target.admin.get(&one).await?;
        same(&reply.status, &200, &one)?;
        same(&reply.text().as_str(), &"ok", &one)?;
        same(
            &target
                .admin
                .get(&format!("{path}/nothing-of-that-name"))
                .await?
                .status,
            &404,
            &path,
        )?;
    }
    Ok(())
}

fn text(reply: &Reply, code: u16) -> Result<String> {
    let plain = reply.header("content-type") == "text/plain; charset=utf-8";
    if reply.status != code || !plain || reply.header("x-content-type-options") != "nosniff" {
        return reply.fail(&format!("want {code} in plain text with nosniff"));
    }
    Ok(reply.text())
}
