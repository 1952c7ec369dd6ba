//! Servers that are slow, broken, or something else.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

use super::*;

async fn outcome(response: ResponseTemplate, spec: Value) -> (Result<Arc<Rows>, BackendError>, Duration) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(response).mount(&server).await;
    let mut spec = spec;
    spec["url"] = json!(server.uri());
    let client = client(&spec, &[]);
    let started = Instant::now();
    (
        client.instant(query("up")).await.map(|answer| answer.rows),
        started.elapsed(),
    )
}

#[tokio::test]
async fn a_slow_backend_is_given_up_in_time() {
    let slow = ResponseTemplate::new(200)
        .set_body_string(vector(&json!([])))
        .set_delay(Duration::from_secs(30));
    let (result, took) = outcome(slow, json!({"timeout": "300ms"})).await;
    assert_eq!(result.unwrap_err().reason(), Reason::BackendTimeout);
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(5),
        "{took:?}"
    );
}

#[tokio::test]
async fn a_backend_that_dribbles_is_given_up_in_time() {
    // Sends the head and then one byte now and then: every read succeeds, the whole never does.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            .await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let client = client(&json!({"url": url, "timeout": "300ms"}), &[]);
    let started = Instant::now();
    let error = client.instant(query("up")).await.unwrap_err();
    assert_eq!(error.reason(), Reason::BackendTimeout);
    assert!(started.elapsed() < Duration::from_secs(5));
    // The client hangs up, and does not leave the connection to the next query.
    tokio::time::timeout(Duration::from_secs(5), server)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn errors_pages_and_garbage_have_their_reasons() {
    let error = r#"{"status":"error","errorType":"bad_data","error":"1:5: parse error: x"}"#;
    for (response, reason) in [
        (
            ResponseTemplate::new(400).set_body_string(error),
            Reason::QueryRejected,
        ),
        (
            ResponseTemplate::new(500).set_body_string("boom"),
            Reason::BackendError,
        ),
        (ResponseTemplate::new(503), Reason::BackendDown),
        (
            ResponseTemplate::new(200).set_body_string("<html>Sign in</html>"),
            Reason::BackendError,
        ),
        (
            ResponseTemplate::new(200).set_body_string("{"),
            Reason::BackendError,
        ),
        (ResponseTemplate::new(204), Reason::BackendError),
        (
            ResponseTemplate::new(302).insert_header("Location", "https://sso.corp/?state=1"),
            Reason::RedirectRefused,
        ),
        (
            ResponseTemplate::new(200)
                .set_body_string("not gzip")
                .insert_header("Content-Encoding", "gzip"),
            Reason::BackendError,
        ),
    ] {
        let (result, _) = outcome(response.clone(), json!({})).await;
        assert_eq!(result.unwrap_err().reason(), reason, "{response:?}");
    }
}

#[tokio::test]
async fn a_result_of_another_type_and_too_many_rows_are_told() {
    let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let (result, _) = outcome(ResponseTemplate::new(200).set_body_string(matrix), json!({})).await;
    let error = result.unwrap_err();
    assert_eq!(error.reason(), Reason::UnexpectedResult);
    assert_eq!(error.cause(), "the query returns a matrix, not an instant vector");

    let rows: Vec<_> = (0..4)
        .map(|i| json!({"metric": {"i": i.to_string()}, "value": [1, "1"]}))
        .collect();
    let (result, _) = outcome(
        ResponseTemplate::new(200).set_body_string(vector(&json!(rows))),
        json!({}),
    )
    .await;
    let error = result.unwrap_err();
    assert_eq!(
        (error.reason(), error.cause()),
        (
            Reason::LimitExceeded,
            "the backend's answer has more than 3 rows, which is limits.maxSamples of the rule"
        )
    );
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let blank = [b" ".repeat(1 << 20), Vec::new()].concat().repeat(65);
    let (result, _) = outcome(
        ResponseTemplate::new(200).set_body_bytes(blank),
        json!({"timeout": "20s"}),
    )
    .await;
    let error = result.unwrap_err();
    assert_eq!(error.reason(), Reason::LimitExceeded);
    assert_eq!(error.cause(), "the backend's answer is larger than 65536 KiB");
}

#[tokio::test]
async fn nobody_there_is_down() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(&json!({"url": format!("http://{address}")}), &[])
        .instant(query("up"))
        .await
        .unwrap_err();
    assert_eq!(
        (error.reason(), error.cause()),
        (Reason::BackendDown, "the backend cannot be reached")
    );
    assert_eq!(error.detail(), format!("connection refused: {address}"));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_no_error() {
    // Answers one request on every connection, says that it stays open, and closes it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let body = vector(&json!([]));
            let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(reply.as_bytes()).await;
            // The next request is read and not answered.
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let client = client(&json!({"url": url}), &[]);
    client.instant(query("up")).await.unwrap();
    client.instant(query("up")).await.unwrap();
}
