//! Health while things are missing.

use std::time::Duration;

use anyhow::{Result, ensure};
use testbed::{PATIENCE, eventually, throughout};

use super::disturbed::Disturbed;
use crate::lab;

/// A replica that is told to go: `/readyz` fails with its reason withheld, `/livez` does not.
pub(crate) async fn failing() -> Result<()> {
    let testbed = Disturbed::get().await?;
    let anyone = lab::direct(&testbed, 1).await?;
    let replica = &testbed.replicas()[1];
    let (ended, seen) = tokio::join!(replica.terminate(), async {
        let seen = eventually(Duration::from_secs(3), "/readyz fails", || async {
            let reply = anyone.get("/readyz").await?;
            ensure!(reply.status == 500, "{} {}", reply.status, reply.text());
            Ok(reply)
        })
        .await?;
        let text = seen.text();
        ensure!(
            seen.header("content-type") == "text/plain; charset=utf-8",
            "{:?}",
            seen.headers
        );
        ensure!(
            seen.header("x-content-type-options") == "nosniff",
            "{:?}",
            seen.headers
        );
        ensure!(text.contains("[+]ping ok\n"), "{text}");
        ensure!(text.contains("[-]shutdown failed: reason withheld\n"), "{text}");
        ensure!(text.ends_with("readyz check failed\n"), "{text}");
        let excluded = anyone.get("/readyz?exclude=shutdown").await?;
        ensure!(
            excluded.status == 200 && excluded.text() == "ok",
            "{} {}",
            excluded.status,
            excluded.text()
        );
        let live = anyone.get("/livez").await?;
        ensure!(
            live.status == 200 && live.text() == "ok",
            "{} {}",
            live.status,
            live.text()
        );
        anyhow::Ok(())
    });
    replica.start().await?;
    ended?;
    seen
}

/// Red while the API server says nothing, with the names of what is missing; green while Prometheus says nothing.
pub(crate) async fn gates() -> Result<()> {
    let testbed = Disturbed::get().await?;
    let replica = &testbed.replicas()[1];
    replica.terminate().await?;
    testbed.prometheus().stop().await?;
    let apiserver = testbed.control_plane().apiserver();
    apiserver.freeze()?;
    let red = async {
        replica.launch()?;
        let missing = || async {
            let (status, text) = replica.get("/readyz?verbose").await?;
            ensure!(status == 500, "{status} {text}");
            for gate in ["authentication", "rules", "relist", "tls"] {
                ensure!(text.contains(&format!("[-]{gate} failed")), "{text}");
            }
            let (live, text) = replica.get("/livez").await?;
            ensure!(live == 200, "{live} {text}");
            Ok(())
        };
        eventually(PATIENCE, "health is answered", missing).await?;
        throughout(Duration::from_secs(2), "red", missing).await
    }
    .await;
    apiserver.thaw()?;
    let green = async {
        eventually(PATIENCE, "ready without Prometheus", || async {
            let (status, text) = replica.get("/readyz?verbose").await?;
            ensure!(status == 200, "{status} {text}");
            Ok(())
        })
        .await?;
        throughout(Duration::from_secs(2), "green", || async {
            for replica in testbed.replicas() {
                let (status, text) = replica.get("/readyz?verbose").await?;
                ensure!(status == 200, "{}: {status} {text}", replica.name());
            }
            Ok(())
        })
        .await
    };
    let green = if red.is_ok() { green.await } else { Ok(()) };
    testbed.prometheus().start().await?;
    red.and(green)
}
