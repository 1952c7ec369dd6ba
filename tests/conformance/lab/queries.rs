//! What is asked of a backend, and which of its rows are believed (points 91 to 95, and 107).

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, anyhow, ensure};
use http::Uri;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use promql::{Expr, ast::VectorSelector};
use serde_json::{Value, json};
use testbed::control_plane::NODE;
use testbed::testbed::Testbed;
use testbed::{PATIENCE, eventually};

use super::scripted::{Scripted, counter};
use crate::ask::Client;
use crate::backend::{Act, Row};
use crate::expect::{names, same, values};
use crate::lab;
use crate::point::{Point, lab};
use crate::target::{EXTERNAL, V1BETA2};

pub(super) const POINTS: &[Point] = &[
    lab(
        91,
        "a metric selector with an invalid PromQL label name is refused, and never sent",
        || Box::pin(label_names()),
    )
    .beyond("writes keys such as `example.com/x` into the query unchanged"),
    lab(
        92,
        "values are escaped for the string literal, and also for the pattern if they are in one",
        || Box::pin(label_values()),
    )
    .beyond("joins names and values with `|` unescaped, so pod `a.b` is also `axb`"),
    lab(
        93,
        "no name and no value changes a query in anything but the contents of its strings",
        || Box::pin(only_strings_change()),
    )
    .beyond("pastes the values of the request into the template's text"),
    lab(
        94,
        "every selector of a MetricRule's query has the namespace's matcher, whatever the template contains",
        || Box::pin(confined()),
    )
    .beyond("leaves it to each template to use `<<.LabelMatchers>>`"),
    lab(
        95,
        "rows of other objects or of another namespace are dropped",
        || Box::pin(rows_checked()),
    )
    .beyond("serves all returned rows"),
    lab(
        107,
        "if an object has several rows, the first in label order is served, counted and reported in a warning",
        || Box::pin(duplicates()),
    )
    .beyond("serves the last one, which may differ from request to request"),
];

const METRIC: &str = "asked";

/// A custom rule and an external one, both called [`METRIC`], on a backend that answers nothing.
async fn rules<'a>(testbed: &'a Testbed, namespace: &str) -> Result<Scripted<'a>> {
    let scripted = Scripted::new(testbed, namespace).await?;
    let custom = json!({
        "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
        "name": {"as": METRIC},
        "metricsQuery": "sum by (<<.GroupBy>>) (rate(asked_total{<<.LabelMatchers>>}[1m]))",
    });
    scripted.rule("custom", &custom).await?;
    let query = "sum by (queue) (asked_total{<<.LabelMatchers>>})";
    let external = json!({"api": "External", "name": {"as": METRIC}, "metricsQuery": query});
    scripted.rule("external", &external).await?;
    let admin = lab::admin(testbed, 0).await?;
    for path in [pods(namespace, "*", ""), queue(namespace, "")] {
        eventually(PATIENCE, "the rules are served", || async {
            ensure!(admin.get(&path).await?.status == 200, "not yet");
            Ok(())
        })
        .await?;
    }
    Ok(scripted)
}

fn pods(namespace: &str, name: &str, query: &str) -> String {
    format!("/apis/{V1BETA2}/namespaces/{namespace}/pods/{name}/{METRIC}?{query}")
}

fn queue(namespace: &str, selector: &str) -> String {
    let selector = encoded(selector);
    format!("/apis/{EXTERNAL}/namespaces/{namespace}/{METRIC}?labelSelector={selector}")
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "asked"}},
        "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
    })
}

/// What a query consists of.
#[derive(Debug, Default)]
struct Parts {
    /// Each node, without the contents of strings.
    shape: Vec<String>,
    /// The matchers of each selector: label, operator, value.
    selectors: Vec<BTreeSet<(String, &'static str, String)>>,
}

// === impl Parts ===

impl Parts {
    fn of(query: &str) -> Result<Self> {
        let expr = promql::parse(query).map_err(|error| anyhow!("{query}: {error}"))?;
        let mut parts = Self::default();
        expr.each(&mut |node| parts.visit(node));
        Ok(parts)
    }

    /// The operator and value of a label, which each selector has to have.
    fn matcher(&self, label: &str) -> Result<(&'static str, &str)> {
        let selector = self.selectors.first().context("no selector")?;
        let found = selector.iter().find(|(name, ..)| name == label);
        let (_, operator, value) = found.with_context(|| format!("no matcher of {label}: {self:?}"))?;
        Ok((operator, value))
    }

    fn select(&mut self, selector: &VectorSelector) {
        let mut matchers = BTreeSet::new();
        for matcher in selector.matchers.iter().map(|held| &held.matcher) {
            matchers.insert((matcher.label.clone(), matcher.op.as_str(), matcher.value.clone()));
        }
        let names: Vec<_> = matchers
            .iter()
            .map(|(name, operator, _)| format!("{name}{operator}"))
            .collect();
        let name = selector.name.as_ref().map(|name| &name.text);
        self.shape.push(format!("{name:?} {names:?} {}", selector.time));
        self.selectors.push(matchers);
    }

    fn visit(&mut self, expr: &Expr) {
        let part = match expr {
            Expr::Vector(selector) => return self.select(selector),
            Expr::Matrix(matrix) => return self.select(&matrix.selector),
            Expr::Aggregate(aggregate) => {
                let labels = |labels: &[promql::ast::Label]| {
                    labels.iter().map(|label| label.name.clone()).collect::<Vec<_>>()
                };
                let grouping = aggregate.grouping.as_ref();
                let grouping = grouping.map(|by| (by.clause.as_str(), labels(&by.labels)));
                format!("{} {grouping:?}", aggregate.operator)
            }
            Expr::Call(call) => call.function.name.to_owned(),
            Expr::Binary(binary) => binary.operator.to_string(),
            Expr::Number(number) => number.value.to_string(),
            Expr::String(_) => "string".to_owned(),
            Expr::Subquery(_) => "subquery".to_owned(),
            Expr::Unary(_) => "unary".to_owned(),
            Expr::Paren(_) => "paren".to_owned(),
        };
        self.shape.push(part);
    }
}

async fn label_names() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("keys", async |namespace| {
            let scripted = rules(&testbed, &namespace).await?;
            testbed.apply(&namespace, &lab::list(&[pod("p")])).await?;
            let before = scripted.backend.queries("asked").len();
            for selector in [
                "example.com/x=y",
                "a-b=c",
                "a.b in (c,d)",
                "example.com/x",
                "!a.b",
                "0a!=b",
            ] {
                let custom = pods(
                    &namespace,
                    "p",
                    &format!("metricLabelSelector={}", encoded(selector)),
                );
                for path in [custom, queue(&namespace, selector)] {
                    let failure = admin.get(&path).await?.failure(400, "BadRequest")?;
                    ensure!(
                        failure.message.contains("InvalidSelector"),
                        "{selector}: {failure:?}"
                    );
                }
            }
            same(
                &scripted.backend.queries("asked").len(),
                &before,
                "queries that were sent all the same",
            )
        })
        .await
}

async fn label_values() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("metacharacters", async |namespace| {
            testbed
                .apply(&namespace, &lab::list(&[pod("a.b"), pod("c")]))
                .await?;
            let scripted = rules(&testbed, &namespace).await?;
            let cases = [
                ("x=y.z", "=", "y.z"),
                ("x in (y.z)", "=", "y.z"),
                ("x in (y.z,a)", "=~", r"a|y\.z"),
                ("x!=y.z", "!=", "y.z"),
                ("x notin (y.z,a)", "!~", r"a|y\.z"),
                ("x", "!=", ""),
                ("!x", "=", ""),
            ];
            for (selector, operator, value) in cases {
                ask(&admin, &queue(&namespace, selector)).await?;
                let query = scripted.backend.queries("by (queue)").pop().context("no query")?;
                same(&Parts::of(&query)?.matcher("x")?, &(operator, value), selector)?;
            }
            ask(&admin, &pods(&namespace, "a.b", "")).await?;
            let by_name = scripted
                .backend
                .queries("a.b")
                .pop()
                .context("no query by name")?;
            same(&Parts::of(&by_name)?.matcher("pod")?, &("=", "a.b"), "one pod")?;
            eventually(PATIENCE, "both pods are asked for", || async {
                ask(&admin, &pods(&namespace, "*", "labelSelector=app%3Dasked")).await?;
                let all = scripted.backend.queries("=~").pop().context("no query of all")?;
                same(&Parts::of(&all)?.matcher("pod")?, &("=~", r"a\.b|c"), "all pods")
            })
            .await
        })
        .await
}

/// Asks; a reply without data is one, too.
async fn ask(client: &Client, path: &str) -> Result<()> {
    let reply = client.get(path).await?;
    if ![200, 404].contains(&reply.status) {
        return reply.fail("want values or none");
    }
    Ok(())
}

async fn only_strings_change() -> Result<()> {
    const HOSTILE: [&str; 16] = [
        "\"",
        "\\",
        "\\\"",
        "a\"} or vector(1) #",
        "a\\\"} or vector(1) #",
        "`",
        "'",
        "a|b",
        ".*",
        "(?i)a",
        "$1",
        "<<.Series>>",
        "{{.}}",
        "a,b=\"c\"",
        "ü",
        "a b",
    ];
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("hostile", async |namespace| {
            let scripted = rules(&testbed, &namespace).await?;
            ask(&admin, &pods(&namespace, "harmless", "")).await?;
            let query = scripted.backend.queries("harmless").pop().context("no query")?;
            let harmless = Parts::of(&query)?;
            for name in HOSTILE {
                let path = pods(&namespace, &encoded(name), "");
                ensure!(path.parse::<Uri>().is_ok(), "{path}");
                ask(&admin, &path).await?;
                let query = scripted.backend.queries("rate(").pop().context("no query")?;
                let parts = Parts::of(&query)?;
                same(&parts.shape, &harmless.shape, name)?;
                same(
                    &parts.matcher("pod")?,
                    &("=", name),
                    "the value that Prometheus reads",
                )?;
                same(&parts.matcher("namespace")?, &("=", &namespace), "the namespace")?;
            }
            // what is no label value does not get that far
            for value in HOSTILE
                .iter()
                .filter(|value| value.contains(['"', '\\', '`', '{', '<']))
            {
                let reply = admin.get(&queue(&namespace, &format!("x={value}"))).await?;
                reply.failure(400, "BadRequest")?;
            }
            Ok(())
        })
        .await
}

async fn confined() -> Result<()> {
    const TEMPLATES: [&str; 14] = [
        "secret",
        "secret{namespace=\"other\"}",
        "secret{namespace=~\".*\"}",
        "sum(secret) or sum(secret{namespace!=\"x\"})",
        "max_over_time(secret[5m:1m])",
        "sum(secret offset 5m)",
        "{__name__=~\"secr.*\"}",
        "label_replace(secret, \"namespace\", \"$1\", \"other\", \"(.*)\")",
        "sum by (namespace) (secret{<<.LabelMatchers>>}) + on () group_left () sum(secret)",
        "absent(secret)",
        "secret @ end()",
        "sum(rate(secret[1m])) / ignoring (namespace) sum(secret)",
        "topk(1, secret) unless secret{namespace=\"\"}",
        "scalar(secret) * vector(2) - -secret",
    ];
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("confined", async |namespace| {
            let scripted = Scripted::new(&testbed, &namespace).await?;
            for (number, template) in TEMPLATES.iter().enumerate() {
                let metric = format!("t{number}");
                let spec = json!({"api": "External", "name": {"as": metric}, "metricsQuery": template});
                scripted.rule(&metric, &spec).await?;
                let path = format!("/apis/{EXTERNAL}/namespaces/{namespace}/{metric}");
                eventually(PATIENCE, template, || async {
                    let reply = admin.get(&path).await?;
                    // refused, or answered; not still unknown
                    ensure!(
                        [200, 500].contains(&reply.status),
                        "{}: {}",
                        reply.status,
                        reply.text()
                    );
                    Ok(())
                })
                .await?;
            }
            let queries = scripted.backend.queries("secr");
            ensure!(queries.len() >= 8, "most of the templates are sent: {queries:#?}");
            for query in queries {
                for selector in Parts::of(&query)?.selectors {
                    let own = ("namespace".to_owned(), "=", namespace.clone());
                    ensure!(selector.contains(&own), "not confined: {query}");
                }
            }
            Ok(())
        })
        .await
}

async fn rows_checked() -> Result<()> {
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("rows", async |namespace| {
            testbed
                .apply(&namespace, &lab::list(&[pod("a"), pod("b")]))
                .await?;
            let scripted = rules(&testbed, &namespace).await?;
            let rows = [
                (json!({"namespace": namespace, "pod": "a"}), "1"),
                (json!({"pod": "b"}), "2"),
                (json!({"namespace": namespace, "pod": "ghost"}), "3"),
                (json!({"namespace": "other", "pod": "a"}), "4"),
                (json!({"namespace": "other", "pod": "elsewhere"}), "5"),
                (json!({"namespace": namespace}), "6"),
                (json!({}), "7"),
            ];
            scripted
                .backend
                .script(move |_| Act::Rows(rows.iter().map(|(labels, value)| row(labels, value)).collect()));
            eventually(PATIENCE, "both pods have their values", || async {
                let items = admin.get(&pods(&namespace, "*", "")).await?.list(V1BETA2)?;
                same(
                    &(names(&items), values(&items)),
                    &(vec!["a", "b"], vec!["1", "2"]),
                    "pods and values",
                )
            })
            .await?;
            for (name, value) in [("a", "1"), ("b", "2")] {
                let item = admin.get(&pods(&namespace, name, "")).await?.item(V1BETA2)?;
                same(&item["value"], &json!(value), name)?;
            }
            let foreign = json!({"namespace": "other", "pod": "a"});
            scripted
                .backend
                .script(move |_| Act::Rows(vec![row(&foreign, "4")]));
            let failure = admin
                .get(&pods(&namespace, "a", ""))
                .await?
                .failure(404, "NotFound")?;
            ensure!(failure.message.contains("NoData"), "{failure:?}");
            let foreign = json!({"namespace": "other", "queue": "q"});
            scripted
                .backend
                .script(move |_| Act::Rows(vec![row(&foreign, "4")]));
            let items = admin.get(&queue(&namespace, "")).await?.list(EXTERNAL)?;
            ensure!(items.is_empty(), "another namespace's row: {items:?}");
            Ok(())
        })
        .await
}

fn row(labels: &Value, value: &str) -> Row {
    let seconds = u32::try_from(Timestamp::now().as_second()).unwrap_or_default();
    Row {
        labels: labels.clone(),
        at: f64::from(seconds),
        value: value.to_owned(),
    }
}

async fn duplicates() -> Result<()> {
    const DROPPED: &str = "metricrule_rows_dropped_total{reason=\"DuplicateRows\"}";
    let testbed = lab::cluster().await?;
    let admin = lab::admin(&testbed, 0).await?;
    testbed
        .with_namespace("doubled", async |namespace| {
            testbed.apply(&namespace, &lab::list(&[pod("p")])).await?;
            let scripted = rules(&testbed, &namespace).await?;
            let labels = |verb: &str| json!({"namespace": namespace, "pod": "p", "verb": verb});
            let rows = vec![
                row(&labels("GET"), "1"),
                row(&labels("POST"), "2"),
                row(&labels("PUT"), "3"),
            ];
            for turn in 0..rows.len() {
                let mut rows = rows.clone();
                rows.rotate_left(turn);
                scripted.backend.script(move |_| Act::Rows(rows.clone()));
                let before = counter(&testbed, DROPPED).await?;
                let item = admin.get(&pods(&namespace, "p", "")).await?.item(V1BETA2)?;
                same(&item["value"], &json!("1"), "the first in the order of labels")?;
                ensure!(counter(&testbed, DROPPED).await? >= before + 2.0, "not counted");
            }
            let log = testbed
                .replicas()
                .first()
                .context("no replica")?
                .process()
                .log_text();
            let warned = log
                .lines()
                .filter(|line| line.contains(&namespace) && line.contains("3 rows for pods p"));
            same(&warned.count(), &1, "warnings in the log, of three requests")
        })
        .await
}
