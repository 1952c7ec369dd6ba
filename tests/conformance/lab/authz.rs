//! Whether a request is allowed (points 74 to 76 and 78), as the cluster was asked.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::{Value, json};
use testbed::eventually;
use tokio::time::Instant;

use super::authn;
use super::played::Reviews;
use super::stage::Stage;
use crate::ask::{Ask, Client};
use crate::expect::same;
use crate::point::{Point, lab};

pub(super) const POINTS: &[Point] = &[
    lab(
        74,
        "the SubjectAccessReview of each route equals that of Go's server, field by field",
        || Box::pin(bodies()),
    )
    .in_part("the routes of metrics.k8s.io"),
    lab(
        75,
        "system:masters needs no review; /healthz, /livez and /readyz, and only these, are open to anyone",
        || Box::pin(settled()),
    ),
    lab(
        76,
        "answers are remembered for 10 s, allowed or not; a review that fails is 500 and never allows",
        || Box::pin(remembered()),
    )
    .beyond(
        "Go's server writes the 500 as plain text, with the request's URI and the cause of the failure; metricrule \
         sends a Status, and logs the cause",
    ),
    lab(78, "Impersonate-* is refused with a clear 403", || {
        Box::pin(impersonation())
    })
    .beyond(
        "Go's server honours it, after a review. kube-apiserver resolves these headers and never passes them on, so \
         nobody needs a second implementation here; to ignore them would grant more permissions than intended",
    ),
];

const LIFE: Duration = Duration::from_secs(10);

/// A route and what the cluster is asked about it: `asks` lacks only the user; `null` where nothing is asked.
#[derive(Deserialize)]
struct Review {
    path: String,
    asks: Option<Value>,
}

fn asked_by(user: &str, path: &str) -> Ask {
    Ask::get(path).header("x-remote-user", user)
}

async fn bodies() -> Result<()> {
    let stage = Stage::start().await?;
    let proxy = stage.proxy()?;
    let reviews: Vec<Review> = serde_json::from_str(include_str!("reviews.json"))?;
    for (number, Review { path, asks }) in reviews.iter().enumerate() {
        let user = format!("u{number}");
        let before = stage.api.asked_accesses().len();
        proxy.send(&asked_by(&user, path)).await?;
        let asked = stage.api.asked_accesses().split_off(before);
        let want = asks.iter().map(|asks| {
            let mut spec = asks.clone();
            spec["user"] = json!(user);
            spec["groups"] = json!(["system:authenticated"]);
            json!({"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": spec})
        });
        // What client libraries add without meaning anything by it.
        let asked = asked.into_iter().map(|mut review| {
            if let Some(body) = review.as_object_mut() {
                body.remove("metadata");
                body.remove("status");
            }
            review
        });
        same(&asked.collect::<Vec<_>>(), &want.collect(), path)?;
    }
    Ok(())
}

async fn settled() -> Result<()> {
    let stage = authn::stage().await?;
    stage.api.accesses(Reviews::Answer(
        |_| json!({"allowed": false, "reason": "RBAC: nope"}),
    ));
    let proxy = stage.proxy()?;
    let metric = "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/q";
    let admin = stage.with(&stage.client_ca.client("root", Some("system:masters"))?)?;
    let passed_on = |path| asked_by("root", path).header("x-remote-group", "system:masters");
    for path in ["/version", "/apis", metric, "/nope"] {
        for (client, ask) in [(&admin, Ask::get(path)), (&proxy, passed_on(path))] {
            let (reply, review) = stage.seen(client, &ask).await?;
            same(&review, &None, path)?;
            ensure!(
                ![401, 403].contains(&reply.status),
                "{}: {}",
                reply.asked,
                reply.status
            );
        }
    }
    let anonymous = stage.anonymous()?;
    for path in ["/healthz", "/livez", "/readyz", "/livez?verbose"] {
        let (reply, review) = stage.seen(&anonymous, &Ask::get(path)).await?;
        same(&review, &None, path)?;
        ensure!(
            [200, 500].contains(&reply.status),
            "{}: {}",
            reply.asked,
            reply.status
        );
    }
    for path in [
        "/healthz/",
        "/healthz/ping",
        "/livez/ping",
        "/readyz/rules",
        "//livez",
        "/Healthz",
        "/livez%2F",
    ] {
        let (reply, review) = stage.seen(&anonymous, &Ask::get(path)).await?;
        ensure!(review.is_some(), "{path} is not asked about");
        reply.failure(403, "Forbidden")?;
    }
    Ok(())
}

async fn remembered() -> Result<()> {
    let stage = authn::stage().await?;
    let proxy = stage.proxy()?;
    let asked = |user: &str| {
        let reviews = stage.api.asked_accesses();
        reviews
            .iter()
            .filter(|review| review["spec"]["user"] == user)
            .count()
    };
    let ask = |user: &'static str| async { proxy.send(&asked_by(user, "/version")).await };

    let began = Instant::now();
    let replies = try_join_all((0..30).map(|_| ask("bob"))).await?;
    ensure!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    same(&asked("bob"), &1, "reviews for 30 requests at once")?;
    for _ in 0..3 {
        ask("mallory").await?.failure(403, "Forbidden")?;
    }
    same(&asked("mallory"), &1, "reviews of what is denied")?;
    // Another question is another review.
    proxy.send(&asked_by("bob", "/apis")).await?.json(200)?;
    same(&asked("bob"), &2, "reviews of another path")?;
    eventually(LIFE * 6, "both are reviewed again", || async {
        ask("bob").await?.json(200)?;
        ask("mallory").await?.failure(403, "Forbidden")?;
        ensure!(asked("bob") >= 3 && asked("mallory") >= 2, "not yet");
        Ok(())
    })
    .await?;
    ensure!(began.elapsed() >= LIFE, "asked again after {:?}", began.elapsed());

    let contradictory = Reviews::Answer(|_| json!({"allowed": true, "denied": true}));
    let unreadable = Reviews::Answer(|_| json!({"allowed": "true"}));
    for (user, fault) in [
        ("carol", Reviews::Fail(500)),
        ("dan", contradictory),
        ("erin", unreadable),
    ] {
        stage.api.accesses(fault);
        let reply = proxy.send(&asked_by(user, "/version")).await?;
        reply.failure(500, "InternalError")?;
        ensure!(reply.headers.get("retry-after").is_none(), "{:?}", reply.headers);
    }
    ensure!(asked("carol") > 1, "a failed review is tried again");
    // No word is no permission, and a failure is not remembered.
    stage.api.accesses(Reviews::Answer(|_| json!({})));
    proxy
        .send(&asked_by("frank", "/version"))
        .await?
        .failure(403, "Forbidden")?;
    stage.api.accesses(Reviews::Answer(|_| json!({"allowed": true})));
    proxy.send(&asked_by("carol", "/version")).await?.json(200)?;
    Ok(())
}

async fn impersonation() -> Result<()> {
    let stage = authn::stage().await?;
    let none = stage.anonymous()?;
    let clients: [(&str, Client); 4] = [
        (
            "a user's certificate",
            stage.with(&stage.client_ca.client("carol", Some("system:masters"))?)?,
        ),
        ("a token", none.with_token("good")),
        ("the front proxy", stage.proxy()?),
        ("nobody", none.clone()),
    ];
    for header in [
        "impersonate-user",
        "impersonate-group",
        "impersonate-uid",
        "impersonate-extra-scopes",
    ] {
        for (who, client) in &clients {
            let ask = asked_by("bob", "/version").header(header, "zed");
            let (reply, review) = stage.seen(client, &ask).await.context(*who)?;
            same(&review, &None, who)?;
            let failure = reply.failure(403, "Forbidden")?;
            ensure!(
                failure.message.contains("impersonation is not supported"),
                "{}",
                failure.message
            );
        }
        // Who is not even known learns nothing of it.
        let bad = none.with_token("bad");
        bad.send(&Ask::get("/version").header(header, "zed"))
            .await?
            .failure(401, "Unauthorized")?;
    }
    Ok(())
}
