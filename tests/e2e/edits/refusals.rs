//! What is refused is told at once, with its place.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testbed::PATIENCE;
use tokio::time::Instant;

use super::measure::Distribution;
use super::{PROMISE, Scene, spec_of};
use crate::ask::{condition, create, objects, rule, say};

impl Scene<'_> {
    pub(super) async fn refusals(&self) -> Result<()> {
        let mut told = Distribution::default();
        for (number, (what, spec, reason, place)) in invalid().into_iter().enumerate() {
            let name = format!("edits-invalid-{number:02}");
            // by turns, so that both kinds are seen
            let namespace = number.is_multiple_of(2).then_some(self.gold.as_str());
            let api = objects(
                &self.client,
                if namespace.is_some() {
                    "MetricRule"
                } else {
                    "ClusterMetricRule"
                },
                namespace,
            );
            create(&self.client, &rule(namespace, &name, &spec)).await?;
            let written = Instant::now();
            let found = loop {
                let found = condition(&api.get(&name).await?, "Accepted");
                if found.status == "False" || written.elapsed() > PATIENCE {
                    break found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            };
            told.add("refusal", written.elapsed());
            ensure!(found.reason == reason, "{what}: {found:?}, not {reason}");
            ensure!(
                found.message.starts_with(place),
                "{what}: {:?} does not say {place:?}",
                found.message
            );
            let ready = condition(&api.get(&name).await?, "Ready");
            ensure!(
                ready.status == "False" && ready.reason == reason,
                "{what}: Ready says {ready:?}"
            );
        }
        say(&format!("edits: until Accepted=False is told\n{told}"));
        ensure!(
            told.worst() < PROMISE,
            "the slowest refusal took {:?}",
            told.worst()
        );
        Ok(())
    }
}

/// What is wrong; a spec with it; the reason; where the message says it is.
fn invalid() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let query = |text: &str| spec_of("edits_main", text);
    let with = |field: &str, value: Value| {
        let mut spec = query("sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})");
        spec[field] = value;
        spec
    };
    vec![
        (
            "a field that there is not",
            query("sum by (<<.GroupBy>>) (\n  rate(<<.Seriez>>{}[2m]))"),
            "InvalidTemplate",
            "spec.metricsQuery:2:",
        ),
        (
            "an action without an end",
            query("sum(\n<<if .Series>>x)"),
            "InvalidTemplate",
            "spec.metricsQuery:2:",
        ),
        (
            "a function that there is not",
            query("sum(<<.Series | html>>{<<.LabelMatchers>>})"),
            "InvalidTemplate",
            "spec.metricsQuery:1:",
        ),
        (
            "a value outside a string",
            query("sum(x) + <<index .LabelValuesByName \"y\">>"),
            "InvalidTemplate",
            "spec.metricsQuery:1:",
        ),
        (
            "a brace too many",
            query("sum by (<<.GroupBy>>)\n  (<<.Series>>{<<.LabelMatchers>>}}[2m])"),
            "InvalidQuery",
            "spec.metricsQuery:2:",
        ),
        (
            "a pattern that does not parse",
            with("name", json!({"matches": "^(.*_total$"})),
            "InvalidPattern",
            "spec.name.matches",
        ),
        (
            "a filter that does not parse",
            with("seriesFilters", json!([{"is": "^ok"}, {"isNot": "[z-a]"}])),
            "InvalidPattern",
            "spec.seriesFilters[1].isNot",
        ),
        (
            "a series query that does not parse",
            with("seriesQuery", json!("edits_main{pod!=}")),
            "InvalidQuery",
            "spec.seriesQuery:1:",
        ),
        (
            "a series query for everything",
            with("seriesQuery", json!("{__name__=~\".+\"}")),
            "MatchAll",
            "spec.seriesQuery",
        ),
        (
            "two labels for one kind",
            with(
                "resources",
                json!({"overrides": {"a": {"resource": "pods"}, "b": {"resource": "pod"}}}),
            ),
            "DuplicateResource",
            "spec.resources.overrides",
        ),
        (
            "a resource template that names no resource",
            with("resources", json!({"template": "kube_<<.Nothing>>"})),
            "InvalidTemplate",
            "spec.resources.template:1:",
        ),
    ]
}
