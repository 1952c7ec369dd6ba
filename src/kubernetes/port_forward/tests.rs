//! Pod and port of a Service, and a forwarded stream against an API server that speaks WebSocket.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures::{SinkExt as _, StreamExt as _};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use tokio::time::timeout;

use super::{endpoints::Target, *};

fn service(ports: &Value) -> Service {
    serde_json::from_value(json!({"metadata": {"name": "adapter"}, "spec": {"ports": ports}})).unwrap()
}

fn slice(ports: &Value, endpoints: &Value) -> EndpointSlice {
    serde_json::from_value(
        json!({"addressType": "IPv4", "metadata": {}, "ports": ports, "endpoints": endpoints}),
    )
    .unwrap()
}

fn pod(name: &str, conditions: &Value) -> Value {
    json!({"addresses": ["10.0.0.1"], "conditions": conditions, "targetRef": {"kind": "Pod", "name": name}})
}

#[test]
fn a_services_port_is_found_by_number_name_or_being_https() {
    let two = service(&json!([{"name": "metrics", "port": 80}, {"name": "https", "port": 443}]));
    let plain = service(&json!([{"port": 9090}]));
    for (service, wanted, expected) in [
        (&two, Port::Number(80), Ok(Some("metrics"))),
        (&two, Port::Name("https".to_owned()), Ok(Some("https"))),
        (&two, Port::Https, Ok(Some("https"))),
        (&two, Port::Number(81), Err("metrics (80), https (443)")),
        (&plain, Port::Https, Ok(None)),
        (&plain, Port::Number(9090), Ok(None)),
        (&plain, Port::Name("web".to_owned()), Err("9090")),
    ] {
        let found = endpoints::port(service, &wanted);
        match expected {
            Ok(name) => assert_eq!(found.unwrap().as_deref(), name, "{wanted:?}"),
            Err(text) => assert!(found.unwrap_err().ends_with(text), "{wanted:?}"),
        }
    }
    let external: Service =
        serde_json::from_value(json!({"spec": {"type": "ExternalName", "ports": [{"port": 443}]}})).unwrap();
    assert!(
        endpoints::port(&external, &Port::Https)
            .unwrap_err()
            .contains("ExternalName")
    );
}

#[test]
fn the_pod_is_a_ready_one_and_the_port_the_containers() {
    let named = json!([{"name": "https", "port": 6443}, {"name": "metrics", "port": 8080}]);
    let ready = json!({"ready": true});
    for (endpoints, expected) in [
        (json!([pod("b", &ready), pod("a", &ready)]), Some("a")),
        (
            json!([pod("a", &json!({"ready": false})), pod("b", &ready)]),
            Some("b"),
        ),
        (
            json!([
                pod("a", &json!({"ready": true, "terminating": true})),
                pod("b", &json!({}))
            ]),
            Some("b"),
        ),
        (json!([{"addresses": ["10.0.0.1"], "conditions": ready}]), None),
        (json!([]), None),
    ] {
        let slices = [slice(&named, &endpoints)];
        let found = endpoints::targets(&two_ports(), &slices, Some("https"))
            .into_iter()
            .next();
        let expected = expected.map(|pod: &str| Target {
            pod: pod.to_owned(),
            port: 6443,
        });
        assert_eq!(found, expected, "{endpoints}");
    }
    let unnamed = slice(&json!([{"name": "", "port": 9090}]), &json!([pod("p", &ready)]));
    assert_eq!(endpoints::targets(&two_ports(), &[unnamed], None)[0].port, 9090);
}

fn two_ports() -> Service {
    service(&json!([{"name": "metrics", "port": 80}, {"name": "https", "port": 443}]))
}

#[test]
fn a_pod_that_was_put_before_a_service_by_its_name_or_by_a_slice_of_ones_own_was_the_only_one_asked() {
    let ports = json!([{"name": "https", "port": 6443}]);
    let ready = json!({"ready": true});
    let of = |endpoints: Value, owner: &str| {
        let mut slice = slice(&ports, &endpoints);
        let owners = json!([{"apiVersion": "v1", "kind": "Service", "name": "adapter", "uid": owner}]);
        slice.metadata.owner_references = serde_json::from_value(owners).unwrap();
        slice
    };
    let mut service = two_ports();
    service.metadata.uid = Some("1".to_owned());
    service.metadata.namespace = Some("monitoring".to_owned());
    service.spec.as_mut().unwrap().selector = Some([("app".to_owned(), "adapter".to_owned())].into());
    let mut elsewhere = pod("d", &ready);
    elsewhere["targetRef"]["namespace"] = json!("other");
    let slices = [
        of(
            json!([
                pod("b", &ready),
                pod("0", &ready),
                pod("c", &json!({"ready": false}))
            ]),
            "1",
        ),
        // the same pod by its other address
        of(json!([pod("b", &ready), elsewhere]), "1"),
        // made by hand, or for a Service of that name that is gone
        of(json!([pod("a", &ready)]), "2"),
        slice(&ports, &json!([pod("a", &ready)])),
    ];
    let pods = |service: &Service| -> Vec<String> {
        let targets = endpoints::targets(service, &slices, Some("https"));
        targets.into_iter().map(|target| target.pod).collect()
    };
    assert_eq!(pods(&service), ["0", "b"]);
    // One without a selector has no others.
    service.spec.as_mut().unwrap().selector = None;
    assert_eq!(pods(&service), ["0", "a", "b"]);
}

#[test]
fn services_are_named_on_the_command_line() {
    for (text, expected) in [
        ("a/b", "the Service a/b"),
        ("a/b:443", "port 443 of the Service a/b"),
        ("a/b:https", "port https of the Service a/b"),
    ] {
        assert_eq!(ServicePort::parse(text).unwrap().to_string(), expected);
    }
    for text in ["", "a", "/b", "a/", "a/b/c", "a/b:"] {
        assert!(ServicePort::parse(text).is_err(), "{text}");
    }
    assert_eq!(ServicePort::parse("a/b").unwrap().host(), "b.a.svc");
}

#[tokio::test]
async fn bytes_go_through_the_api_server_and_back() {
    crate::backend::install_crypto();
    let server = ApiServer::start(Upgrade::Echo).await;
    let way = forward(&server.client(), &to()).await.unwrap();
    assert_eq!(way.pod(), "adapter-1");
    // the first stream is there already, the second is opened for its connection
    for text in ["one", "two"] {
        let mut connection = TcpStream::connect(way.local()).await.unwrap();
        connection.write_all(text.as_bytes()).await.unwrap();
        let mut answer = [0; 3];
        timeout(Duration::from_secs(10), connection.read_exact(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer, *text.to_uppercase().as_bytes());
    }
    assert_eq!(way.failure(), None);
}

#[tokio::test]
async fn a_stream_that_is_slow_to_open_kept_all_others_waiting() {
    crate::backend::install_crypto();
    let server = ApiServer::start(Upgrade::SecondHangs).await;
    let way = forward(&server.client(), &to()).await.unwrap();
    let mut first = TcpStream::connect(way.local()).await.unwrap();
    let _hangs = TcpStream::connect(way.local()).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while server.asked.load(Ordering::SeqCst) < 2 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the second was not asked for"
        );
        tokio::task::yield_now().await;
    }
    let mut third = TcpStream::connect(way.local()).await.unwrap();
    for connection in [&mut first, &mut third] {
        connection.write_all(b"a").await.unwrap();
        let answer = timeout(Duration::from_secs(10), connection.read_u8()).await;
        assert_eq!(answer.unwrap().unwrap(), b'A');
    }
}

#[tokio::test]
async fn a_missing_right_is_named() {
    crate::backend::install_crypto();
    let server = ApiServer::start(Upgrade::Forbidden).await;
    let error = forward(&server.client(), &to()).await.unwrap_err().to_string();
    assert!(
        error.contains("get, create pods/portforward in the namespace \"monitoring\""),
        "{error}"
    );
}

fn to() -> ServicePort {
    ServicePort {
        namespace: "monitoring".to_owned(),
        service: "adapter".to_owned(),
        port: Port::Https,
    }
}

/// What it does with a request for a port-forward.
#[derive(Clone, Copy)]
enum Upgrade {
    /// The pod answers in capitals.
    Echo,
    /// The same, but for the second request, which has no answer.
    SecondHangs,
    Forbidden,
}

/// An API server with one Service, on a socket: an upgraded connection needs a real one.
struct ApiServer {
    address: SocketAddr,
    /// Port-forwards that were asked for.
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ApiServer {
    async fn start(upgrade: Upgrade) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<AtomicUsize>::default();
        let counted = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serve(connection, upgrade, counted.clone()));
            }
        });
        Self { address, asked, task }
    }

    fn client(&self) -> Client {
        let mut config = kube::Config::new(format!("http://{}", self.address).parse().unwrap());
        config.default_retry = false;
        Client::try_from(config).unwrap()
    }
}

async fn serve(mut connection: TcpStream, upgrade: Upgrade, asked: Arc<AtomicUsize>) {
    while let Some(head) = head(&mut connection).await {
        let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let body = if path.contains("/portforward") {
            let number = asked.fetch_add(1, Ordering::SeqCst);
            match upgrade {
                Upgrade::SecondHangs if number == 1 => std::future::pending().await,
                Upgrade::Echo | Upgrade::SecondHangs => return web_socket(connection, &head).await,
                Upgrade::Forbidden => {
                    let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
                    connection.write_all(answer.as_bytes()).await.unwrap();
                    continue;
                }
            }
        } else if path.contains("/endpointslices") {
            let slice = slice(
                &json!([{"name": "https", "port": 6443}]),
                &json!([pod("adapter-1", &json!({"ready": true}))]),
            );
            json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSliceList", "metadata": {}, "items": [slice]})
        } else {
            serde_json::to_value(service(&json!([{"name": "https", "port": 443}]))).unwrap()
        };
        let body = body.to_string();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn head(connection: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// The channels of `v4.channel.k8s.io`: 0 carries data, 1 errors, and each begins with the port in two bytes.
async fn web_socket(mut connection: TcpStream, head: &str) {
    let key = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .starts_with("sec-websocket-key:")
                .then(|| line[18..].trim())
        })
        .unwrap();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    );
    connection.write_all(answer.as_bytes()).await.unwrap();
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
    let port = 6443_u16.to_le_bytes();
    for channel in [0, 1] {
        let begin = Message::binary(vec![channel, port[0], port[1]]);
        socket.send(begin).await.unwrap();
    }
    while let Some(Ok(message)) = socket.next().await {
        if let Some((0, data)) = message.into_data().split_first() {
            let mut answer = vec![0];
            answer.extend(data.to_ascii_uppercase());
            // the client may have gone
            let _ = socket.send(Message::binary(answer)).await;
        }
    }
}
