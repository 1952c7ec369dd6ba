//! What somebody on call reads: a rule whose queries fail says so, whichever replica met it; nothing quotes a credential or
//! another namespace; a change of the leader is no news.

mod door;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::{Client, Config};
use serde_json::{Value, json};
use testbed::adapter::Replica;
use testbed::install::NAMESPACE;
use testbed::{PATIENCE, Testbed, eventually, throughout};
use tokio::time::{Duration, Instant};

use self::door::{Door, PASSWORD, USER};
use crate::ask::{ask, backend, condition, create, custom, objects, rule, until_condition, until_value};

const NAME: &str = "oncall";
const METRIC: &str = "oncall_gauge";
const POD: &str = "web-0";

struct Scene<'a> {
    testbed: &'a Testbed,
    client: Client,
    namespace: String,
    door: Door,
    rules: Api<DynamicObject>,
    backends: Api<DynamicObject>,
}

#[tokio::test]
async fn a_rule_whose_every_query_fails_says_so_and_a_change_of_the_leader_says_nothing() -> Result<()> {
    let testbed = crate::support::builder().replicas(2).start().await?;
    testbed
        .with_namespace("oncall", async |namespace| {
            let client = crate::ask::client(&testbed).await?;
            let scene = Scene {
                testbed: &testbed,
                door: Door::start(&namespace, POD).await?,
                rules: objects(&client, "MetricRule", Some(&namespace)),
                backends: objects(&client, "MetricBackend", None),
                client,
                namespace,
            };
            scene.set_up().await?;
            scene.fails().await.context("the queries fail")?;
            let told = scene.told().await?;
            scene.recovers().await.context("the queries are answered again")?;
            scene.hands_over().await.context("another leads")?;
            leaks_nothing(told.into_iter().chain(scene.told().await?)).context("credentials")
        })
        .await
}

impl Scene<'_> {
    async fn set_up(&self) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), NAMESPACE);
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": NAME, "labels": {"metricrule.dev/backend": "true"}},
            "stringData": {"username": USER, "password": PASSWORD},
        });
        secrets
            .create(&PostParams::default(), &serde_json::from_value(secret)?)
            .await?;
        let spec = json!({
            "type": "Prometheus",
            "prometheus": {
                "url": self.door.url(), "timeout": "2s", "allowPlaintextCredentials": true,
                "auth": {"type": "Basic", "basic": {"secretRef": {"name": NAME}}},
            },
            "discovery": {"interval": "2s"},
        });
        create(&self.client, &backend(NAME, &spec)).await?;
        let spec = json!({
            "backendRef": {"name": NAME},
            "seriesQuery": METRIC,
            "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
            "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
            "refresh": "1ms",
        });
        create(&self.client, &rule(Some(&self.namespace), NAME, &spec)).await?;
        until_value(&self.client, &self.path(), door::VALUE, PATIENCE).await?;
        until_condition(&self.rules, NAME, "Ready", "True", "Serving").await?;
        until_condition(&self.backends, NAME, "Ready", "True", "Ready").await?;
        Ok(())
    }

    /// Only the replica that does not lead is asked; the leader writes what it met.
    async fn fails(&self) -> Result<()> {
        let (leader, follower) = self.leader().await?;
        let direct = self.direct(follower).await?;
        let before = Timestamp::now();
        self.door.refuse(true);
        eventually(PATIENCE, "the follower is refused", || async {
            let answer = ask(&direct, &self.path()).await?;
            ensure!(answer.refuses(500, "QueryRejected"), "{answer:?}");
            ensure!(
                !answer.message.contains("duplicate"),
                "the backend's words: {answer:?}"
            );
            Ok(())
        })
        .await?;
        let message = until_condition(&self.rules, NAME, "Ready", "False", "QueryRejected").await?;
        ensure!(
            message.contains("found duplicate series") && message.contains(METRIC),
            "{message}"
        );
        ensure!(
            !message.contains(door::FOREIGN) && !message.contains("127.0.0.1"),
            "it quotes what is another's: {message}"
        );
        let rule = self.rules.get(NAME).await?;
        let error = &rule.data["status"]["lastError"];
        ensure!(error["reason"] == "QueryRejected", "{error}");
        let time: Timestamp = error["time"].as_str().context("no time")?.parse()?;
        ensure!(
            time.duration_since(before).abs() < jiff::SignedDuration::from_mins(2),
            "{time} is not near {before}"
        );
        eventually(PATIENCE, "the MetricBackend has the whole text", || async {
            let error = self.backends.get(NAME).await?.data["status"]["lastError"].clone();
            ensure!(error["reason"] == "QueryRejected", "{error}");
            let message = error["message"].as_str().unwrap_or_default();
            ensure!(
                message.contains("422") && message.contains("found duplicate"),
                "{error}"
            );
            Ok(())
        })
        .await?;

        let line = format!("{}/{NAME}", self.namespace);
        let told = |replica: &Replica| {
            let log = replica.process().log_text();
            log.lines()
                .any(|log| log.contains("WARN") && log.contains(&line) && log.contains("found duplicate"))
        };
        ensure!(told(follower), "the log of {} says nothing", follower.name());
        ensure!(!told(leader), "{} was asked as well", leader.name());
        let sample = format!(
            "metricrule_rule_failing{{namespace=\"{}\",rule=\"{NAME}\",reason=\"QueryRejected\"}} 1",
            self.namespace
        );
        ensure!(follower.get("/metrics").await?.1.contains(&sample), "no {sample}");
        Ok(())
    }

    /// All that anyone can read of it.
    async fn told(&self) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        for api in [&self.rules, &self.backends] {
            texts.push(serde_json::to_string(&api.get(NAME).await?)?);
        }
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::all(self.client.clone());
        texts.push(serde_json::to_string(
            &events.list(&ListParams::default()).await?.items,
        )?);
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let outcomes = maps.get("metricrule-outcomes").await?;
        texts.push(serde_json::to_string(&outcomes)?);
        for replica in self.testbed.replicas() {
            texts.push(replica.process().log_text());
            texts.push(replica.get("/metrics").await?.1);
        }
        Ok(texts)
    }

    async fn recovers(&self) -> Result<()> {
        self.door.refuse(false);
        let (_, follower) = self.leader().await?;
        let direct = self.direct(follower).await?;
        // An HPA goes on asking.
        eventually(Duration::from_secs(90), "the rule serves again", || async {
            let answer = ask(&direct, &self.path()).await?;
            ensure!(answer.is(door::VALUE), "{answer:?}");
            let rule = self.rules.get(NAME).await?;
            let ready = condition(&rule, "Ready");
            ensure!(ready.status == "True" && ready.reason == "Serving", "{ready:?}");
            ensure!(
                rule.data["status"]["lastError"]["reason"] == "QueryRejected",
                "it tells what happened in the night"
            );
            Ok(())
        })
        .await
    }

    /// Two hand-overs: to the other replica, and back to one that has led before.
    async fn hands_over(&self) -> Result<()> {
        let before = self.conditions().await?;
        let begun = Timestamp::now();
        for _ in 0..2 {
            let (leader, other) = self.leader().await?;
            let (name, other) = (leader.name().to_owned(), other.name().to_owned());
            leader.terminate().await?;
            let start = Instant::now();
            eventually(PATIENCE, "the other leads", || async {
                let (leader, _) = self.leader().await?;
                ensure!(leader.name() == other, "{} leads", leader.name());
                Ok(())
            })
            .await?;
            throughout(
                Duration::from_secs(20),
                "no condition of the backend moves",
                || async {
                    let now = self.conditions().await?;
                    ensure!(now == before, "{now}\nwas\n{before}");
                    Ok(())
                },
            )
            .await
            .with_context(|| format!("after {:?}", start.elapsed()))?;
            let gone = self
                .testbed
                .replicas()
                .iter()
                .find(|replica| replica.name() == name);
            gone.context("a replica")?.start().await?;
        }
        let events: Api<k8s_openapi::api::events::v1::Event> = Api::all(self.client.clone());
        let told = events.list(&ListParams::default()).await?;
        let told = told.iter().filter(|event| {
            let regarding = event.regarding.clone().unwrap_or_default();
            let since = event.event_time.as_ref().is_some_and(|time| time.0 >= begun);
            since && regarding.kind.as_deref() == Some("MetricBackend")
        });
        let told: Vec<String> = told.map(|event| format!("{:?}", event.reason)).collect();
        ensure!(told.is_empty(), "Events of the MetricBackend: {told:?}");
        Ok(())
    }

    async fn conditions(&self) -> Result<Value> {
        Ok(self.backends.get(NAME).await?.data["status"]["conditions"].clone())
    }

    fn path(&self) -> String {
        custom(&self.namespace, "pods", POD, METRIC)
    }

    /// The replica that leads, and the other one.
    async fn leader(&self) -> Result<(&Replica, &Replica)> {
        let [one, two] = self.testbed.replicas() else {
            anyhow::bail!("want two replicas");
        };
        for (replica, other) in [(one, two), (two, one)] {
            // one that was stopped answers nothing
            let page = replica
                .get("/metrics")
                .await
                .map(|(_, page)| page)
                .unwrap_or_default();
            if page.contains("metricrule_leader 1") {
                return Ok((replica, other));
            }
        }
        anyhow::bail!("no replica leads")
    }

    /// A client that asks one replica itself, as an administrator.
    async fn direct(&self, replica: &Replica) -> Result<Client> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.namespace);
        if accounts.get_opt(NAME).await?.is_none() {
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME}});
            accounts
                .create(&PostParams::default(), &serde_json::from_value(account)?)
                .await?;
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": NAME},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "metricrule-hpa"},
                "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": self.namespace}],
            });
            self.testbed.apply(&self.namespace, &binding.to_string()).await?;
        }
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let token = accounts
            .create_token_request(NAME, &PostParams::default(), &request)
            .await?;
        let mut config = Config::new(format!("https://127.0.0.1:{}", replica.secure_port()).parse()?);
        config.accept_invalid_certs = true;
        config.default_retry = false;
        config.auth_info.token = Some(token.status.context("no token")?.token.into());
        Ok(Client::try_from(config)?)
    }
}

fn leaks_nothing(texts: impl Iterator<Item = String>) -> Result<()> {
    let encoded = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    for text in texts {
        for secret in [PASSWORD, &encoded] {
            ensure!(!text.contains(secret), "{secret} stands in: {text}");
        }
    }
    Ok(())
}
