//! Edits are served within a second, by a replica that goes on running, and disturb nobody else.

mod measure;
mod refusals;
mod rest;
mod undecodable;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{TryStreamExt as _, stream};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::{PATIENCE, Testbed};
use tokio::time::Instant;

use self::measure::{Distribution, Expect, Reader, Want, follow};
use crate::ask::{
    CALM, backend, create, custom, edit, objects, rule, say, sweep, took, turn, until_series, until_value,
};

/// The rules beside the one that is edited.
const RULES: usize = 200;
/// Of them, this many are `ClusterMetricRule`s; the rest is shared by two namespaces.
const CLUSTER_RULES: usize = 50;
const EDITS: usize = 50;
/// How soon after the write's return an edit is served, and a refusal told.
const PROMISE: Duration = Duration::from_secs(1);

const BACKEND: &str = "edits";
const OTHER_BACKEND: &str = "edits-other";
const EDITED: &str = "edits-edited";
const CONTESTED: &str = "edits_contested";
/// What the rival of the edited rule answers.
const RIVAL: f64 = 7777.0;
const POD: &str = "web-0";

/// The two namespaces, and who asks.
struct Scene<'a> {
    testbed: &'a Testbed,
    client: Client,
    gold: String,
    silver: String,
}

/// What the edited rule says now.
#[derive(Clone)]
struct Now {
    factor: u32,
    name: String,
    priority: i32,
    in_gold: bool,
}

#[tokio::test]
async fn edits_are_served_within_a_second_and_disturb_no_other_rule() -> Result<()> {
    let start = Instant::now();
    let testbed = CALM.get().await?;
    let _turn = turn().await;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("edits-gold", async |gold| {
            testbed
                .with_namespace("edits-silver", async |silver| {
                    let client = crate::ask::client(&testbed).await?;
                    let scene = Scene {
                        testbed: &testbed,
                        client,
                        gold,
                        silver,
                    };
                    scene.run().await
                })
                .await
        })
        .await;
    let swept = sweep(&crate::ask::client(&testbed).await?, "edits").await;
    say(&format!(
        "edits: waited {:.1} s for the testbed and the turn",
        (began - start).as_secs_f64()
    ));
    took("edits", began);
    outcome.and(swept)
}

impl Scene<'_> {
    async fn run(&self) -> Result<()> {
        let begun = Instant::now();
        self.set_up().await?;
        took("edits: 200 rules are served", begun);
        let replica = self.testbed.replicas().first().context("no replica")?;
        let pid = replica.process().pid();
        let reader = Reader::start(self.client.clone(), self.others());

        let begun = Instant::now();
        self.edits().await?;
        took("edits: 50 edits", begun);
        let begun = Instant::now();
        self.deletions().await?;
        self.broken_edit().await?;
        self.refusals().await?;
        took("edits: deletions and refusals", begun);
        let begun = Instant::now();
        self.undecodable().await?;
        took("edits: an object that does not decode", begun);

        let begun = Instant::now();
        self.rest().await?;
        took("edits: at rest", begun);
        let (asked, errors) = reader.stop().await?;
        say(&format!(
            "edits: the reader of the other rules asked {asked} times, {} errors",
            errors.len()
        ));
        ensure!(asked > 500, "the reader asked {asked} times only");
        ensure!(
            errors.is_empty(),
            "the reader saw {} errors: {:?}",
            errors.len(),
            &errors[..errors.len().min(5)]
        );
        ensure!(
            replica.process().pid() == pid && pid.is_some(),
            "the replica was started again"
        );
        Ok(())
    }

    /// The namespace of the series of the nth other rule, and whether it is a `MetricRule`.
    fn place(&self, number: usize) -> (&str, bool) {
        let namespace = if number.is_multiple_of(2) {
            &self.gold
        } else {
            &self.silver
        };
        (namespace, number >= CLUSTER_RULES)
    }

    /// Every other rule's path and value.
    fn others(&self) -> Vec<Expect> {
        (0..RULES)
            .map(|number| {
                Expect::value(
                    &custom(self.place(number).0, "pods", POD, &series(number)),
                    value(number),
                )
            })
            .collect()
    }

    async fn set_up(&self) -> Result<()> {
        let exporter = self.testbed.exporter();
        for number in 0..RULES {
            let (namespace, _) = self.place(number);
            exporter.gauge(
                &series(number),
                &[("namespace", namespace), ("pod", POD)],
                value(number),
            );
        }
        for namespace in [&self.gold, &self.silver] {
            exporter.gauge("edits_main", &[("namespace", namespace), ("pod", POD)], 1.0);
        }
        until_series(self.testbed, "{__name__=~\"edits_.*\"}", RULES + 2).await?;
        let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.client.clone());
        for (namespace, tier) in [(&self.gold, "gold"), (&self.silver, "silver")] {
            let labels = Patch::Merge(json!({"metadata": {"labels": {"tier": tier, "suite": "edits"}}}));
            namespaces
                .patch(namespace, &PatchParams::default(), &labels)
                .await?;
        }
        // a ceiling that does not slow the askers down
        let spec = json!({
            "type": "Prometheus",
            "prometheus": {"url": self.testbed.prometheus().url()},
            "discovery": {"interval": "10s"},
            "limits": {"queriesPerSecond": 2000, "maxConcurrent": 64},
        });
        create(&self.client, &backend(BACKEND, &spec)).await?;
        create(&self.client, &backend(OTHER_BACKEND, &spec)).await?;

        let mut manifests: Vec<Value> = (0..RULES)
            .map(|number| {
                let (namespace, is_namespaced) = self.place(number);
                let mut spec = spec_of(
                    &series(number),
                    "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
                );
                if !is_namespaced {
                    spec["namespaceSelector"] = json!({"matchLabels": {"suite": "edits"}});
                }
                rule(
                    is_namespaced.then_some(namespace),
                    &format!("edits-{number:03}"),
                    &spec,
                )
            })
            .collect();
        let mut rival = spec_of(
            "edits_main",
            "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>}) * 7777",
        );
        rival["name"] = json!({"as": CONTESTED});
        manifests.push(rule(None, "edits-rival", &rival));
        manifests.push(rule(None, EDITED, &Now::first().spec()));
        stream::iter(manifests.iter().map(Ok))
            .try_for_each_concurrent(8, |manifest| create(&self.client, manifest))
            .await?;
        for expect in self.others() {
            until_value(&self.client, &expect.path, expect.number()?, PATIENCE).await?;
        }
        let first = Now::first();
        until_value(
            &self.client,
            &self.path(true, CONTESTED),
            f64::from(first.factor),
            PATIENCE,
        )
        .await?;
        until_value(&self.client, &self.path(false, CONTESTED), RIVAL, PATIENCE).await
    }

    fn path(&self, in_gold: bool, metric: &str) -> String {
        custom(
            if in_gold { &self.gold } else { &self.silver },
            "pods",
            POD,
            metric,
        )
    }

    async fn edits(&self) -> Result<()> {
        let api = objects(&self.client, "ClusterMetricRule", None);
        let backends = objects(&self.client, "MetricBackend", None);
        let mut now = Now::first();
        let (mut new, mut old) = (Distribution::default(), Distribution::default());
        let mut questions = Distribution::default();
        for number in 0..EDITS {
            let before = now.clone();
            let what = now.edit(number);
            let (appears, goes) = self.expectations(&before, &now);
            let spec = now.spec();
            let times = follow(&self.client, &appears, &goes, async || {
                if number.is_multiple_of(5) {
                    // somebody else's backend changes at the same moment
                    let interval = json!({"discovery": {"interval": format!("{}s", 60 + number)}});
                    edit(&backends, OTHER_BACKEND, &interval).await?;
                }
                edit(&api, EDITED, &spec).await
            })
            .await;
            let times = times.with_context(|| format!("edit {number}, of {what}"))?;
            new.add(what, times.first_new);
            old.add(what, times.last_old);
            questions.add("slowest question", times.question);
        }
        say(&format!(
            "edits: from the write's return to the first new answer\n{new}"
        ));
        say(&format!(
            "edits: from the write's return to the last old answer\n{old}"
        ));
        say(&format!(
            "edits: how long one question took meanwhile\n{questions}"
        ));
        ensure!(
            new.count() == EDITS && old.count() == EDITS,
            "not every edit was measured"
        );
        let worst = new.worst().max(old.worst());
        ensure!(worst < PROMISE, "the slowest edit took {worst:?}");
        Ok(())
    }

    /// Where the new state shows first, and where the old one shows last.
    fn expectations(&self, before: &Now, after: &Now) -> (Expect, Expect) {
        let of = |now: &Now| {
            // behind its rival the edited rule shows nothing of itself where both claim
            let value = if now.priority < 0 && now.name == CONTESTED {
                RIVAL
            } else {
                f64::from(now.factor)
            };
            Expect::value(&self.path(now.in_gold, &now.name), value)
        };
        (of(after), of(before))
    }

    async fn deletions(&self) -> Result<()> {
        let mut gone = Distribution::default();
        for number in 0..4 {
            let metric = format!("edits_doomed_{number}");
            let namespaced = number % 2 == 0;
            let mut spec = spec_of(
                "edits_main",
                "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>}) * 5",
            );
            spec["name"] = json!({ "as": metric });
            let name = format!("edits-doomed-{number}");
            let namespace = namespaced.then_some(self.gold.as_str());
            create(&self.client, &rule(namespace, &name, &spec)).await?;
            let path = self.path(true, &metric);
            until_value(&self.client, &path, 5.0, PATIENCE).await?;
            let api = objects(
                &self.client,
                if namespaced {
                    "MetricRule"
                } else {
                    "ClusterMetricRule"
                },
                namespace,
            );
            let unknown = Expect {
                path: path.clone(),
                want: Want::Refusal(404, "UnknownMetric"),
            };
            let times = follow(&self.client, &unknown, &Expect::value(&path, 5.0), async || {
                api.delete(&name, &DeleteParams::default()).await?;
                Ok(())
            })
            .await?;
            gone.add("delete", times.first_new.max(times.last_old));
        }
        say(&format!("edits: until a deleted rule's metric is gone\n{gone}"));
        ensure!(
            gone.worst() < PROMISE,
            "a deleted rule's metric was there for {:?}",
            gone.worst()
        );
        Ok(())
    }

    /// A claim outlives an edit that breaks the rule: no former generation answers, and no other rule.
    async fn broken_edit(&self) -> Result<()> {
        let name = "edits-broken";
        let mut spec = spec_of(
            "edits_main",
            "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>}) * 6",
        );
        spec["name"] = json!({"as": "edits_broken"});
        create(&self.client, &rule(Some(&self.gold), name, &spec)).await?;
        let path = self.path(true, "edits_broken");
        until_value(&self.client, &path, 6.0, PATIENCE).await?;
        let api = objects(&self.client, "MetricRule", Some(&self.gold));
        let refused = Expect {
            path: path.clone(),
            want: Want::Refusal(500, "InvalidTemplate"),
        };
        let served = Expect::value(&path, 6.0);
        let broken = json!({"metricsQuery": "sum(<<.Series>>{<<.LabelMatcher>>})"});
        let times = follow(&self.client, &refused, &served, || edit(&api, name, &broken)).await?;
        let worst = times.first_new.max(times.last_old);
        ensure!(worst < PROMISE, "a broken edit was not refused for {worst:?}");
        let repaired = json!({"metricsQuery": spec["metricsQuery"]});
        let times = follow(&self.client, &served, &refused, || edit(&api, name, &repaired)).await?;
        ensure!(
            times.first_new < PROMISE,
            "a repaired rule was not served for {:?}",
            times.first_new
        );
        Ok(())
    }
}

impl Now {
    fn first() -> Self {
        Self {
            factor: 100,
            name: CONTESTED.to_owned(),
            priority: 10,
            in_gold: true,
        }
    }

    /// Makes the nth edit; gives the field.
    fn edit(&mut self, number: usize) -> &'static str {
        match number % 6 {
            0 => {
                self.factor += 1;
                "metricsQuery"
            }
            1 => {
                self.priority = -10;
                "priority"
            }
            2 => {
                self.priority = 10;
                "priority"
            }
            3 => {
                self.in_gold = !self.in_gold;
                "namespaceSelector"
            }
            4 => {
                self.name = format!("edits_free_{number}");
                "name"
            }
            _ => {
                CONTESTED.clone_into(&mut self.name);
                "name"
            }
        }
    }

    fn spec(&self) -> Value {
        let query = format!(
            "sum by (<<.GroupBy>>) (<<.Series>>{{<<.LabelMatchers>>}}) * {}",
            self.factor
        );
        let mut spec = spec_of("edits_main", &query);
        spec["name"] = json!({"as": self.name});
        spec["priority"] = json!(self.priority);
        let tier = if self.in_gold { "gold" } else { "silver" };
        spec["namespaceSelector"] = json!({"matchLabels": {"tier": tier}});
        spec
    }
}

fn series(number: usize) -> String {
    format!("edits_s{number:03}")
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn value(number: usize) -> f64 {
    1000.0 + number as f64
}

fn spec_of(series: &str, query: &str) -> Value {
    json!({
        "backendRef": {"name": BACKEND},
        "seriesQuery": format!("{series}{{pod!=\"\"}}"),
        "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
        "metricsQuery": query,
    })
}
