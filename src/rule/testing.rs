//! Rules, backends and kinds for tests of everything that is made of them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::{BackendObject, CompiledRule, Index, RuleObject, RuleTable, index::RuleScope};
use crate::{
    api::{ClusterMetricRule, MetricBackend, MetricRule, metric_rule::RuleResource},
    resource::{GroupResource, ResourceInfo, Resources, Scope},
    sample::{Labels, SeriesSet},
};

/// The kinds that every test cluster has.
pub(crate) fn resources() -> Arc<Resources> {
    let row = |group: &str, version: &str, kind: &str, plural: &str, scope| ResourceInfo {
        group_resource: GroupResource::new(group, plural),
        version: version.to_owned(),
        kind: kind.to_owned(),
        singular: kind.to_lowercase(),
        scope,
    };
    Arc::new(Resources::new(vec![
        row("", "v1", "Namespace", "namespaces", Scope::Cluster),
        row("", "v1", "Node", "nodes", Scope::Cluster),
        row("", "v1", "Pod", "pods", Scope::Namespaced),
        row("", "v1", "Service", "services", Scope::Namespaced),
        row("apps", "v1", "Deployment", "deployments", Scope::Namespaced),
        row(
            "networking.k8s.io",
            "v1",
            "Ingress",
            "ingresses",
            Scope::Namespaced,
        ),
    ]))
}

/// An index with those kinds, the namespaces `shop` and `bank` (labels `team: shop`, `team: bank`), the default backend, and
/// every watch synced.
pub(crate) fn index() -> Index {
    let mut index = Index::default();
    index.set_resources(resources());
    let namespace = |name: &str| {
        (
            name.to_owned(),
            BTreeMap::from([("team".to_owned(), name.to_owned())]),
        )
    };
    index.reset_namespaces([namespace("shop"), namespace("bank")].into_iter().collect());
    index.reset_backends(vec![backend("default", "{}", true)]);
    index.reset_rules(RuleScope::Namespaced, Vec::new());
    index.reset_rules(RuleScope::Cluster, Vec::new());
    index
}

/// A backend; `more` is YAML beside `type` and `prometheus`, in one line.
pub(crate) fn backend(name: &str, more: &str, is_default: bool) -> BackendObject {
    let mut object: MetricBackend = yaml(&format!(
        "{{apiVersion: metricrule.dev/v1alpha1, kind: MetricBackend, metadata: {{name: {name}}}, \
         spec: {{type: Prometheus, prometheus: {{url: 'http://prometheus:9090'}}}}}}"
    ));
    let more: BTreeMap<String, serde_json::Value> = yaml(more);
    let mut spec = serde_json::to_value(&object.spec).unwrap();
    spec.as_object_mut().unwrap().extend(more);
    object.spec = serde_json::from_value(spec).unwrap();
    BackendObject {
        uid: format!("uid-{name}"),
        generation: 1,
        is_default,
        ..BackendObject::of(&object)
    }
}

/// A `MetricRule` of the namespace and name `at` (`shop/requests`), or a `ClusterMetricRule` where there is no slash.
pub(crate) fn rule(at: &str, spec: &str) -> RuleObject {
    match at.split_once('/') {
        Some((namespace, name)) => object::<MetricRule>("MetricRule", Some(namespace), name, spec),
        None => object::<ClusterMetricRule>("ClusterMetricRule", None, at, spec),
    }
}

/// A rule about `http_requests_total` of pods.
pub(crate) const REQUESTS: &str = r#"
seriesQuery: http_requests_total{pod!=""}
resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}}}
name: {matches: "^(.*)_total$", as: "${1}_per_second"}
metricsQuery: sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))
"#;

/// The rule compiled, alone in an index of [`index`].
pub(crate) fn compiled(at: &str, spec: &str) -> (RuleTable, Arc<CompiledRule>) {
    let mut index = index();
    let object = rule(at, spec);
    let key = object.key.clone();
    index.apply_rule(object);
    let table = index.table();
    let rule = table.get(&key).unwrap().clone();
    (table, rule)
}

/// Series from lines such as `name{a="b",c="d"}`, whose values hold no comma.
pub(crate) fn series(lines: &[&str]) -> SeriesSet {
    lines.iter().map(|line| labels(line)).collect()
}

/// One label set of the same form.
pub(crate) fn labels(line: &str) -> Labels {
    let (name, rest) = line.split_once('{').unwrap_or((line, "}"));
    let pairs = rest
        .trim_end_matches('}')
        .split(',')
        .filter_map(|pair| pair.split_once('='));
    let pairs = pairs.map(|(label, value)| (label, value.trim_matches('"')));
    pairs
        .chain((!name.is_empty()).then_some(("__name__", name)))
        .collect()
}

fn object<K: RuleResource + DeserializeOwned>(
    kind: &str,
    namespace: Option<&str>,
    name: &str,
    spec: &str,
) -> RuleObject {
    let namespace = namespace
        .map(|namespace| format!(", namespace: {namespace}"))
        .unwrap_or_default();
    let spec = format!("  {}", spec.trim().replace('\n', "\n  "));
    let object: K = yaml(&format!(
        "apiVersion: metricrule.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}{namespace}}}\nspec:\n{spec}"
    ));
    RuleObject {
        uid: format!("uid-{name}"),
        generation: 1,
        created: Some(Timestamp::UNIX_EPOCH),
        ..RuleObject::of(&object)
    }
}

fn yaml<T: DeserializeOwned>(text: &str) -> T {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
