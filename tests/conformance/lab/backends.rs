//! Backends that are slow, down or broken, beside the one that works.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::{PATIENCE, Testbed, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::values::fixed;
use crate::ask::Client;
use crate::expect::{Failure, same};
use crate::lab;
use crate::target::{EXTERNAL, V1BETA2};

/// In every query and in every address here; nobody who asks for a metric may see it.
const SECRET: &str = "tellnobody";

/// A server that speaks HTTP as far as it has to; it ends when it is dropped.
struct Broken {
    port: u16,
    serve: JoinHandle<()>,
}

// === impl Broken ===

impl Broken {
    /// Answers everything with this, or takes requests and stays silent.
    async fn start(answer: Option<String>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let serve = tokio::spawn(async move {
            let mut open = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                open.push(tokio::spawn(async move {
                    let mut buffer = vec![0; 16 * 1024];
                    // one read holds the request: it is small
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        if let Some(answer) = &answer
                            && stream.write_all(answer.as_bytes()).await.is_err()
                        {
                            break;
                        }
                    }
                }));
            }
        });
        Ok(Self { port, serve })
    }

    fn url(&self) -> String {
        url(self.port)
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.serve.abort();
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/{SECRET}")
}

/// `HTTP/1.1 422` with Prometheus' own kind of error, which quotes the query.
fn refusing() -> String {
    let body = json!({
        "status": "error", "errorType": "execution", "error": format!("sum({SECRET}) at http://{SECRET}: no, {SECRET}"),
    })
    .to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 422 Unprocessable Entity\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// Both kinds of metric from a backend at `url`.
async fn serve_from(cluster: &Testbed, namespace: &str, url: &str) -> Result<()> {
    let backend = json!({
        "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricBackend", "metadata": {"name": namespace},
        "spec": {"type": "Prometheus", "prometheus": {"url": url, "timeout": "8s"}},
    });
    let with_backend = |mut rule: Value, name: &str| {
        rule["spec"]["backendRef"] = json!({"name": namespace});
        rule["metadata"]["name"] = json!(name);
        rule
    };
    let custom = fixed(
        "Custom",
        "m",
        &format!("sum by (<<.GroupBy>>) ({SECRET}{{<<.LabelMatchers>>}})"),
        &json!({}),
    );
    let external = fixed(
        "External",
        "m",
        &format!("sum ({SECRET}{{<<.LabelMatchers>>}})"),
        &json!({}),
    );
    cluster.apply_anywhere(&lab::list(&[backend])).await?;
    cluster
        .apply(
            namespace,
            &lab::list(&[with_backend(custom, "custom"), with_backend(external, "external")]),
        )
        .await?;
    Ok(())
}

fn paths(namespace: &str) -> [String; 2] {
    [
        format!("/apis/{V1BETA2}/namespaces/{namespace}/pods/a/m"),
        format!("/apis/{EXTERNAL}/namespaces/{namespace}/m"),
    ]
}

/// Once the rules have arrived.
async fn settled(admin: &Client, path: &str, codes: &[u16]) -> Result<()> {
    eventually(PATIENCE, "the rule is known", || async {
        let reply = admin.get(path).await?;
        ensure!(
            codes.contains(&reply.status),
            "{path}: {} {}",
            reply.status,
            reply.text()
        );
        Ok(())
    })
    .await
}

/// `timeout=1s` against a backend that is silent.
pub(crate) async fn timeout_of_the_request() -> Result<()> {
    let cluster = lab::cluster().await?;
    let admin = lab::target().await?.admin.clone();
    let silent = Broken::start(None).await?;
    let outcome = cluster
        .with_namespace("silent", async |namespace| {
            serve_from(&cluster, &namespace, &silent.url()).await?;
            for path in paths(&namespace) {
                settled(&admin, &format!("{path}?timeout=100ms"), &[504]).await?;
                let began = Instant::now();
                let failure = admin
                    .get(&format!("{path}?timeout=1s"))
                    .await?
                    .failure(504, "Timeout")?;
                let took = began.elapsed();
                let text = "Timeout: request did not complete within the allotted timeout";
                ensure!(failure.message.starts_with(text), "{failure:?}");
                same(&failure.details, &Some(json!({})), &path)?;
                ensure!(took >= Duration::from_secs(1), "{path}: after {took:?} already");
                // the backend's own timeout is 8 s
                ensure!(took < Duration::from_secs(5), "{path}: after {took:?} only");
            }
            cluster.kubectl(&["delete", "metricbackend", &namespace]).await?;
            Ok(())
        })
        .await;
    drop(silent);
    outcome
}

/// Nobody listens; and somebody does, who refuses.
pub(crate) async fn down() -> Result<()> {
    let cluster = lab::cluster().await?;
    let admin = lab::target().await?.admin.clone();
    let refusing = Broken::start(Some(refusing())).await?;
    let closed = testbed::ports::free()?;
    for (prefix, port) in [("down", closed), ("refusing", refusing.port)] {
        cluster
            .with_namespace(prefix, async |namespace| {
                serve_from(&cluster, &namespace, &url(port)).await?;
                for path in paths(&namespace) {
                    settled(&admin, &path, &[500, 503]).await?;
                    let reply = admin.get(&path).await?;
                    let reason = if reply.status == 503 {
                        "ServiceUnavailable"
                    } else {
                        "InternalError"
                    };
                    let Failure { message, .. } = reply.failure(reply.status, reason)?;
                    // the sentence names one of our reasons
                    ensure!(message.contains("Backend"), "{message}");
                    let text = reply.text();
                    for hidden in [SECRET, "127.0.0.1", "http:", &port.to_string(), "sum"] {
                        ensure!(!text.contains(hidden), "{path}: tells {hidden}: {text}");
                    }
                    ensure!(
                        reply.headers.get("retry-after").is_none(),
                        "{path}: {:?}",
                        reply.headers
                    );
                }
                cluster.kubectl(&["delete", "metricbackend", &namespace]).await?;
                Ok(())
            })
            .await
            .with_context(|| prefix.to_owned())?;
    }
    Ok(())
}

/// Go's adapters write the sentence with an empty resource; what follows it is ours.
pub(crate) async fn unknown_external() -> Result<()> {
    let target = lab::target().await?;
    let path = target
        .external()
        .replace(&target.data.metrics.external, "nobody_makes_this");
    let failure = target.admin.get(&path).await?.failure(404, "NotFound")?;
    let sentence = "the server could not find the metric nobody_makes_this for ";
    ensure!(failure.message.starts_with(sentence), "{failure:?}");
    same(&failure.details, &None, &path)
}
