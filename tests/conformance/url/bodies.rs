//! What replies look like (points 26 to 36).

mod types;

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use language::quantity::Milli;
use serde_json::{Value, json};

use crate::expect::{names, same, values};
use crate::golden;
use crate::lab;
use crate::point::{Point, lab, unit, url};
use crate::target::{CUSTOM, EXTERNAL, Target, V1BETA1, V1BETA2};
use crate::uri::with;

pub(super) const POINTS: &[Point] = &[
    url(
        26,
        "`v1beta1` has `metricName`, `window`, `selector: null`; `v1beta2` has `metric` with `selector: null`, `windowSeconds`",
        |target| Box::pin(shapes(target)),
    ),
    lab(27, "a window is left out when it is unknown, and there when it is known to be 0", || {
        Box::pin(lab::values::windows())
    }),
    url(
        28,
        "no values are `\"items\":[]`, no labels are `\"metricLabels\":{}`; neither is null",
        |target| Box::pin(empty(target)),
    )
    .and_lab(|| Box::pin(lab::values::without_labels())),
    url(
        29,
        "kind and apiVersion of the requested version are on the list, and not on its items",
        |target| Box::pin(kinds(target)),
    ),
    url(30, "timestamps are UTC with whole seconds and a `Z`", |target| {
        Box::pin(timestamps(target))
    }),
    unit(
        31,
        "values are written as Go's canonical quantities: 1000m is `1`, 1000000m `1k`, 1500m `1500m`, up to MaxInt64 and below zero",
        || Box::pin(async { quantities() }),
    )
    .and_lab(|| Box::pin(lab::values::quantities())),
    url(
        32,
        "items are sorted by name, one for each object, the same at every request",
        |target| Box::pin(sorted(target)),
    ),
    url(
        33,
        "`selector` repeats `metricLabelSelector` as matchLabels and matchExpressions; `!=` is NotIn",
        |target| Box::pin(selector_repeated(target)),
    )
    .beyond("500 for `!=`, which its own conversion does not know"),
    lab(34, "PodMetrics and NodeMetrics are those of metrics-server", || {
        Box::pin(lab::absent::resource_metrics())
    })
    .later("metrics.k8s.io is not served: its paths are a 404 Status, and no APIService is registered"),
    url(
        35,
        "bytes are those of Go's own types, and the types of k8s-openapi read and write them without loss",
        |target| Box::pin(types::round_trip(target)),
    ),
    lab(36, "clients that ask for protobuf get it", || Box::pin(lab::absent::protobuf()))
        .later("protobuf is not offered: clients that also accept JSON, as all of Kubernetes' clients do, get JSON"),
];

async fn shapes(target: Arc<Target>) -> Result<()> {
    let pod = target.data.first().pod().0;
    for version in CUSTOM {
        for path in [target.pods(version, pod), target.pods(version, "*")] {
            for item in target.admin.get(&path).await?.list(version)? {
                let object = item.as_object().context("no object")?;
                let mut keys: Vec<_> = object
                    .keys()
                    .map(String::as_str)
                    .filter(|key| !key.starts_with("window"))
                    .collect();
                keys.sort_unstable();
                let want = if version == V1BETA1 {
                    vec!["describedObject", "metricName", "selector", "timestamp", "value"]
                } else {
                    vec!["describedObject", "metric", "timestamp", "value"]
                };
                same(&keys, &want, &path)?;
                let (absent, selector) = if version == V1BETA1 {
                    ("windowSeconds", &item["selector"])
                } else {
                    (
                        "window",
                        item["metric"]
                            .get("selector")
                            .context("metric.selector is left out")?,
                    )
                };
                same(selector, &Value::Null, &path)?;
                ensure!(
                    !object.contains_key(absent),
                    "{absent} is of the other version: {item}"
                );
            }
        }
        golden::one_pod(&target, version, false)?
            .ensure_is(&target.admin.get(&target.pods(version, pod)).await?)?;
    }
    Ok(())
}

async fn empty(target: Arc<Target>) -> Result<()> {
    for version in CUSTOM {
        let path = with(&target.pods(version, "*"), &[("labelSelector", "app=nobody")]);
        let reply = target.admin.get(&path).await?;
        same(&reply.list(version)?, &Vec::new(), &path)?;
        golden::nothing(version)?.ensure_is(&reply)?;
    }
    let path = with(&target.external(), &[("labelSelector", "foo=nothing")]);
    let reply = target.admin.get(&path).await?;
    same(&reply.list(EXTERNAL)?, &Vec::new(), &path)?;
    golden::nothing(EXTERNAL)?.ensure_is(&reply)?;
    for item in target.admin.get(&target.external()).await?.list(EXTERNAL)? {
        ensure!(item["metricLabels"].is_object(), "{item}");
    }
    Ok(())
}

async fn kinds(target: Arc<Target>) -> Result<()> {
    let of = |version: &str, path: &str| (version.to_owned(), path.to_owned());
    let data = &target.data;
    let namespace = data.first();
    let mut asked = vec![of(EXTERNAL, &target.external())];
    for version in CUSTOM {
        let root = format!("/apis/{version}");
        asked.extend([
            of(version, &target.pods(version, "*")),
            of(version, &target.pods(version, namespace.pod().0)),
            of(version, &format!("{root}/nodes/*/{}", data.metrics.nodes)),
        ]);
    }
    for (version, path) in asked {
        // the list's own kind and version are looked at there
        let items = target.admin.get(&path).await?.list(&version)?;
        ensure!(!items.is_empty(), "{path}: no items");
        for item in items {
            for key in ["kind", "apiVersion", "metadata"] {
                ensure!(item.get(key).is_none(), "{path}: an item has {key}: {item}");
            }
        }
    }
    Ok(())
}

async fn timestamps(target: Arc<Target>) -> Result<()> {
    let mut asked = vec![(EXTERNAL, target.external())];
    asked.extend(CUSTOM.map(|version| (version, target.pods(version, "*"))));
    for (version, path) in asked {
        let items = target.admin.get(&path).await?.list(version)?;
        ensure!(!items.is_empty(), "{path}: no items");
        for item in items {
            let text = item["timestamp"]
                .as_str()
                .with_context(|| format!("no timestamp: {item}"))?;
            let at: Timestamp = text.parse().with_context(|| text.to_owned())?;
            // the only way to write it so
            same(
                &at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().as_str(),
                &text,
                &path,
            )?;
            let age = Timestamp::now().duration_since(at).abs();
            ensure!(age.as_hours() < 1, "{path}: {text} is not now");
        }
    }
    Ok(())
}

/// Milli-units and their text.
const QUANTITIES: &[(i64, &str)] = &[
    (0, "0"),
    (1, "1m"),
    (10, "10m"),
    (100, "100m"),
    (500, "500m"),
    (999, "999m"),
    (1000, "1"),
    (1001, "1001m"),
    (1500, "1500m"),
    (2000, "2"),
    (10_000, "10"),
    (100_000, "100"),
    (999_000, "999"),
    (1_000_000, "1k"),
    (1_000_500, "1000500m"),
    (1_100_000, "1100"),
    (1_234_567, "1234567m"),
    (1_500_000, "1500"),
    (12_000_000, "12k"),
    (1_000_000_000, "1M"),
    (1_000_000_000_000, "1G"),
    (1_000_000_000_000_000, "1T"),
    (1_000_000_000_000_000_000, "1P"),
    (i64::MAX, "9223372036854775807m"),
    (-1, "-1m"),
    (-500, "-500m"),
    (-1000, "-1"),
    (-1500, "-1500m"),
    (-1_000_000, "-1k"),
    (-i64::MAX, "-9223372036854775807m"),
];

fn quantities() -> Result<()> {
    for (milli, text) in QUANTITIES {
        let milli = Milli::new(*milli);
        same(&milli.to_string().as_str(), text, "the text")?;
        same(&serde_json::to_value(milli)?, &json!(text), "as JSON")?;
    }
    for (number, text) in [
        (0.0004, "0"),
        (0.0005, "1m"),
        (0.1, "100m"),
        (1.2346, "1235m"),
        (9_223_372_036_854_774.0, "9223372036854774"),
        (9_223_372_036_854_776.0, "9223372036854775807m"),
        (1e300, "9223372036854775807m"),
        (-1e300, "-9223372036854775807m"),
    ] {
        same(
            &Milli::from_f64(number)?.milli.to_string().as_str(),
            &text,
            "a float",
        )?;
    }
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        ensure!(Milli::from_f64(number).is_err(), "{number} is no quantity");
    }
    Ok(())
}

async fn sorted(target: Arc<Target>) -> Result<()> {
    for version in CUSTOM {
        for (position, namespace) in target.data.namespaces.iter().enumerate() {
            let path = target.pods_in(position, version, "*");
            let first = target.admin.get(&path).await?.list(version)?;
            let want = namespace.pods();
            same(&names(&first), &want.keys().copied().collect(), &path)?;
            same(&values(&first), &want.values().copied().collect(), &path)?;
            for _ in 0..5 {
                let again = target.admin.get(&path).await?.list(version)?;
                same(&names(&again), &names(&first), &path)?;
            }
        }
    }
    let labels = |items: &[Value]| {
        items
            .iter()
            .map(|item| item["metricLabels"].to_string())
            .collect::<Vec<_>>()
    };
    let first = labels(&target.admin.get(&target.external()).await?.list(EXTERNAL)?);
    ensure!(
        first.len() > 1 && first.is_sorted(),
        "external series in the order of their labels: {first:?}"
    );
    for _ in 0..5 {
        let again = target.admin.get(&target.external()).await?.list(EXTERNAL)?;
        same(&labels(&again), &first, "the order of external series")?;
    }
    Ok(())
}

async fn selector_repeated(target: Arc<Target>) -> Result<()> {
    let expression = |key: &str, operator: &str, values: &[&str]| {
        let mut expression = json!({"key": key, "operator": operator});
        if !values.is_empty() {
            expression["values"] = json!(values);
        }
        expression
    };
    let expressions = |expressions: &[Value]| json!({ "matchExpressions": expressions });
    let cases = [
        ("verb=GET", json!({"matchLabels": {"verb": "GET"}})),
        ("verb==GET", json!({"matchLabels": {"verb": "GET"}})),
        (
            "verb in (POST,GET)",
            expressions(&[expression("verb", "In", &["GET", "POST"])]),
        ),
        (
            "verb notin (PUT,POST)",
            expressions(&[expression("verb", "NotIn", &["POST", "PUT"])]),
        ),
        ("verb", expressions(&[expression("verb", "Exists", &[])])),
        (
            "!nothing",
            expressions(&[expression("nothing", "DoesNotExist", &[])]),
        ),
        (
            "verb=GET,!nothing,any notin (x)",
            json!({
                "matchLabels": {"verb": "GET"},
                "matchExpressions": [expression("any", "NotIn", &["x"]), expression("nothing", "DoesNotExist", &[])],
            }),
        ),
        // last, so that a server fails here for no other reason
        (
            "verb!=POST",
            expressions(&[expression("verb", "NotIn", &["POST"])]),
        ),
    ];
    let (pod, value) = target.data.first().pod();
    for (text, want) in cases {
        for version in [V1BETA1, V1BETA2] {
            for path in [target.pods(version, pod), target.pods(version, "*")] {
                let items = target
                    .admin
                    .get(&with(&path, &[("metricLabelSelector", text)]))
                    .await?
                    .list(version)?;
                let found = items.iter().find(|item| item["describedObject"]["name"] == pod);
                let item = found.with_context(|| format!("{path} {text}: the pod is missing: {items:?}"))?;
                same(&item["value"], &json!(value), text)?;
                let selector = if version == V1BETA1 {
                    &item["selector"]
                } else {
                    &item["metric"]["selector"]
                };
                same(selector, &want, text)?;
            }
        }
    }
    Ok(())
}
