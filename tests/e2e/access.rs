//! What the operator may do: the committed list of the chart's rights and what the API server says are one and the same, and
//! they suffice. (That the rendered chart equals the list is a test of `tests/it`.)

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use kube::Client;
use serde_json::{Value, json};
use testbed::install::NAMESPACE;
use testbed::{PATIENCE, eventually};

use crate::support::{CLUSTER, cluster_rule, ensure_no_refusal, get, list, refused, rule, scraped, serves};

/// What may be done, to which resource, under which name (empty: any).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rights(BTreeMap<(String, String), BTreeSet<String>>);

/// The committed list: rules by place and role, and who is bound to which role where.
#[derive(Debug, Default)]
struct Committed {
    rules: BTreeMap<(String, String), Rights>,
    bindings: Vec<Binding>,
}

#[derive(Debug)]
struct Binding {
    place: String,
    kind: String,
    role: String,
    subject: String,
}

const LIST: &str = include_str!("../it/rbac.txt");
const CLUSTER_WIDE: &str = "cluster";

// === impl Rights ===

impl Rights {
    fn add<'a>(&mut self, resource: &str, name: &str, verbs: impl IntoIterator<Item = &'a str>) {
        let known = self.0.entry((resource.to_owned(), name.to_owned())).or_default();
        known.extend(verbs.into_iter().map(str::to_owned));
    }

    fn merge(&mut self, other: &Self) {
        for ((resource, name), verbs) in &other.0 {
            self.add(resource, name, verbs.iter().map(String::as_str));
        }
    }

    fn without(mut self, other: &Self) -> Self {
        for (key, verbs) in &mut self.0 {
            let others = other.0.get(key);
            verbs.retain(|verb| !others.is_some_and(|others| others.contains(verb)));
        }
        self.0.retain(|_, verbs| !verbs.is_empty());
        self
    }

    /// The rules of a role as the API server has it.
    fn of_role(role: &Value) -> Self {
        let mut rights = Self::default();
        let strings = |value: &Value| -> Vec<String> {
            let values = value.as_array().into_iter().flatten();
            values.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        for rule in role["rules"].as_array().into_iter().flatten() {
            let mut names = strings(&rule["resourceNames"]);
            if names.is_empty() {
                names.push(String::new());
            }
            let verbs = strings(&rule["verbs"]);
            for group in strings(&rule["apiGroups"]) {
                for resource in strings(&rule["resources"]) {
                    for name in &names {
                        rights.add(
                            &full_name(&group, &resource),
                            name,
                            verbs.iter().map(String::as_str),
                        );
                    }
                }
            }
        }
        rights
    }

    /// The table that `kubectl auth can-i --list` prints: resources, URLs, names, verbs; all but the first in brackets.
    fn of_table(table: &str) -> Result<Self> {
        let mut rights = Self::default();
        for line in table.lines().skip(1) {
            let (resource, lists) = line
                .split_once('[')
                .with_context(|| format!("no list in {line:?}"))?;
            let lists = lists.split('[').map(|list| list.trim_end().trim_end_matches(']'));
            let lists: Vec<Vec<&str>> = lists.map(|list| list.split_whitespace().collect()).collect();
            let [urls, names, verbs] = &*lists else {
                bail!("not three lists in {line:?}")
            };
            let resource = resource.trim();
            for url in urls {
                rights.add(url, "", verbs.iter().copied());
            }
            for name in names {
                rights.add(resource, name, verbs.iter().copied());
            }
            if names.is_empty() && !resource.is_empty() {
                rights.add(resource, "", verbs.iter().copied());
            }
        }
        ensure!(!rights.0.is_empty(), "an empty table: {table}");
        Ok(rights)
    }

    fn lines(&self) -> BTreeSet<String> {
        let rights = self.0.iter();
        rights
            .map(|((resource, name), verbs)| {
                let verbs: Vec<&str> = verbs.iter().map(String::as_str).collect();
                format!("{} {resource} {name}", verbs.join(","))
            })
            .collect()
    }
}

/// As kubectl writes it: `metricrules.metricrule.dev/status`.
fn full_name(group: &str, resource: &str) -> String {
    match (group, resource.split_once('/')) {
        ("" | "core", _) => resource.to_owned(),
        (_, None) => format!("{resource}.{group}"),
        (_, Some((resource, sub))) => format!("{resource}.{group}/{sub}"),
    }
}

// === impl Committed ===

impl Committed {
    fn read() -> Result<Self> {
        let mut committed = Self::default();
        for line in LIST
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            match *columns {
                [place, role, groups, resources, names, verbs] => {
                    let rights = committed
                        .rules
                        .entry((place.to_owned(), role.to_owned()))
                        .or_default();
                    for group in groups.split(',') {
                        for resource in resources.split(',') {
                            for name in names.split(',') {
                                let name = if name == "*" { "" } else { name };
                                rights.add(&full_name(group, resource), name, verbs.split(','));
                            }
                        }
                    }
                }
                [place, role, subject] => {
                    let (kind, role) = role.split_once(' ').context("a role without kind")?;
                    committed.bindings.push(Binding {
                        place: place.to_owned(),
                        kind: kind.to_owned(),
                        role: role.to_owned(),
                        subject: subject.to_owned(),
                    });
                }
                _ => bail!("neither a rule nor a binding: {line}"),
            }
        }
        Ok(committed)
    }

    /// What a subject may do in a namespace. Roles that are the cluster's own are looked up there.
    async fn of(&self, client: &Client, subject: &str, namespace: &str) -> Result<Rights> {
        let here = format!("namespace {namespace}");
        let mut rights = Rights::default();
        for binding in self.bindings.iter().filter(|binding| binding.subject == subject) {
            if binding.place != CLUSTER_WIDE && binding.place != here {
                continue;
            }
            let cluster_wide = binding.kind == "ClusterRole";
            let place = if cluster_wide {
                CLUSTER_WIDE
            } else {
                &*binding.place
            };
            if let Some(rules) = self.rules.get(&(place.to_owned(), binding.role.clone())) {
                rights.merge(rules);
                continue;
            }
            let scope = if cluster_wide {
                "clusterroles".to_owned()
            } else {
                format!("namespaces/{namespace}/roles")
            };
            let path = format!("/apis/rbac.authorization.k8s.io/v1/{scope}/{}", binding.role);
            rights.merge(&Rights::of_role(&get(client, &path).await?));
        }
        Ok(rights)
    }
}

#[tokio::test]
async fn the_token_may_do_what_the_committed_list_says_and_no_more() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("can-i", async |namespace| {
            // what every ServiceAccount may do is the cluster's business
            testbed
                .kubectl(&["create", "serviceaccount", "nobody", "--namespace", &namespace])
                .await?;
            let token = testbed
                .kubectl(&["create", "token", "nobody", "--namespace", &namespace])
                .await?;
            let nobody = format!("--token={}", token.trim());
            let kubeconfig = testbed.adapter_kubeconfig();
            let committed = Committed::read()?;
            let subject = format!(
                "ServiceAccount {NAMESPACE}/{}",
                testbed.install()?.service_account
            );
            for place in [NAMESPACE, "kube-system", &namespace] {
                let list = ["auth", "can-i", "--list", "--namespace", place];
                let ours = testbed
                    .kubectl_with(&kubeconfig, &list, "")
                    .await?
                    .ok("kubectl auth can-i")?;
                let list = [&list[..], &[&nobody]].concat();
                let anyones = testbed
                    .kubectl_with(&kubeconfig, &list, "")
                    .await?
                    .ok("kubectl auth can-i")?;
                let anyones = Rights::of_table(&anyones)?;

                let is = Rights::of_table(&ours)?.without(&anyones).lines();
                let want = committed
                    .of(&client, &subject, place)
                    .await?
                    .without(&anyones)
                    .lines();
                let mut difference = String::new();
                for line in want.difference(&is) {
                    writeln!(difference, "- {line}")?;
                }
                for line in is.difference(&want) {
                    writeln!(difference, "+ {line}")?;
                }
                ensure!(
                    difference.is_empty(),
                    "in {place} it differs from tests/it/rbac.txt:\n{difference}"
                );
            }
            Ok(())
        })
        .await
}

#[tokio::test]
async fn the_rights_suffice_to_list_every_kind_that_the_chart_allows() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("kinds", async |namespace| {
            let overrides = json!({
                "namespace": {"resource": "namespaces"},
                "node": {"resource": "nodes"},
                "pod": {"resource": "pods"},
                "service": {"resource": "services"},
                "configmap": {"resource": "configmaps"},
                "deployment": {"group": "apps", "resource": "deployments"},
                "statefulset": {"group": "apps", "resource": "statefulsets"},
                "replicaset": {"group": "apps", "resource": "replicasets"},
                "daemonset": {"group": "apps", "resource": "daemonsets"},
                "job": {"group": "batch", "resource": "jobs"},
                "ingress": {"group": "networking.k8s.io", "resource": "ingresses"},
            });
            // static, so that it exists for every kind whatever is in Prometheus
            let everything = cluster_rule(
                "every-kind",
                &json!({
                    "resources": {"overrides": overrides},
                    "name": {"as": "of_every_kind"},
                    "metricsQuery": "sum by (<<.GroupBy>>) (of_every_kind{<<.LabelMatchers>>})",
                }),
            );
            testbed.apply_anywhere(&everything.to_string()).await?;
            serves(&client, None, "every-kind").await?;
            let api = "/apis/custom.metrics.k8s.io/v1beta2";
            let namespaced = [
                "pods",
                "services",
                "deployments.apps",
                "statefulsets.apps",
                "replicasets.apps",
                "daemonsets.apps",
                "jobs.batch",
                "ingresses.networking.k8s.io",
            ];
            let paths = namespaced
                .map(|kind| format!("{api}/namespaces/{namespace}/{kind}/*/of_every_kind"))
                .into_iter()
                .chain([format!("{api}/nodes/*/of_every_kind")]);
            for path in paths {
                // 503 until the first watch of a kind is filled
                eventually(PATIENCE, "the objects are listed", || get(&client, &path)).await?;
            }
            let configmaps = format!("{api}/namespaces/{namespace}/configmaps/*/of_every_kind");
            let status = refused(&client, &configmaps).await?;
            ensure!(
                status.code == 403 && status.message.contains("ObjectsForbidden: "),
                "{status:?}"
            );
            testbed
                .kubectl(&["delete", "clustermetricrule", "every-kind"])
                .await?;
            ensure_no_refusal(testbed.replicas())
        })
        .await
}

#[tokio::test]
async fn own_metrics_are_served_without_a_token() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    let client = testbed.client().await?;
    testbed
        .with_namespace("own-metrics", async |namespace| {
            let up = rule(
                "up",
                &json!({
                    "api": "External",
                    "seriesQuery": "own_metrics_probe",
                    "metricsQuery": "sum(<<.Series>>{<<.LabelMatchers>>})",
                }),
            );
            testbed
                .exporter()
                .gauge("own_metrics_probe", &[("namespace", &namespace)], 1.0);
            scraped(&testbed, &["own_metrics_probe".to_owned()]).await?;
            testbed.apply(&namespace, &list(&[up])).await?;
            serves(&client, Some(&namespace), "up").await?;
            let path = format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}");
            get(&client, &format!("{path}/own_metrics_probe")).await?;
            refused(&client, &format!("{path}/nobody_makes_this")).await?;

            // which replica answers is the balancer's choice
            let mut pages = String::new();
            for replica in testbed.replicas() {
                let (status, page) = replica.get("/metrics").await?;
                ensure!(status == 200, "/metrics answers {status}: {page}");
                for family in [
                    "metricrule_rules{condition=\"Ready\",status=\"True\",reason=\"Serving\"}",
                    "metricrule_relist_duration_seconds_count{backend=\"default\"}",
                    "metricrule_relist_last_success_timestamp_seconds{backend=\"default\"}",
                    "metricrule_watch_restarts_total{kind=",
                    "metricrule_certificate_expiry_timestamp_seconds{name=\"serving\"}",
                    "metricrule_backend_queries_total{backend=\"default\",kind=\"series\",reason=\"\"}",
                    "metricrule_leader ",
                ] {
                    ensure!(
                        page.lines().any(|line| line.starts_with(family)),
                        "{}: no {family} in\n{page}",
                        replica.name()
                    );
                }
                pages.push_str(&page);
            }
            for (code, reason) in [(200, ""), (404, "UnknownMetric")] {
                let labels = format!("code=\"{code}\",reason=\"{reason}\"");
                let counted = pages
                    .lines()
                    .any(|line| line.starts_with("metricrule_requests_total{") && line.contains(&labels));
                ensure!(counted, "no request is counted with {labels} in\n{pages}");
            }
            ensure!(pages.contains("metricrule_leader 1"), "no replica leads");
            ensure!(
                !pages.contains(&namespace),
                "a label holds what a client or a tenant named"
            );
            Ok(())
        })
        .await
}
