//! What a client may take, and what it is told when that is too much (points 40, 41, 82 and 83).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::Request;
use serde_json::json;
use testbed::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::played::Reviews;
use super::stage::Stage;
use crate::ask::{Ask, Client, Protocol, Reply};
use crate::expect::same;
use crate::point::{Point, lab};
use crate::target::{EXTERNAL, V1BETA2};

pub(super) const POINTS: &[Point] = &[
    lab(
        40,
        "a request that is not answered within its deadline is 504 as a Status with kind and apiVersion, application/json",
        || Box::pin(deadline()),
    )
    .beyond("writes the Status as text/plain and without kind and apiVersion"),
    lab(41, "429 has `Retry-After: 1`, and no 5xx has one", || Box::pin(retry_after())),
    lab(
        82,
        "the 401st concurrent request is 429 in the words of k8s.io/apiserver; system:masters, discovery and health still work",
        || Box::pin(in_flight()),
    ),
    lab(
        83,
        "heads and handshakes have deadlines, heads and URLs have a maximum length, connections have 100 streams; a rapid reset does no harm",
        || Box::pin(limits()),
    ),
];

const PATIENCE: Duration = Duration::from_mins(1);
/// Requests that are answered at one time.
const IN_FLIGHT: usize = 400;

fn metric(name: &str) -> String {
    format!("/apis/{V1BETA2}/namespaces/default/pods/*/{name}")
}

/// As kube-apiserver asks for this user, on a connection of its own.
fn of(user: &str, path: &str) -> Ask {
    Ask::get(path).header("x-remote-user", user)
}

async fn deadline() -> Result<()> {
    let stage = Stage::start().await?;
    let proxy = stage.proxy()?;
    stage.api.hold(true);
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for path in [metric("m"), format!("/apis/{EXTERNAL}/namespaces/default/q")] {
            let began = Instant::now();
            let ask = of("bob", &format!("{path}?timeout=1s")).over(protocol);
            let reply = proxy.send(&ask).await?;
            let failure = reply.failure(504, "Timeout")?;
            let message = "Timeout: request did not complete within the allotted timeout";
            ensure!(failure.message.starts_with(message), "{}", failure.message);
            same(&failure.details, &Some(json!({})), "details")?;
            ensure!(!reply.headers.contains_key("retry-after"), "{:?}", reply.headers);
            let took = began.elapsed();
            ensure!(
                took >= Duration::from_secs(1) && took < PATIENCE,
                "after {took:?}"
            );
        }
    }
    Ok(())
}

/// Requests that wait for their review, as many as are answered at a time.
async fn fill(stage: &Stage, client: &Client) -> Result<JoinSet<Result<Reply>>> {
    stage.api.hold(true);
    let mut requests = JoinSet::new();
    for _ in 0..IN_FLIGHT / 100 {
        // the streams that one connection may have
        let connection = client.connect(Protocol::Http2).await?;
        for _ in 0..100 {
            let mut connection = connection.share()?;
            requests.spawn(async move { connection.send(&of("hpa", &metric("m"))).await });
        }
    }
    eventually(PATIENCE, "all of them are in flight", || async {
        let (_, text) = stage.plainly("/metrics").await?;
        let line = format!("metricrule_requests_in_flight {IN_FLIGHT}\n");
        let now = text
            .lines()
            .find(|line| line.starts_with("metricrule_requests_in_flight"));
        ensure!(text.contains(&line), "{now:?}");
        Ok(())
    })
    .await?;
    Ok(requests)
}

fn ensure_sent_away(reply: &Reply) -> Result<()> {
    same(&reply.status, &429, "the status")?;
    same(
        &reply.text().as_str(),
        &"Too many requests, please try again later.\n",
        "the body",
    )?;
    for (name, value) in [
        ("retry-after", "1"),
        ("content-type", "text/plain; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
    ] {
        same(&reply.header(name), &value, name)?;
    }
    Ok(())
}

async fn in_flight() -> Result<()> {
    let stage = Stage::start().await?;
    let proxy = stage.proxy()?;
    let mut requests = fill(&stage, &proxy).await?;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for user in ["hpa", "bob"] {
            ensure_sent_away(&proxy.send(&of(user, &metric("m")).over(protocol)).await?)?;
        }
        let masters = of("admin", &metric("m")).header("x-remote-group", "system:masters");
        let reply = proxy.send(&masters.over(protocol)).await?;
        ensure!(reply.status != 429, "{reply:?}");
        for path in ["/apis", &format!("/apis/{V1BETA2}"), "/openapi/v2", "/version"] {
            let ask = of("admin", path).header("x-remote-group", "system:masters");
            same(&proxy.send(&ask.over(protocol)).await?.status, &200, path)?;
        }
        for path in ["/healthz", "/livez"] {
            let reply = stage.anonymous()?.send(&Ask::get(path).over(protocol)).await?;
            same(&reply.status, &200, path)?;
        }
    }
    let (status, _) = stage.plainly("/livez").await?;
    same(&status, &200, "/livez of the plain port")?;

    stage.api.hold(false);
    let mut answered = 0;
    while let Some(reply) = requests.join_next().await {
        let reply = reply??;
        ensure!(
            reply.status != 429 && reply.status < 500 || reply.status == 503,
            "{reply:?}"
        );
        answered += 1;
    }
    same(&answered, &IN_FLIGHT, "answers")?;
    let reply = proxy.send(&of("hpa", &metric("m"))).await?;
    ensure!(reply.status != 429, "{reply:?}");
    Ok(())
}

async fn retry_after() -> Result<()> {
    let stage = Stage::start().await?;
    let proxy = stage.proxy()?;
    let mut requests = fill(&stage, &proxy).await?;
    ensure_sent_away(&proxy.send(&of("hpa", &metric("m"))).await?)?;
    requests.abort_all();
    stage.api.hold(false);
    while requests.join_next().await.is_some() {}

    // nobody knows whether it is allowed
    stage.api.accesses(Reviews::Fail(500));
    let unknown = eventually(PATIENCE, "a request is reviewed", || async {
        let reply = proxy.send(&of("carol", &metric("m"))).await?;
        ensure!(reply.status == 500, "{reply:?}");
        Ok(reply)
    })
    .await?;
    // the deadline, and a check of health
    stage.api.hold(true);
    let late = proxy
        .send(&of("dave", &format!("{}?timeout=1s", metric("m"))))
        .await?;
    same(&late.status, &504, "the deadline")?;
    stage.api.hold(false);
    let health = stage.anonymous()?.send(&Ask::get("/readyz")).await?;
    same(&health.status, &500, "rules cannot be listed here")?;
    for reply in [unknown, late, health] {
        ensure!(!reply.headers.contains_key("retry-after"), "{reply:?}");
    }
    Ok(())
}

async fn limits() -> Result<()> {
    let stage = Stage::start().await?;
    let proxy = stage.proxy()?;
    // The slow ones take as long as they may, the others go on meanwhile.
    let slow = slow_heads(&stage);
    let others = async {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            long_heads(&proxy, protocol).await?;
            hostile_paths(&proxy, protocol).await?;
        }
        long_url(&proxy).await?;
        streams(&proxy).await?;
        rapid_reset(&stage).await
    };
    futures::try_join!(slow, others)?;
    answers(&proxy).await
}

async fn answers(proxy: &Client) -> Result<()> {
    same(&proxy.send(&of("bob", "/apis")).await?.status, &200, "/apis")
}

/// One that says nothing at all, one that stops in the handshake, and heads that come in drops, over both protocols.
async fn slow_heads(stage: &Stage) -> Result<()> {
    let client = stage.anonymous()?;
    let silent = async {
        for bytes in [&b""[..], &[0x16, 3, 1, 0x40, 0, 1]] {
            let mut stream = tokio::net::TcpStream::connect(client.address()).await?;
            stream.write_all(bytes).await?;
            until_closed(&mut stream).await.context("half a handshake")?;
        }
        anyhow::Ok(())
    };
    let drops = async |alpn: &[u8], head: &[u8], drop: &[u8]| {
        let mut stream = client.tls(&[alpn]).await?;
        stream.write_all(head).await?;
        let dripping = async {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                if stream.write_all(drop).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        };
        timeout(PATIENCE, dripping)
            .await
            .context("a head in drops keeps its connection")
    };
    let http1 = drops(b"http/1.1", b"GET /apis HTTP/1.1\r\nHost: x\r\n", b"X-A: b\r\n");
    // HEADERS of stream 1 without END_HEADERS, and CONTINUATION of one header each
    let mut head = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    head.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    head.extend([0, 0, 1, 1, 1, 0, 0, 0, 1, 0x82]);
    let http2 = drops(b"h2", &head, &[0, 0, 5, 9, 0, 0, 0, 0, 1, 0x00, 1, b'a', 1, b'b']);
    futures::try_join!(silent, http1, http2)?;
    Ok(())
}

async fn until_closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<Vec<u8>> {
    let mut rest = Vec::new();
    // a reset is as good as an end
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .context("it stays open")?;
    Ok(rest)
}

async fn long_heads(proxy: &Client, protocol: Protocol) -> Result<()> {
    for (bytes, fits) in [(200 * 1024, true), (1024 * 1024, false)] {
        let ask = of("bob", "/apis")
            .header("x-long", &"x".repeat(bytes))
            .over(protocol);
        match proxy.send(&ask).await {
            Ok(reply) => same(&reply.status, &if fits { 200 } else { 431 }, "a long head")?,
            Err(error) => ensure!(!fits, "{bytes} bytes over {protocol:?}: {error:#}"),
        }
        answers(proxy).await?;
    }
    Ok(())
}

async fn hostile_paths(proxy: &Client, protocol: Protocol) -> Result<()> {
    let mut connection = proxy.connect(protocol).await?;
    let selector = "x".repeat(60_000);
    let paths = [
        metric("%zz"),
        metric("%"),
        metric("a%00b"),
        metric("a%2Fb"),
        metric("%ff%fe"),
        metric("%2e%2e"),
        metric(&"m".repeat(2000)),
        format!("{}?labelSelector={selector}", metric("m")),
        format!("{}?metricLabelSelector={}", metric("m"), "a%3Db%2C".repeat(5000)),
        format!("{}?labelSelector=%zz&metricLabelSelector=%ff", metric("m")),
        format!("/apis/{V1BETA2}/namespaces/%00/pods/*/m"),
        format!("/apis/{V1BETA2}//pods//m"),
        format!("/apis/{EXTERNAL}/namespaces/{}/q", "n".repeat(1000)),
    ];
    for path in paths {
        let reply = connection.send(&of("bob", &path).over(protocol)).await?;
        // nothing is served here, so that whatever is a good request finds nothing
        ensure!(
            (400..500).contains(&reply.status) || reply.status == 503,
            "{:.100}: {} {:.300}",
            path,
            reply.status,
            reply.text()
        );
        ensure!(
            reply.json(reply.status)?["kind"] == "Status",
            "{:.300}",
            reply.text()
        );
    }
    same(
        &connection.send(&of("bob", "/apis").over(protocol)).await?.status,
        &200,
        "afterwards",
    )
}

async fn long_url(proxy: &Client) -> Result<()> {
    let mut stream = proxy.tls(&[b"http/1.1"]).await?;
    let request = format!("GET /apis/{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(70_000));
    stream.write_all(request.as_bytes()).await?;
    let answer = until_closed(&mut stream).await?;
    ensure!(
        answer.starts_with(b"HTTP/1.1 414 "),
        "a URL of 70 kB: {}",
        String::from_utf8_lossy(&answer)
    );
    answers(proxy).await
}

async fn streams(proxy: &Client) -> Result<()> {
    let (mut sender, connection) = h2::client::handshake(proxy.tls(&[b"h2"]).await?).await?;
    let driver = tokio::spawn(connection);
    let request = Request::get("https://metrics/apis")
        .header("x-remote-user", "bob")
        .body(())?;
    let (response, _) = sender.send_request(request, true)?;
    same(
        &timeout(PATIENCE, response).await??.status().as_u16(),
        &200,
        "/apis",
    )?;
    same(&sender.current_max_send_streams(), &100, "MAX_CONCURRENT_STREAMS")?;
    driver.abort();
    Ok(())
}

/// Streams that are opened and reset at once, on connections that are opened again when they are closed.
async fn rapid_reset(stage: &Stage) -> Result<()> {
    let client = stage.anonymous()?;
    let mut reset = 0;
    let mut ended = 0;
    while reset < 5000 && ended < 50 {
        let (mut sender, connection) = h2::client::handshake(client.tls(&[b"h2"]).await?).await?;
        let driver = tokio::spawn(connection);
        loop {
            let Ok(mut ready) = sender.ready().await else {
                break;
            };
            let request = Request::get(format!("https://metrics{}", metric("m"))).body(())?;
            let Ok((_, mut stream)) = ready.send_request(request, true) else {
                break;
            };
            tokio::task::yield_now().await;
            stream.send_reset(h2::Reason::CANCEL);
            reset += 1;
            if reset >= 5000 {
                break;
            }
            sender = ready;
        }
        ended += 1;
        driver.abort();
    }
    ensure!(
        reset > 100,
        "only {reset} streams were reset on {ended} connections"
    );
    answers(&stage.proxy()?).await
}
