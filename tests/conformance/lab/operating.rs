//! What whoever operates it sees (points 84, 109 and 110): replicas that end, an API that is another's, the operator's metrics.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::{PATIENCE, Testbed, eventually, throughout};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::{builder, cluster, direct, identity, list, rule, target};
use crate::ask::{Ask, Client, Protocol};
use crate::expect::same;
use crate::point::{Point, lab};
use crate::target::{EXTERNAL, Target, V1BETA1, V1BETA2};

pub(super) const POINTS: &[Point] = &[
    lab(
        84,
        "if one of two replicas behind a Service exits and comes back, no request of an HPA fails",
        || Box::pin(replicas_end()),
    )
    .beyond(
        "Go's adapters close their port at once on SIGTERM, and requests fail until the Service has noticed",
    ),
    lab(
        109,
        "an APIService of another adapter is not touched; a condition, an Event and the log name its owner",
        || Box::pin(anothers_api()),
    ),
    lab(
        110,
        "metrics show the latency by route, hits of the review caches, the age of the ConfigMap, the expiry of \
         certificates, values that were cut, left out or negative, and the freshness of series",
        || Box::pin(metrics()),
    ),
];

/// As an HPA's controller asks: through kube-apiserver, each kind of metric.
fn paths(target: &Target) -> Vec<String> {
    let namespace = &target.data.first().name;
    let (pod, _) = target.data.first().pod();
    vec![
        format!("{}?labelSelector=app%3Dweb", target.pods(V1BETA2, "%2A")),
        target.pods(V1BETA1, pod),
        format!(
            "/apis/{V1BETA2}/namespaces/{namespace}/metrics/{}",
            target.data.metrics.namespaces
        ),
        target.external(),
    ]
}

/// kube-apiserver, asked by `system:masters`.
fn apiserver(testbed: &Testbed) -> Result<Client> {
    let plane = testbed.control_plane();
    let address: SocketAddr = plane.server().trim_start_matches("https://").parse()?;
    let client = Client::new(address, "localhost", &plane.pki().cluster.pem())?;
    Ok(client.with_identity(identity(&plane.pki().admin)?))
}

async fn replicas_end() -> Result<()> {
    let target = target().await?;
    let testbed = cluster().await?;
    let client = apiserver(&testbed)?;
    let second = testbed.replica("second-of-84")?;
    let outcome = async {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let mut asking = JoinSet::new();
        for path in paths(&target) {
            let (client, stop, answered) = (client.clone(), Arc::clone(&stop), Arc::clone(&answered));
            asking.spawn(async move { keep_asking(&client, &path, &stop, &answered).await });
        }
        let more = async |requests: usize| {
            let until = answered.load(Ordering::Relaxed) + requests;
            eventually(PATIENCE, "requests are answered", || async {
                ensure!(answered.load(Ordering::Relaxed) >= until, "not yet");
                Ok(())
            })
            .await
        };
        for _ in 0..2 {
            second.start().await?;
            eventually(PATIENCE, "the second replica is behind the Service", || async {
                ensure!(
                    testbed
                        .balancer()
                        .ready()
                        .iter()
                        .any(|name| name == second.name()),
                    "not yet"
                );
                Ok(())
            })
            .await?;
            more(20).await?;
            let status = second.terminate().await?;
            ensure!(
                status.is_some_and(|status| status.success()),
                "it ended with {status:?}"
            );
            more(20).await?;
        }
        stop.store(true, Ordering::Relaxed);
        while let Some(asked) = asking.join_next().await {
            asked??;
        }
        Ok(())
    }
    .await;
    testbed.balancer().remove(second.name());
    outcome
}

/// Five times a second, until told to stop; the first failure ends it.
async fn keep_asking(client: &Client, path: &str, stop: &AtomicBool, answered: &AtomicUsize) -> Result<()> {
    let mut connection = client.connect(Protocol::Http2).await?;
    let mut ticks = interval(Duration::from_millis(200));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ask = Ask::get(path);
    let mut first = None;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let items = connection.send(&ask).await?.json(200)?["items"].take();
        let values: Vec<_> = items
            .as_array()
            .context("no items")?
            .iter()
            .map(|item| item["value"].clone())
            .collect();
        ensure!(!values.is_empty(), "{path}: no values");
        same(&values, first.get_or_insert_with(|| values.clone()), path)?;
        answered.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn anothers_api() -> Result<()> {
    let name = "v1beta1.external.metrics.k8s.io";
    let testbed = builder().prometheus(false).chart().start().await?;
    let rival = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": name},
        "spec": {
            "group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"namespace": "rival", "name": "other-adapter", "port": 443},
        },
    });
    testbed.apply_anywhere(&rival.to_string()).await?;
    testbed
        .with_namespace("rival", async |namespace| {
            let external = json!({
                "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricRule", "metadata": {"name": "external"},
                "spec": {"api": "External", "name": {"as": "q"}, "metricsQuery": "sum(up{<<.LabelMatchers>>})"},
            });
            testbed.apply(&namespace, &list(&[external])).await?;
            let get = async |args: &[&str]| -> Result<Value> {
                Ok(serde_json::from_str(&testbed.kubectl(&[args, &["--output=json"]].concat()).await?)?)
            };
            let before = get(&["get", "apiservice", name]).await?;
            let replica = testbed.replica("replica-0")?;
            replica.start().await?;
            let owner = "rival/other-adapter";
            let namespaced = format!("--namespace={namespace}");
            eventually(PATIENCE, "the rule's condition names the owner", || async {
                let rule = get(&["get", "metricrule", "external", &namespaced]).await?;
                let conditions = rule["status"]["conditions"].as_array().context("no conditions")?;
                let told = conditions.iter().any(|condition| {
                    condition["type"] == "Registered"
                        && condition["reason"] == "OwnedByOther"
                        && condition["message"].as_str().is_some_and(|message| message.contains(owner))
                });
                ensure!(told, "{conditions:?}");
                Ok(())
            })
            .await?;
            eventually(PATIENCE, "an Event names the owner", || async {
                let events =
                    get(&["get", "events", "--namespace=default", "--field-selector=reason=OwnedByOther"]).await?;
                let told = events["items"].as_array().into_iter().flatten().any(|event| {
                    event["type"] == "Warning" && event["message"].as_str().is_some_and(|text| text.contains(owner))
                });
                ensure!(told, "{events}");
                Ok(())
            })
            .await?;
            let log = replica.process().log_text();
            ensure!(
                log.lines().any(|line| line.contains("OwnedByOther") && line.contains(owner)),
                "the log does not name the owner{}",
                replica.process().tail()
            );
            throughout(Duration::from_secs(3), "the APIService is as it was", || async {
                let now = get(&["get", "apiservice", name]).await?;
                same(&now["spec"], &before["spec"], "the spec")?;
                same(&now["metadata"]["annotations"], &before["metadata"]["annotations"], "the annotations")?;
                same(&now["metadata"]["ownerReferences"], &Value::Null, "the owners")?;
                same(&replica.get("/readyz").await?.0, &200, "/readyz")
            })
            .await
        })
        .await
}

/// Series whose values are odd: as an exporter writes them, and the counter that has to notice.
const ODD: [(&str, f64, &str); 3] = [
    ("odd-negative", -5.0, "metricrule_values_negative_total"),
    ("odd-huge", 1e300, "metricrule_values_clamped_total"),
    (
        "odd-nan",
        f64::NAN,
        "metricrule_rows_dropped_total{reason=\"NoData\"}",
    ),
];

async fn metrics() -> Result<()> {
    let target = target().await?;
    let testbed = cluster().await?;
    let replica = testbed.replicas().first().context("no replica")?;
    let read = async || -> Result<String> {
        let (status, text) = replica.get("/metrics").await?;
        ensure!(status == 200, "{status}: {text}");
        Ok(text)
    };
    let before = read().await?;

    // Two reviews of a token and of its right, of which the second is remembered.
    let token = testbed
        .kubectl(&["create", "token", "default", "--namespace=default"])
        .await?;
    let account = direct(&testbed, 0).await?.with_token(token.trim());
    for _ in 0..2 {
        account.get("/version").await?.json(200)?;
    }
    testbed
        .with_namespace("odd", async |namespace| {
            for (pod, value, _) in ODD {
                testbed
                    .exporter()
                    .gauge("odd_gauge", &[("namespace", &namespace), ("pod", pod)], value);
            }
            // A rule that comes before its series finds them only when it looks again.
            eventually(PATIENCE, "Prometheus has the odd values", || async {
                let rows = testbed.prometheus().query("odd_gauge").await?;
                same(&rows.len(), &ODD.len(), "rows")
            })
            .await?;
            let overrides = json!({"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}});
            let odd = rule("MetricRule", "odd", "odd_gauge", "sum", &overrides);
            testbed.apply(&namespace, &list(&[odd])).await?;
            for (pod, value, counter) in ODD {
                let path = format!("/apis/{V1BETA2}/namespaces/{namespace}/pods/{pod}/odd_gauge");
                let status = if value.is_nan() { 404 } else { 200 };
                eventually(PATIENCE, "the odd value is answered", || async {
                    let reply = target.admin.get(&path).await?;
                    ensure!(reply.status == status, "{}: {}", reply.status, reply.text());
                    ensure!(status == 200 || reply.text().contains("NaN"), "{}", reply.text());
                    Ok(())
                })
                .await?;
                let (was, is) = (
                    number(&before, counter).unwrap_or(0.0),
                    number(&read().await?, counter)?,
                );
                ensure!(is > was, "{counter} is {is}, it was {was}");
            }
            Ok(())
        })
        .await?;
    target.admin.get(&target.external()).await?.list(EXTERNAL)?;

    let text = read().await?;
    for counter in [
        "metricrule_reviews_total{kind=\"token\",outcome=\"allowed\"}",
        "metricrule_reviews_total{kind=\"token\",outcome=\"hit\"}",
        "metricrule_reviews_total{kind=\"access\",outcome=\"allowed\"}",
        "metricrule_reviews_total{kind=\"access\",outcome=\"hit\"}",
    ] {
        let (was, is) = (number(&before, counter).unwrap_or(0.0), number(&text, counter)?);
        ensure!(is > was, "{counter} is {is}, it was {was}");
    }
    for route in ["custom", "external"] {
        let buckets = format!("metricrule_request_duration_seconds_bucket{{le=\"+Inf\",route=\"{route}\"}}");
        let sum = format!("metricrule_request_duration_seconds_sum{{route=\"{route}\"}}");
        ensure!(
            number(&text, &buckets)? > 0.0 && number(&text, &sum)? > 0.0,
            "{route}: no latency"
        );
    }
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)?
        .as_secs_f64();
    let hour = 3600.0;
    for (gauge, from, to) in [
        ("metricrule_authentication_timestamp_seconds", now - hour, now),
        (
            "metricrule_relist_last_success_timestamp_seconds{backend=\"default\"}",
            now - hour,
            now,
        ),
        (
            "metricrule_certificate_expiry_timestamp_seconds{name=\"serving\"}",
            now + hour,
            f64::MAX,
        ),
        (
            "metricrule_certificate_expiry_timestamp_seconds{name=\"ca\"}",
            now + hour,
            f64::MAX,
        ),
    ] {
        let is = number(&text, gauge)?;
        ensure!(
            (from..=to).contains(&is),
            "{gauge} is {is}, not between {from} and {to}"
        );
    }
    Ok(())
}

/// The value of a sample: its name, and labels in braces, which may stand in another order.
fn number(text: &str, sample: &str) -> Result<f64> {
    let (name, wanted) = labels(sample);
    let value = text.lines().find_map(|line| {
        let (sample, value) = line.rsplit_once(' ')?;
        (labels(sample) == (name, wanted.clone())).then_some(value)
    });
    let value = value.with_context(|| format!("no {sample} in\n{text}"))?;
    Ok(value.trim().parse()?)
}

fn labels(sample: &str) -> (&str, BTreeSet<&str>) {
    match sample.split_once('{') {
        Some((name, labels)) => (name, labels.trim_end_matches('}').split(',').collect()),
        None => (sample, BTreeSet::new()),
    }
}
