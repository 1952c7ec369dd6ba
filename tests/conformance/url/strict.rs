//! What Go's server lets through (points 90 and 100).

use std::sync::Arc;

use anyhow::{Result, ensure};

use crate::point::{Point, url};
use crate::target::{CUSTOM, EXTERNAL, Target};

pub(super) const POINTS: &[Point] = &[
    url(
        90,
        "path segments are checked before use: none is empty, no namespace is `*`, no control characters, bounded lengths",
        |target| Box::pin(segments(target)),
    )
    .beyond("treats an empty name as `*`, an empty namespace as none, and passes the rest on unchanged"),
    url(
        100,
        "an operator that is not valid in a metric selector is 400, not \"metric not found\"",
        |target| Box::pin(operators(target)),
    )
    .beyond("answers 404 or 500"),
];

async fn segments(target: Arc<Target>) -> Result<()> {
    let namespace = &target.data.first().name;
    let (pod, _) = target.data.first().pod();
    let (metric, external) = (&target.data.metrics.pods, &target.data.metrics.external);
    let long = |length: usize| "a".repeat(length);
    let mut paths = Vec::new();
    for version in CUSTOM {
        let root = format!("/apis/{version}");
        paths.extend([
            format!("{root}/namespaces//pods/*/{metric}"),
            format!("{root}/namespaces//pods/{pod}/{metric}"),
            format!("{root}/namespaces/{namespace}//{pod}/{metric}"),
            format!("{root}/namespaces/{namespace}/pods//{metric}"),
            format!("{root}/namespaces/{namespace}/pods/{pod}//"),
            format!("{root}/namespaces/{namespace}/pods/{pod}/{metric}//"),
            format!("{root}//namespaces/{namespace}/pods/{pod}/{metric}"),
            format!("{root}/namespaces/*/pods/{pod}/{metric}"),
            format!("{root}/namespaces/%2A/pods/*/{metric}"),
            format!("{root}/namespaces/..%2F{namespace}/pods/{pod}/{metric}"),
            format!("{root}/namespaces/{namespace}/pods/{pod}%00/{metric}"),
            format!("{root}/namespaces/{namespace}/pods/{pod}/{metric}%0a"),
            format!("{root}/namespaces/{namespace}%09/pods/{pod}/{metric}"),
            format!("{root}/namespaces/{}/pods/{pod}/{metric}", long(64)),
            format!("{root}/namespaces/{namespace}/pods/{}/{metric}", long(254)),
            format!("{root}/namespaces/{namespace}/pods/{pod}/{}", long(513)),
            format!("{root}/namespaces/{namespace}/{}/{pod}/{metric}", long(254)),
        ]);
    }
    let root = format!("/apis/{EXTERNAL}/namespaces");
    paths.extend([
        format!("{root}//{external}"),
        format!("{root}/*/{external}"),
        format!("{root}/{namespace}//"),
        format!("{root}/{namespace}%7f/{external}"),
        format!("{root}/{}/{external}", long(64)),
        format!("{root}/{namespace}/{}", long(513)),
    ]);
    for path in paths {
        let reply = target.admin.get(&path).await?;
        match reply.status {
            400 => reply.failure(400, "BadRequest")?,
            _ => reply.failure(404, "NotFound")?,
        };
    }
    Ok(())
}

async fn operators(target: Arc<Target>) -> Result<()> {
    let (pod, _) = target.data.first().pod();
    for selector in ["code%3E5", "code%3C5", "verb%3DGET%2Ccode%3E5"] {
        for version in CUSTOM {
            let path = format!("{}?metricLabelSelector={selector}", target.pods(version, pod));
            let failure = target.admin.get(&path).await?.failure(400, "BadRequest")?;
            ensure!(!failure.message.contains("could not find"), "{failure:?}");
        }
        let path = format!("{}?labelSelector={selector}", target.external());
        target.admin.get(&path).await?.failure(400, "BadRequest")?;
    }
    Ok(())
}
