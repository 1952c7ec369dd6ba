//! How a replica ends (point 81).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use testbed::eventually;

use super::stage::Stage;
use crate::ask::{Ask, Protocol};
use crate::expect::same;
use crate::point::{Point, lab};
use crate::target::V1BETA2;

pub(super) const POINTS: &[Point] = &[lab(
    81,
    "on SIGTERM /readyz is red at once, requests on old and new connections are served for the delay, then GOAWAY; \
     requests in flight get their answers, and the process exits with 0",
    || Box::pin(ends()),
)
.beyond("has no delay: it closes its port at once, and requests fail until the Service has noticed")];

const PATIENCE: Duration = Duration::from_mins(1);

async fn ends() -> Result<()> {
    futures::try_join!(in_order(), hastened())?;
    Ok(())
}

fn apis() -> Ask {
    Ask::get("/apis").header("x-remote-user", "bob")
}

/// The delay passes.
async fn in_order() -> Result<()> {
    let stage = Stage::start_with(&["--shutdown-delay=6s", "--shutdown-grace=50s"]).await?;
    let proxy = stage.proxy()?;
    same(
        &stage.plainly("/readyz/shutdown").await?.0,
        &200,
        "before SIGTERM",
    )?;
    let mut old = proxy.connect(Protocol::Http2).await?;
    same(&old.send(&apis()).await?.status, &200, "/apis")?;
    let mut keep_alive = proxy.connect(Protocol::Http1).await?;
    let over_http1 = apis().over(Protocol::Http1);
    same(&keep_alive.send(&over_http1).await?.status, &200, "/apis")?;

    stage.process.interrupt()?;
    red(&stage).await?;
    // in the delay, whatever the connection
    same(&old.send(&apis()).await?.status, &200, "an old connection")?;
    same(
        &keep_alive.send(&over_http1).await?.status,
        &200,
        "an old connection",
    )?;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let reply = proxy.send(&apis().over(protocol)).await?;
        same(&reply.status, &200, "a new connection")?;
    }
    ensure!(!old.is_closed() && stage.process.is_running(), "it did not wait");

    // A request that waits for its review, on a connection that is sent away.
    stage.api.hold(true);
    let mut waiting = proxy.connect(Protocol::Http2).await?;
    let path = format!("/apis/{V1BETA2}/namespaces/default/pods/*/m");
    let waiting = tokio::spawn(async move {
        let reply = waiting
            .send(&Ask::get(&path).header("x-remote-user", "late"))
            .await;
        (waiting, reply)
    });
    eventually(PATIENCE, "connections are sent away", || async {
        ensure!(old.is_closed() && keep_alive.is_closed(), "still open");
        Ok(())
    })
    .await?;
    eventually(PATIENCE, "new connections are refused", || async {
        ensure!(
            tokio::net::TcpStream::connect(proxy.address()).await.is_err(),
            "accepted"
        );
        Ok(())
    })
    .await?;
    ensure!(
        stage.process.is_running() && !waiting.is_finished(),
        "it did not wait"
    );
    stage.api.hold(false);
    let (waiting, reply) = waiting.await.context("the request in flight")?;
    // there are no rules here; what counts is that there is an answer
    let reply = reply?;
    ensure!(
        reply.json(reply.status)?["kind"] == "Status" && reply.status != 504,
        "{reply:?}"
    );
    let status = stage.process.wait(PATIENCE).await?;
    ensure!(status.code() == Some(0), "{status}");
    ensure!(waiting.is_closed(), "a connection outlives its server");
    Ok(())
}

/// A second SIGTERM cuts the delay short.
async fn hastened() -> Result<()> {
    let stage = Stage::start_with(&["--shutdown-delay=1h"]).await?;
    stage.process.interrupt()?;
    red(&stage).await?;
    same(&stage.proxy()?.send(&apis()).await?.status, &200, "/apis")?;
    ensure!(stage.process.is_running(), "it did not wait");
    stage.process.interrupt()?;
    let status = stage.process.wait(PATIENCE).await?;
    ensure!(status.code() == Some(0), "{status}");
    Ok(())
}

async fn red(stage: &Stage) -> Result<()> {
    eventually(Duration::from_secs(3), "/readyz is red", || async {
        let (status, text) = stage.plainly("/readyz/shutdown?verbose").await?;
        ensure!(
            status == 500 && text.contains("shutting down"),
            "{status}: {text}"
        );
        Ok(())
    })
    .await?;
    same(&stage.plainly("/livez").await?.0, &200, "/livez")
}
