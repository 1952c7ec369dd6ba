//! What is agreed before an answer: its media type (point 42), the protocol (point 50).

use std::sync::Arc;

use anyhow::{Result, ensure};
use http::Version;

use crate::ask::{Ask, Protocol};
use crate::expect::same;
use crate::point::{Point, url};
use crate::target::{Target, V1BETA2};

pub(super) const POINTS: &[Point] = &[
    url(
        42,
        "clients that accept only unsupported types (`text/html`, `application/cbor`, only a Table) get 406 as a Status",
        |target| Box::pin(not_acceptable(target)),
    ),
    url(
        50,
        "HTTP/1.1 and HTTP/2, as ALPN agrees; connections are kept",
        |target| Box::pin(protocols(target)),
    ),
];

async fn not_acceptable(target: Arc<Target>) -> Result<()> {
    let (pod, _) = target.data.first().pod();
    let path = target.pods(V1BETA2, pod);
    for accept in [
        "text/html",
        "application/cbor",
        "application/json;as=Table;v=v1;g=meta.k8s.io",
    ] {
        for path in [&path, &target.external()] {
            let reply = target
                .admin
                .send(&Ask::get(path).header("accept", accept))
                .await?;
            let failure = reply.failure(406, "NotAcceptable")?;
            ensure!(
                failure.message.contains("application/json"),
                "{accept}: {}",
                failure.message
            );
        }
    }
    // Where there is something else to be had, it is given.
    let accept = "application/cbor, text/html;q=0.9, application/json;q=0.1";
    let reply = target
        .admin
        .send(&Ask::get(&path).header("accept", accept))
        .await?;
    same(&reply.list(V1BETA2)?.len(), &1, accept)
}

async fn protocols(target: Arc<Target>) -> Result<()> {
    let (pod, _) = target.data.first().pod();
    let path = target.pods(V1BETA2, pod);
    for (protocol, version) in [
        (Protocol::Http1, Version::HTTP_11),
        (Protocol::Http2, Version::HTTP_2),
    ] {
        // `connect` insists on what ALPN agreed
        let mut connection = target.admin.connect(protocol).await?;
        for _ in 0..3 {
            let reply = connection.send(&Ask::get(&path).over(protocol)).await?;
            same(&reply.version, &version, "the version")?;
            same(&reply.list(V1BETA2)?.len(), &1, "items")?;
            ensure!(reply.header("connection") != "close", "{:?}", reply.headers);
        }
        ensure!(!connection.is_closed(), "the connection is not kept");
    }
    for (offered, chosen) in [
        (&[b"http/1.1".as_slice(), b"h2"][..], Some(&b"h2"[..])),
        (&[], None),
    ] {
        let stream = target.admin.tls(offered).await?;
        same(&stream.get_ref().1.alpn_protocol(), &chosen, "what ALPN agrees")?;
    }
    Ok(())
}
