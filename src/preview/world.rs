//! Snapshot for a preview: the tables without and with its rules, and the connections to the backends.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::{
    Options,
    backends::{self, NoTokens},
    input::Given,
};
use crate::{
    api::{MetricBackendSpec, PrometheusSpec},
    backend::Pool,
    kubernetes::port_forward::Forward,
    metrics::Metrics,
    resource::Resources,
    rule::{BackendObject, Index, Namespaces, RuleObject, RuleTable, index::RuleScope},
};

/// The name of the backend that stands for `--backend` where the rules name none.
const BACKEND: &str = "default";

/// Everything that does not change while rules are looked at.
pub(super) struct World {
    /// Without the rules.
    pub(super) before: Arc<RuleTable>,
    /// With them.
    pub(super) after: Arc<RuleTable>,
    pub(super) pool: Pool,
    /// How each backend is reached, by name.
    pub(super) reached: BTreeMap<Arc<str>, Reached>,
    /// `None` without a cluster.
    pub(super) hpas: Option<Vec<HorizontalPodAutoscaler>>,
    /// What the reader should know.
    pub(super) notes: Vec<String>,
}

/// How a backend is reached.
#[derive(Debug, Default)]
pub(super) struct Reached {
    /// In words.
    pub(super) way: String,
    /// Why it is not.
    pub(super) problem: Option<String>,
    /// Open for as long as this is.
    pub(super) forward: Option<Forward>,
}

impl Reached {
    /// What the port-forward last failed with.
    pub(super) fn failure(&self) -> Option<String> {
        self.forward.as_ref()?.failure()
    }
}

/// What a cluster holds already.
#[derive(Default)]
pub(super) struct Existing {
    pub(super) resources: Resources,
    pub(super) namespaces: Namespaces,
    pub(super) backends: Vec<BackendObject>,
    pub(super) rules: Vec<RuleObject>,
    pub(super) cluster_rules: Vec<RuleObject>,
}

/// The rules alone, with one backend at an address.
pub(super) fn alone(rules: &[Given], backends: Vec<BackendObject>, options: &Options) -> World {
    let url = options.backend.clone().unwrap_or_default();
    let backend_refs = rules.iter().filter_map(|given| {
        Some(
            given
                .object
                .spec
                .as_ref()
                .ok()?
                .backend_ref
                .as_ref()?
                .name
                .clone(),
        )
    });
    let mut names: BTreeSet<String> = backend_refs.collect();
    let any_default = backends.iter().any(|backend| backend.is_default);
    for backend in &backends {
        names.remove(&backend.name);
    }
    let stand_in = |name: &str, is_default: bool| BackendObject {
        name: name.to_owned(),
        uid: String::new(),
        generation: 0,
        is_default,
        spec: Ok(Arc::new(MetricBackendSpec::new(PrometheusSpec::new(&url)))),
        violations: Vec::new(),
    };
    let mut all: Vec<BackendObject> = names.iter().map(|name| stand_in(name, false)).collect();
    if !any_default && !names.contains(BACKEND) {
        all.push(stand_in(BACKEND, true));
    }
    all.extend(backends);
    let namespaces = options.namespaces.iter().cloned();
    let namespaces = namespaces.chain(
        rules
            .iter()
            .filter_map(|given| given.object.key.namespace.clone()),
    );
    let existing = Existing {
        resources: Resources::builtin(),
        namespaces: namespaces.map(|name| (name, BTreeMap::new())).collect(),
        backends: all,
        ..Existing::default()
    };
    let (before, after) = tables(existing, rules);
    let pool = Pool::new(Metrics::new().backend, Arc::new(NoTokens));
    let mut reached = BTreeMap::new();
    let mut inputs = Vec::new();
    for (name, record) in &*after.backends {
        let Ok(record) = record else { continue };
        let mut spec = (*record.spec).clone();
        if options.backend.is_some() {
            spec = MetricBackendSpec {
                prometheus: Some(PrometheusSpec::new(&url)),
                ..spec
            };
        }
        let way = spec.prometheus.as_ref().map(|prometheus| prometheus.url.clone());
        inputs.push((name.clone(), backends::inputs(record, spec)));
        reached.insert(
            name.clone(),
            Reached {
                way: way.unwrap_or_default(),
                ..Reached::default()
            },
        );
    }
    pool.apply(inputs);
    pool.set_credentials(|_, _, _| None);
    World {
        before: Arc::new(before),
        after: Arc::new(after),
        pool,
        reached,
        hpas: None,
        notes: vec![
            "without a cluster, preview knows only the kinds of every cluster, no labels of namespaces, no other \
             rules and no HPAs"
                .to_owned(),
        ],
    }
}

/// The tables without and with the rules. A rule that exists keeps its age, which decides between claims.
pub(super) fn tables(existing: Existing, rules: &[Given]) -> (RuleTable, RuleTable) {
    let mut index = Index::default();
    index.set_resources(Arc::new(existing.resources));
    index.reset_namespaces(existing.namespaces);
    index.reset_backends(existing.backends);
    index.reset_rules(RuleScope::Namespaced, existing.rules);
    index.reset_rules(RuleScope::Cluster, existing.cluster_rules);
    let before = index.table();
    for given in rules {
        let mut object = given.object.clone();
        if let Some(known) = before.get(&object.key) {
            object.uid.clone_from(&known.object.uid);
            object.created = known.object.created;
            object.generation = known.object.generation + 1;
        }
        index.apply_rule(object);
    }
    (before, index.table())
}
