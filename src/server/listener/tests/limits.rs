//! Limits on what a client can make the listener wait for or keep.

use std::{future::poll_fn, pin::pin, task::Poll};

use http::Version;

use super::*;

#[tokio::test]
async fn survives_garbage_and_silence() {
    let limits = Limits {
        handshake: Duration::from_millis(200),
        ..Limits::default()
    };
    let bench = Bench::new(limits).await;
    bench.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    bench.raw(&[0; 4096]).await;
    // A record that announces more than it sends, and a client that says nothing at all.
    bench.raw(&[0x16, 0x03, 0x01, 0x40, 0x00, 0x01]).await;
    bench.raw(b"").await;
    bench
        .until_counted(r#"metricrule_connection_errors_total{stage="handshake"} 4"#)
        .await;
    bench.is_answering().await;
}

#[tokio::test]
async fn ends_connections_that_send_no_head() {
    let limits = Limits {
        header: Duration::from_millis(300),
        crowded_idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let bench = Bench::new(limits).await;
    for (alpn, begun) in [
        (H1, b"".as_slice()),
        (H1, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "),
        (H2, b""),
        (H2, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ] {
        let mut stream = connect(bench.addr, &bench.pki.serving.der, None, alpn, false)
            .await
            .unwrap();
        stream.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut rest))
            .await
            .expect("closed in time");
    }
    bench.is_answering().await;
}

#[tokio::test]
async fn ends_idle_connections() {
    let limits = Limits {
        idle: Duration::from_millis(300),
        crowded_idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let bench = Bench::new(limits).await;
    for alpn in [H1, H2] {
        let mut client = bench.connect(None, alpn).await;
        client.get("/open", &[]).await.unwrap();
        client.until_closed().await;
    }
    bench.until_counted("metricrule_connections 0\n").await;
}

#[tokio::test]
async fn waits_at_the_cap_and_makes_room() {
    let limits = Limits {
        connections: 4,
        crowded_idle: Duration::from_millis(200),
        ..Limits::default()
    };
    let bench = Bench::new(limits).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut client = bench.connect(None, H2).await;
        client.get("/open", &[]).await.unwrap();
        idle.push(client);
    }
    // The fifth comes in because idle ones make room, long before their usual 90 s.
    bench.is_answering().await;
}

/// Half-open handshakes and strangers make room for each other, and the known stay.
#[tokio::test]
async fn a_crowd_keeps_nobody_out() {
    let limits = Limits {
        connections: 16,
        handshakes: 4,
        strangers: 4,
        ..Limits::default()
    };
    let bench = Bench::new(limits).await;
    let mut known = bench.connect(None, H2).await;
    let token: &[(&str, &str)] = &[("Authorization", "Bearer good")];
    assert_eq!(known.get("/", token).await.unwrap().text, "alice");
    let (mut silent, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let mut stream = TcpStream::connect(bench.addr).await.unwrap();
        stream
            .write_all(&[0x16, 0x03, 0x01, 0x40, 0x00, 0x01])
            .await
            .unwrap();
        silent.push(stream);
        idle.push(
            connect(bench.addr, &bench.pki.serving.der, None, H2, false)
                .await
                .unwrap(),
        );
        bench.is_answering().await;
        assert_eq!(known.get("/", token).await.unwrap().text, "alice");
    }
    // All but the last few were sent away.
    let mut away = 0;
    for mut stream in silent {
        let mut byte = [0];
        away += usize::from(!matches!(
            timeout(Duration::from_millis(50), stream.read(&mut byte)).await,
            Err(_) | Ok(Ok(1..))
        ));
    }
    assert!(away >= 16, "{away}");
    bench
        .until(r#"{stage="crowded"}"#, |bench| {
            let text = bench.metrics.encode();
            let line = text
                .lines()
                .find(|line| line.contains(r#"errors_total{stage="crowded"}"#));
            line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
                .unwrap_or(0)
                >= 32
        })
        .await;
}

#[tokio::test]
async fn bounds_paths() {
    let bench = Bench::new(Limits::default()).await;
    for alpn in [H1, H2] {
        let long = format!("/?labelSelector={}", "x".repeat(60_000));
        let token = [("Authorization", "Bearer good")];
        assert_eq!(
            bench
                .connect(None, alpn)
                .await
                .get(&long, &token)
                .await
                .unwrap()
                .text,
            "alice"
        );
    }
    // Longer than any library here would send.
    let path = "x".repeat(70_000);
    let mut stream = connect(bench.addr, &bench.pki.serving.der, None, H1, false)
        .await
        .unwrap();
    stream
        .write_all(format!("GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .expect("closed in time");
    assert!(
        answer.starts_with(b"HTTP/1.1 414 "),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    bench.is_answering().await;
}

#[tokio::test]
async fn bounds_heads() {
    let bench = Bench::new(Limits::default()).await;
    let token = [("Authorization", "Bearer good")];
    for alpn in [H1, H2] {
        let mut fits = bench.connect(None, alpn).await;
        let long = "x".repeat(200 * 1024);
        assert_eq!(
            fits.get("/", &[token[0], ("X-Long", &long)]).await.unwrap().text,
            "alice"
        );
        let many: Vec<_> = std::iter::repeat_n(("X-Remote-Group", "g"), 1000)
            .chain(token)
            .collect();
        assert_eq!(fits.get("/", &many).await.unwrap().text, "alice");

        let mut too_long = bench.connect(None, alpn).await;
        let long = "x".repeat(1024 * 1024);
        // Refused with a status, or cut while it was still being sent.
        match too_long.get("/", &[token[0], ("X-Long", &long)]).await {
            Ok(reply) => assert_eq!(reply.code, 431),
            Err(error) => assert!(!error.is_timeout(), "{error}"),
        }
        bench.is_answering().await;
    }
}

#[tokio::test]
async fn outlives_a_rapid_reset() {
    let bench = Bench::new(Limits::default()).await;
    let mut resets = 0;
    'connections: for _ in 0..5 {
        let Client::Http2(mut sender) = bench.connect(None, H2).await else {
            unreachable!("HTTP/2 was asked for");
        };
        for _ in 0..400 {
            if poll_fn(|cx| sender.poll_ready(cx)).await.is_err() {
                continue 'connections;
            }
            let request = Request::get("https://x/slow").body(Empty::new()).unwrap();
            let mut response = pin!(sender.send_request(request));
            // Begun, then dropped: the client resets the stream.
            poll_fn(|cx| {
                let _ = response.as_mut().poll(cx);
                Poll::Ready(())
            })
            .await;
            tokio::task::yield_now().await;
            resets += 1;
        }
    }
    assert!(resets > 100, "the client reset only {resets} streams");
    bench.is_answering().await;
}

#[tokio::test]
async fn cuts_a_client_that_does_not_read() {
    let limits = Limits {
        stalled: Duration::from_millis(300),
        crowded_idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let bench = Bench::new(limits).await;
    let mut client = bench.connect(None, H2).await;
    // Nothing moves: the service waits for longer than any request may.
    assert!(
        timeout(SOON, client.get("/slow", &[]))
            .await
            .expect("cut in time")
            .is_err()
    );
    bench
        .until_counted(r#"metricrule_connection_errors_total{stage="serve"} 1"#)
        .await;
}

#[tokio::test]
async fn serves_plain_http_with_the_same_limits() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = Limits {
        header: Duration::from_millis(300),
        connections: 8,
        strangers: 8,
        ..Limits::plain()
    };
    let listener = Listener::new(tcp, None, limits, Metrics::new().server);
    let addr = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let router = Router::new().fallback(|request: Request<Body>| async move {
        assert_eq!(request.version(), Version::HTTP_11);
        request
            .extensions()
            .get::<Peer>()
            .unwrap()
            .chain()
            .len()
            .to_string()
    });
    let served = tokio::spawn(listener.serve(router, shutdown.clone(), SOON));

    let mut client = Client::new(TcpStream::connect(addr).await.unwrap(), false).await;
    assert_eq!(client.get("/", &[]).await.unwrap().text, "0");
    let mut slow = TcpStream::connect(addr).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(SOON, slow.read_to_end(&mut rest))
        .await
        .expect("closed in time");

    // A probe of the kubelet comes through whoever else is there.
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(TcpStream::connect(addr).await.unwrap());
        let mut probe = Client::new(TcpStream::connect(addr).await.unwrap(), false).await;
        assert_eq!(probe.get("/", &[]).await.unwrap().text, "0");
    }

    shutdown.cancel();
    timeout(SOON, served).await.expect("serve ends").unwrap();
}

#[test]
fn out_of_descriptors_is_not_the_clients_fault() {
    assert!(is_the_clients(&io::ErrorKind::ConnectionAborted.into()));
    assert!(!is_the_clients(&io::Error::from_raw_os_error(24)));
}

#[test]
fn few_descriptors_mean_few_connections() {
    let all = Limits::default().within(u64::MAX);
    assert_eq!((all.connections, all.handshakes, all.strangers), (1000, 256, 512));
    let few = Limits::default().within(1012);
    assert_eq!((few.connections, few.handshakes, few.strangers), (500, 128, 256));
    assert_eq!(Limits::default().within(0).connections, 64);
}
