//! What becomes of large replies, of failures and of mistakes in our own code (points 43, 49 and 108).

use std::io::Read as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use metricrule::reason::Reason;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::inside::Inside;
use crate::ask::{Ask, Protocol, Reply};
use crate::expect::same;
use crate::point::{Point, unit};
use crate::target::V1BETA2;

pub(super) const POINTS: &[Point] = &[
    unit(
        43,
        "a panic in a handler is 500 as a Status, and the server survives",
        || Box::pin(panics()),
    )
    .beyond("resets the stream, or closes the connection without a reply"),
    unit(
        49,
        "gzip is used only above 128 KiB and only for clients that ask for it; `Vary` says so; the body is the same",
        || Box::pin(compressed()),
    ),
    unit(
        108,
        "10,000 pods in one request take bounded memory and little time; the reply is compressed",
        || Box::pin(many_pods()),
    ),
];

/// The smallest body that is compressed is one byte larger.
const THRESHOLD: usize = 128 * 1024;
const PODS: u64 = 10_000;
/// Requests for all of them at one time.
const TOGETHER: u64 = 16;
/// What they may take together. A list of that many pods is 2 MB of JSON.
const MEMORY: u64 = 256 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_mins(1);

fn pods(metric: &str) -> String {
    format!("/apis/{V1BETA2}/namespaces/ns/pods/*/{metric}")
}

async fn panics() -> Result<()> {
    let inside = Inside::start().await?;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        // on one connection: it is not lost either
        let mut connection = inside.client.connect(protocol).await?;
        for _ in 0..3 {
            let reply = connection.send(&Ask::get(&pods("panics")).over(protocol)).await?;
            let failure = reply.failure(500, "InternalError")?;
            ensure!(!failure.message.contains("prometheus"), "{}", failure.message);
            let reply = connection.send(&Ask::get(&pods("2")).over(protocol)).await?;
            same(&reply.list(V1BETA2)?.len(), &2, "items")?;
        }
    }
    let text = inside.metrics.encode();
    let line = r#"metricrule_requests_total{route="custom",code="500",reason="Internal"} 6"#;
    ensure!(text.contains(line), "{line} is not among\n{text}");
    // A failure of any kind says nothing of coming again: client-go would, ten times, and hold up an HPA worker.
    for reason in [
        Reason::BackendDown,
        Reason::BackendTimeout,
        Reason::NotFinite,
        Reason::Timeout,
    ] {
        let reply = inside.client.get(&pods(reason.code())).await?;
        ensure!(
            reply.status >= 500 && !reply.headers.contains_key("retry-after"),
            "{reply:?}"
        );
    }
    Ok(())
}

async fn compressed() -> Result<()> {
    let inside = Inside::start().await?;
    // one item is about 170 bytes
    for (count, large) in [("100", false), ("2000", true)] {
        let plain = inside.client.get(&pods(count)).await?;
        ensure!(
            (plain.body.len() > THRESHOLD) == large,
            "{} bytes",
            plain.body.len()
        );
        same(&plain.header("content-encoding"), &"", "without being asked")?;
        for (accept, takes) in [
            ("gzip", true),
            ("deflate, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("identity", false),
        ] {
            for protocol in [Protocol::Http1, Protocol::Http2] {
                let ask = Ask::get(&pods(count))
                    .header("accept-encoding", accept)
                    .over(protocol);
                let reply = inside.client.send(&ask).await?;
                let want = if large && takes { "gzip" } else { "" };
                same(&reply.header("content-encoding"), &want, accept)?;
                same(&reply.header("content-type"), &"application/json", accept)?;
                ensure!(!large || varies(&reply), "no Vary: {:?}", reply.headers);
                let body = if want == "gzip" {
                    gunzip(&reply.body)?
                } else {
                    reply.body.to_vec()
                };
                ensure!(body == plain.body, "another body: {accept}");
            }
        }
    }
    Ok(())
}

fn varies(reply: &Reply) -> bool {
    let values = reply.headers.get_all("vary").iter();
    values
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("Accept-Encoding"))
}

fn gunzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut body)?;
    Ok(body)
}

async fn many_pods() -> Result<()> {
    let inside = Inside::start().await?;
    let path = pods(&PODS.to_string());
    let first = inside.client.get(&path).await?;
    let items = first.list(V1BETA2)?;
    same(&u64::try_from(items.len())?, &PODS, "items")?;
    drop(items);
    let before = memory()?;
    let mut asked = JoinSet::new();
    for _ in 0..TOGETHER {
        let (client, path) = (inside.client.clone(), path.clone());
        asked.spawn(async move {
            client
                .send(&Ask::get(&path).header("accept-encoding", "gzip"))
                .await
        });
    }
    let all = async {
        while let Some(reply) = asked.join_next().await {
            let reply = reply??;
            ensure!(
                reply.body.len() * 8 < first.body.len(),
                "{} bytes of {}",
                reply.body.len(),
                first.body.len()
            );
            let list: Value = serde_json::from_slice(&gunzip(&reply.body)?)?;
            same(
                &list["items"].as_array().map_or(0, Vec::len),
                &usize::try_from(PODS)?,
                "items",
            )?;
        }
        Ok(())
    };
    timeout(PATIENCE, all).await.context("not in time")??;
    let after = memory()?;
    // The clients are in this process, too.
    ensure!(
        after.saturating_sub(before) < MEMORY,
        "{before} bytes before, {after} after"
    );
    Ok(())
}

/// Resident bytes of this process.
fn memory() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}
