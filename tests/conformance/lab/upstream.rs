//! Between the server and its backends (points 102 to 106).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::testbed::Testbed;
use testbed::{PATIENCE, Shared, eventually};
use tokio::time::{Instant, timeout};

use super::scripted::{Scripted, counter};
use crate::ask::{Ask, Client, Protocol};
use crate::backend::{Act, Row};
use crate::expect::same;
use crate::lab;
use crate::point::{Point, lab};
use crate::target::{EXTERNAL, V1BETA1, V1BETA2};

pub(super) const POINTS: &[Point] = &[
    lab(
        102,
        "a backend has less than 10 s; its query is cancelled when the client goes away; identical concurrent queries become one",
        || Box::pin(patience()),
    ),
    lab(103, "no message contains a backend's URL, a token or PromQL", || Box::pin(nothing_told()))
        .beyond("forwards the text of any error of its provider"),
    lab(
        104,
        "discovery does not depend on backends: the last successful list is kept, and a metric shows its age",
        || Box::pin(discovery_without_backend()),
    ),
    lab(
        105,
        "`status`, `finalize`, `watch` and `proxy` are names like any other, both when served and when authorized",
        || Box::pin(literal_names()),
    )
    .beyond("treats `status` and `finalize` as subresources of the namespace, so it authorizes another metric than it serves"),
    lab(
        106,
        "discovery of thousands of series is bounded and compressed; the document that the aggregator polls is small, and answers with 304",
        || Box::pin(large_discovery()),
    ),
];

/// For points whose rules would be seen by others.
static APART: Shared = Shared::new(|| lab::builder().replicas(1));

const MARKER: &str = "sleepy_series";

/// An external rule without discovery over a series of this name.
fn spec(series: &str, metric: &str) -> Value {
    json!({
        "api": "External",
        "name": {"as": metric},
        "metricsQuery": format!("sum ({series}{{<<.LabelMatchers>>}})"),
    })
}

fn external(namespace: &str, metric: &str) -> String {
    format!("/apis/{EXTERNAL}/namespaces/{namespace}/{metric}")
}

fn one(value: &str) -> Act {
    let at = f64::from(u32::try_from(Timestamp::now().as_second()).unwrap_or_default());
    let (labels, value) = (json!({}), value.to_owned());
    Act::Rows(vec![Row { labels, at, value }])
}

/// Waits until a metric is answered with this value.
async fn serves(client: &Client, path: &str, value: &str) -> Result<()> {
    eventually(PATIENCE, path, || async {
        let item = client.get(path).await?.item(EXTERNAL)?;
        same(&item["value"], &json!(value), path)
    })
    .await
}

async fn patience() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("patience", async |namespace| {
            // What a backend has by default is read, not waited for: beside other points a busy machine adds seconds.
            let usual = format!("{namespace}-usual");
            let _usual = Scripted::new(&testbed, &usual).await?;
            let timeout = [
                "get",
                "metricbackend",
                &usual,
                "-o",
                "jsonpath={.spec.prometheus.timeout}",
            ];
            let timeout = testbed.kubectl(&timeout).await?;
            let seconds: u64 = timeout.trim_end_matches('s').parse().context(timeout.clone())?;
            ensure!(seconds < 10, "a backend has {timeout}");

            let scripted = Scripted::with(&testbed, &namespace, &json!({"timeout": "5s"})).await?;
            let backend = &scripted.backend;
            let path = external(&namespace, "sleepy");
            scripted.rule("sleepy", &spec(MARKER, "sleepy")).await?;
            backend.script(|_| one("7"));
            serves(&admin, &path, "7").await?;

            // identical ones while the first is on its way: held until all have come
            let open = Arc::new(AtomicBool::new(false));
            let opened = Arc::clone(&open);
            let before = backend.queries(MARKER).len();
            backend.script(move |query| {
                if query.contains(MARKER) && !opened.load(Ordering::SeqCst) {
                    Act::Hang
                } else {
                    one("7")
                }
            });
            // connections first: on a busy machine twenty handshakes take longer than the requests
            let connections = try_join_all((0..20).map(|_| admin.connect(Protocol::Http2))).await?;
            let ask = Ask::get(&path);
            let all = connections.into_iter().map(async |mut connection| {
                let asked = Instant::now();
                let reply = connection.send(&ask).await?;
                anyhow::Ok((reply, asked.elapsed()))
            });
            for (reply, took) in try_join_all(all).await? {
                let failure = reply.failure(503, "ServiceUnavailable")?;
                ensure!(failure.message.contains("BackendTimeout"), "{failure:?}");
                ensure!(took < Duration::from_secs(10), "answered after {took:?}");
            }
            // they came in one or two seconds of the evaluation, each of which is one query
            let made = backend.queries(MARKER).len() - before;
            ensure!(
                (1..=4).contains(&made),
                "20 identical requests became {made} queries"
            );

            let abandoned = backend.abandoned();
            leave(&admin, &path).await?;
            eventually(Duration::from_secs(3), "the query is cancelled", || async {
                ensure!(backend.abandoned() > abandoned, "the backend still waits");
                Ok(())
            })
            .await?;
            open.store(true, Ordering::SeqCst);
            serves(&admin, &path, "7").await
        })
        .await
}

/// Asks, and goes away after half a second, on either protocol. Each time another query: one that has just timed out is refused
/// at once.
async fn leave(client: &Client, path: &str) -> Result<()> {
    for (protocol, value) in [(Protocol::Http1, "one"), (Protocol::Http2, "two")] {
        let path = format!("{path}?labelSelector=left%3D{value}");
        let ask = Ask::get(&path).over(protocol);
        let left = timeout(Duration::from_millis(500), client.send(&ask)).await;
        ensure!(left.is_err(), "answered by a backend that hangs: {left:?}");
    }
    Ok(())
}

async fn nothing_told() -> Result<()> {
    const TOKEN: &str = "s3cret-t0ken";
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("discreet", async |namespace| {
            let secret = json!({
                "apiVersion": "v1", "kind": "Secret", "stringData": {"token": TOKEN},
                "metadata": {
                    "name": namespace, "namespace": testbed::install::NAMESPACE,
                    "labels": {"metricrule.dev/backend": "true"},
                },
            });
            testbed.apply_anywhere(&lab::list(&[secret])).await?;
            let auth = json!({
                "auth": {"type": "Bearer", "bearer": {"secretRef": {"name": namespace, "key": "token"}}},
                "allowPlaintextCredentials": true,
            });
            let scripted = Scripted::with(&testbed, &namespace, &auth).await?;
            let url = scripted.backend.url();
            let host = url.trim_start_matches("http://").to_owned();
            scripted.rule("sleepy", &spec(MARKER, "sleepy")).await?;
            let path = external(&namespace, "sleepy");
            scripted.backend.script(|_| one("7"));
            serves(&admin, &path, "7").await?;

            let talk = format!("GET {url}/api/v1/query with Bearer {TOKEN} failed: sum ({MARKER}{{…}})");
            let error = json!({"status": "error", "errorType": "bad_data", "error": talk}).to_string();
            let answers = [
                (400, error.clone()),
                (401, error.clone()),
                (403, talk.clone()),
                (404, talk.clone()),
                (422, error.clone()),
                (429, error.clone()),
                (500, talk.clone()),
                (502, error.clone()),
                (503, error),
                (200, talk.clone()),
                (302, format!("{url}/{TOKEN}")),
                (200, json!({"status": "success", "data": talk}).to_string()),
            ];
            let secrets = [host.as_str(), TOKEN, MARKER, "sum (", "/api/v1"];
            for (code, text) in answers {
                let body = text.clone();
                scripted.backend.script(move |_| Act::Say(code, body.clone()));
                discreet(&admin, &path, &secrets, &format!("{code} {text}")).await?;
            }
            scripted.backend.script(|query| {
                if query.contains(MARKER) {
                    Act::Hang
                } else {
                    one("1")
                }
            });
            discreet(&admin, &path, &secrets, "no answer").await?;
            let Scripted { backend, .. } = scripted;
            drop(backend);
            discreet(&admin, &path, &secrets, "nobody listens").await?;
            let args = [
                "delete",
                "secret",
                &namespace,
                "--namespace",
                testbed::install::NAMESPACE,
            ];
            testbed.kubectl(&args).await.map(drop)
        })
        .await
}

/// A 5xx Status that tells nothing of the backend, in body or headers.
async fn discreet(client: &Client, path: &str, secrets: &[&str], what: &str) -> Result<()> {
    let reply = client.get(path).await?;
    ensure!(
        (500..600).contains(&reply.status),
        "{what} became {}: {}",
        reply.status,
        reply.text()
    );
    let all = format!("{:?} {}", reply.headers, reply.text());
    for secret in secrets {
        ensure!(!all.contains(secret), "{what}: the reply tells {secret:?}: {all}");
    }
    let reason = if reply.status == 503 {
        "ServiceUnavailable"
    } else {
        "InternalError"
    };
    reply.failure(reply.status, reason).map(drop)
}

async fn discovery_without_backend() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("lists", async |namespace| {
            let scripted = Scripted::new(&testbed, &namespace).await?;
            let metric = format!("{}_depth", namespace.replace('-', "_"));
            let series = json!({"__name__": metric, "namespace": namespace, "queue": "a"});
            scripted.backend.series(Ok(vec![series]));
            let spec = json!({
                "api": "External", "seriesQuery": metric, "name": {"as": metric},
                "metricsQuery": "sum (<<.Series>>{<<.LabelMatchers>>})",
            });
            scripted.rule("depth", &spec).await?;
            eventually(PATIENCE, "the metric is listed", || lists(&admin, &metric)).await?;
            let age = format!("metricrule_relist_last_success_timestamp_seconds{{backend=\"{namespace}\"}}");
            ensure!(counter(&testbed, &age).await? > 0.0, "no age of the list");

            scripted.backend.series(Err(500));
            let errors = format!("metricrule_relist_errors_total{{backend=\"{namespace}\"");
            scripted.backend.script(|_| Act::Say(500, "down".to_owned()));
            eventually(PATIENCE * 3, "a relist has failed", || async {
                ensure!(counter(&testbed, &errors).await? > 0.0, "no error yet");
                Ok(())
            })
            .await?;
            lists(&admin, &metric).await
        })
        .await
}

/// That the legacy list names the metric, at once.
async fn lists(client: &Client, metric: &str) -> Result<()> {
    let asked = Instant::now();
    let reply = client.get(&format!("/apis/{EXTERNAL}")).await?;
    ensure!(
        asked.elapsed() < Duration::from_secs(2),
        "took {:?}",
        asked.elapsed()
    );
    let list = reply.json(200)?;
    let listed = list["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|resource| resource["name"] == metric);
    ensure!(listed, "{metric} is not listed: {list}");
    Ok(())
}

async fn literal_names() -> Result<()> {
    const WORDS: [&str; 4] = ["status", "finalize", "watch", "proxy"];
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("words", async |namespace| {
            let scripted = Scripted::new(&testbed, &namespace).await?;
            scripted.backend.script(|query| {
                let word = WORDS
                    .iter()
                    .position(|word| query.contains(&format!("words_{word}")));
                word.map_or(Act::Rows(Vec::new()), |position| one(&position.to_string()))
            });
            let user = testbed.control_plane().pki().cluster.client(&namespace, None)?;
            let user = lab::direct(&testbed, 0)
                .await?
                .with_identity(lab::identity(&user)?);
            for (position, word) in WORDS.iter().enumerate() {
                scripted.rule(word, &spec(&format!("words_{word}"), word)).await?;
                let path = external(&namespace, word);
                serves(&admin, &path, &position.to_string()).await?;
                // who may read the namespace's status may not read a metric of that name, and the other way round
                user.get(&path).await?.failure(403, "Forbidden")?;
                allow(&testbed, &namespace, word).await?;
                serves(&user, &path, &position.to_string()).await?;
                let asked = format!("/apis/{V1BETA2}/namespaces/{namespace}/{word}/x/y");
                let unknown = admin.get(&asked).await?.failure(404, "NotFound")?;
                let text = format!("the server could not find the metric y for {word}");
                ensure!(unknown.message.starts_with(&text), "{unknown:?}");
            }
            Ok(())
        })
        .await
}

/// Lets the user of the namespace's name list one external metric there.
async fn allow(testbed: &Testbed, namespace: &str, metric: &str) -> Result<()> {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": metric},
        "rules": [{"apiGroups": ["external.metrics.k8s.io"], "resources": [metric], "verbs": ["list"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": metric},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": metric},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": namespace}],
    });
    testbed.apply(namespace, &lab::list(&[role, binding])).await?;
    Ok(())
}

async fn large_discovery() -> Result<()> {
    const SERIES: usize = 12_000;
    let testbed = APART.get().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("large", async |namespace| {
            let scripted = Scripted::new(&testbed, &namespace).await?;
            let series = |number| json!({"__name__": format!("large_{number:05}"), "namespace": namespace, "pod": "p"});
            scripted.backend.series(Ok((0..SERIES).map(series).collect()));
            let rule = json!({
                "apiVersion": "metricrule.dev/v1alpha1", "kind": "ClusterMetricRule", "metadata": {"name": "large"},
                "spec": {
                    "backendRef": {"name": namespace},
                    "seriesQuery": "{__name__=~\"large_.*\"}",
                    "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
                    "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
                    "limits": {"maxSeries": 0, "maxMetrics": 0},
                },
            });
            testbed.apply_anywhere(&lab::list(&[rule])).await?;
            for version in [V1BETA1, V1BETA2] {
                let path = format!("/apis/{version}");
                let listed = eventually(PATIENCE, "the list is at its bound", || async {
                    let reply = admin.get(&path).await?;
                    let count = reply.json(200)?["resources"].as_array().map_or(0, Vec::len);
                    ensure!(count == 10_000, "{count} listed");
                    Ok(reply)
                })
                .await?;
                let packed = admin.send(&Ask::get(&path).header("accept-encoding", "gzip")).await?;
                same(&packed.header("content-encoding"), &"gzip", "the encoding")?;
                ensure!(packed.body.len() * 10 < listed.body.len(), "{} of {}", packed.body.len(), listed.body.len());
            }
            let aggregated = Ask::get("/apis").header(
                "accept",
                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            );
            let reply = admin.send(&aggregated).await?;
            ensure!(reply.status == 200 && reply.body.len() < 4096, "{} bytes", reply.body.len());
            let again = admin.send(&aggregated.header("if-none-match", reply.header("etag"))).await?;
            ensure!(again.status == 304 && again.body.is_empty(), "{} {}", again.status, again.text());
            testbed.kubectl(&["delete", "clustermetricrule", "large"]).await.map(drop)
        })
        .await
}
