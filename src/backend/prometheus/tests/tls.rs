//! TLS of the client: the authorities that it trusts, the certificate that it shows, the names that it uses.

use std::convert::Infallible;

use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
    },
};

use super::*;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// What the server saw of a connection that was made: SNI and the `Host` header.
type Names = Arc<Mutex<Vec<(Option<String>, String)>>>;

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }
}

/// A server with a certificate for `name` that answers every query, and, given `clients`, wants a certificate of theirs.
async fn serve(authority: &Authority, name: &str, clients: Option<&Authority>) -> (u16, Names) {
    install_crypto();
    let (certificate, key) = authority.issue(name);
    let builder = ServerConfig::builder();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.certificate.der().clone()).unwrap();
            builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap())
        }
    };
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let names: Names = Arc::default();
    let seen = names.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, seen) = (acceptor.clone(), seen.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let sni = stream.get_ref().1.server_name().map(str::to_owned);
                let service =
                    hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                        let authority = request.uri().authority().map(ToString::to_string);
                        let host = request
                            .headers()
                            .get("host")
                            .map(|host| host.to_str().unwrap().to_owned());
                        seen.lock()
                            .unwrap()
                            .push((sni.clone(), host.or(authority).unwrap_or_default()));
                        async {
                            Ok::<_, Infallible>(hyper::Response::new(axum::body::Body::from(vector(&json!(
                                []
                            )))))
                        }
                    });
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (port, names)
}

async fn ask(port: u16, tls: Value, secrets: &[(&str, &[u8])]) -> Result<(), BackendError> {
    let spec = json!({"url": format!("https://localhost:{port}"), "tls": tls, "timeout": "10s"});
    client(&spec, secrets).instant(query("up")).await.map(|_| ())
}

fn ca() -> Value {
    json!({"kind": "ConfigMap", "name": "ca"})
}

/// A way to `port` whose connections fall silent when the number goes up, without an end: those that are made later work.
async fn relay(port: u16) -> (u16, tokio::sync::watch::Sender<u32>) {
    let (silence, silenced) = tokio::sync::watch::channel(0);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut silenced = silenced.clone();
            let now = *silenced.borrow_and_update();
            tokio::spawn(async move {
                let mut to = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let silent = silenced.wait_for(|number| *number > now).map(|_| ());
                tokio::select! {
                    // Both ends stay open.
                    () = silent => std::future::pending::<()>().await,
                    _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                }
                drop((from, to));
            });
        }
    });
    (relay, silence)
}

/// All queries share a connection of HTTP/2: one that is dead must not stay the way to the backend.
#[tokio::test]
async fn a_connection_that_fell_silent_is_left_within_seconds() {
    let authority = Authority::new();
    let (port, names) = serve(&authority, "localhost", None).await;
    let (relay, silence) = relay(port).await;
    let spec = json!({"url": format!("https://localhost:{relay}"), "tls": {"caRef": ca()}, "timeout": "10s"});
    let client = client(&spec, &[("ca.crt", authority.pem().as_bytes())]);
    client.instant(query("up")).await.unwrap();
    silence.send_replace(1);
    tokio::time::pause();
    let lost = client.instant(query("up")).await;
    tokio::time::resume();
    assert!(lost.is_err(), "{lost:?}");
    client.instant(query("up")).await.unwrap();
    assert_eq!(names.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn only_the_given_authority_is_trusted() {
    let authority = Authority::new();
    let (port, names) = serve(&authority, "localhost", None).await;
    ask(
        port,
        json!({"caRef": ca()}),
        &[("ca.crt", authority.pem().as_bytes())],
    )
    .await
    .unwrap();
    assert_eq!(
        *names.lock().unwrap(),
        [(Some("localhost".to_owned()), format!("localhost:{port}"))]
    );

    let other = Authority::new().pem();
    for (tls, ca) in [(json!({"caRef": ca()}), other.as_str()), (json!({}), "")] {
        let error = ask(port, tls, &[("ca.crt", ca.as_bytes())]).await.unwrap_err();
        assert_eq!(error.reason(), Reason::TlsFailed, "{error:?}");
        assert!(error.detail().contains("certificate"), "{error:?}");
    }
    ask(port, json!({"insecureSkipVerify": true}), &[]).await.unwrap();
}

#[tokio::test]
async fn server_name_is_what_is_asked_for_and_checked() {
    let authority = Authority::new();
    let pem = authority.pem();
    let secrets: &[(&str, &[u8])] = &[("ca.crt", pem.as_bytes())];
    let (port, names) = serve(&authority, "prometheus.example.org", None).await;
    assert_eq!(
        ask(port, json!({"caRef": ca()}), secrets)
            .await
            .unwrap_err()
            .reason(),
        Reason::TlsFailed
    );

    let tls = |name: &str| json!({"caRef": ca(), "serverName": name});
    ask(port, tls("prometheus.example.org"), secrets).await.unwrap();
    let expected = (
        Some("prometheus.example.org".to_owned()),
        format!("localhost:{port}"),
    );
    assert_eq!(
        *names.lock().unwrap(),
        [expected],
        "SNI is the name, Host stays the address"
    );
    assert_eq!(
        ask(port, tls("other.example.org"), secrets)
            .await
            .unwrap_err()
            .reason(),
        Reason::TlsFailed
    );
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let (port, _) = serve(&authority, "localhost", Some(&clients)).await;
    let (certificate, key) = clients.issue("operator");
    let (ca_pem, certificate, key) = (authority.pem(), certificate.pem(), key.serialize_pem());
    let secrets: &[(&str, &[u8])] = &[
        ("ca.crt", ca_pem.as_bytes()),
        ("tls.crt", certificate.as_bytes()),
        ("tls.key", key.as_bytes()),
    ];
    ask(
        port,
        json!({"caRef": ca(), "certificateRef": {"name": "client"}}),
        secrets,
    )
    .await
    .unwrap();

    let error = ask(port, json!({"caRef": ca()}), secrets).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TlsFailed, "{error:?}");
}

#[tokio::test]
async fn unusable_credentials_are_told_when_the_client_is_built() {
    install_crypto();
    let url = "https://localhost";
    for (tls, key, bytes) in [
        (json!({"caRef": ca()}), "ca.crt", "no pem"),
        (
            json!({"caRef": ca()}),
            "ca.crt",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ),
        (json!({"certificateRef": {"name": "c"}}), "tls.crt", "no pem"),
    ] {
        let secrets: &[(&str, &[u8])] = &[(key, bytes.as_bytes()), ("tls.key", b"")];
        let settings = settings(&json!({"url": url, "tls": tls}), secrets);
        let error = Prometheus::new(&settings, context()).unwrap_err();
        assert_eq!(error.reason(), Reason::CredentialsInvalid, "{tls} {error:?}");
    }
    let settings = settings(&json!({"url": url, "tls": {"serverName": "10.0.0.1"}}), &[]);
    assert_eq!(
        Prometheus::new(&settings, context()).unwrap_err().reason(),
        Reason::InvalidSpec
    );
}
