//! A `MetricRule` sees the series of its own namespace, whatever its template says.

mod escapes;

use anyhow::{Context as _, Result, ensure};
use futures::{TryStreamExt as _, stream};
use kube::Client;
use serde_json::{Value, json};
use testbed::{PATIENCE, Testbed, eventually};
use tokio::time::Instant;

use self::escapes::{Asked, ESCAPES, Escape, Want};
use crate::ask::{
    Answer, CALM, ask, close, condition, create, custom, external, get, objects, of_namespace, rule, say,
    sweep, took, until_condition, until_series, until_value,
};

const MIN_ESCAPES: usize = 45;
const OWN: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
const OTHER: [f64; 5] = [1000.0, 2000.0, 3000.0, 4000.0, 5000.0];
const POD: &str = "p-0";

struct Scene<'a> {
    testbed: &'a Testbed,
    client: Client,
    own: String,
    other: String,
    now: u64,
}

#[tokio::test]
async fn a_rule_sees_its_own_namespace_whatever_its_template_says() -> Result<()> {
    let testbed = CALM.get().await?;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("tenancy-own", async |own| {
            testbed
                .with_namespace("tenancy-other", async |other| {
                    let client = crate::ask::client(&testbed).await?;
                    let mut scene = Scene {
                        testbed: &testbed,
                        client,
                        own,
                        other,
                        now: 0,
                    };
                    scene.set_up().await?;
                    scene.escapes().await?;
                    scene.neighbours().await?;
                    scene.names().await?;
                    scene.row_check().await
                })
                .await
        })
        .await;
    let swept = sweep(&crate::ask::client(&testbed).await?, "tenancy").await;
    took("tenancy", began);
    outcome.and(swept)
}

impl Scene<'_> {
    async fn set_up(&mut self) -> Result<()> {
        let exporter = self.testbed.exporter();
        for (namespace, values) in [(&self.own, &OWN[..]), (&self.other, &OTHER[..])] {
            for (number, value) in values.iter().enumerate() {
                let pod = format!("p-{number}");
                exporter.gauge(
                    "tenancy_queue",
                    &[("namespace", namespace), ("pod", &pod)],
                    *value,
                );
            }
        }
        exporter.gauge(
            "tenancy_only_other",
            &[("namespace", &self.other), ("pod", POD)],
            7000.0,
        );
        exporter.gauge(
            "tenancy_secret",
            &[("namespace", &self.other), ("pod", POD), ("secret", "s")],
            1.0,
        );
        // one that belongs to nobody: not to the own namespace either
        exporter.gauge("tenancy_queue", &[("pod", POD)], 90_000.0);
        let count = OWN.len() + OTHER.len() + 1;
        until_series(self.testbed, "count_over_time(tenancy_queue[1m]) >= 5", count).await?;
        self.now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)?
            .as_secs();
        Ok(())
    }

    /// All at once, then each by itself; what failed is told together.
    async fn escapes(&self) -> Result<()> {
        ensure!(ESCAPES.len() >= MIN_ESCAPES, "{} templates only", ESCAPES.len());
        let manifests: Vec<Value> = ESCAPES
            .iter()
            .enumerate()
            .map(|(number, escape)| self.rule(number, escape))
            .collect();
        stream::iter(manifests.iter().map(Ok))
            .try_for_each_concurrent(8, |manifest| create(&self.client, manifest))
            .await?;
        let api = objects(&self.client, "MetricRule", Some(&self.own));
        eventually(
            PATIENCE,
            "every rule is judged, and those that are good have found their series",
            || async {
                for (number, escape) in ESCAPES.iter().enumerate() {
                    let object = api.get(&rule_name(number)).await?;
                    let (accepted, discovered) =
                        (condition(&object, "Accepted"), condition(&object, "Discovered"));
                    let judged = match accepted.status.as_str() {
                        "False" => true,
                        "True" => discovered.status == "True",
                        _ => false,
                    };
                    ensure!(judged, "{}: {accepted:?}, {discovered:?}", escape.what);
                }
                Ok(())
            },
        )
        .await?;
        let mut wrong = Vec::new();
        let mut outcomes = std::collections::BTreeMap::<&str, usize>::new();
        for (number, escape) in ESCAPES.iter().enumerate() {
            let outcome = match escape.want {
                Want::Confined(_) | Want::Harmless(_) => "answered with the own namespace's number",
                Want::NoData => "no data",
                Want::Refused(_) => "refused",
                Want::Fails(..) => "fails the request",
            };
            *outcomes.entry(outcome).or_default() += 1;
            if let Err(error) = self.check(number, escape).await {
                wrong.push(format!(
                    "{} ({}): {error:#}",
                    escape.what,
                    self.text(escape.template)
                ));
            }
        }
        say(&format!("tenancy: {} templates: {outcomes:?}", ESCAPES.len()));
        ensure!(
            wrong.is_empty(),
            "{} of {} templates:\n{}",
            wrong.len(),
            ESCAPES.len(),
            wrong.join("\n")
        );
        Ok(())
    }

    async fn check(&self, number: usize, escape: &Escape) -> Result<()> {
        let api = objects(&self.client, "MetricRule", Some(&self.own));
        let accepted = condition(&api.get(&rule_name(number)).await?, "Accepted");
        let answer = ask(&self.client, &self.path(number, escape.asked)).await?;
        if let Want::Refused(reason) = escape.want {
            ensure!(
                accepted.status == "False" && accepted.reason == reason,
                "{accepted:?}, not {reason}"
            );
            // it claims its name all the same, and no other rule answers
            ensure!(answer.refuses(500, reason), "it is answered {answer:?}");
            return Ok(());
        }
        ensure!(accepted.status == "True", "{accepted:?}");
        match escape.want {
            Want::Confined(value) | Want::Harmless(value) => {
                ensure!(answer.code == 200, "{answer:?}");
                ensure!(close(sum(&answer), value), "{answer:?}, not {value}");
            }
            Want::NoData => no_data(escape.asked, &answer)?,
            Want::Fails(code, reason) => {
                ensure!(answer.refuses(code, reason), "{answer:?}, not {code} {reason}");
            }
            Want::Refused(_) => {}
        }
        self.would_leak(escape).await
    }

    /// A template proves something only if the query as written would give another number: Prometheus is asked.
    async fn would_leak(&self, escape: &Escape) -> Result<()> {
        if !matches!(escape.want, Want::Confined(_) | Want::NoData) || escape.template.contains("<<if") {
            return Ok(());
        }
        let (group, matchers) = match escape.asked {
            Asked::Pod => ("pod", format!("namespace=\"{}\",pod=\"{POD}\"", self.own)),
            Asked::Namespace => ("namespace", format!("namespace=\"{}\"", self.own)),
            Asked::External(_) => ("", format!("namespace=\"{}\"", self.own)),
        };
        let query = self
            .text(escape.template)
            .replace("<<.Series>>", "tenancy_queue")
            .replace("<<.GroupBy>>", group);
        let query = query
            .replace("<<.LabelMatchers>>", &matchers)
            .replace("<<index .LabelValuesByName \"target\">>", &self.other);
        let rows = self
            .testbed
            .prometheus()
            .query(&query)
            .await
            .with_context(|| format!("as written: {query}"))?;
        let ours = rows.iter().filter(|row| match escape.asked {
            Asked::Pod => row.labels.get("pod").is_some_and(|pod| pod == POD),
            Asked::Namespace => row.labels.get("namespace") == Some(&self.own),
            Asked::External(_) => true,
        });
        let values: Vec<f64> = ours.map(|row| row.value).collect();
        let leaks = match escape.want {
            Want::Confined(value) => !close(values.iter().sum(), value),
            _ => !values.is_empty(),
        };
        ensure!(leaks, "it proves nothing: as written it gives {values:?}");
        Ok(())
    }

    /// What belongs to one namespace is not there for the other.
    async fn neighbours(&self) -> Result<()> {
        for (number, escape) in ESCAPES.iter().enumerate() {
            let path = self.path(number, escape.asked).replace(&self.own, &self.other);
            let answer = ask(&self.client, &path).await?;
            let unknown = if matches!(escape.want, Want::Fails(400, _)) {
                answer.code == 400 || answer.refuses(404, "UnknownMetric")
            } else {
                answer.refuses(404, "UnknownMetric")
            };
            ensure!(
                unknown,
                "{}: the other namespace is answered {answer:?}",
                escape.what
            );
        }
        Ok(())
    }

    /// Discovery is a query, too: a name that only the other namespace has is not claimed.
    async fn names(&self) -> Result<()> {
        let mut spec = spec();
        spec["seriesQuery"] = json!("{__name__=~\"tenancy_.*\"}");
        for namespace in [&self.own, &self.other] {
            create(&self.client, &rule(Some(namespace), "tenancy-names", &spec)).await?;
            let api = objects(&self.client, "MetricRule", Some(namespace));
            until_condition(&api, "tenancy-names", "Discovered", "True", "Discovered").await?;
        }
        let api = objects(&self.client, "MetricRule", Some(&self.own));
        let found = api.get("tenancy-names").await?;
        let discovered = found
            .data
            .pointer("/status/discovered")
            .cloned()
            .unwrap_or_default();
        ensure!(
            discovered["series"] == OWN.len() && discovered["metrics"] == 1,
            "it found {discovered}"
        );
        let only_other = |namespace: &str| custom(namespace, "pods", POD, "tenancy_only_other");
        until_value(&self.client, &only_other(&self.other), 7000.0, PATIENCE).await?;
        let answer = ask(&self.client, &only_other(&self.own)).await?;
        ensure!(
            answer.refuses(404, "UnknownMetric"),
            "the own namespace is answered {answer:?}"
        );
        // discovery names it for all to see, since it is served for somebody
        let list = get(&self.client, "/apis/custom.metrics.k8s.io/v1beta2").await?;
        let names = list["resources"].as_array().context("no resources")?;
        ensure!(
            names
                .iter()
                .any(|resource| resource["name"] == "pods/tenancy_only_other"),
            "it is not listed"
        );

        for (series_query, reason) in [
            ("tenancy_queue{namespace=\"OTHER\"}", "NoSeries"),
            ("{__name__=\"tenancy_queue\",namespace!=\"OWN\"}", "NoSeries"),
            ("tenancy_only_other", "NoSeries"),
            (
                "tenancy_queue{namespace=\"OWN\" or namespace=\"OTHER\"}",
                "InvalidQuery",
            ),
            ("tenancy_queue or tenancy_only_other", "InvalidQuery"),
        ] {
            let name = "tenancy-series";
            spec["seriesQuery"] = json!(self.text(series_query));
            crate::ask::apply(&self.client, &rule(Some(&self.own), name, &spec)).await?;
            let kind = if reason == "NoSeries" {
                "Discovered"
            } else {
                "Accepted"
            };
            until_condition(&api, name, kind, "False", reason)
                .await
                .with_context(|| series_query.to_owned())?;
        }
        Ok(())
    }

    /// The row check holds for the platform team's rules as well, whose queries are sent as written.
    async fn row_check(&self) -> Result<()> {
        let forged = self.text(r#"label_replace(sum by (pod, namespace) (tenancy_queue{<<.LabelMatchers>>}), "namespace", "OTHER", "", "")"#);
        for (metric, query) in [
            ("tenancy_cluster", "sum by (pod, namespace) (tenancy_queue)"),
            ("tenancy_forged", forged.as_str()),
        ] {
            let mut spec = spec();
            spec["name"] = json!({ "as": metric });
            spec["metricsQuery"] = json!(query);
            create(&self.client, &rule(None, &metric.replace('_', "-"), &spec)).await?;
        }
        let path = |pod: &str, metric: &str| custom(&self.own, "pods", pod, metric);
        // p-0 and p-4 are in the rows of the other namespace, too
        until_value(&self.client, &path(POD, "tenancy_cluster"), OWN[0], PATIENCE).await?;
        for (pod, metric) in [("p-4", "tenancy_cluster"), (POD, "tenancy_forged")] {
            eventually(PATIENCE, "a foreign row is dropped", || async {
                let answer = ask(&self.client, &path(pod, metric)).await?;
                ensure!(
                    answer.refuses(404, "NoData"),
                    "{metric} of {pod} is answered {answer:?}"
                );
                ensure!(
                    answer.message.contains("another namespace"),
                    "{answer:?} does not say why"
                );
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    fn rule(&self, number: usize, escape: &Escape) -> Value {
        let mut spec = spec();
        spec["name"] = json!({"as": metric(number)});
        spec["metricsQuery"] = json!(self.text(escape.template));
        if matches!(escape.asked, Asked::External(_)) {
            spec["api"] = json!("External");
        }
        rule(Some(&self.own), &rule_name(number), &spec)
    }

    fn path(&self, number: usize, asked: Asked) -> String {
        match asked {
            Asked::Pod => custom(&self.own, "pods", POD, &metric(number)),
            Asked::Namespace => of_namespace(&self.own, &metric(number)),
            Asked::External(selector) => external(&self.own, &metric(number), &self.text(selector)),
        }
    }

    fn text(&self, template: &str) -> String {
        template
            .replace("OWN", &self.own)
            .replace("OTHER", &self.other)
            .replace("NOW", &self.now.to_string())
    }
}

fn spec() -> Value {
    json!({
        "seriesQuery": "tenancy_queue",
        "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
        "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
    })
}

fn rule_name(number: usize) -> String {
    format!("tenancy-{number:03}")
}

fn metric(number: usize) -> String {
    format!("tenancy_escape_{number:03}")
}

fn sum(answer: &Answer) -> f64 {
    answer.values.iter().sum()
}

/// An external metric without rows is an empty list; by name it is 404.
fn no_data(asked: Asked, answer: &Answer) -> Result<()> {
    match asked {
        Asked::External(_) => ensure!(
            answer.code == 200 && answer.values.is_empty(),
            "{answer:?}, not an empty list"
        ),
        Asked::Pod | Asked::Namespace => ensure!(answer.refuses(404, "NoData"), "{answer:?}, not NoData"),
    }
    Ok(())
}
