//! Side of a comparison: one pod of one of the two servers, or its address, and how to ask it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::header;
use reqwest::{Certificate, Client, Url};

use super::{CompareError, answer::Answer, token::Bearer};
use crate::kubernetes::port_forward::Forward;

/// An HPA's controller waits longer, but its users do not.
const DEADLINE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_secs(5);
/// The longest answer that is read, unpacked, in bytes: some 10,000 pods.
const MAX_BODY: usize = 4 << 20;

/// A server that can be asked.
#[derive(Debug)]
pub(super) struct Side {
    client: Client,
    base: Url,
    bearer: Arc<Bearer>,
    forward: Option<Forward>,
}

/// Which certificate of a server is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// One of an authority of the system.
    System,
    /// One of these authorities, as PEM.
    Authorities(Vec<u8>),
    /// Any.
    Anyone,
}

/// Where a server is reached.
pub(super) enum Way {
    /// At its address.
    Direct(Url),
    /// At the other end of a forwarded stream; the name is that of its certificate.
    Forwarded { host: String, forward: Forward },
}

// === impl Side ===

impl Side {
    pub(super) fn new(way: Way, trust: &Trust, bearer: Arc<Bearer>) -> Result<Self, CompareError> {
        let unclear = |message: String| CompareError::Unclear(message);
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(DEADLINE);
        let (base, forward) = match way {
            Way::Direct(url) => (url, None),
            Way::Forwarded { host, forward } => {
                let local: SocketAddr = forward.local();
                builder = builder.resolve(&host, local);
                let url = format!("https://{host}:{}/", local.port());
                let url = Url::parse(&url).map_err(|error| unclear(format!("{host}: {error}")))?;
                (url, Some(forward))
            }
        };
        let label = base.as_str();
        builder = match trust {
            Trust::System => builder,
            Trust::Anyone => builder.tls_danger_accept_invalid_certs(true),
            Trust::Authorities(pem) => {
                let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
                if certificates.is_empty() {
                    return Err(unclear(format!(
                        "{label}: the CA bundle contains no PEM certificate"
                    )));
                }
                builder.tls_certs_only(certificates)
            }
        };
        let client = builder
            .build()
            .map_err(|error| unclear(format!("{label}: {}", error.without_url())))?;
        Ok(Self {
            client,
            base,
            bearer,
            forward,
        })
    }

    /// The pod, where a port-forward leads to one.
    pub(super) fn pod(&self) -> Option<&str> {
        self.forward.as_ref().map(Forward::pod)
    }

    /// Asks a path, which may have a query. Whatever happens is an answer.
    pub(super) async fn ask(&self, path: &str) -> Answer {
        match self.get(path).await {
            Ok((code, body)) => Answer::read(code, &body),
            Err(error) => {
                let mut message = root_cause(&error);
                if let Some(failure) = self.forward.as_ref().and_then(Forward::failure) {
                    message = format!("{message}; the port-forward: {failure}");
                }
                Answer::Unreachable(message)
            }
        }
    }

    async fn get(&self, path: &str) -> Result<(u16, Vec<u8>), anyhow::Error> {
        let prefix = self.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{prefix}{path}"))?;
        let request = self
            .client
            .get(url)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, self.bearer.header().await?);
        let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
        let code = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
            anyhow::ensure!(
                body.len() + chunk.len() <= MAX_BODY,
                "the answer is longer than {MAX_BODY} bytes"
            );
            body.extend_from_slice(&chunk);
        }
        Ok((code, body))
    }
}

/// The outermost words say that a request failed; the innermost why.
fn root_cause(error: &anyhow::Error) -> String {
    let timed_out = error
        .downcast_ref::<reqwest::Error>()
        .is_some_and(reqwest::Error::is_timeout);
    if timed_out {
        return format!("no answer within {DEADLINE:?}");
    }
    error.root_cause().to_string()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::{compare::Credential, kubernetes::fake::FakeApi};

    const LIST: &str =
        r#"{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","items":[]}"#;

    #[tokio::test]
    async fn an_answer_of_more_than_4_mib_was_read_to_its_end() {
        crate::backend::install_crypto();
        let app = Router::new().fallback(|uri: http::Uri| {
            let length: usize = uri.path().trim_start_matches('/').parse().unwrap();
            std::future::ready(LIST.to_owned() + &" ".repeat(length - LIST.len()))
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let fake = FakeApi::default();
        fake.set(
            "/api/v1/namespaces/kube-system/serviceaccounts/hpa/token",
            json!({"spec": {"audiences": ["k"], "expirationSeconds": 600},
                "status": {"token": "abc", "expirationTimestamp": "2026-01-02T02:04:05Z"}}),
        );
        let credential = Credential::ServiceAccount {
            namespace: "kube-system".to_owned(),
            name: "hpa".to_owned(),
        };
        let bearer = Bearer::new(&fake.client(), &credential).await.unwrap();
        let url = Url::parse(&url).unwrap();
        let side = Side::new(Way::Direct(url), &Trust::System, Arc::new(bearer)).unwrap();
        let most = 4 << 20;
        assert!(matches!(side.ask(&format!("/{most}")).await, Answer::Values(_)));
        let refused = Answer::Unreachable("the answer is longer than 4194304 bytes".to_owned());
        assert_eq!(side.ask(&format!("/{}", most + 1)).await, refused);
    }
}
