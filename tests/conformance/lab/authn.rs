//! Who a request comes from (points 64 to 69 and 73), as the SubjectAccessReview for it says.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose};
use serde_json::{Value, json};
use testbed::pki::{Authority, Pair};

use super::played::Reviews;
use super::stage::{Stage, Trust};
use crate::ask::{Ask, Client, Protocol};
use crate::expect::same;
use crate::point::{Point, lab};

pub(super) const POINTS: &[Point] = &[
    lab(
        64,
        "the front proxy, client certificates, tokens, and all of them together: twelve cases",
        || Box::pin(matrix()),
    ),
    lab(
        65,
        "an empty list of allowed names allows any client certificate from the front proxy's CA",
        || Box::pin(allowed_names()),
    ),
    lab(
        66,
        "a bad client certificate gets 401, after a successful handshake",
        || Box::pin(bad_certificates()),
    ),
    lab(
        67,
        "X-Remote-Group may repeat and is not split at commas; the keys of extras are decoded",
        || Box::pin(headers()),
    ),
    lab(
        68,
        "X-Remote-Uid counts only where requestheader-uid-headers lists it",
        || Box::pin(uid()),
    ),
    lab(
        69,
        "X-Remote-* counts only with a verified certificate of the front proxy; header names in any case",
        || Box::pin(headers_without_proxy()),
    ),
    lab(
        73,
        "intermediate certificates in the client's chain are used",
        || Box::pin(intermediates()),
    ),
];

const BOB: (&str, &str) = ("x-remote-user", "bob");
const MALLORY: (&str, &str) = ("x-remote-user", "mallory");

/// Who a request turned out to be from: the user's part of the SubjectAccessReview, or `{"status": …}` where there was none.
pub(super) async fn who(stage: &Stage, client: &Client, headers: &[(&'static str, &str)]) -> Result<Value> {
    // A new question each time: an old one is answered without a review.
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let pod = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = format!("/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/p{pod}/m");
    let mut ask = Ask::get(&path);
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    let (reply, spec) = stage.seen(client, &ask).await?;
    let Some(mut spec) = spec else {
        if reply.status == 401 {
            let body = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
            });
            same(&reply.json(401)?, &body, "the refusal")?;
        }
        return Ok(json!({"status": reply.status}));
    };
    let attributes = json!({
        "namespace": "ns", "verb": "get", "group": "custom.metrics.k8s.io", "version": "v1beta2",
        "resource": "pods", "subresource": "m", "name": format!("p{pod}"),
    });
    same(
        &spec["resourceAttributes"].take(),
        &attributes,
        "what is asked for",
    )?;
    let denied = reply.status == 403;
    ensure!(
        denied == ["system:anonymous", "mallory"].contains(&spec["user"].as_str().unwrap_or_default()),
        "{spec} is answered with {}",
        reply.status
    );
    let fields = spec.as_object_mut().context("no spec")?;
    fields.remove("resourceAttributes");
    if let Some(id) = fields
        .get("extra")
        .and_then(|extra| extra.get("authentication.kubernetes.io/credential-id"))
    {
        let text = id[0].as_str().unwrap_or_default();
        ensure!(text.starts_with("X509SHA256=") && text.len() == 75, "{id}");
        fields.remove("extra");
        fields.insert("certificate".to_owned(), json!(true));
    }
    Ok(spec)
}

/// The token `good` is alice's; nobody allows mallory and strangers anything.
pub(super) async fn stage() -> Result<Stage> {
    let stage = Stage::start().await?;
    stage.api.tokens(Reviews::Answer(|spec| {
        if spec["token"] == "good" {
            json!({"authenticated": true, "user": {"username": "alice", "groups": ["devs"]}})
        } else {
            json!({"authenticated": false, "error": "unknown"})
        }
    }));
    stage.api.accesses(Reviews::Answer(|spec| {
        let stranger = spec["user"] == "mallory" || spec["user"] == "system:anonymous";
        json!({"allowed": !stranger, "reason": "RBAC: nope"})
    }));
    Ok(stage)
}

async fn matrix() -> Result<()> {
    let stage = stage().await?;
    let client = |user, group| stage.with(&stage.client_ca.client(user, group)?);
    let none = stage.anonymous()?;
    let (good, bad) = (none.with_token("good"), none.with_token("bad"));
    let (alice, admin) = (client("alice", Some("devs"))?, client("admin", Some("ops"))?);
    let proxy = stage.proxy()?;
    let other_name = stage.with(&stage.front_proxy_ca.client("someone-else", None)?)?;

    let anonymous = json!({"user": "system:anonymous", "groups": ["system:unauthenticated"]});
    let bob = json!({"user": "bob", "groups": ["system:authenticated"]});
    let by_token = json!({"user": "alice", "groups": ["devs", "system:authenticated"]});
    let certified = |user: &str, group: &str| json!({"user": user, "groups": [group, "system:authenticated"], "certificate": true});
    let refused = |status: u16| json!({ "status": status });
    let basic = ("authorization", "Basic Zm9vOmJhcg==");
    let bearer = ("authorization", "Bearer good");
    let impersonate = ("impersonate-user", "zed");
    let cases: [(&str, &Client, &[_], Value); 12] = [
        ("no credential", &none, &[], anonymous.clone()),
        ("a bad token", &bad, &[], refused(401)),
        ("a good token", &good, &[], by_token),
        ("another scheme", &none, &[basic], anonymous.clone()),
        ("a client certificate", &alice, &[], certified("alice", "devs")),
        ("the front proxy without a user", &proxy, &[], refused(401)),
        ("the front proxy", &proxy, &[BOB], bob.clone()),
        ("its CA, another name", &other_name, &[BOB], refused(401)),
        ("headers without a certificate", &none, &[MALLORY], anonymous),
        (
            "a client's certificate and headers",
            &admin,
            &[MALLORY],
            certified("admin", "ops"),
        ),
        ("the front proxy and a token", &proxy, &[BOB, bearer], bob),
        (
            "the front proxy and impersonation",
            &proxy,
            &[BOB, impersonate],
            refused(403),
        ),
    ];
    for (case, client, headers, want) in cases {
        let reviewed = stage.api.asked_tokens().len();
        same(&who(&stage, client, headers).await?, &want, case)?;
        let reviewed = stage.api.asked_tokens().len() - reviewed;
        same(
            &reviewed,
            &usize::from(case.ends_with("a bad token") || case == "a good token"),
            case,
        )?;
    }
    // Bad credentials are refused also where none are needed.
    let health = bad.get("/healthz").await?;
    health.failure(401, "Unauthorized")?;
    // The bundles are told apart: a front proxy's name of the users' CA is a user.
    let user = client("front-proxy-client", None)?;
    let want = json!({"user": "front-proxy-client", "groups": ["system:authenticated"], "certificate": true});
    same(&who(&stage, &user, &[BOB]).await?, &want, "the users' CA")
}

async fn allowed_names() -> Result<()> {
    let stage = stage().await?;
    let mut trust = stage.trust();
    trust.insert("requestheader-allowed-names".to_owned(), "[]".to_owned());
    stage.api.set(trust);
    let any = stage.with(&stage.front_proxy_ca.client("whoever", None)?)?;
    let bob = json!({"user": "bob", "groups": ["system:authenticated"]});
    testbed::eventually(testbed::PATIENCE, "any name of that CA is allowed", || async {
        same(&who(&stage, &any, &[BOB]).await?, &bob, "any name")
    })
    .await?;
    let unnamed = leaf(
        &stage.front_proxy_ca,
        "unnamed",
        "",
        &[ExtendedKeyUsagePurpose::ClientAuth],
    )?;
    same(
        &who(&stage, &stage.with(&unnamed)?, &[BOB]).await?,
        &bob,
        "no name",
    )?;
    let without_usage = leaf(&stage.front_proxy_ca, "without-usage", "x", &[])?;
    same(
        &who(&stage, &stage.with(&without_usage)?, &[BOB]).await?,
        &bob,
        "no usage",
    )?;
    let server = leaf(
        &stage.front_proxy_ca,
        "server",
        "front-proxy-client",
        &[ExtendedKeyUsagePurpose::ServerAuth],
    )?;
    let refused = json!({"status": 401});
    same(
        &who(&stage, &stage.with(&server)?, &[BOB]).await?,
        &refused,
        "a server's certificate",
    )?;
    // Of that CA, and of no other.
    let user = stage.with(&stage.client_ca.client("whoever", None)?)?;
    let want = json!({"user": "whoever", "groups": ["system:authenticated"], "certificate": true});
    same(&who(&stage, &user, &[BOB]).await?, &want, "a user")
}

async fn bad_certificates() -> Result<()> {
    let stage = stage().await?;
    let stranger = Authority::new("stranger-ca", &stage.folder("stranger"))?;
    let mut ended = CertificateParams::new(Vec::<String>::new())?;
    ended.distinguished_name.push(DnType::CommonName, "alice");
    ended.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let mut future = ended.clone();
    future.not_before = rcgen::date_time_ymd(2999, 1, 1);
    future.not_after = rcgen::date_time_ymd(3000, 1, 1);
    let server = leaf(
        &stage.client_ca,
        "server",
        "alice",
        &[ExtendedKeyUsagePurpose::ServerAuth],
    )?;
    let cases = [
        ("of an unknown CA", stranger.client("alice", None)?),
        ("ended", stage.client_ca.sign("ended", ended)?),
        ("not yet valid", stage.client_ca.sign("future", future)?),
        ("a server's", server),
    ];
    for (case, pair) in &cases {
        let client = stage.with(pair)?;
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let ask = Ask::get("/apis").over(protocol);
            let mut connection = client
                .connect(protocol)
                .await
                .with_context(|| format!("the handshake, {case}"))?;
            let reply = connection.send(&ask).await?;
            let failure = reply.failure(401, "Unauthorized")?;
            same(&failure.message, &"Unauthorized".to_owned(), case)?;
        }
        // A credential that succeeds after one that failed counts.
        same(
            &who(&stage, &client, &[("authorization", "Bearer good")]).await?["user"],
            &json!("alice"),
            case,
        )?;
    }
    Ok(())
}

async fn headers() -> Result<()> {
    let stage = stage().await?;
    let seen = who(
        &stage,
        &stage.proxy()?,
        &[
            BOB,
            ("x-remote-group", "devs, not two"),
            ("x-remote-group", ""),
            ("x-remote-group", "ops"),
            ("x-remote-uid", "uid-7"),
            ("x-remote-extra-scopes", "a"),
            ("x-remote-extra-scopes", "b,c"),
            ("x-remote-extra-acme.com%2fproject", "p1"),
        ],
    )
    .await?;
    let want = json!({
        "user": "bob", "uid": "uid-7", "groups": ["devs, not two", "ops", "system:authenticated"],
        "extra": {"acme.com/project": ["p1"], "scopes": ["a", "b,c"]},
    });
    same(&seen, &want, "the user")
}

async fn uid() -> Result<()> {
    let stage = stage().await?;
    let proxy = stage.proxy()?;
    let headers = [BOB, ("x-remote-uid", "uid-7"), ("x-other-uid", "uid-8")];
    same(
        &who(&stage, &proxy, &headers).await?["uid"],
        &json!("uid-7"),
        "where it is listed",
    )?;
    for (uid_headers, want) in [(&["X-Other-Uid"][..], json!("uid-8")), (&[], Value::Null)] {
        let trust = Trust {
            client: &[&stage.client_ca],
            front_proxy: &[&stage.front_proxy_ca],
            allowed_names: &["front-proxy-client"],
            uid_headers,
        };
        let mut data = trust.data();
        if uid_headers.is_empty() {
            // As clusters before 1.32 have it.
            data.remove("requestheader-uid-headers");
        }
        stage.api.set(data);
        testbed::eventually(testbed::PATIENCE, "the header is another", || async {
            same(&who(&stage, &proxy, &headers).await?["uid"], &want, "the uid")
        })
        .await?;
    }
    Ok(())
}

async fn headers_without_proxy() -> Result<()> {
    let stage = stage().await?;
    let claim = [BOB, ("x-remote-group", "system:masters"), ("x-remote-uid", "0")];
    let none = stage.anonymous()?;
    let anonymous = json!({"user": "system:anonymous", "groups": ["system:unauthenticated"]});
    same(&who(&stage, &none, &claim).await?, &anonymous, "no certificate")?;
    let alice = json!({"user": "alice", "groups": ["devs", "system:authenticated"]});
    same(
        &who(&stage, &none.with_token("good"), &claim).await?,
        &alice,
        "a token",
    )?;
    let user = stage.with(&stage.client_ca.client("carol", None)?)?;
    let carol = json!({"user": "carol", "groups": ["system:authenticated"], "certificate": true});
    same(&who(&stage, &user, &claim).await?, &carol, "a user's certificate")?;
    let stranger =
        Authority::new("stranger-ca", &stage.folder("stranger"))?.client("front-proxy-client", None)?;
    same(
        &who(&stage, &stage.with(&stranger)?, &claim).await?,
        &json!({"status": 401}),
        "another CA's proxy",
    )?;

    // HTTP/1.1 carries names as they are written.
    let proxy = stage.proxy()?;
    let reply = raw(&proxy, "X-REMOTE-user: bob\r\nX-Remote-GROUP: devs\r\n").await?;
    ensure!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    let asked = stage.api.asked_accesses().pop().context("no review")?;
    same(&asked["spec"]["user"], &json!("bob"), "the user")?;
    same(
        &asked["spec"]["groups"],
        &json!(["devs", "system:authenticated"]),
        "the groups",
    )
}

/// `GET /version` with these header lines, byte for byte.
async fn raw(client: &Client, headers: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let mut stream = client.tls(&[b"http/1.1"]).await?;
    let request = format!("GET /version HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

async fn intermediates() -> Result<()> {
    let stage = stage().await?;
    let below = stage.client_ca.subordinate("team-ca")?;
    let further = below.subordinate("shift-ca")?;
    let mut pair = further.client("dora", Some("night"))?;
    let refused = json!({"status": 401});
    same(
        &who(&stage, &stage.with(&pair)?, &[]).await?,
        &refused,
        "without the intermediates",
    )?;
    pair.certificate_pem.push_str(&further.pem());
    same(
        &who(&stage, &stage.with(&pair)?, &[]).await?,
        &refused,
        "without one of them",
    )?;
    pair.certificate_pem.push_str(&below.pem());
    let dora = json!({"user": "dora", "groups": ["night", "system:authenticated"], "certificate": true});
    same(&who(&stage, &stage.with(&pair)?, &[]).await?, &dora, "with both")?;

    let below = stage.front_proxy_ca.subordinate("proxies-ca")?;
    let mut pair = below.client("front-proxy-client", None)?;
    pair.certificate_pem.push_str(&below.pem());
    let bob = json!({"user": "bob", "groups": ["system:authenticated"]});
    same(
        &who(&stage, &stage.with(&pair)?, &[BOB]).await?,
        &bob,
        "a proxy's",
    )
}

/// A certificate with this CN (none where it is empty) and these usages.
fn leaf(authority: &Authority, file: &str, name: &str, usages: &[ExtendedKeyUsagePurpose]) -> Result<Pair> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    if !name.is_empty() {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.extended_key_usages = usages.to_vec();
    authority.sign(file, params)
}
