//! Cluster as a preview sees it: reads kinds, namespaces, backends, rules, HPAs; opens the ways to the backends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{Namespace, Service},
};
use kube::{
    Api, Client, ResourceExt as _,
    core::{ApiResource, DynamicObject},
};

use super::{
    Options, PreviewError, Progress,
    backends::{self, Tokens},
    credentials::{self, Credentials},
    input::Given,
    trust,
    world::{Existing, Reached, World, tables},
};
use crate::{
    api::{ClusterMetricRule, MetricBackend, MetricBackendSpec, MetricRule, PrometheusSpec},
    backend::Pool,
    kubernetes::{
        client::Connection,
        mapper,
        rights::{ClusterError, Right, list},
    },
    metrics::Metrics,
    rule::{BackendObject, RuleObject, RuleTable},
};

/// How the chart labels what is ours.
const OUR_LABEL: &str = "app.kubernetes.io/name=metricrule";
/// Where the chart's manual installs it.
const NAMESPACE: &str = "metricrule-system";
/// Backends that are opened, those of the rules first.
const BACKENDS: usize = 16;

pub(super) async fn read(
    connection: &Connection,
    rules: &[Given],
    given: Vec<BackendObject>,
    options: &Options,
    progress: Progress<'_>,
) -> Result<World, PreviewError> {
    let client = &connection.client;
    progress("reading rules, backends, namespaces and HPAs");
    let mut notes = Vec::new();
    let (existing, trusted) = existing(client, given, &mut notes).await?;
    let hpas = hpas(client, &mut notes).await;
    let (before, after) = tables(existing, rules);

    let needed: BTreeSet<Arc<str>> = rules
        .iter()
        .filter_map(|given| Some(after.get(&given.object.key)?.backend.as_ref().ok()?.name.clone()))
        .collect();
    let others = after
        .rules
        .iter()
        .filter_map(|rule| Some(rule.backend.as_ref().ok()?.name.clone()));
    let mut names: Vec<Arc<str>> = needed.iter().cloned().collect();
    names.extend(
        others
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|name| !needed.contains(name)),
    );
    let mut ways = Ways {
        client,
        options,
        trusted,
        home: None,
        credentials: Credentials::new(),
        progress,
    };
    let (mut reached, mut inputs) = (BTreeMap::new(), Vec::new());
    for name in names.into_iter().take(BACKENDS) {
        let (reachable, spec) = ways.open(&after, &name).await;
        if let (Some(spec), Some(Ok(record))) = (spec, after.backends.get(&name)) {
            inputs.push((name.clone(), backends::inputs(record, spec)));
        }
        reached.insert(name, reachable);
    }
    let Ways {
        home, credentials, ..
    } = ways;
    let home = home.unwrap_or_else(|| Home::nowhere(&connection.namespace));
    let tokens = Tokens::new(client.clone(), &home.namespace, home.accounts);
    let pool = Pool::new(Metrics::new().backend, Arc::new(tokens));
    pool.set_credentials(move |kind, name, key| {
        credentials.get(&(kind, name.to_owned(), key.to_owned())).cloned()
    });
    pool.apply(inputs);
    Ok(World {
        before: Arc::new(before),
        after: Arc::new(after),
        pool,
        reached,
        hpas,
        notes,
    })
}

async fn existing(
    client: &Client,
    given: Vec<BackendObject>,
    notes: &mut Vec<String>,
) -> Result<(Existing, Vec<Arc<MetricBackendSpec>>), PreviewError> {
    let kinds = mapper::read(client).await;
    let resources = kinds.map_err(|error| ClusterError::failed("the cluster's kinds", error.to_string()))?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let right = Right::new("list", "", "namespaces", None);
    let namespaces = list("the list of namespaces", right, namespaces, None).await?;
    let backends = ours::<MetricBackend>(client, "metricbackends", notes).await?;
    let mut backends: Vec<BackendObject> = backends.into_iter().map(BackendObject::read).collect();
    let trusted = backends
        .iter()
        .filter_map(|backend| backend.spec.clone().ok())
        .collect();
    backends.retain(|backend| !given.iter().any(|given| given.name == backend.name));
    let existing = Existing {
        resources,
        namespaces: namespaces
            .into_iter()
            .map(|namespace| (namespace.name_any(), namespace.labels().clone()))
            .collect(),
        backends: backends.into_iter().chain(given).collect(),
        rules: ours::<MetricRule>(client, "metricrules", notes)
            .await?
            .into_iter()
            .map(RuleObject::read::<MetricRule>)
            .collect(),
        cluster_rules: ours::<ClusterMetricRule>(client, "clustermetricrules", notes)
            .await?
            .into_iter()
            .map(RuleObject::read::<ClusterMetricRule>)
            .collect(),
    };
    Ok((existing, trusted))
}

/// Objects of a kind of ours, as they are: one that does not decode must not hide the others.
async fn ours<K>(
    client: &Client,
    resource: &str,
    notes: &mut Vec<String>,
) -> Result<Vec<DynamicObject>, ClusterError>
where
    K: kube::Resource<DynamicType = ()>,
{
    let kind = ApiResource::erase::<K>(&());
    let right = Right::new("list", "metricrule.dev", resource, None);
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    match list(&format!("the list of {resource}"), right, api, None).await {
        Err(error) if error.is_not_found() => {
            notes.push(format!(
                "the cluster has no {resource} yet; `metricrule crds` prints the definitions"
            ));
            Ok(Vec::new())
        }
        outcome => outcome,
    }
}

async fn hpas(client: &Client, notes: &mut Vec<String>) -> Option<Vec<HorizontalPodAutoscaler>> {
    let api: Api<HorizontalPodAutoscaler> = Api::all(client.clone());
    let right = Right::new("list", "autoscaling", "horizontalpodautoscalers", None);
    match list("the list of HorizontalPodAutoscalers", right, api, None).await {
        Ok(hpas) => Some(hpas),
        Err(error) => {
            notes.push(format!("{error}; preview cannot show which HPAs use the rule"));
            None
        }
    }
}

/// Where the operator is.
struct Home {
    namespace: String,
    /// Its own `ServiceAccounts`, whose tokens are sent to no backend; or why they are not known.
    accounts: Result<BTreeSet<String>, String>,
}

struct Ways<'a> {
    client: &'a Client,
    options: &'a Options,
    /// The cluster's own backends, before those of the files took the place of any.
    trusted: Vec<Arc<MetricBackendSpec>>,
    home: Option<Home>,
    credentials: Credentials,
    progress: Progress<'a>,
}

// === impl Ways ===

impl Ways<'_> {
    /// How a backend is reached, and the spec of the client for it.
    async fn open(&mut self, table: &RuleTable, name: &Arc<str>) -> (Reached, Option<MetricBackendSpec>) {
        let Some(Ok(record)) = table.backends.get(name) else {
            return (Reached::default(), None);
        };
        if let Some(url) = &self.options.backend {
            let spec = MetricBackendSpec {
                prometheus: Some(PrometheusSpec::new(url)),
                ..(*record.spec).clone()
            };
            let reached = Reached {
                way: url.clone(),
                ..Reached::default()
            };
            return (reached, Some(spec));
        }
        (self.progress)(&format!("opening the way to the MetricBackend {name}"));
        let home = self.home().await;
        let namespace = home.namespace.clone();
        let unreached = |error: ClusterError| Reached {
            problem: Some(format!("{error}; or set its address with --backend URL")),
            ..Reached::default()
        };
        let sent = trust::sent(&record.spec, &namespace);
        let trusted = self.options.with_credentials
            || trust::is_trusted(&record.spec, self.trusted.iter().map(Arc::as_ref));
        if !sent.is_empty() && !trusted {
            let reached = Reached {
                problem: Some(untrusted(&record.spec, &sent)),
                ..Reached::default()
            };
            return (reached, None);
        }
        let secret = !sent.is_empty() && !self.options.with_credentials;
        for (kind, object) in credentials::named(&record.spec) {
            match credentials::read(self.client, &namespace, kind, &object).await {
                Ok(found) => self.credentials.extend(found),
                Err(error) => return (unreached(error), None),
            }
        }
        match backends::reach(self.client, record, &namespace, secret).await {
            Ok(reachable) => {
                let reached = Reached {
                    way: reachable.way,
                    problem: None,
                    forward: reachable.forward,
                };
                (reached, Some(reachable.spec))
            }
            Err(error) => (unreached(error), None),
        }
    }

    async fn home(&mut self) -> &Home {
        if self.home.is_none() {
            self.home = Some(Home::find(self.client, self.options.operator_namespace.as_deref()).await);
        }
        self.home.get_or_insert_with(|| Home::nowhere(""))
    }
}

fn untrusted(spec: &MetricBackendSpec, sent: &[String]) -> String {
    let address = spec.prometheus.as_ref().map(|prometheus| prometheus.url.as_str());
    format!(
        "preview sends nothing: {} would go to {:?}, where no MetricBackend in the cluster sends them (with the same \
         address, tls, headers and auth); if you trust the author of the file, repeat with --with-credentials, or \
         query an address without credentials with --backend URL",
        sent.join(" and "),
        address.unwrap_or_default(),
    )
}

// === impl Home ===

impl Home {
    fn nowhere(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            accounts: Err("preview did not look up the operator's namespace".to_owned()),
        }
    }

    /// By the labels of the chart. What cannot be read is only missed by backends that need it.
    async fn find(client: &Client, given: Option<&str>) -> Self {
        let namespace = if let Some(given) = given {
            given.to_owned()
        } else {
            let services: Api<Service> = Api::all(client.clone());
            let right = Right::new("list", "", "services", None);
            let found = list("the operator's Service", right, services, Some(OUR_LABEL)).await;
            let found = found.unwrap_or_default().into_iter().next();
            found
                .and_then(|service| service.namespace())
                .unwrap_or_else(|| NAMESPACE.to_owned())
        };
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
        let right = Right::new("list", "apps", "deployments", Some(&namespace));
        let what = "the operator's Deployment, whose ServiceAccount must not give a token to a backend";
        let found = list(what, right, deployments, Some(OUR_LABEL)).await;
        let accounts = match found {
            Err(error) => Err(error.to_string()),
            Ok(found) if found.is_empty() => Err(format!(
                "{what} does not exist in the namespace {namespace:?}; set the operator's namespace with --operator-namespace"
            )),
            Ok(found) => Ok(found.into_iter().map(account).collect()),
        };
        Self { namespace, accounts }
    }
}

/// As whom the pods of a Deployment run.
fn account(deployment: Deployment) -> String {
    let pod = deployment.spec.and_then(|spec| spec.template.spec);
    let name = pod.and_then(|pod| pod.service_account_name);
    name.filter(|name| !name.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}
