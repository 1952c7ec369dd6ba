//! HPAs with the annotations of zalando's kube-metrics-adapter, `metric-config.<type>.<metric>.<collector>/<key>`: the rules
//! that their Prometheus queries become, and the HPA without the annotations.

mod config;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{
    ExternalMetricSource, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec,
};
use kube::api::ObjectMeta;

use self::config::{Config, Configs, Kind, PREFIX};
use super::{
    Import, Object,
    external::{self, ExternalMetric},
    findings::Findings,
    hpa::faults,
};
use crate::{
    api::metric_backend::PrometheusSpec,
    document::{Document, Node},
    reason::Reason,
};

/// What kubectl leaves behind; it would bring back the annotations.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The collector that is imported, and the value of the selector's label `type` that names it.
const PROMETHEUS: &str = "prometheus";
/// The metric's name that stood for that label once.
const LEGACY_METRIC: &str = "prometheus-query";
/// The label, or key, that names the key with the query where the metric is [`LEGACY_METRIC`].
const QUERY_NAME: &str = "query-name";

/// Whether it is an HPA with such annotations.
pub(super) fn recognises(document: &Document) -> bool {
    let annotations = document
        .get("metadata.annotations")
        .map_or(&[][..], Node::entries);
    document.get("kind").and_then(Node::text) == Some("HorizontalPodAutoscaler")
        && annotations
            .iter()
            .any(|(key, _)| key.text().is_some_and(|key| key.starts_with(PREFIX)))
}

/// Adds what such an HPA comes to: rules, backends and the HPA itself.
pub(super) fn import(document: &Document, file: &str, import: &mut Import) {
    let mut findings = Findings {
        file,
        document,
        import,
    };
    let version = document.get("apiVersion").unwrap_or(&document.root);
    if !matches!(version.text(), Some("autoscaling/v2" | "autoscaling/v2beta2")) {
        let message = "only HPAs of autoscaling/v2 can be imported; read it from a cluster with kubectl, which \
                       converts it";
        return findings.unsupported(version, message);
    }
    let mut hpa: HorizontalPodAutoscaler = match serde_json::from_value(current(document)) {
        Ok(hpa) => hpa,
        Err(error) => {
            return findings.error(
                &document.root,
                format!("it is not a valid HorizontalPodAutoscaler: {error}"),
            );
        }
    };
    hpa.status = None;
    hpa.metadata = ObjectMeta {
        name: hpa.metadata.name,
        namespace: hpa.metadata.namespace,
        labels: hpa.metadata.labels,
        annotations: kept(hpa.metadata.annotations),
        ..ObjectMeta::default()
    };
    let configs = config::read(&mut findings);
    let Some(spec) = &mut hpa.spec else {
        return findings.error(&document.root, "the HPA has no spec");
    };
    let adapter = Adapter {
        hpa: hpa.metadata.name.as_deref().unwrap_or("hpa"),
        namespace: hpa.metadata.namespace.as_deref(),
    };
    let nodes = document.nearest("spec.metrics").0.items();
    let metrics = spec.metrics.take().unwrap_or_default();
    let metrics = metrics.into_iter().zip(nodes);
    let metrics: Vec<MetricSpec> = metrics
        .filter_map(|(metric, node)| adapter.metric(metric, node, &configs, &mut findings))
        .collect();
    for config in configs.unused() {
        let message = "no metric of the HPA has this type and name, so the annotation has no effect";
        findings.info(Reason::Ineffective, config.node, message);
    }
    if metrics.is_empty() {
        let node = document.nearest("spec.metrics").0;
        return findings.info(
            Reason::Imported,
            node,
            "no metric is left for an HPA, so import created none",
        );
    }
    spec.metrics = Some(metrics);
    let faults = faults(&hpa);
    for (path, message) in &faults {
        findings.error(
            document.nearest(path).0,
            format!("the API server would refuse such an HPA: {message}"),
        );
    }
    if faults.is_empty() {
        let object = Object::HorizontalPodAutoscaler(Box::new(hpa));
        findings.import.objects.push(object);
    }
}

/// The document as an object of autoscaling/v2, which has the same fields as v2beta2.
fn current(document: &Document) -> serde_json::Value {
    let mut object = document.root.to_json();
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), "autoscaling/v2".into());
        fields.remove("status");
    }
    object
}

fn kept(annotations: Option<BTreeMap<String, String>>) -> Option<BTreeMap<String, String>> {
    let mut annotations = annotations.unwrap_or_default();
    annotations.retain(|key, _| !key.starts_with(PREFIX) && key != LAST_APPLIED);
    (!annotations.is_empty()).then_some(annotations)
}

/// The HPA that is imported.
struct Adapter<'a> {
    hpa: &'a str,
    namespace: Option<&'a str>,
}

impl Adapter<'_> {
    /// The metric as the new HPA has it; `None` where it is left out.
    fn metric(
        &self,
        mut metric: MetricSpec,
        node: &Node,
        configs: &Configs<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<MetricSpec> {
        if let Some(pods) = &metric.pods {
            let config = configs.of(Kind::Pods, &pods.metric.name);
            let node = config.map_or(node, |config| config.node);
            let collector = config.map_or("none", |config| config.collector);
            refuse(collector, "reads the pods itself", node, findings);
            return None;
        }
        if let Some(object) = metric.object.take() {
            let config = configs.of(Kind::Object, &object.metric.name);
            let Some(config) = config.filter(|config| config.collector == PROMETHEUS) else {
                let node = node.get("object").unwrap_or(node);
                let about = format!("is about a {}", object.described_object.kind);
                refuse("skipper or a schedule", &about, node, findings);
                return None;
            };
            let mut target = object.target;
            if config.per_replica && target.value.is_some() {
                // it gave the average, to be compared with the target as it is
                "AverageValue".clone_into(&mut target.type_);
                target.average_value = target.value.take();
            }
            let message = "the object was only a placeholder: the metric describes no object, and now has the type External";
            findings.info(Reason::Imported, node, message);
            let name = self.rule(&object.metric.name, config.get("query"), config, findings)?;
            return Some(MetricSpec {
                type_: "External".to_owned(),
                external: Some(ExternalMetricSource {
                    metric: MetricIdentifier { name, selector: None },
                    target,
                }),
                ..MetricSpec::default()
            });
        }
        let Some(mut external) = metric.external.take() else {
            // Resource and ContainerResource were never the adapter's.
            return Some(metric);
        };
        let config = configs.of(Kind::External, &external.metric.name);
        let labels = external
            .metric
            .selector
            .take()
            .and_then(|selector| selector.match_labels);
        let label = |key: &str| labels.as_ref().and_then(|labels| labels.get(key));
        let own = external.metric.name.as_str();
        let collector = label("type").map_or(own, String::as_str);
        if collector != PROMETHEUS && collector != LEGACY_METRIC {
            refuse(
                collector,
                "does not query a Prometheus",
                node.get("external").unwrap_or(node),
                findings,
            );
            return None;
        }
        let Some(config) = config else {
            findings.error(node, format!("no annotation has a query for the metric {own:?}"));
            return None;
        };
        let query_name = config.get(QUERY_NAME).and_then(Node::text);
        let query_name = query_name.or_else(|| label(QUERY_NAME).map(String::as_str));
        let legacy = query_name.filter(|_| config.get("query").is_none());
        let query = config.get("query").or_else(|| config.get(legacy?));
        let metric_name = legacy.filter(|_| own == LEGACY_METRIC).unwrap_or(own);
        external.metric.name = self.rule(metric_name, query, config, findings)?;
        metric.external = Some(external);
        Some(metric)
    }

    /// Adds the rule of a query, and the backend; the name of its metric.
    fn rule(
        &self,
        metric: &str,
        query: Option<&Node>,
        config: &Config<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<String> {
        let Some(query) = query else {
            findings.error(config.node, format!("the metric {metric:?} has no query"));
            return None;
        };
        let backend = backend(config, findings)?;
        if let Some(node) = config.get("interval") {
            let message = "the operator queries a value when the HPA asks for it, not at an interval";
            findings.info(Reason::Imported, node, message);
        }
        let name = external::name(&[self.hpa, metric]);
        // Elsewhere two HPAs may call different queries by one name.
        let taken = external::is_taken(metric, self.namespace, query, backend.as_deref(), findings.import);
        let metric = if taken {
            let message = format!(
                "another HPA in the namespace has a metric with this name, so this one is now {name:?}"
            );
            findings.warn(Reason::NameTaken, query, message);
            external::free(&name, self.namespace, query, backend.as_deref(), findings)
        } else {
            metric.to_owned()
        };
        ExternalMetric {
            namespace: self.namespace,
            rule: &name,
            metric: &metric,
            query,
            backend: backend.as_deref(),
            several_rows: "kube-metrics-adapter uses any one of them",
        }
        .add(findings);
        Some(metric)
    }
}

/// The backend that the annotations name, `Some(None)` for the default one; `None` where there can be none.
#[expect(clippy::option_option, reason = "left out, and refused")]
fn backend(config: &Config<'_>, findings: &mut Findings<'_>) -> Option<Option<String>> {
    if let Some(node) = config.get("prometheus-server") {
        let url = node.text().unwrap_or_default().trim_end_matches('/');
        return external::backend(PrometheusSpec::new(url), node, findings).map(Some);
    }
    if let Some(node) = config.get("prometheus-server-alias") {
        let name = external::name(&[node.text().unwrap_or_default()]);
        let message = format!(
            "create a MetricBackend {name:?} with the address that --additional-prometheus-server gives for this alias"
        );
        findings.warn(Reason::BackendNotFound, node, message);
        return Some(Some(name));
    }
    let message = "the rule uses the default MetricBackend instead of --prometheus-server";
    findings.info(Reason::Imported, config.node, message);
    Some(None)
}

fn refuse(collector: &str, why: &str, node: &Node, findings: &mut Findings<'_>) {
    findings.unsupported(
        node,
        format!(
            "a metric of the collector {collector:?} {why}; it was left out, and without it the HPA scales on fewer \
             metrics than before"
        ),
    );
}
