use std::{net::SocketAddr, sync::atomic::Ordering};

use http::{HeaderValue, Request};
use rcgen::ExtendedKeyUsagePurpose;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::*;
use crate::server::testing::{FakeReviewer, Pair, Pki};

const MALLORY: (&str, &str) = ("X-Remote-User", "mallory");
const BOB: (&str, &str) = ("X-Remote-User", "bob");

/// What it is about, the client's certificate, its headers, who it is, how many tokens were reviewed.
type Case<'a> = (&'a str, Option<&'a Pair>, Vec<(&'a str, &'a str)>, &'a str, usize);

struct Bench {
    pki: Pki,
    config: watch::Sender<Option<Arc<AuthenticationConfig>>>,
    reviewer: Arc<FakeReviewer>,
    authenticator: Authenticator,
}

/// Who the request turned out to be from, in a line; `401` or `403` if nobody.
struct Seen {
    who: String,
    parts: Parts,
    tokens: usize,
}

impl Bench {
    fn new() -> Self {
        let pki = Pki::new();
        let (config, receiver) = watch::channel(Some(pki.config(&["front-proxy-client"])));
        let reviewer = Arc::new(FakeReviewer::default());
        let shared: Arc<dyn Reviewer> = Arc::<FakeReviewer>::clone(&reviewer);
        Self {
            pki,
            config,
            authenticator: Authenticator::new(receiver, shared),
            reviewer,
        }
    }

    async fn ask(&self, pair: Option<&Pair>, headers: &[(&str, &str)]) -> Seen {
        let chain = pair.map(|pair| pair.chain.clone()).unwrap_or_default();
        self.ask_on(&peer(chain), headers).await
    }

    async fn ask_on(&self, peer: &Peer, headers: &[(&str, &str)]) -> Seen {
        let mut request = Request::get("/apis");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let before = self.reviewer.tokens.load(Ordering::SeqCst);
        let who = match self.authenticator.authenticate(&mut parts, peer).await {
            Ok(identity) => format!("{} {}", identity.user, identity.groups.join(",")),
            Err(AuthnError::Unauthorized(_)) => "401".to_owned(),
            Err(AuthnError::Busy) => "429".to_owned(),
            Err(AuthnError::Impersonation { .. }) => "403".to_owned(),
        };
        let tokens = self.reviewer.tokens.load(Ordering::SeqCst) - before;
        Seen { who, parts, tokens }
    }
}

fn peer(chain: Vec<CertificateDer<'static>>) -> Peer {
    Peer::new(SocketAddr::from(([127, 0, 0, 1], 1)), chain)
}

/// The twelve cases of the reference server, in the order of its recorded exchanges.
#[tokio::test]
async fn the_matrix() {
    let bench = Bench::new();
    let pki = &bench.pki;
    let alice = pki.client.client("alice", &["devs"]);
    let admin = pki.client.client("admin", &["system:masters"]);
    let proxy = pki.proxy();
    let bad_proxy = pki.front_proxy.client("someone-else", &[]);
    let anonymous = "system:anonymous system:unauthenticated";
    let bob = "bob system:authenticated";

    let cases: Vec<Case<'_>> = vec![
        ("no credential", None, vec![], anonymous, 0),
        (
            "a bad token",
            None,
            vec![("Authorization", "Bearer bad")],
            "401",
            1,
        ),
        (
            "a good token",
            None,
            vec![("Authorization", "Bearer good")],
            "alice devs,system:authenticated",
            1,
        ),
        (
            "another scheme",
            None,
            vec![("Authorization", "Basic Zm9vOmJhcg==")],
            anonymous,
            0,
        ),
        (
            "a client certificate",
            Some(&alice),
            vec![],
            "alice devs,system:authenticated",
            0,
        ),
        ("the front proxy without a user", Some(&proxy), vec![], "401", 0),
        ("the front proxy", Some(&proxy), vec![BOB], bob, 0),
        ("a proxy with another name", Some(&bad_proxy), vec![BOB], "401", 0),
        ("headers without a certificate", None, vec![MALLORY], anonymous, 0),
        (
            "headers with a client's certificate",
            Some(&admin),
            vec![MALLORY],
            "admin system:masters,system:authenticated",
            0,
        ),
        (
            "the front proxy and a token",
            Some(&proxy),
            vec![BOB, ("Authorization", "Bearer good")],
            bob,
            0,
        ),
        (
            "the front proxy and impersonation",
            Some(&proxy),
            vec![BOB, ("Impersonate-User", "zed")],
            "403",
            0,
        ),
    ];
    assert_eq!(cases.len(), 12);
    for (case, pair, headers, who, tokens) in cases {
        let seen = bench.ask(pair, &headers).await;
        assert_eq!(seen.who, who, "{case}");
        assert_eq!(seen.tokens, tokens, "TokenReviews: {case}");
    }
}

#[tokio::test]
async fn a_later_success_outweighs_an_earlier_failure() {
    let bench = Bench::new();
    let stranger = crate::server::testing::Ca::new("stranger").client("x", &[]);
    let seen = bench
        .ask(Some(&stranger), &[("Authorization", "Bearer good")])
        .await;
    assert_eq!(seen.who, "alice devs,system:authenticated");
    assert_eq!(bench.ask(Some(&stranger), &[]).await.who, "401");
    assert_eq!(
        bench
            .ask(Some(&stranger), &[("Authorization", "Bearer down")])
            .await
            .who,
        "401"
    );
}

#[tokio::test]
async fn a_token_that_cannot_be_reviewed_is_nobodys() {
    let bench = Bench::new();
    let busy = bench.ask(None, &[("Authorization", "Bearer busy")]).await;
    assert_eq!(busy.who, "429");
    for token in ["down", "nobody", "expired"] {
        let header = format!("Bearer {token}");
        assert_eq!(
            bench.ask(None, &[("Authorization", &header)]).await.who,
            "401",
            "{token}"
        );
    }
    let long = format!("Bearer {}", "x".repeat(token::MAX_TOKEN + 1));
    let seen = bench.ask(None, &[("Authorization", &long)]).await;
    assert_eq!((seen.who.as_str(), seen.tokens), ("401", 0));
}

#[tokio::test]
async fn a_websockets_token_counts_like_another() {
    let bench = Bench::new();
    let handshake = |protocols| {
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Protocol", protocols),
        ]
    };
    let good = "x, base64url.bearer.authorization.k8s.io.Z29vZA";
    let seen = bench.ask(None, &handshake(good)).await;
    assert_eq!(seen.who, "alice devs,system:authenticated");
    assert!(!seen.parts.headers.contains_key("sec-websocket-protocol"));
    let bad = "x, base64url.bearer.authorization.k8s.io.YmFk";
    assert_eq!(bench.ask(None, &handshake(bad)).await.who, "401");
}

#[tokio::test]
async fn an_empty_list_of_names_allows_any_certificate_of_that_ca_and_of_no_other() {
    let bench = Bench::new();
    bench.config.send_replace(Some(bench.pki.config(&[])));
    let any = bench.pki.front_proxy.client("whoever", &[]);
    assert_eq!(
        bench.ask(Some(&any), &[BOB]).await.who,
        "bob system:authenticated"
    );
    let client = bench.pki.client.client("front-proxy-client", &[]);
    let seen = bench.ask(Some(&client), &[BOB]).await;
    assert_eq!(seen.who, "front-proxy-client system:authenticated");
    let server = bench
        .pki
        .front_proxy
        .leaf("front-proxy-client", &[], ExtendedKeyUsagePurpose::ServerAuth);
    assert_eq!(bench.ask(Some(&server), &[BOB]).await.who, "401");
}

#[tokio::test]
async fn what_named_the_user_is_gone_afterwards() {
    let bench = Bench::new();
    let admin = bench.pki.client.client("admin", &[]);
    let headers = [
        MALLORY,
        ("x-remote-GROUP", "system:masters"),
        ("Authorization", "Bearer x"),
        ("Accept", "*/*"),
    ];
    let seen = bench.ask(Some(&admin), &headers).await;
    assert_eq!(seen.who, "admin system:authenticated");
    assert_eq!(seen.parts.headers.len(), 1);
    assert_eq!(
        seen.parts.headers.get("accept"),
        Some(&HeaderValue::from_static("*/*"))
    );
}

#[tokio::test]
async fn impersonation_is_refused_whoever_asks_for_it() {
    let bench = Bench::new();
    for header in [
        "Impersonate-User",
        "impersonate-group",
        "Impersonate-Uid",
        "Impersonate-Extra-scopes",
    ] {
        assert_eq!(bench.ask(None, &[(header, "x")]).await.who, "403", "{header}");
        assert_eq!(
            bench
                .ask(None, &[(header, "x"), ("Authorization", "Bearer bad")])
                .await
                .who,
            "401"
        );
    }
}

#[tokio::test]
async fn a_passed_on_anonymous_user_stays_anonymous() {
    let bench = Bench::new();
    let peer = peer(bench.pki.proxy().chain);
    let headers = [
        ("X-Remote-User", "system:anonymous"),
        ("X-Remote-Group", "system:unauthenticated"),
    ];
    let seen = bench.ask_on(&peer, &headers).await;
    assert_eq!(seen.who, "system:anonymous system:unauthenticated");
    assert!(
        !peer.is_closing(),
        "the connection is the front proxy's, which everyone shares"
    );
}

#[tokio::test]
async fn closes_the_connections_of_strangers() {
    let bench = Bench::new();
    let cases: &[(&[(&str, &str)], bool)] = &[
        (&[], true),
        (&[("Authorization", "Bearer bad")], true),
        (&[("Authorization", "Bearer good")], false),
    ];
    for (headers, closes) in cases {
        let peer = peer(Vec::new());
        bench.ask_on(&peer, headers).await;
        assert_eq!(peer.is_closing(), *closes, "{headers:?}");
    }
}

#[tokio::test]
async fn a_change_of_the_cas_holds_on_open_connections() {
    let bench = Bench::new();
    let peer = peer(bench.pki.proxy().chain);
    assert_eq!(bench.ask_on(&peer, &[BOB]).await.who, "bob system:authenticated");
    assert_eq!(bench.ask_on(&peer, &[BOB]).await.who, "bob system:authenticated");

    bench.config.send_replace(Some(bench.pki.config(&["another"])));
    assert_eq!(bench.ask_on(&peer, &[BOB]).await.who, "401");
    bench
        .config
        .send_replace(Some(Pki::new().config(&["front-proxy-client"])));
    assert_eq!(bench.ask_on(&peer, &[BOB]).await.who, "401");
    bench
        .config
        .send_replace(Some(bench.pki.config(&["front-proxy-client"])));
    assert_eq!(bench.ask_on(&peer, &[BOB]).await.who, "bob system:authenticated");
}

#[tokio::test]
async fn certificates_vouch_for_nobody_before_the_cluster_said_whose_count() {
    let bench = Bench::new();
    bench.config.send_replace(None);
    let seen = bench.ask(Some(&bench.pki.proxy()), &[BOB]).await;
    assert_eq!(seen.who, "system:anonymous system:unauthenticated");
    assert_eq!(
        bench.ask(None, &[("Authorization", "Bearer good")]).await.who,
        "alice devs,system:authenticated"
    );
}

/// The listener keeps a connection by what was ever shown on it.
#[tokio::test]
async fn a_connection_becomes_known() {
    let bench = Bench::new();
    let stranger = peer(Vec::new());
    bench.ask_on(&stranger, &[]).await;
    bench.ask_on(&stranger, &[("Authorization", "Bearer bad")]).await;
    assert!(!stranger.is_known());
    bench.ask_on(&stranger, &[("Authorization", "Bearer good")]).await;
    assert!(stranger.is_known() && !stranger.is_front_proxy());

    let proxy = peer(bench.pki.proxy().chain);
    bench.ask_on(&proxy, &[]).await;
    assert!(!proxy.is_known(), "it named nobody");
    bench.ask_on(&proxy, &[("X-Remote-User", "bob")]).await;
    assert!(proxy.is_front_proxy() && proxy.is_known());
    bench
        .ask_on(
            &proxy,
            &[("X-Remote-User", "bob"), ("Authorization", "Bearer good")],
        )
        .await;
    assert!(proxy.is_front_proxy());
}
