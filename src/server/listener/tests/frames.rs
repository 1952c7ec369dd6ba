//! HTTP/2 by the frame: what no library would send.

use std::collections::BTreeMap;

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::*;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

struct Raw(TlsStream<TcpStream>);

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET https://x<path>`, in HPACK without Huffman codes.
fn head(path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x87, 0x01, 1, b'x', 0x04];
    head.push(u8::try_from(path.len()).unwrap());
    head.extend(path.as_bytes());
    head
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(path))
}

impl Raw {
    /// The preface, and `settings` by identifier.
    async fn new(bench: &Bench, settings: &[(u16, u32)]) -> Self {
        let stream = connect(bench.addr, &bench.pki.serving.der, None, H2, false)
            .await
            .unwrap();
        let mut raw = Self(stream);
        let mut payload = Vec::new();
        for (id, value) in settings {
            payload.extend(id.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        raw.send(&frame(SETTINGS, 0, 0, &payload)).await.unwrap();
        raw
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// The next frame; `None` at the end.
    async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await?;
            io::Result::Ok(Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                payload,
            })
        };
        timeout(SOON, read).await.expect("a frame in time").ok()
    }

    async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind && !(kind == SETTINGS && frame.flags & 1 == 1) {
                return Some(frame);
            }
        }
    }

    async fn until_closed(&mut self) {
        while self.next().await.is_some() {}
    }
}

#[tokio::test]
async fn announces_its_limits() {
    let bench = Bench::new(Limits::default()).await;
    let mut raw = Raw::new(&bench, &[]).await;
    let settings = raw.until(SETTINGS).await.unwrap().payload;
    let settings: BTreeMap<u16, u32> = settings
        .chunks(6)
        .map(|setting| {
            let (id, value) = setting.split_at(2);
            (
                u16::from_be_bytes(id.try_into().unwrap()),
                u32::from_be_bytes(value.try_into().unwrap()),
            )
        })
        .collect();
    // Streams as the reference server has them; heads are smaller on purpose. The windows are the protocol's own, or less: no
    // body is ever read.
    assert_eq!(settings.get(&3), Some(&100), "{settings:?}");
    assert_eq!(settings.get(&6), Some(&(256 * 1024)), "{settings:?}");
    assert!(
        settings.get(&4).is_none_or(|window| *window <= 65_535),
        "{settings:?}"
    );
    assert!(
        settings.get(&1).is_none_or(|table| *table <= 4096),
        "{settings:?}"
    );
}

#[tokio::test]
async fn refuses_the_101st_stream() {
    let bench = Bench::new(Limits::default()).await;
    let mut raw = Raw::new(&bench, &[]).await;
    raw.until(SETTINGS).await.unwrap();
    for number in 0..100 {
        raw.send(&get(number * 2 + 1, "/slow")).await.unwrap();
    }
    bench
        .until("100 requests", |bench| {
            bench.slow.entered.load(Ordering::SeqCst) == 100
        })
        .await;
    raw.send(&get(201, "/open")).await.unwrap();
    let refused = raw.until(RST_STREAM).await.unwrap();
    assert_eq!(
        (refused.stream, &refused.payload[..]),
        (201, &[0, 0, 0, 7][..]),
        "REFUSED_STREAM"
    );
    // The hundred go on.
    bench.slow.release.notify_waiters();
    let mut answered = 0;
    while answered < 100 {
        let frame = raw.until(HEADERS).await.expect("an answer");
        assert!(frame.stream < 200);
        answered += 1;
    }
    bench.is_answering().await;
}

#[tokio::test]
async fn ends_a_head_that_does_not_end() {
    let bench = Bench::new(Limits::default()).await;
    for part in [&[][..], &[0x00, 1, b'a', 1, b'b'].repeat(1000)] {
        let mut raw = Raw::new(&bench, &[]).await;
        raw.send(&frame(HEADERS, END_STREAM, 1, &head("/open")))
            .await
            .unwrap();
        let more = frame(CONTINUATION, 0, 1, part).repeat(100);
        let flood = async {
            // Until it is cut.
            while raw.send(&more).await.is_ok() {}
        };
        timeout(SOON, flood).await.expect("cut in time");
    }
    bench.is_answering().await;
}

#[tokio::test]
async fn frames_without_a_request_keep_no_connection() {
    let limits = Limits {
        header: Duration::from_millis(500),
        crowded_idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let bench = Bench::new(limits).await;
    let floods = [
        frame(PING, 0, 0, &[7; 8]),
        frame(SETTINGS, 0, 0, &[]),
        // WINDOW_UPDATE by one
        frame(8, 0, 0, &[0, 0, 0, 1]),
        // PRIORITY of a stream that is not there
        frame(2, 0, 9, &[0, 0, 0, 1, 1]),
        // a kind that does not exist
        frame(0xbb, 0, 0, &[0; 64]),
    ];
    for flood in floods {
        // One that reads what it is answered, and one that lets it pile up.
        for reads in [true, false] {
            let raw = Raw::new(&bench, &[]).await;
            let batch = flood.repeat(50);
            let (mut reader, mut writer) = tokio::io::split(raw.0);
            let reading = async {
                let mut rest = [0; 4096];
                while reads && reader.read(&mut rest).await.is_ok_and(|read| read > 0) {}
                if !reads {
                    std::future::pending::<()>().await;
                }
            };
            let writing = async {
                while writer.write_all(&batch).await.is_ok() && writer.flush().await.is_ok() {
                    tokio::task::yield_now().await;
                }
            };
            let cut = async {
                tokio::select! {
                    () = reading => {}
                    () = writing => {}
                }
            };
            timeout(SOON, cut).await.expect("cut in time");
        }
    }
    bench.is_answering().await;
}

#[tokio::test]
async fn cuts_a_client_that_takes_no_reply() {
    let limits = Limits {
        unread: Duration::from_millis(300),
        crowded_idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let bench = Bench::new(limits).await;
    // SETTINGS_INITIAL_WINDOW_SIZE 0: not a byte of a body may be sent.
    let mut raw = Raw::new(&bench, &[(4, 0)]).await;
    raw.send(&get(1, "/open")).await.unwrap();
    raw.until(HEADERS).await.expect("the reply begins");
    raw.until_closed().await;
    bench
        .until_counted(r#"metricrule_connection_errors_total{stage="serve"} 1"#)
        .await;
    bench.is_answering().await;
}

#[tokio::test]
async fn a_client_that_takes_no_reply_does_not_hold_up_the_end() {
    let limits = Limits {
        crowded_idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let mut bench = Bench::with_grace(limits, Duration::from_hours(1)).await;
    let mut raw = Raw::new(&bench, &[(4, 0)]).await;
    raw.send(&get(1, "/open")).await.unwrap();
    raw.until(HEADERS).await.expect("the reply begins");
    bench.shutdown.cancel();
    raw.until(GOAWAY).await.expect("it is told");
    timeout(SOON, &mut bench.served)
        .await
        .expect("serve ends")
        .unwrap();
}
