//! Replicas come and go, and every certificate in the path is replaced, while an HPA's controller asks: no request fails.

mod direct;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams};
use serde_json::{Value, json};
use testbed::adapter::Replica;
use testbed::control_plane::NODE;
use testbed::install::NAMESPACE;
use testbed::pki::{Authority, Pair};
use testbed::{PATIENCE, Testbed, eventually};
use tokio::time::{Instant, sleep};

use self::direct::Direct;
use crate::ask::{create, custom, external, get, of_namespace, rule, say, took, until_series, until_value};
use crate::support::builder;
use crate::traffic::Traffic;

const VALUE: f64 = 7.0;
const POD: &str = "web-0";
const APIS: [&str; 3] = ["v1beta1.custom", "v1beta2.custom", "v1beta1.external"];
/// How often one replica is terminated and started again.
const RESTARTS: usize = 5;
/// A next CA waits for a minute after every `APIService` carries it; a leader that took over begins to count anew.
const PROMOTION: Duration = Duration::from_mins(3);
/// How soon a change of the cluster's authentication is in effect, at the latest.
const IN_EFFECT: Duration = Duration::from_mins(1);

struct Scene<'a> {
    testbed: &'a Testbed,
    client: Client,
    namespace: String,
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
}

#[tokio::test]
async fn no_request_fails_while_replicas_and_certificates_change() -> Result<()> {
    let testbed = builder().replicas(2).start().await?;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("rolling", async |namespace| {
            let client = crate::ask::client(&testbed).await?;
            let scene = Scene {
                testbed: &testbed,
                secrets: Api::namespaced(client.clone(), NAMESPACE),
                config_maps: Api::namespaced(client.clone(), "kube-system"),
                client,
                namespace,
            };
            let traffic = Traffic::start(scene.client.clone(), scene.set_up().await?);
            let outcome = scene.run(&traffic).await;
            let (sent, failures) = traffic.stop().await?;
            say(&format!(
                "rolling: {sent} requests, {} failed: {:?}",
                failures.len(),
                &failures[..failures.len().min(3)]
            ));
            outcome?;
            ensure!(
                failures.is_empty(),
                "{} of {sent} requests failed: {:?}",
                failures.len(),
                &failures[..failures.len().min(5)]
            );
            Ok(())
        })
        .await;
    took("rolling", began);
    outcome
}

impl Scene<'_> {
    async fn run(&self, traffic: &Traffic) -> Result<()> {
        let first = self.bundle().await?;
        let mut leaves = Vec::new();
        for replica in self.testbed.replicas() {
            leaves.push(Direct::connect(replica.secure_port(), &first, None).await?.leaf);
        }
        let begun = Instant::now();
        self.ca_rotation_begins().await?;
        // The one that leads, and so writes the CA, is among those that are told to end.
        for round in 0..RESTARTS - 1 {
            self.restart(&self.testbed.replicas()[0], traffic)
                .await
                .with_context(|| format!("restart {round}"))?;
        }
        let proxied = Instant::now();
        self.front_proxy_ca_changes(traffic).await?;
        took("rolling: the front proxy's CA is another", proxied);

        let current = self.ca_is_promoted(&first).await?;
        took("rolling: the operator's CA is another", begun);
        for (replica, former) in self.testbed.replicas().iter().zip(&leaves) {
            eventually(PATIENCE, "a leaf of the new CA is served", || async {
                let leaf = Direct::connect(replica.secure_port(), &current, None).await?.leaf;
                ensure!(leaf != *former, "it is the former one");
                Ok(())
            })
            .await?;
        }
        // New connections of the aggregator meet the new certificates.
        self.restart(&self.testbed.replicas()[0], traffic).await?;
        self.restart(&self.testbed.replicas()[1], traffic).await?;
        self.former_ca_is_gone(&current).await?;
        took("rolling: the former CA is not trusted any more", begun);
        asked_for(traffic, 40).await
    }

    /// The metrics that are asked for, in each of the four ways of an HPA, once they are served.
    async fn set_up(&self) -> Result<Vec<(String, f64)>> {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD, "labels": {"app": "web"}},
            "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "main"}]},
        });
        self.testbed.apply(&self.namespace, &pod.to_string()).await?;
        let labels = [("namespace", self.namespace.as_str()), ("pod", POD)];
        self.testbed.exporter().gauge("rolling_gauge", &labels, VALUE);
        until_series(self.testbed, "rolling_gauge", 1).await?;
        let mut spec = json!({
            "seriesQuery": "rolling_gauge",
            "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
            "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
        });
        create(&self.client, &rule(Some(&self.namespace), "rolling", &spec)).await?;
        spec["api"] = json!("External");
        spec["metricsQuery"] = json!("sum(<<.Series>>{<<.LabelMatchers>>})");
        create(
            &self.client,
            &rule(Some(&self.namespace), "rolling-external", &spec),
        )
        .await?;
        let by_selector = custom(&self.namespace, "pods", "%2A", "rolling_gauge");
        let paths = [
            format!("{by_selector}?labelSelector=app%3Dweb"),
            custom(&self.namespace, "pods", POD, "rolling_gauge"),
            of_namespace(&self.namespace, "rolling_gauge"),
            external(&self.namespace, "rolling_gauge", ""),
        ];
        for path in &paths {
            until_value(&self.client, path, VALUE, PATIENCE).await?;
        }
        self.both_serve().await?;
        Ok(paths.into_iter().map(|path| (path, VALUE)).collect())
    }

    async fn both_serve(&self) -> Result<()> {
        eventually(PATIENCE, "both replicas are behind the Service", || async {
            let ready = self.testbed.balancer().ready();
            ensure!(ready.len() == 2, "{ready:?}");
            Ok(())
        })
        .await
    }

    /// SIGTERM, its end with 0, a second of requests to the other alone, and its return.
    async fn restart(&self, replica: &Replica, traffic: &Traffic) -> Result<()> {
        self.both_serve().await?;
        let status = replica.terminate().await?;
        ensure!(
            status.is_some_and(|status| status.success()),
            "{} ended with {status:?}",
            replica.name()
        );
        asked_for(traffic, 20).await?;
        replica.start().await?;
        self.both_serve().await?;
        asked_for(traffic, 10).await
    }

    async fn bundle(&self) -> Result<Vec<u8>> {
        self.key_of_secret("ca.crt").await
    }

    async fn key_of_secret(&self, key: &str) -> Result<Vec<u8>> {
        let secret = self.secrets.get("metricrule-ca").await?;
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        Ok(value.with_context(|| format!("no {key}"))?.0.clone())
    }

    /// As the documentation says: `kubectl annotate secret`.
    async fn ca_rotation_begins(&self) -> Result<()> {
        let namespace = format!("--namespace={NAMESPACE}");
        self.testbed
            .kubectl(&[
                "annotate",
                "secret",
                "metricrule-ca",
                "metricrule.dev/rotate=revoke",
                &namespace,
            ])
            .await?;
        eventually(PATIENCE, "every APIService carries the next CA", || async {
            let bundle = self.bundle().await?;
            ensure!(
                certificates(&bundle) == 2,
                "the bundle has {}",
                certificates(&bundle)
            );
            self.carried(&bundle).await
        })
        .await
    }

    /// The certificate of the CA that issues now, once that is another than the first.
    async fn ca_is_promoted(&self, first: &[u8]) -> Result<Vec<u8>> {
        eventually(PROMOTION, "the next CA issues", || async {
            let current = self.key_of_secret("current.crt").await?;
            ensure!(current != first, "the first CA still issues");
            Ok(current)
        })
        .await
    }

    /// Since its key is said to have leaked, the former CA leaves the `APIService`s when nobody serves with it any more.
    async fn former_ca_is_gone(&self, current: &[u8]) -> Result<()> {
        eventually(PROMOTION, "every APIService carries the new CA alone", || async {
            ensure!(self.bundle().await? == current, "the Secret has others");
            self.carried(current).await
        })
        .await
    }

    async fn carried(&self, bundle: &[u8]) -> Result<()> {
        let wanted = serde_json::to_value(k8s_openapi::ByteString(bundle.to_vec()))?;
        for name in APIS {
            let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{name}.metrics.k8s.io");
            let object: Value = get(&self.client, &path).await?;
            ensure!(
                object["spec"]["caBundle"] == wanted,
                "{name} does not carry it: {}",
                object["spec"]
            );
        }
        Ok(())
    }

    /// As an administrator does it: trust both, show the new one, trust the new one alone.
    async fn front_proxy_ca_changes(&self, traffic: &Traffic) -> Result<()> {
        let pki = self.testbed.control_plane().pki();
        let folder = self.testbed.folder().join("next-front-proxy");
        let next = Authority::new("next-front-proxy-ca", &folder)?;
        let next_pair = next.client("front-proxy-client", None)?;
        let former_pair = pki.front_proxy_client.clone();
        let bundle = self.bundle().await?;
        let mut former = Vec::new();
        for replica in self.testbed.replicas() {
            let mut connection = Direct::connect(replica.secure_port(), &bundle, Some(&former_pair)).await?;
            connection.expect(StatusCode::OK).await?;
            former.push(connection);
        }

        pki.trust_front_proxies(&[&pki.front_proxy, &next])?;
        for replica in self.testbed.replicas() {
            until_answered(replica, &bundle, &next_pair, StatusCode::OK).await?;
        }
        let before = self.testbed.balancer().connections();
        pki.show_as_front_proxy(&next_pair)?;
        eventually(
            IN_EFFECT * 2,
            "the aggregator connects with the new certificate",
            || async {
                let after = self.testbed.balancer().connections();
                ensure!(after > before, "it has made no connection");
                Ok(())
            },
        )
        .await?;
        asked_for(traffic, 40).await?;
        for connection in &mut former {
            connection
                .expect(StatusCode::OK)
                .await
                .context("both are trusted")?;
        }

        pki.trust_front_proxies(&[&next])?;
        self.former_leaves_the_config_map(&next).await?;
        // Also where the connection was opened while the former CA counted.
        for (connection, replica) in former.iter_mut().zip(self.testbed.replicas()) {
            let end = Instant::now() + IN_EFFECT;
            while connection.expect(StatusCode::UNAUTHORIZED).await.is_err() {
                ensure!(Instant::now() < end, "{} believes the former CA", replica.name());
                sleep(Duration::from_millis(50)).await;
            }
            until_answered(replica, &bundle, &former_pair, StatusCode::UNAUTHORIZED).await?;
        }
        asked_for(traffic, 40).await
    }

    /// kube-apiserver adds to the `ConfigMap` what its file has and takes nothing away: who wants that deletes it, and has it
    /// written anew. What was known meanwhile stays in force.
    async fn former_leaves_the_config_map(&self, next: &Authority) -> Result<()> {
        let name = "extension-apiserver-authentication";
        eventually(IN_EFFECT * 2, "the ConfigMap has the new CA alone", || async {
            let map = self.config_maps.get(name).await?;
            let bundle = map
                .data
                .as_ref()
                .and_then(|data| data.get("requestheader-client-ca-file"));
            let bundle = bundle.context("no front-proxy CA")?;
            if bundle.trim() != next.pem().replace('\r', "").trim() {
                self.config_maps.delete(name, &DeleteParams::default()).await?;
                // written anew within moments; from the file as kube-apiserver last read it
                sleep(Duration::from_secs(1)).await;
            }
            ensure!(
                certificates(bundle.as_bytes()) == 1,
                "{} CAs",
                certificates(bundle.as_bytes())
            );
            Ok(())
        })
        .await
    }
}

/// Waits until so many more requests were sent.
async fn asked_for(traffic: &Traffic, more: usize) -> Result<()> {
    let before = traffic.sent();
    eventually(PATIENCE, "requests go on", || async {
        let sent = traffic.sent() - before;
        ensure!(sent >= more, "{sent} requests");
        Ok(())
    })
    .await
}

/// Waits until a new connection with a certificate is answered with a status.
async fn until_answered(replica: &Replica, bundle: &[u8], pair: &Pair, status: StatusCode) -> Result<()> {
    let what = format!("{} answers {status}", replica.name());
    eventually(IN_EFFECT, &what, || async {
        let mut connection = Direct::connect(replica.secure_port(), bundle, Some(pair)).await?;
        connection.expect(status).await
    })
    .await
}

fn certificates(pem: &[u8]) -> usize {
    String::from_utf8_lossy(pem).matches("BEGIN CERTIFICATE").count()
}
