//! KEDA's `ScaledObject` with Prometheus triggers: the HPA that KEDA makes of it, as one that stands by itself, and the rules
//! that its metrics come from. The meaning of each field is that of KEDA 2 (apis/keda/v1alpha1, pkg/scalers).

mod hpa;
mod prometheus;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use k8s_openapi::{
    api::autoscaling::v2::{
        ContainerResourceMetricSource, ExternalMetricSource, MetricIdentifier, MetricSpec, MetricTarget,
        ResourceMetricSource,
    },
    apimachinery::pkg::api::resource::Quantity as TextQuantity,
};
use language::quantity::{Milli, Quantity};

use super::{
    Import,
    external::{self, ExternalMetric},
    findings::Findings,
};
use crate::{
    document::{Document, Node},
    reason::Reason,
};

/// Adds what a `ScaledObject` comes to: rules, backends and an HPA. Other kinds of KEDA's are reported.
pub(super) fn import(document: &Document, file: &str, import: &mut Import) {
    let mut findings = Findings {
        file,
        document,
        import,
    };
    let kind = document.get("kind").and_then(Node::text).unwrap_or_default();
    if kind == "ScaledObject" {
        scaled_object(&mut findings);
        return;
    }
    let node = document.get("kind").unwrap_or(&document.root);
    match kind {
        "TriggerAuthentication" | "ClusterTriggerAuthentication" => findings.info(
            Reason::Imported,
            node,
            format!(
                "credentials belong to the MetricBackend (spec.prometheus.auth and tls); import does not convert a {kind}"
            ),
        ),
        _ => findings.unsupported(node, format!("a {kind} has no HPA")),
    }
}

/// Whether it is an object of KEDA's.
pub(super) fn recognises(document: &Document) -> bool {
    let version = document.get("apiVersion").and_then(Node::text);
    version.is_some_and(|version| version.starts_with("keda.sh/"))
}

fn scaled_object(findings: &mut Findings<'_>) {
    let document = findings.document;
    let text = |path: &str| {
        document
            .get(path)
            .and_then(Node::text)
            .filter(|text| !text.is_empty())
    };
    let Some(name) = text("metadata.name") else {
        return findings.error(
            document.nearest("metadata.name").0,
            "the ScaledObject has no name",
        );
    };
    if text("spec.scaleTargetRef.name").is_none() {
        let node = document.nearest("spec.scaleTargetRef.name").0;
        return findings.error(node, "scaleTargetRef names nothing to scale");
    }
    let scaled = ScaledObject {
        name,
        namespace: text("metadata.namespace"),
    };
    let triggers = document.nearest("spec.triggers").0;
    if triggers.items().is_empty() {
        findings.error(triggers, "the ScaledObject has no triggers");
    }
    let formula = document.get("spec.advanced.scalingModifiers.formula");
    if let Some(node) = formula {
        findings.unsupported(
            node,
            "scalingModifiers combine several triggers to one metric: write the formula as one query, in a separate rule",
        );
    }
    let mut metrics = Vec::new();
    let mut names = BTreeSet::new();
    for (index, trigger) in triggers.items().iter().enumerate() {
        let kind = trigger.get("type").and_then(Node::text).unwrap_or_default();
        if let Some(node) = trigger.get("name").filter(|node| !trimmed(node).is_empty())
            && !names.insert(trimmed(node))
        {
            findings.error(
                node,
                format!("another trigger already has the name {:?}", trimmed(node)),
            );
            continue;
        }
        match kind {
            "cpu" | "memory" => metrics.extend(resource(kind, trigger, findings)),
            // part of the formula
            _ if formula.is_some() => {}
            "prometheus" => metrics.extend(scaled.prometheus(index, trigger, findings)),
            _ => findings.unsupported(
                trigger.get("type").unwrap_or(trigger),
                format!(
                    "a trigger of type {kind:?} does not query a Prometheus and was left out; without it the HPA \
                     scales on fewer metrics than KEDA did"
                ),
            ),
        }
    }
    hpa::add(&scaled, metrics, findings);
}

/// What its parts need to know of it.
struct ScaledObject<'a> {
    name: &'a str,
    namespace: Option<&'a str>,
}

impl ScaledObject<'_> {
    /// The metric of a Prometheus trigger; adds the rule and the backend.
    fn prometheus(&self, index: usize, trigger: &Node, findings: &mut Findings<'_>) -> Option<MetricSpec> {
        let metadata = trigger.get("metadata").unwrap_or(trigger);
        // KEDA trims what it reads; the query is kept as it is written.
        let value = |key: &str| metadata.get(key).filter(|node| !trimmed(node).is_empty());
        let required = |key: &str, findings: &mut Findings<'_>| {
            let found = value(key);
            if found.is_none() {
                findings.error(metadata, format!("the prometheus trigger has no {key}"));
            }
            found
        };
        let address = required("serverAddress", findings);
        let query = required("query", findings);
        let threshold = required("threshold", findings);
        let (address, query, threshold) = (address?, query?, threshold?);
        let target = target(trigger, threshold, findings)?;
        let settings = prometheus::settings(address, trigger, metadata, findings);
        let backend = external::backend(settings, address, findings)?;
        let own_name = trigger.get("name").map(trimmed).filter(|name| !name.is_empty());
        let suffix = own_name.map_or_else(|| format!("s{index}-prometheus"), str::to_owned);
        let metric = external::name(&[self.name, &suffix]);
        let metric = external::free(&metric, self.namespace, query, Some(&backend), findings);
        ExternalMetric {
            namespace: self.namespace,
            rule: &metric,
            metric: &metric,
            query,
            backend: Some(&backend),
            several_rows: "KEDA refuses those",
        }
        .add(findings);
        prometheus::about_values(query, metadata, findings);
        Some(MetricSpec {
            type_: "External".to_owned(),
            external: Some(ExternalMetricSource {
                metric: MetricIdentifier {
                    name: metric,
                    selector: None,
                },
                target,
            }),
            ..MetricSpec::default()
        })
    }
}

/// `AverageValue` unless `metricType: Value`; in thousandths, as KEDA makes it.
fn target(trigger: &Node, threshold: &Node, findings: &mut Findings<'_>) -> Option<MetricTarget> {
    let number = trimmed(threshold)
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite());
    let Some(number) = number else {
        findings.error(
            threshold,
            format!("{:?} is not a valid number", trimmed(threshold)),
        );
        return None;
    };
    let quantity = Quantity::parse(&format!("{number:.3}"))
        .ok()
        .filter(|_| number > 0.0);
    let Some(quantity) = quantity
        .map(|quantity| quantity.to_string())
        .filter(|text| text != "0")
    else {
        findings.error(threshold, "an HPA's target must be above 0");
        return None;
    };
    let quantity = Some(TextQuantity(quantity));
    let kind = trigger.get("metricType").map_or("AverageValue", trimmed);
    match kind {
        "Value" => Some(MetricTarget {
            type_: kind.to_owned(),
            value: quantity,
            ..MetricTarget::default()
        }),
        "" | "AverageValue" => Some(MetricTarget {
            type_: "AverageValue".to_owned(),
            average_value: quantity,
            ..MetricTarget::default()
        }),
        _ => {
            let node = trigger.get("metricType").unwrap_or(trigger);
            findings.error(node, format!("{kind:?} is neither AverageValue nor Value"));
            None
        }
    }
}

/// A trigger of type cpu or memory, which metrics-server answers.
fn resource(name: &str, trigger: &Node, findings: &mut Findings<'_>) -> Option<MetricSpec> {
    let metadata = trigger.get("metadata").unwrap_or(trigger);
    let Some(value) = metadata.get("value") else {
        findings.error(metadata, format!("the {name} trigger has no value"));
        return None;
    };
    // `type` inside of metadata is how it was written before KEDA 2.7
    let kind = trigger.get("metricType").or_else(|| metadata.get("type"));
    let mut target = MetricTarget {
        type_: kind.map_or("", trimmed).to_owned(),
        ..MetricTarget::default()
    };
    match (
        target.type_.as_str(),
        trimmed(value).parse::<i32>(),
        Quantity::parse(trimmed(value)),
    ) {
        ("Utilization", Ok(percent @ 1..), _) => target.average_utilization = Some(percent),
        ("AverageValue", _, Ok(quantity)) if quantity.to_milli() > Milli::ZERO => {
            target.average_value = Some(TextQuantity(quantity.to_string()));
        }
        ("Utilization" | "AverageValue", ..) => {
            findings.error(
                value,
                format!("{:?} is not a valid value of a {name} trigger", trimmed(value)),
            );
            return None;
        }
        (other, ..) => {
            let node = kind.unwrap_or(trigger);
            findings.error(node, format!("{other:?} is neither Utilization nor AverageValue"));
            return None;
        }
    }
    let container = metadata
        .get("containerName")
        .map(trimmed)
        .filter(|name| !name.is_empty());
    Some(match container {
        Some(container) => MetricSpec {
            type_: "ContainerResource".to_owned(),
            container_resource: Some(ContainerResourceMetricSource {
                container: container.to_owned(),
                name: name.to_owned(),
                target,
            }),
            ..MetricSpec::default()
        },
        None => MetricSpec {
            type_: "Resource".to_owned(),
            resource: Some(ResourceMetricSource {
                name: name.to_owned(),
                target,
            }),
            ..MetricSpec::default()
        },
    })
}

/// The text of a value as KEDA reads it.
fn trimmed(node: &Node) -> &str {
    node.text().unwrap_or_default().trim()
}
