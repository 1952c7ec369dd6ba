//! An object that the operator's types cannot read.

use anyhow::{Context as _, Result, bail, ensure};
use kube::Client;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use serde_json::{Value, json};
use testbed::{PATIENCE, eventually};

use super::{PROMISE, Scene, spec_of};
use crate::ask::{ask, create, edit, objects, rule, until_condition, until_value};

impl Scene<'_> {
    /// An object that the operator's types cannot read gets there only past the schema, as from a CRD of another version: so
    /// the schema is opened for a moment.
    pub(super) async fn undecodable(&self) -> Result<()> {
        let name = "edits-undecodable";
        let mut spec = spec_of(
            "edits_main",
            "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>}) * 8",
        );
        spec["name"] = json!({"as": "edits_undecodable"});
        create(&self.client, &rule(Some(&self.gold), name, &spec)).await?;
        let path = self.path(true, "edits_undecodable");
        until_value(&self.client, &path, 8.0, PATIENCE).await?;

        let schema = Schema::open(&self.client).await?;
        let outcome = self.undecodable_inside(name, &path).await;
        schema.close(&self.client).await?;
        outcome?;

        // the API server takes a moment to make itself at home in the former schema
        let api = objects(&self.client, "MetricRule", Some(&self.gold));
        let unreadable = rule(
            Some(&self.gold),
            name,
            &json!({"metricsQuery": {"not": "a string"}}),
        );
        let unreadable: DynamicObject = serde_json::from_value(unreadable)?;
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        eventually(
            PATIENCE,
            "the API server refuses such an object again",
            || async {
                match api.create(&dry, &unreadable).await {
                    Err(error) if error.to_string().contains("must be of type string") => Ok(()),
                    Err(error) => Err(error.into()),
                    Ok(_) => bail!("it takes it"),
                }
            },
        )
        .await?;
        // the name is free again
        create(&self.client, &rule(Some(&self.gold), name, &spec)).await?;
        until_value(&self.client, &path, 8.0, PATIENCE).await
    }

    async fn undecodable_inside(&self, name: &str, path: &str) -> Result<()> {
        let api = objects(&self.client, "MetricRule", Some(&self.gold));
        let unreadable = json!({"metricsQuery": {"not": "a string"}});
        eventually(PATIENCE, "the API server takes an object past the schema", || {
            edit(&api, name, &unreadable)
        })
        .await?;
        until_condition(&api, name, "Accepted", "False", "Undecodable").await?;
        // nothing is known of its naming part, and what it claimed last is its own
        eventually(PATIENCE, "its metric is refused", || async {
            let answer = ask(&self.client, path).await?;
            ensure!(answer.refuses(500, "Undecodable"), "{answer:?}");
            Ok(())
        })
        .await?;
        ensure!(
            self.undecodable_rules().await? == 1,
            "the operator does not count it"
        );
        eventually(PATIENCE, "the object that cannot be read is deleted", || async {
            api.delete(name, &DeleteParams::default()).await?;
            Ok(())
        })
        .await?;
        eventually(
            PROMISE,
            "the operator has forgotten the object that it could not read",
            || async {
                let count = self.undecodable_rules().await?;
                ensure!(count == 0, "it counts {count}");
                Ok(())
            },
        )
        .await
    }

    /// How many rules the replica holds as undecodable.
    async fn undecodable_rules(&self) -> Result<u32> {
        let replica = self.testbed.replicas().first().context("no replica")?;
        let (_, page) = replica.get("/metrics").await?;
        let lines = page.lines().filter(|line| {
            ["_rules{", "condition=\"Accepted\"", "reason=\"Undecodable\""]
                .iter()
                .all(|part| line.contains(part))
        });
        let values = lines.filter_map(|line| line.rsplit(' ').next());
        Ok(values.map(|value| value.parse().unwrap_or(0)).sum())
    }
}

/// The rule kind's schema while it takes anything.
struct Schema(Value);

const CRD: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/metricrules.metricrule.dev";

impl Schema {
    async fn open(client: &Client) -> Result<Self> {
        let crd = crate::ask::get(client, CRD).await?;
        let schema = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema")
            .context("the CRD has no schema")?
            .clone();
        let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let open = json!({"type": "object", "properties": {"spec": any, "status": any}});
        let before = Self(schema);
        Self::replace(client, &open).await?;
        Ok(before)
    }

    async fn close(self, client: &Client) -> Result<()> {
        Self::replace(client, &self.0).await
    }

    async fn replace(client: &Client, schema: &Value) -> Result<()> {
        let patch =
            json!([{"op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema", "value": schema}]);
        let request = http::Request::patch(CRD)
            .header("content-type", "application/json-patch+json")
            .body(serde_json::to_vec(&patch)?)?;
        client
            .request::<Value>(request)
            .await
            .context("changing the schema of the CRD")?;
        Ok(())
    }
}
