//! A claim outlives every accident: while a rule cannot answer, it says why, and no other rule's number stands in for it.

mod backend;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use metricrule::catalog::recorded::unpack;
use serde_json::{Value, json};
use testbed::adapter::Replica;
use testbed::{PATIENCE, Testbed, eventually};
use tokio::time::Instant;

use self::backend::{OTHERS, OWN, POD, SERIES, Scripted, Series};
use crate::ask::{Answer, ask, backend, create, custom, edit, objects, rule, took, until_value};
use crate::support::builder;

const METRIC: &str = "claims_contested";
const BACKEND: &str = "claims";
/// How long a state is looked at: some rounds of listings.
const WHILE: Duration = Duration::from_secs(3);

struct Scene<'a> {
    testbed: &'a Testbed,
    replica: &'a Replica,
    client: Client,
    namespace: String,
    server: Scripted,
    rules: Api<DynamicObject>,
    backends: Api<DynamicObject>,
}

#[tokio::test]
async fn no_accident_hands_a_metric_to_another_rule() -> Result<()> {
    let start = Instant::now();
    // Its default backends are the test's own.
    let testbed = builder()
        .prometheus(false)
        .value("prometheus.url=")
        .replicas(1)
        .start()
        .await?;
    took("claims: the testbed starts", start);
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("claims", async |namespace| {
            let client = crate::ask::client(&testbed).await?;
            let scene = Scene {
                testbed: &testbed,
                replica: testbed.replicas().first().context("no replica")?,
                server: Scripted::start(&namespace).await?,
                rules: objects(&client, "MetricRule", Some(&namespace)),
                backends: objects(&client, "MetricBackend", None),
                client,
                namespace,
            };
            scene.run().await
        })
        .await;
    took("claims: accidents", began);
    outcome
}

impl Scene<'_> {
    async fn run(&self) -> Result<()> {
        self.set_up().await?;
        self.broken_specs().await?;
        self.broken_backends().await?;
        self.failing_listings().await?;
        self.idle().await?;
        self.never_listed().await?;
        crate::support::ensure_no_refusal(self.testbed.replicas())
    }

    fn backend_spec(&self) -> Value {
        json!({
            "type": "Prometheus",
            "prometheus": {"url": self.server.url(), "method": "GET", "timeout": "2s"},
            "discovery": {"interval": "1s", "lookback": "5s"},
        })
    }

    async fn set_up(&self) -> Result<()> {
        create(&self.client, &backend(BACKEND, &self.backend_spec())).await?;
        create(&self.client, &backend("claims-platform", &self.backend_spec())).await?;
        let mut platform = own();
        platform["backendRef"] = json!({"name": "claims-platform"});
        platform["seriesQuery"] = json!(format!("{SERIES}{{pod!=\"\"}}"));
        platform["metricsQuery"] = json!("sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>}) * 999");
        create(&self.client, &rule(None, "claims-platform", &platform)).await?;
        until_value(&self.client, &self.path(), OTHERS, PATIENCE).await?;
        create(&self.client, &rule(Some(&self.namespace), "own", &own())).await?;
        self.is_answered().await
    }

    fn path(&self) -> String {
        custom(&self.namespace, "pods", POD, METRIC)
    }

    async fn is_answered(&self) -> Result<()> {
        until_value(&self.client, &self.path(), OWN, PATIENCE).await
    }

    /// From now on the metric is refused, for that reason in the end; the other rule's number is never seen.
    async fn refuses(&self, what: &str, code: u16, reason: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut since = None;
        while since.is_none_or(|since: Instant| since.elapsed() < WHILE) {
            let answer = self.look(what).await?;
            if answer.refuses(code, reason) {
                since.get_or_insert_with(Instant::now);
            } else {
                ensure!(since.is_none(), "{what}: first {reason}, then {answer:?}");
                ensure!(Instant::now() < deadline, "{what}: not {reason}, but {answer:?}");
            }
        }
        Ok(())
    }

    async fn look(&self, what: &str) -> Result<Answer> {
        let answer = ask(&self.client, &self.path()).await?;
        ensure!(!answer.is(OTHERS), "{what}: another rule's number");
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(answer)
    }

    async fn mend(&self) -> Result<()> {
        let mut spec = own();
        for field in ["seriesFilters", "retainAfterIdle"] {
            spec[field] = Value::Null;
        }
        spec["resources"]["template"] = Value::Null;
        edit(&self.rules, "own", &spec).await?;
        self.is_answered().await
    }

    async fn broken_specs(&self) -> Result<()> {
        for (field, broken, reason) in [
            (
                "seriesQuery",
                json!("{__name__=~\"claims_.+_total\",pod!=\"}"),
                "InvalidQuery",
            ),
            ("seriesFilters", json!([{"isNot": "("}]), "InvalidPattern"),
            ("name", json!({"matches": "("}), "InvalidPattern"),
            ("resources", json!({"template": "<<.Resource"}), "InvalidTemplate"),
            (
                "metricsQuery",
                json!("sum(<<.Series>>{<<.LabelMatcher>>})"),
                "InvalidTemplate",
            ),
            ("seriesQuery", json!("{pod!=\"\"}"), "MatchAll"),
        ] {
            let what = format!("{field} is {broken}");
            edit(&self.rules, "own", &json!({field: broken})).await?;
            self.refuses(&what, 500, reason).await?;
            self.mend().await?;
        }
        Ok(())
    }

    async fn broken_backends(&self) -> Result<()> {
        self.backends.delete(BACKEND, &DeleteParams::default()).await?;
        self.refuses("the backend is deleted", 500, "BackendNotFound")
            .await?;
        create(&self.client, &backend(BACKEND, &self.backend_spec())).await?;
        self.is_answered().await?;

        let nowhere =
            json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"no": "one"}}}});
        edit(&self.backends, BACKEND, &nowhere).await?;
        self.refuses("the backend is narrowed", 403, "BackendNotAllowed")
            .await?;
        edit(
            &self.backends,
            BACKEND,
            &json!({"allowedNamespaces": {"from": "All", "selector": null}}),
        )
        .await?;
        self.is_answered().await?;

        self.default("claims-platform", true).await?;
        edit(&self.rules, "own", &json!({"backendRef": null})).await?;
        self.is_answered().await?;
        self.default(BACKEND, true).await?;
        self.refuses("there are two defaults", 500, "AmbiguousDefault")
            .await?;
        self.default("claims-platform", false).await?;
        self.is_answered().await?;
        self.default(BACKEND, false).await?;
        self.refuses("there is no default", 500, "BackendNotFound")
            .await?;
        self.mend().await
    }

    async fn default(&self, name: &str, is_default: bool) -> Result<()> {
        let value = is_default.then_some("true");
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"metricrule.dev/is-default": value}}}));
        self.backends.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The platform's rule has its series by then; the listing that fails is the edited rule's, or the fresh replica's.
    async fn failing_listings(&self) -> Result<()> {
        self.server.series(Series::Fails);
        let other = "{__name__=~\"claims_[a-z]+_total\",pod!=\"\"}";
        edit(&self.rules, "own", &json!({"seriesQuery": other})).await?;
        self.refuses(
            "the selector is edited while series cannot be listed",
            503,
            "NotSynced",
        )
        .await?;
        self.server.series(Series::There);
        self.is_answered().await?;
        // What was not recorded yet is refused by a replica that starts and cannot list it.
        let edited = self.rules.get("own").await?.metadata.generation;
        eventually(PATIENCE, "the edited rule's claims are recorded", || async {
            let recorded = self.recorded().await?;
            ensure!(recorded == edited, "{recorded:?} and not {edited:?}");
            Ok(())
        })
        .await?;

        self.server.series(Series::Fails);
        self.replica.restart().await.context("a fresh replica")?;
        let begun = Instant::now();
        let mut answered = 0;
        while begun.elapsed() < WHILE || answered == 0 {
            ensure!(begun.elapsed() < PATIENCE, "a fresh replica never answers");
            let answer = self.look("a fresh replica cannot list series").await?;
            // While the API server has no connection to it yet it says so itself.
            ensure!(
                answer.is(OWN) || answer.code == 503,
                "a fresh replica cannot list series: {answer:?}"
            );
            answered += usize::from(answer.is(OWN));
        }
        self.server.series(Series::There);
        self.mend().await
    }

    /// The generation of the own rule whose claims the cluster keeps.
    async fn recorded(&self) -> Result<Option<i64>> {
        let records: Api<ConfigMap> = Api::namespaced(self.client.clone(), "metricrule-system");
        let data = records.get("metricrule-claims").await?.binary_data;
        let bytes = data.as_ref().and_then(|data| data.get("claims.json.gz"));
        let record = unpack(&bytes.context("the record is empty")?.0)?;
        let own = record.rules.values().find(|rule| rule.key.name == "own");
        Ok(own.map(|rule| rule.generation))
    }

    async fn idle(&self) -> Result<()> {
        self.server.series(Series::Gone);
        self.refuses("the exporter is down for longer than the lookback", 404, "NoData")
            .await?;
        ensure!(self.server.listed() > 1, "nobody has looked");
        // A replica that starts then knows of the claim by the record alone.
        self.replica.restart().await.context("a fresh replica")?;
        eventually(PATIENCE, "a fresh replica knows what is idle", || async {
            let answer = self.look("a fresh replica, and no series").await?;
            ensure!(answer.refuses(404, "NoData"), "{answer:?}");
            Ok(())
        })
        .await?;
        self.server.series(Series::There);
        self.is_answered().await?;

        // A rule that says so lets go at once, and then the platform's may answer.
        edit(&self.rules, "own", &json!({"retainAfterIdle": "0s"})).await?;
        self.is_answered().await?;
        self.server.series(Series::Gone);
        until_value(&self.client, &self.path(), OTHERS, PATIENCE).await?;
        self.server.series(Series::There);
        self.is_answered().await?;
        self.rules.delete("own", &DeleteParams::default()).await?;
        until_value(&self.client, &self.path(), OTHERS, PATIENCE).await
    }

    /// What was never listed claims what its spec says, and is named where its metric would be unknown.
    async fn never_listed(&self) -> Result<()> {
        let mut literal = own();
        literal["backendRef"] = json!({"name": "claims-missing"});
        literal["seriesQuery"] = json!(SERIES);
        create(&self.client, &rule(Some(&self.namespace), "literal", &literal)).await?;
        let what = "a literal name, and no backend";
        // Until its watch has told the replica of it, there is no such rule.
        eventually(PATIENCE, what, || async {
            let answer = ask(&self.client, &self.path()).await?;
            ensure!(answer.refuses(500, "BackendNotFound"), "{answer:?}");
            Ok(())
        })
        .await?;
        self.refuses(what, 500, "BackendNotFound").await?;
        self.rules.delete("literal", &DeleteParams::default()).await?;
        until_value(&self.client, &self.path(), OTHERS, PATIENCE).await?;

        let mut pattern = own();
        pattern["backendRef"] = json!({"name": "claims-missing"});
        pattern["name"] = json!({"as": "claims_elsewhere"});
        create(&self.client, &rule(Some(&self.namespace), "pattern", &pattern)).await?;
        let path = custom(&self.namespace, "pods", POD, "claims_elsewhere");
        eventually(PATIENCE, "the 404 names the rule", || async {
            let answer = ask(&self.client, &path).await?;
            let named = format!(
                "the MetricRule {}/pattern is not active (BackendNotFound)",
                self.namespace
            );
            ensure!(
                answer.refuses(404, "UnknownMetric") && answer.message.contains(&named),
                "{answer:?}"
            );
            Ok(())
        })
        .await
    }
}

/// By a pattern, so that the name stands in no spec.
fn own() -> Value {
    json!({
        "backendRef": {"name": BACKEND},
        "seriesQuery": "{__name__=~\"claims_.+_total\",pod!=\"\"}",
        "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
        "name": {"matches": "^claims_(.*)_total$", "as": METRIC},
        "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
        "refresh": "1ms",
    })
}
