//! Whom the cluster believes, as that changes, and tokens (points 70 to 72).

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use testbed::eventually;
use testbed::pki::Authority;
use tokio::time::{Instant, sleep};

use super::authn;
use super::played::Reviews;
use super::stage::{Stage, Trust};
use crate::ask::{Ask, Authorized, Client, Protocol};
use crate::expect::same;
use crate::point::{Point, lab};

pub(super) const POINTS: &[Point] = &[
    lab(
        70,
        "a change of the CAs or the allowed names in the ConfigMap takes effect within a minute, without a restart, even on open connections",
        || Box::pin(changes()),
    ),
    lab(
        71,
        "if the ConfigMap may not be read at the start, the process exits with one sentence that names the \
         RoleBinding; if it is deleted later, its last content stays in use",
        || Box::pin(unreadable()),
    ),
    lab(
        72,
        "TokenReviews are remembered for 10 s and shared by concurrent requests, failures are 401, and no log contains a token",
        || Box::pin(tokens()),
    ),
];

const IN_EFFECT: Duration = Duration::from_mins(1);
/// How long an answer of a review is remembered.
const LIFE: Duration = Duration::from_secs(10);

fn asked_by_bob(path: &str) -> Ask {
    Ask::get(path).header("x-remote-user", "bob")
}

/// Requests on one connection until one is answered with this status. A connection on which somebody was refused is closed.
async fn becomes(connection: &mut Authorized, ask: &Ask, status: u16) -> Result<()> {
    let end = Instant::now() + IN_EFFECT;
    loop {
        let reply = connection.send(ask).await?;
        if reply.status == status {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "{} is answered with {}, not {status}",
            reply.asked,
            reply.status
        );
        sleep(Duration::from_millis(20)).await;
    }
}

async fn changes() -> Result<()> {
    let stage = authn::stage().await?;
    let pid = stage.process.pid();
    let next_proxy_ca = Authority::new("next-front-proxy-ca", &stage.folder("next-proxy"))?;
    let next_client_ca = Authority::new("next-client-ca", &stage.folder("next-client"))?;
    let next_proxy = stage.with(&next_proxy_ca.client("front-proxy-client", None)?)?;
    let ask = asked_by_bob("/version");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        stage.api.set(stage.trust());
        let connect = async |client: Client| client.connect(protocol).await;
        becomes(&mut connect(stage.proxy()?).await?, &ask, 200).await?;
        let mut proxy = connect(stage.proxy()?).await?;
        same(&proxy.send(&ask).await?.status, &200, "the front proxy")?;
        let mut alice = connect(stage.with(&stage.client_ca.client("alice", None)?)?).await?;
        same(&alice.send(&Ask::get("/version")).await?.status, &200, "a user")?;

        // Both CAs are trusted: what is open stays in use, what is new is let in.
        let both = Trust {
            client: &[&stage.client_ca, &next_client_ca],
            front_proxy: &[&stage.front_proxy_ca, &next_proxy_ca],
            allowed_names: &["front-proxy-client"],
            uid_headers: &[],
        };
        stage.api.set(both.data());
        eventually(IN_EFFECT, "the next CA is trusted", || async {
            same(
                &next_proxy.connect(protocol).await?.send(&ask).await?.status,
                &200,
                "the next proxy",
            )
        })
        .await?;
        same(&proxy.send(&ask).await?.status, &200, "the former proxy")?;
        same(
            &alice.send(&Ask::get("/version")).await?.status,
            &200,
            "the former CA's user",
        )?;
        let mut next = connect(next_proxy.clone()).await?;
        same(&next.send(&ask).await?.status, &200, "the next proxy")?;

        // The former ones are not: who was let in by them is nobody on the same connection.
        let alone = Trust {
            client: &[&next_client_ca],
            front_proxy: &[&next_proxy_ca],
            ..both
        };
        stage.api.set(alone.data());
        becomes(&mut proxy, &ask, 401).await?;
        same(
            &alice.send(&Ask::get("/version")).await?.status,
            &401,
            "the former CA's user",
        )?;
        same(&next.send(&ask).await?.status, &200, "the next proxy")?;

        // The same for the names.
        let renamed = Trust {
            allowed_names: &["another-name"],
            ..alone
        };
        stage.api.set(renamed.data());
        becomes(&mut next, &ask, 401).await?;
    }
    same(&stage.process.pid(), &pid, "the process")
}

async fn unreadable() -> Result<()> {
    let refused = Stage::build(&[]).await?;
    refused.api.forbid();
    refused.process.start()?;
    let status = refused.process.wait(IN_EFFECT).await?;
    same(&status.code(), &Some(1), "the exit code")?;
    let log = refused.process.log_text();
    let last = log.lines().last().unwrap_or_default();
    for words in [
        "extension-apiserver-authentication cannot be read",
        "RoleBinding",
        "extension-apiserver-authentication-reader",
        "kube-system",
    ] {
        ensure!(
            last.contains(words),
            "the last line does not say {words:?}: {last}"
        );
    }

    let stage = authn::stage().await?;
    let ask = asked_by_bob("/version");
    same(&stage.proxy()?.send(&ask).await?.status, &200, "before")?;
    stage.api.delete();
    stage.logged("was deleted; its last content stays in use").await?;
    same(
        &stage.proxy()?.send(&ask).await?.status,
        &200,
        "after the deletion",
    )?;
    same(
        &stage.anonymous()?.send(&ask).await?.status,
        &403,
        "a stranger, after the deletion",
    )?;
    // What comes back empty or broken changes nothing either, and what is good is taken up.
    let mut broken = stage.trust();
    broken.insert("requestheader-client-ca-file".to_owned(), "-----BEGIN".to_owned());
    broken.insert("requestheader-allowed-names".to_owned(), "[".to_owned());
    stage.api.set(broken);
    stage
        .logged("in the ConfigMap kube-system/extension-apiserver-authentication")
        .await?;
    same(
        &stage.proxy()?.send(&ask).await?.status,
        &200,
        "after a broken one",
    )?;
    let mut renamed = stage.trust();
    renamed.insert(
        "requestheader-allowed-names".to_owned(),
        r#"["another-name"]"#.to_owned(),
    );
    stage.api.set(renamed);
    eventually(IN_EFFECT, "the new names count", || async {
        same(&stage.proxy()?.send(&ask).await?.status, &401, "the former name")
    })
    .await
}

async fn tokens() -> Result<()> {
    // The tokens' own words are looked for in everything that the process ever wrote.
    let stage = Stage::start_with(&["--log-level=trace"]).await?;
    stage.api.tokens(Reviews::Answer(by_word));
    let none = stage.anonymous()?;
    let good = none.with_token("MARK-good-token");
    let asked = |token: &str| {
        stage
            .api
            .asked_tokens()
            .iter()
            .filter(|asked| *asked == token)
            .count()
    };

    // Many at once, on connections of their own.
    let ask = Ask::get("/version");
    let began = Instant::now();
    let replies = try_join_all((0..30).map(|_| good.send(&ask))).await?;
    ensure!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    same(
        &asked("MARK-good-token"),
        &1,
        "TokenReviews for 30 requests at once",
    )?;
    // A refusal is remembered like an acceptance.
    let bad = none.with_token("MARK-bad-token");
    for _ in 0..3 {
        bad.send(&ask).await?.failure(401, "Unauthorized")?;
    }
    same(&asked("MARK-bad-token"), &1, "TokenReviews of a bad token")?;
    good.send(&ask).await?.json(200)?;
    ensure!(
        began.elapsed() > LIFE || asked("MARK-good-token") == 1,
        "asked again within {:?}",
        began.elapsed()
    );
    // And both are asked for again afterwards.
    eventually(IN_EFFECT, "the tokens are reviewed again", || async {
        good.send(&ask).await?.json(200)?;
        bad.send(&ask).await?.failure(401, "Unauthorized")?;
        ensure!(
            asked("MARK-good-token") >= 2 && asked("MARK-bad-token") >= 2,
            "not yet"
        );
        Ok(())
    })
    .await?;
    ensure!(began.elapsed() >= LIFE, "asked again after {:?}", began.elapsed());

    // What could not be reviewed is nobody's, and is not remembered.
    stage.api.tokens(Reviews::Fail(500));
    let unsure = none.with_token("MARK-unsure-token");
    unsure.send(&ask).await?.failure(401, "Unauthorized")?;
    ensure!(asked("MARK-unsure-token") > 1, "a failed review is tried again");
    stage.api.tokens(Reviews::Answer(by_word));
    unsure.send(&ask).await?.json(200)?;
    stage
        .api
        .tokens(Reviews::Answer(|_| json!({"authenticated": true})));
    none.with_token("MARK-nobodys-token")
        .send(&ask)
        .await?
        .failure(401, "Unauthorized")?;

    // As a WebSocket client offers it: `MARK-socket`.
    let socket = Ask::get("/version")
        .over(Protocol::Http1)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header(
            "sec-websocket-protocol",
            "v1, base64url.bearer.authorization.k8s.io.TUFSSy1zb2NrZXQ",
        );
    stage.api.tokens(Reviews::Answer(by_word));
    none.send(&socket).await?.json(200)?;
    same(&asked("MARK-socket"), &1, "TokenReviews of a subprotocol's token")?;

    stage.logged("TRACE").await?;
    let log = stage.process.log_text();
    for word in ["MARK-", "TUFSSy1"] {
        let line = log.lines().find(|line| line.contains(word));
        ensure!(line.is_none(), "a log line has a token: {line:?}");
    }
    Ok(())
}

fn by_word(spec: &Value) -> Value {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.contains("bad") {
        json!({"authenticated": false, "error": format!("no such token: {token}")})
    } else {
        json!({"authenticated": true, "user": {"username": "alice"}})
    }
}
