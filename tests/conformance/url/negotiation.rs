//! What clients accept, and the headers of every reply (points 44 to 48).

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use crate::ask::{Ask, Reply};
use crate::expect::{JSON, same};
use crate::golden;
use crate::point::{Point, url};
use crate::target::{CUSTOM, EXTERNAL, Target, V1BETA1, V1BETA2};
use crate::uri::with;

pub(super) const POINTS: &[Point] = &[
    url(
        44,
        "`application/vnd.kubernetes.protobuf, */*`, which the HPA controller sends, is 200 in JSON or protobuf",
        |target| Box::pin(protobuf_or_anything(target)),
    ),
    url(
        45,
        "no `Accept` and `*/*` are JSON; `application/*` is JSON or 406",
        |target| Box::pin(anything(target)),
    ),
    url(
        46,
        "kubectl, which prefers a Table, gets plain JSON for custom and external metrics",
        |target| Box::pin(tables(target)),
    )
    .in_part("Tables of metrics.k8s.io, which is not served"),
    url(
        47,
        "the content type is exactly `application/json`, for values, errors and discovery",
        |target| Box::pin(content_type(target)),
    ),
    url(
        48,
        "`Audit-Id` is the request's or a new one; `Cache-Control` is `no-cache, private`",
        |target| Box::pin(common_headers(target)),
    ),
];

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A path of every kind of list, and the version that it is asked of.
fn lists(target: &Target) -> Vec<(&'static str, String)> {
    let mut lists = vec![(EXTERNAL, target.external())];
    for version in CUSTOM {
        lists.push((version, target.pods(version, "*")));
        lists.push((version, target.pods(version, target.data.first().pod().0)));
    }
    lists
}

async fn accepting(target: &Target, path: &str, accept: &str) -> Result<Reply> {
    target.admin.send(&Ask::get(path).header("accept", accept)).await
}

async fn protobuf_or_anything(target: Arc<Target>) -> Result<()> {
    let table = "application/json, */*";
    for (version, path) in lists(&target) {
        for accept in [
            format!("{PROTOBUF}, */*"),
            format!("{PROTOBUF},application/json"),
            table.to_owned(),
        ] {
            let reply = accepting(&target, &path, &accept).await?;
            if accept != table && reply.header("content-type") == PROTOBUF {
                // the magic bytes, then runtime.Unknown with apiVersion and kind in plain sight
                let text = String::from_utf8_lossy(&reply.body).into_owned();
                ensure!(
                    reply.status == 200 && reply.body.starts_with(b"k8s\0"),
                    "{path}: {text:?}"
                );
                ensure!(
                    text.contains(version) && text.contains("MetricValueList"),
                    "{path}: {text:?}"
                );
            } else {
                ensure!(!reply.list(version)?.is_empty(), "{path}: no items");
            }
        }
    }
    Ok(())
}

async fn anything(target: Arc<Target>) -> Result<()> {
    for (version, path) in lists(&target) {
        let none = target.admin.get(&path).await?;
        ensure!(!none.list(version)?.is_empty(), "{path}: no items");
        for accept in [
            "*/*",
            "application/json",
            "text/html, */*;q=0.1",
            "application/json;q=0.5",
            "text/html,application/json",
        ] {
            ensure!(
                !accepting(&target, &path, accept).await?.list(version)?.is_empty(),
                "{path}: {accept}"
            );
        }
        let reply = accepting(&target, &path, "application/*").await?;
        if reply.status == 406 {
            reply.failure(406, "NotAcceptable")?;
        } else {
            reply.list(version)?;
        }
    }
    golden::all_pods(&target, V1BETA2)?
        .ensure_is(&accepting(&target, &target.pods(V1BETA2, "*"), "*/*").await?)
}

async fn tables(target: Arc<Target>) -> Result<()> {
    let table = |version: &str| format!("{JSON};as=Table;v={version};g=meta.k8s.io");
    let kubectl = format!("{},{},{JSON}", table("v1"), table("v1beta1"));
    for version in CUSTOM {
        let reply = accepting(&target, &target.pods(version, "*"), &kubectl).await?;
        golden::all_pods(&target, version)?.ensure_is(&reply)?;
        same(
            &reply.list(version)?.len(),
            &target.data.first().pods().len(),
            "pods",
        )?;
    }
    let reply = accepting(&target, &target.external(), &format!("{},{JSON}", table("v1"))).await?;
    golden::external(&target)?.ensure_is(&reply)?;
    same(
        &reply.list(EXTERNAL)?.len(),
        &target.data.first().external.len(),
        "series",
    )
}

/// A path for each way to be answered, with the code.
fn answers(target: &Target) -> Vec<(u16, String)> {
    let mut answers: Vec<_> = lists(target).into_iter().map(|(_, path)| (200, path)).collect();
    let documents = ["/apis", "/apis/external.metrics.k8s.io", "/version"];
    answers.extend(documents.map(|path| (200, path.to_owned())));
    answers.extend([V1BETA1, V1BETA2, EXTERNAL].map(|version| (200, format!("/apis/{version}"))));
    answers.extend([
        (400, with(&target.pods(V1BETA2, "*"), &[("labelSelector", "!!")])),
        (404, format!("{}/too/long", target.external())),
        (404, target.pods(V1BETA1, "nobody-here")),
        (405, with(&target.external(), &[("watch", "true")])),
    ]);
    answers
}

async fn content_type(target: Arc<Target>) -> Result<()> {
    for (code, path) in answers(&target) {
        let reply = target.admin.get(&path).await?;
        let body = reply.json(code)?;
        same(&reply.headers.get_all("content-type").iter().count(), &1, &path)?;
        ensure!(
            path == "/version" || body["kind"].is_string(),
            "{path}: no kind: {body}"
        );
        let length: usize = reply
            .header("content-length")
            .parse()
            .with_context(|| format!("{path}: Content-Length"))?;
        same(&length, &reply.body.len(), &path)?;
    }
    let forbidden = target.admin.anonymous().get(&target.external()).await?;
    forbidden.failure(403, "Forbidden")?;
    Ok(())
}

async fn common_headers(target: Arc<Target>) -> Result<()> {
    let own = "5f9c2f5e-0000-4000-8000-00000000c0de";
    let mut made = BTreeSet::new();
    for (code, path) in answers(&target) {
        let reply = target.admin.get(&path).await?;
        same(&reply.status, &code, &path)?;
        same(&reply.header("cache-control"), &"no-cache, private", &path)?;
        let id = reply.header("audit-id");
        ensure!(is_uuid(id), "{path}: Audit-Id is {id:?}");
        ensure!(made.insert(id.to_owned()), "{path}: {id} for the second time");

        let reply = target
            .admin
            .send(&Ask::get(&path).header("audit-id", own))
            .await?;
        same(&reply.header("audit-id"), &own, &path)?;
        same(&reply.headers.get_all("audit-id").iter().count(), &1, &path)?;
    }
    for path in [target.external(), "/healthz".to_owned()] {
        let reply = target
            .admin
            .anonymous()
            .send(&Ask::get(&path).header("audit-id", own))
            .await?;
        same(&reply.header("audit-id"), &own, &path)?;
        same(&reply.header("cache-control"), &"no-cache, private", &path)?;
    }
    Ok(())
}

/// RFC 9562 in lower case.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(position, byte)| match position {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}
