//! Rules as fat as somebody with `edit` in one namespace can make them: what the API server refuses, and what the operator
//! has no room for.

use anyhow::{Result, ensure};
use serde_json::{Map, Value, json};

use crate::ask::{CALM, client, create, objects, rule, until_condition};

/// Patterns of ten letters whose programs have half a megabyte each; with so many of them three rules fit into the share of a
/// namespace.
const PATTERNS: usize = 9;

fn with_keys(length: usize) -> Value {
    let overrides: Map<String, Value> = (0..30)
        .map(|number| {
            let key = format!("l{number}_{}", "b".repeat(length));
            (key, json!({"resource": format!("kind{number}")}))
        })
        .collect();
    json!({
        "seriesQuery": "fat{pod!=\"\"}",
        "resources": {"overrides": overrides},
        "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
    })
}

fn with_patterns() -> Value {
    let filters: Vec<Value> = (0..PATTERNS).map(|_| json!({"isNot": "\\pL{10}"})).collect();
    json!({
        "seriesQuery": "fat{pod!=\"\"}",
        "seriesFilters": filters,
        "resources": {"overrides": {"pod": {"resource": "pods"}}},
        "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
    })
}

#[tokio::test]
async fn a_rule_with_fat_keys_is_refused_by_the_api_server() -> Result<()> {
    let testbed = CALM.get().await?;
    let client = client(&testbed).await?;
    testbed
        .with_namespace("fat-keys", async |namespace| {
            let fat = rule(Some(&namespace), "fat", &with_keys(28_000));
            let Err(refused) = create(&client, &fat).await else {
                anyhow::bail!("850 KB of keys were taken");
            };
            let said = format!("{refused:#}");
            ensure!(said.contains("a label name has at most 256 characters"), "{said}");
            create(&client, &rule(Some(&namespace), "lean", &with_keys(200))).await
        })
        .await
}

#[tokio::test]
async fn the_youngest_rules_beyond_a_namespaces_share_of_memory_are_refused_until_there_is_room() -> Result<()>
{
    let testbed = CALM.get().await?;
    let client = client(&testbed).await?;
    testbed
        .with_namespace("fat-patterns", async |namespace| {
            let rules = objects(&client, "MetricRule", Some(&namespace));
            // Of one second, so the lower name counts for the older one.
            for number in 0..5 {
                let manifest = rule(Some(&namespace), &format!("fat-{number}"), &with_patterns());
                create(&client, &manifest).await?;
            }
            until_condition(&rules, "fat-0", "Accepted", "True", "Accepted").await?;
            let said = until_condition(&rules, "fat-4", "Accepted", "False", "QuotaExceeded").await?;
            ensure!(said.contains("MiB"), "{said}");
            // Another namespace has room of its own.
            testbed
                .with_namespace("fat-other", async |other| {
                    create(&client, &rule(Some(&other), "fat", &with_patterns())).await?;
                    let others = objects(&client, "MetricRule", Some(&other));
                    until_condition(&others, "fat", "Accepted", "True", "Accepted").await?;
                    Ok(())
                })
                .await?;
            for number in 0..3 {
                rules
                    .delete(&format!("fat-{number}"), &kube::api::DeleteParams::default())
                    .await?;
            }
            until_condition(&rules, "fat-4", "Accepted", "True", "Accepted").await?;
            Ok(())
        })
        .await
}
