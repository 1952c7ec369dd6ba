//! Values that the suite's data does not have: windows, rows without labels, numbers of every size.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testbed::{PATIENCE, eventually};

use crate::ask::Reply;
use crate::expect::same;
use crate::golden::Golden;
use crate::lab;
use crate::target::{CUSTOM, EXTERNAL, V1BETA1};

/// A rule that needs no series to be known; `spec` adds to it.
pub(super) fn fixed(api: &str, name: &str, query: &str, spec: &Value) -> Value {
    let mut all = json!({"api": api, "name": {"as": name}, "metricsQuery": query});
    if api == "Custom" {
        all["resources"] =
            json!({"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}});
    }
    if let (Some(all), Some(spec)) = (all.as_object_mut(), spec.as_object()) {
        all.extend(spec.clone());
    }
    json!({
        "apiVersion": "metricrule.dev/v1alpha1", "kind": "MetricRule",
        "metadata": {"name": name.replace('_', "-")}, "spec": all,
    })
}

/// The reply once there are values.
async fn valued(path: &str) -> Result<Reply> {
    let admin = lab::target().await?.admin.clone();
    eventually(PATIENCE, "there are values", || async {
        let reply = admin.get(path).await?;
        let body = reply.json(200)?;
        ensure!(
            body["items"].as_array().is_some_and(|items| !items.is_empty()),
            "{path}: {body}"
        );
        Ok(reply)
    })
    .await
}

/// Unknown, 0, and what the query looks back.
pub(crate) async fn windows() -> Result<()> {
    let cluster = lab::cluster().await?;
    lab::target().await?;
    cluster
        .with_namespace("windows", async |namespace| {
            cluster.exporter().gauge(
                "conformance_windows",
                &[("namespace", &namespace), ("pod", "a")],
                1.5,
            );
            let mut rules = Vec::new();
            let cases = [
                ("instant", "", json!({}), "one", None),
                ("two_minutes", "[2m]", json!({}), "window 60", Some(120)),
                ("nothing", "", json!({"window": "0s"}), "window 0", Some(0)),
                ("minute", "", json!({"window": "1m"}), "window 60", Some(60)),
            ];
            for (name, range, spec, ..) in &cases {
                for (api, by) in [("Custom", "by (<<.GroupBy>>) "), ("External", "by (pod) ")] {
                    let series = "conformance_windows{<<.LabelMatchers>>}";
                    let inner = if range.is_empty() {
                        series.to_owned()
                    } else {
                        format!("max_over_time({series}{range})")
                    };
                    let mut rule = fixed(api, name, &format!("sum {by}({inner})"), spec);
                    rule["metadata"]["name"] =
                        json!(format!("{}-{}", name.replace('_', "-"), api.to_lowercase()));
                    rules.push(rule);
                }
            }
            cluster.apply(&namespace, &lab::list(&rules)).await?;
            for (metric, .., golden, seconds) in cases {
                for version in CUSTOM {
                    let path = format!("/apis/{version}/namespaces/{namespace}/pods/a/{metric}");
                    let reply = valued(&path).await?;
                    let item = reply.item(version)?;
                    let key = if version == V1BETA1 {
                        "window"
                    } else {
                        "windowSeconds"
                    };
                    same(
                        &item.get(key),
                        &seconds.map(|seconds| json!(seconds)).as_ref(),
                        &path,
                    )?;
                    if seconds != Some(120) {
                        Golden::read(&format!("{} {golden}", crate::golden::short(version)), false)?
                            .with("@namespace@", &namespace)?
                            .with("@name@", "a")?
                            .with("@metric@", metric)?
                            .ensure_is(&reply)?;
                    }
                }
                let path = format!("/apis/{EXTERNAL}/namespaces/{namespace}/{metric}");
                let item = valued(&path).await?.item(EXTERNAL)?;
                same(
                    &item.get("window"),
                    &seconds.map(|seconds| json!(seconds)).as_ref(),
                    &path,
                )?;
            }
            Ok(())
        })
        .await
}

/// A row whose labels are all aggregated away.
pub(crate) async fn without_labels() -> Result<()> {
    let cluster = lab::cluster().await?;
    lab::target().await?;
    cluster
        .with_namespace("unlabelled", async |namespace| {
            cluster
                .exporter()
                .gauge("conformance_unlabelled", &[("namespace", &namespace)], 1.5);
            let query = "sum (conformance_unlabelled{<<.LabelMatchers>>})";
            let rule = fixed("External", "unlabelled", query, &json!({"window": "0s"}));
            cluster.apply(&namespace, &lab::list(&[rule])).await?;
            let reply = valued(&format!("/apis/{EXTERNAL}/namespaces/{namespace}/unlabelled")).await?;
            Golden::read("external no labels", false)?
                .with("@metric@", "unlabelled")?
                .ensure_is(&reply)
        })
        .await
}

/// Numbers as Prometheus has them, and as they have to be printed.
const NUMBERS: &[(f64, &str)] = &[
    (0.0, "0"),
    (0.0004, "0"),
    (0.001, "1m"),
    (0.5, "500m"),
    (1.0, "1"),
    (1.5, "1500m"),
    (10.0, "10"),
    (999.0, "999"),
    (1000.0, "1k"),
    (1000.5, "1000500m"),
    (1100.0, "1100"),
    (1234.567, "1234567m"),
    (12_000.0, "12k"),
    (1e6, "1M"),
    (1e9, "1G"),
    (1e12, "1T"),
    (1e15, "1P"),
    (9e15, "9P"),
    (1e16, "9223372036854775807m"),
    (1e300, "9223372036854775807m"),
    (-0.001, "-1m"),
    (-1.5, "-1500m"),
    (-1000.0, "-1k"),
    (-1e300, "-9223372036854775807m"),
];

/// Through Prometheus and the whole server.
pub(crate) async fn quantities() -> Result<()> {
    let cluster = lab::cluster().await?;
    lab::target().await?;
    cluster
        .with_namespace("quantities", async |namespace| {
            for (position, (number, _)) in NUMBERS.iter().enumerate() {
                let position = format!("{position:02}");
                cluster.exporter().gauge(
                    "conformance_quantities",
                    &[("namespace", &namespace), ("position", &position)],
                    *number,
                );
            }
            let query = "sum by (position) (conformance_quantities{<<.LabelMatchers>>})";
            let rule = fixed("External", "quantities", query, &json!({"negative": "Pass"}));
            cluster.apply(&namespace, &lab::list(&[rule])).await?;
            // One by one: what is beyond the range can be added to nothing.
            for (position, (number, text)) in NUMBERS.iter().enumerate() {
                let path = format!(
                    "/apis/{EXTERNAL}/namespaces/{namespace}/quantities?labelSelector=position%3D{position:02}"
                );
                let item = valued(&path).await?.item(EXTERNAL)?;
                same(&item["value"], &json!(text), &number.to_string())?;
            }
            Ok(())
        })
        .await
}
