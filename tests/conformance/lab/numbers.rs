//! What becomes of numbers (points 96 to 101).

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use testbed::control_plane::NODE;
use testbed::testbed::Testbed;
use testbed::{PATIENCE, eventually};

use super::scripted::{self, Scripted};
use crate::ask::{Client, Reply};
use crate::backend::{Act, Row};
use crate::expect::{names, same, values};
use crate::lab;
use crate::point::{Point, lab};
use crate::target::{EXTERNAL, V1BETA1, V1BETA2};

pub(super) const POINTS: &[Point] = &[
    lab(
        96,
        "NaN counts as no data, and is 404 by name; ±Inf is left out of a list and is 500 `NotFinite` by name and for an external metric",
        || Box::pin(not_finite()),
    )
    .beyond("answers 0 for NaN, which scales to the minimum, and whatever a cast of ±Inf to an integer gives"),
    lab(
        97,
        "values are clamped to ±(2^63−1) milli, with a counter, and rounded half up to milli",
        || Box::pin(clamped_and_rounded()),
    )
    .beyond("casts values beyond the range of an integer, and truncates at milli"),
    lab(
        98,
        "negative values pass, become 0 or fail, as the rule sets; by default they pass for custom metrics and are 0 for external ones",
        || Box::pin(negative()),
    )
    .beyond("serves them; a negative sum makes an HPA of 1.34 and later scale to its maximum"),
    lab(
        99,
        "the timestamp is that of the row, which backends set to the evaluation; a row that is 5 minutes older is dropped; the window of the query is reported",
        || Box::pin(timestamps()),
    )
    .beyond("uses the time of the request, whatever the age of the sample, and reports no window"),
    lab(101, "a selector that matches no pod is 200 with `items: []`", || Box::pin(no_pods()))
        .beyond("answers 404; an HPA cannot tell a Deployment without pods from a metric that does not exist"),
];

/// What a number beyond the range of a quantity becomes, by itself.
const CLAMPED: &str = "9223372036854775807m";

/// The numbers as Prometheus writes them, by pod; and what is served for them by name.
const NUMBERS: [(&str, &str, Option<&str>); 15] = [
    ("nan", "NaN", None),
    ("inf", "+Inf", None),
    ("minus-inf", "-Inf", None),
    ("zero", "0", Some("0")),
    ("minus-zero", "-0", Some("0")),
    ("huge", "1e300", Some("9223372036854775807m")),
    ("minus-huge", "-1e300", Some("-9223372036854775807m")),
    ("limit", "9223372036854776", Some("9223372036854775807m")),
    ("tiny", "0.0004", Some("0")),
    ("half", "0.0625", Some("63m")),
    ("minus-half", "-0.0625", Some("-62m")),
    ("thousandth", "0.0014", Some("1m")),
    ("fraction", "1.2345678", Some("1235m")),
    ("negative", "-1.5", Some("-1500m")),
    ("round", "1e6", Some("1M")),
];

/// Pods with those names, whose values the scripted backend has.
async fn numbers<'a>(testbed: &'a Testbed, namespace: &str) -> Result<Scripted<'a>> {
    let pods: Vec<Value> = NUMBERS.iter().map(|(name, ..)| pod(name)).collect();
    testbed.apply(namespace, &lab::list(&pods)).await?;
    let scripted = Scripted::new(testbed, namespace).await?;
    let namespace = namespace.to_owned();
    scripted.backend.script(move |query| {
        let at = Timestamp::now().as_second();
        let rows = NUMBERS
            .iter()
            .filter(|(name, ..)| query.contains("odd_values") && mentions(query, name));
        let row = |(name, value, _): &(&str, &str, _)| Row {
            labels: json!({"namespace": namespace, "pod": name}),
            at: whole(at),
            value: (*value).to_owned(),
        };
        Act::Rows(rows.map(row).collect())
    });
    scripted
        .rule("odd-values", &custom_spec("odd_values", &json!({})))
        .await?;
    Ok(scripted)
}

/// Whether a matcher of the query names the pod: `pod="x"` or one of `pod=~"x|y"`.
fn mentions(query: &str, pod: &str) -> bool {
    query
        .split(['"', '|'])
        .any(|word| word.replace("\\\\", "") == pod)
}

/// Seconds as Prometheus' JSON has them.
#[expect(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
fn whole(seconds: i64) -> f64 {
    seconds as f64
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "numbers"}},
        "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
    })
}

/// A rule without discovery; `more` fields win.
fn custom_spec(metric: &str, more: &Value) -> Value {
    merged(
        json!({
            "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
            "name": {"as": metric},
            "metricsQuery": format!("max by (<<.GroupBy>>) ({metric}{{<<.LabelMatchers>>}})"),
        }),
        more,
    )
}

fn external_spec(metric: &str, more: &Value) -> Value {
    merged(
        json!({
            "api": "External",
            "name": {"as": metric},
            "metricsQuery": format!("sum by (queue) ({metric}{{<<.LabelMatchers>>}})"),
        }),
        more,
    )
}

fn merged(mut spec: Value, more: &Value) -> Value {
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    spec
}

fn path(version: &str, namespace: &str, pod: &str, metric: &str) -> String {
    format!("/apis/{version}/namespaces/{namespace}/pods/{pod}/{metric}")
}

/// The reply once it is no longer that of a rule that is still on its way.
async fn settled(client: &Client, path: &str, until: impl Fn(&Reply) -> Result<()>) -> Result<Reply> {
    eventually(PATIENCE, path, || async {
        let reply = client.get(path).await?;
        until(&reply)?;
        Ok(reply)
    })
    .await
}

async fn not_finite() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("numbers", async |namespace| {
            let scripted = numbers(&testbed, &namespace).await?;
            let want: Vec<_> = sorted(
                NUMBERS
                    .iter()
                    .filter_map(|(name, _, value)| value.map(|value| (*name, value)))
                    // An HPA's sum of these would overflow.
                    .filter(|(_, value)| !value.contains(CLAMPED)),
            );
            for version in [V1BETA1, V1BETA2] {
                let all = path(version, &namespace, "*", "odd_values");
                let list = settled(&admin, &all, |reply| reply.list(version).map(drop))
                    .await?
                    .list(version)?;
                let found = sorted(names(&list).into_iter().zip(values(&list)));
                same(
                    &found,
                    &want,
                    "the pods whose values are finite and can be added up",
                )?;
                let nan = admin.get(&path(version, &namespace, "nan", "odd_values")).await?;
                let nan = nan.failure(404, "NotFound")?;
                ensure!(nan.message.contains("NoData"), "{nan:?}");
                for pod in ["inf", "minus-inf"] {
                    let reply = admin.get(&path(version, &namespace, pod, "odd_values")).await?;
                    let infinite = reply.failure(500, "InternalError")?;
                    ensure!(infinite.message.contains("NotFinite"), "{infinite:?}");
                }
            }
            external_not_finite(&scripted, &admin, &namespace).await
        })
        .await
}

async fn external_not_finite(scripted: &Scripted<'_>, admin: &Client, namespace: &str) -> Result<()> {
    scripted
        .rule("queue", &external_spec("queue_length", &json!({})))
        .await?;
    let external = format!("/apis/{EXTERNAL}/namespaces/{namespace}/queue_length");
    for (value, want) in [("3", Some("3")), ("NaN", None)] {
        answer_queue(scripted, value);
        let items = settled(admin, &external, |reply| reply.list(EXTERNAL).map(drop))
            .await?
            .list(EXTERNAL)?;
        same(&values(&items), &want.into_iter().collect(), value)?;
    }
    for value in ["+Inf", "-Inf"] {
        answer_queue(scripted, value);
        let infinite = admin.get(&external).await?.failure(500, "InternalError")?;
        ensure!(infinite.message.contains("NotFinite"), "{infinite:?}");
    }
    Ok(())
}

fn answer_queue(scripted: &Scripted<'_>, value: &'static str) {
    scripted.backend.script(move |_| {
        Act::Rows(vec![Row {
            labels: json!({"queue": "a"}),
            at: whole(Timestamp::now().as_second()),
            value: value.to_owned(),
        }])
    });
}

fn sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort_unstable();
    pairs
}

async fn clamped_and_rounded() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("numbers", async |namespace| {
            let _scripted = numbers(&testbed, &namespace).await?;
            let before = scripted::counter(&testbed, "metricrule_values_clamped_total").await?;
            for (pod, _, want) in NUMBERS {
                let Some(want) = want else { continue };
                let path = path(V1BETA2, &namespace, pod, "odd_values");
                let item = settled(&admin, &path, |reply| reply.item(V1BETA2).map(drop))
                    .await?
                    .item(V1BETA2)?;
                same(&item["value"], &json!(want), pod)?;
            }
            let after = scripted::counter(&testbed, "metricrule_values_clamped_total").await?;
            ensure!(
                after >= before + 3.0,
                "clamped values are counted: {before} before, {after} after"
            );
            Ok(())
        })
        .await
}

async fn negative() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("negative", async |namespace| {
            testbed.apply(&namespace, &lab::list(&[pod("p")])).await?;
            let scripted = Scripted::new(&testbed, &namespace).await?;
            let own = namespace.clone();
            scripted.backend.script(move |query| {
                let labels = if query.contains("queue") {
                    json!({"queue": "a"})
                } else {
                    json!({"namespace": own, "pod": "p"})
                };
                let at = whole(Timestamp::now().as_second());
                Act::Rows(vec![Row {
                    labels,
                    at,
                    value: "-1.5".to_owned(),
                }])
            });
            let policies: [(&str, Value, Option<&str>, Option<&str>); 4] = [
                ("default", json!({}), Some("-1500m"), Some("0")),
                (
                    "pass",
                    json!({"negative": "Pass"}),
                    Some("-1500m"),
                    Some("-1500m"),
                ),
                ("zero", json!({"negative": "Zero"}), Some("0"), Some("0")),
                ("error", json!({"negative": "Error"}), None, None),
            ];
            for (name, policy, custom, external) in policies {
                let metric = format!("balance_{name}");
                scripted
                    .rule(&format!("custom-{name}"), &custom_spec(&metric, &policy))
                    .await?;
                let asked = path(V1BETA2, &namespace, "p", &metric);
                answers(&admin, &asked, V1BETA2, custom).await?;
                answers(&admin, &path(V1BETA2, &namespace, "*", &metric), V1BETA2, custom).await?;
                let metric = format!("queue_{name}");
                scripted
                    .rule(&format!("external-{name}"), &external_spec(&metric, &policy))
                    .await?;
                let asked = format!("/apis/{EXTERNAL}/namespaces/{namespace}/{metric}");
                answers(&admin, &asked, EXTERNAL, external).await?;
            }
            Ok(())
        })
        .await
}

/// One item with this value; without one, that negative values are an error.
async fn answers(client: &Client, path: &str, version: &str, want: Option<&str>) -> Result<()> {
    let served = |reply: &Reply| {
        ensure!(reply.status != 404, "not served yet: {}", reply.text());
        Ok(())
    };
    let reply = settled(client, path, served).await?;
    if let Some(want) = want {
        return same(&reply.item(version)?["value"], &json!(want), path);
    }
    let failure = reply.failure(500, "InternalError")?;
    ensure!(failure.message.contains("NegativeValue"), "{failure:?}");
    Ok(())
}

async fn timestamps() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("times", async |namespace| {
            testbed.apply(&namespace, &lab::list(&[pod("p")])).await?;
            let scripted = Scripted::new(&testbed, &namespace).await?;
            let window =
                json!({"metricsQuery": "max by (<<.GroupBy>>) (rate(aged_total{<<.LabelMatchers>>}[90s]))"});
            scripted.rule("aged", &custom_spec("aged", &window)).await?;
            let asked = path(V1BETA2, &namespace, "p", "aged");
            for age in [0, 60, 290] {
                let at = Timestamp::now().as_second() - age;
                script_aged(&scripted, &namespace, at);
                let item = settled(&admin, &asked, |reply| reply.item(V1BETA2).map(drop))
                    .await?
                    .item(V1BETA2)?;
                let stamp = item["timestamp"].as_str().context("no timestamp")?;
                same(&stamp.parse::<Timestamp>()?.as_second(), &at, "the sample's time")?;
                ensure!(
                    stamp.ends_with('Z') && stamp.len() == 20,
                    "whole seconds, UTC: {stamp}"
                );
                same(&item["windowSeconds"], &json!(90), "the window")?;
            }
            script_aged(&scripted, &namespace, Timestamp::now().as_second() - 310);
            let stale = admin.get(&asked).await?.failure(404, "NotFound")?;
            ensure!(stale.message.contains("NoData"), "{stale:?}");
            let listed = admin
                .get(&path(V1BETA2, &namespace, "*", "aged"))
                .await?
                .list(V1BETA2)?;
            ensure!(listed.is_empty(), "older than 5 minutes: {listed:?}");
            Ok(())
        })
        .await
}

fn script_aged(scripted: &Scripted<'_>, namespace: &str, at: i64) {
    let labels = json!({"namespace": namespace, "pod": "p"});
    scripted.backend.script(move |_| {
        let (labels, at) = (labels.clone(), whole(at));
        Act::Rows(vec![Row {
            labels,
            at,
            value: "1".to_owned(),
        }])
    });
}

async fn no_pods() -> Result<()> {
    let target = lab::target().await?;
    for version in [V1BETA1, V1BETA2] {
        for position in 0..target.data.namespaces.len() {
            let all = target.pods_in(position, version, "*");
            let reply = target
                .admin
                .get(&format!("{all}?labelSelector=app%3Dnone"))
                .await?;
            ensure!(
                reply.list(version)?.is_empty(),
                "no pod has that label: {}",
                reply.text()
            );
            ensure!(
                reply.text().contains("\"items\":[]"),
                "never null: {}",
                reply.text()
            );
        }
    }
    Ok(())
}
