use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::BodyExt as _;

use super::*;
use crate::server::respond::Style;

async fn ask(
    health: &Health,
    endpoint: &'static str,
    check: Option<&str>,
    verbose: bool,
    exclude: &[&str],
) -> (u16, String) {
    let ask = HealthRequest {
        endpoint,
        check: check.map(ToOwned::to_owned),
        verbose,
        exclude: exclude.iter().map(|name| (*name).to_owned()).collect(),
    };
    written(health.answer(&ask, false).unwrap()).await
}

async fn written(reply: Reply) -> (u16, String) {
    let style = Style::of(&http::Method::GET, &http::HeaderMap::new(), None);
    let response = reply.write(&style).finish(&style).await;
    assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    let code = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (code, String::from_utf8(body.to_vec()).unwrap())
}

/// Conformance points 61 and 62, as k8s.io/apiserver words them.
#[tokio::test]
async fn texts() {
    let mut health = Health::new();
    let rules = health.gate("rules");
    let shutdown = health.gate("shutdown");
    shutdown.open();

    assert_eq!(
        ask(&health, "livez", None, false, &[]).await,
        (200, "ok".to_owned())
    );
    let verbose = "[+]ping ok\nhealthz check passed\n".to_owned();
    assert_eq!(ask(&health, "healthz", None, true, &[]).await, (200, verbose));
    let failed =
        "[+]ping ok\n[-]rules failed: reason withheld\n[+]shutdown ok\nreadyz check failed\n".to_owned();
    assert_eq!(
        ask(&health, "readyz", None, false, &[]).await,
        (500, failed.clone())
    );
    assert_eq!(ask(&health, "readyz", None, true, &[]).await, (500, failed));
    assert!(!health.is_ready());

    let excluded = "[+]ping ok\n[+]rules excluded: ok\n[+]shutdown ok\nwarn: some health checks cannot be excluded: no \
                    matches for \"nope\",\"no\"\nreadyz check passed\n";
    assert_eq!(
        ask(&health, "readyz", None, true, &["rules", "nope", "no"]).await,
        (200, excluded.to_owned())
    );
    assert_eq!(
        ask(&health, "readyz", None, false, &["rules"]).await,
        (200, "ok".to_owned())
    );

    rules.open();
    assert!(health.is_ready());
    assert_eq!(
        ask(&health, "readyz", None, false, &[]).await,
        (200, "ok".to_owned())
    );
    shutdown.close("the process is told to end");
    assert_eq!(ask(&health, "readyz", None, false, &[]).await.0, 500);
    assert_eq!(ask(&health, "livez", None, false, &[]).await.0, 200);
}

#[tokio::test]
async fn single_checks() {
    let mut health = Health::new();
    let gate = health.gate("rules");
    gate.close("the cluster's API server does not answer");
    assert_eq!(
        ask(&health, "readyz", Some("ping"), false, &[]).await,
        (200, "ok".to_owned())
    );
    let withheld = "internal server error: reason withheld\n".to_owned();
    assert_eq!(
        ask(&health, "readyz", Some("rules"), false, &[]).await,
        (500, withheld)
    );
    let shown = HealthRequest {
        endpoint: "readyz",
        check: Some("rules".to_owned()),
        verbose: false,
        exclude: Vec::new(),
    };
    let cause = "internal server error: the cluster's API server does not answer\n".to_owned();
    assert_eq!(written(health.answer(&shown, true).unwrap()).await, (500, cause));
    // A gate is no part of liveness.
    for (endpoint, check) in [("livez", "rules"), ("healthz", "rules"), ("readyz", "nope")] {
        let ask = HealthRequest {
            endpoint,
            check: Some(check.to_owned()),
            ..shown.clone()
        };
        assert!(health.answer(&ask, true).is_none(), "{endpoint}/{check}");
    }
}

#[tokio::test]
async fn checks_are_looked_at_each_time() {
    let alive = Arc::new(AtomicBool::new(true));
    let mut health = Health::new();
    let seen = alive.clone();
    health.live("watchdog", move || {
        if seen.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err("stuck".into())
        }
    });
    assert_eq!(ask(&health, "livez", None, false, &[]).await.0, 200);
    alive.store(false, Ordering::SeqCst);
    let stuck = HealthRequest {
        endpoint: "livez",
        check: None,
        verbose: true,
        exclude: Vec::new(),
    };
    let text = "[+]ping ok\n[-]watchdog failed: stuck\nlivez check failed\n".to_owned();
    assert_eq!(written(health.answer(&stuck, true).unwrap()).await, (500, text));
    assert_eq!(ask(&health, "readyz", None, false, &[]).await.0, 500);
    assert_eq!(
        health.paths(),
        [
            "/healthz",
            "/healthz/ping",
            "/healthz/watchdog",
            "/livez",
            "/livez/ping",
            "/livez/watchdog",
            "/readyz",
            "/readyz/ping",
            "/readyz/watchdog"
        ]
    );
}
