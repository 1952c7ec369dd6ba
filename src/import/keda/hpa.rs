//! HPA that KEDA keeps for a `ScaledObject`, without KEDA.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerSpec, MetricSpec,
};
use kube::api::ObjectMeta;

use super::{ScaledObject, trimmed};
use crate::{
    api::rule_spec::MetricsApi,
    document::Node,
    import::{Object, findings::Findings, hpa as hpa_rules},
    reason::Reason,
};

/// KEDA's default of `maxReplicaCount`.
const MAX_REPLICAS: i32 = 100;
/// Where a `ScaledObject` names its HPA.
const NAME: &str = "spec.advanced.horizontalPodAutoscalerConfig.name";
/// What kubectl leaves behind; it would bring back the old object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const EXCLUDED_LABELS: &str = "scaledobject.keda.sh/hpa-excluded-labels";

/// Adds the HPA, unless no metric is left for it.
pub(super) fn add(scaled: &ScaledObject<'_>, metrics: Vec<MetricSpec>, findings: &mut Findings<'_>) {
    let document = findings.document;
    if metrics.is_empty() {
        let node = document.get("kind").unwrap_or(&document.root);
        return findings.info(
            Reason::Imported,
            node,
            "no metric is left for an HPA, so import created none",
        );
    }
    let text = |path: &str, default: &str| {
        let found = document.get(path).map(trimmed).filter(|text| !text.is_empty());
        found.unwrap_or(default).to_owned()
    };
    let min = replicas("spec.minReplicaCount", 0, findings);
    let max = replicas("spec.maxReplicaCount", MAX_REPLICAS, findings);
    without_counterpart(min, findings);
    let behavior = behavior(findings);
    let name = text(NAME, scaled.name);
    let hpa = HorizontalPodAutoscaler {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: scaled.namespace.map(str::to_owned),
            labels: labels(findings),
            annotations: annotations(findings),
            ..ObjectMeta::default()
        },
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(text("spec.scaleTargetRef.apiVersion", "apps/v1")),
                kind: text("spec.scaleTargetRef.kind", "Deployment"),
                name: text("spec.scaleTargetRef.name", ""),
            },
            min_replicas: Some(min.max(1)),
            max_replicas: max,
            metrics: Some(metrics),
            behavior,
        }),
        status: None,
    };
    if !checked(&hpa, findings) {
        return;
    }
    let object = Object::HorizontalPodAutoscaler(Box::new(hpa));
    findings.import.objects.push(object);
    let node = document.get("kind").unwrap_or(&document.root);
    findings.info(
        Reason::Imported,
        node,
        format!(
            "two HPAs of one workload block each other, and KEDA owns {} until you take it over: delete the ScaledObject, then \
             apply the HPA {name:?}",
            MetricsApi::External.group()
        ),
    );
}

/// Whether the API server takes the HPA; where it would not, KEDA cannot make it either.
fn checked(hpa: &HorizontalPodAutoscaler, findings: &mut Findings<'_>) -> bool {
    let faults = hpa_rules::faults(hpa);
    for (path, message) in &faults {
        let path = match path.split_once('.') {
            Some(("spec", "minReplicas")) => "spec.minReplicaCount".to_owned(),
            Some(("spec", "maxReplicas")) => "spec.maxReplicaCount".to_owned(),
            Some(("spec", behavior)) if behavior.starts_with("behavior") => {
                format!("spec.advanced.horizontalPodAutoscalerConfig.{behavior}")
            }
            Some(("metadata", "name")) if findings.document.get(NAME).is_some() => NAME.to_owned(),
            Some(("spec", field)) if field.starts_with("metrics") => "spec.triggers".to_owned(),
            _ => path.clone(),
        };
        let node = findings.document.nearest(&path).0;
        findings.error(node, format!("such an HPA would not be valid: {message}"));
    }
    faults.is_empty()
}

/// Of the fields that are left behind, those that change what the workload does.
fn without_counterpart(min: i32, findings: &mut Findings<'_>) {
    let document = findings.document;
    let node = document.nearest("spec.minReplicaCount").0;
    if min == 0 {
        findings.warn(
            Reason::Unsupported,
            node,
            "KEDA scales to 0 replicas, but an HPA does not, so minReplicas is 1",
        );
    }
    for (path, message) in [
        (
            "spec.idleReplicaCount",
            "an HPA has no separate replica count for idle times",
        ),
        (
            "spec.fallback",
            "if a metric is not available, an HPA keeps its replicas; it has no other fallback",
        ),
        (
            "spec.advanced.restoreToOriginalReplicaCount",
            "deleting an HPA leaves the replicas as they are",
        ),
    ] {
        if let Some(node) = document.get(path).filter(|node| node.text() != Some("false")) {
            findings.warn(Reason::Unsupported, node, message);
        }
    }
    for (path, message) in [
        (
            "spec.pollingInterval",
            "the HPA controller has its own interval (15s by default)",
        ),
        ("spec.cooldownPeriod", "it applies only to the step to 0 replicas"),
        (
            "spec.initialCooldownPeriod",
            "it applies only to the step to 0 replicas",
        ),
    ] {
        if let Some(node) = document.get(path) {
            findings.info(Reason::Imported, node, message);
        }
    }
    for name in [
        "autoscaling.keda.sh/paused",
        "autoscaling.keda.sh/paused-replicas",
    ] {
        let node = annotation(findings, name).filter(|node| trimmed(node) != "false");
        if let Some(node) = node {
            findings.warn(
                Reason::Unsupported,
                node,
                "the ScaledObject is paused, but the HPA scales as soon as you apply it",
            );
        }
    }
}

fn replicas(path: &str, default: i32, findings: &mut Findings<'_>) -> i32 {
    let Some(node) = findings.document.get(path).filter(|node| !node.is_null()) else {
        return default;
    };
    trimmed(node).parse().unwrap_or_else(|_| {
        findings.error(
            node,
            format!("{:?} is not a valid number of replicas", trimmed(node)),
        );
        default
    })
}

/// As written, and with a direction turned off where an annotation says so.
fn behavior(findings: &mut Findings<'_>) -> Option<HorizontalPodAutoscalerBehavior> {
    let written = findings
        .document
        .get("spec.advanced.horizontalPodAutoscalerConfig.behavior");
    let mut behavior = written.and_then(|node| match serde_json::from_value(node.to_json()) {
        Ok(behavior) => Some(behavior),
        Err(error) => {
            findings.error(node, format!("it is not a valid behavior of an HPA: {error}"));
            None
        }
    });
    let is_set = |name: &str| annotation(findings, name).is_some_and(|node| trimmed(node) != "false");
    let paused = [
        "autoscaling.keda.sh/paused-scale-in",
        "autoscaling.keda.sh/paused-scale-out",
    ]
    .map(is_set);
    let disable = |rules: &mut Option<HPAScalingRules>| {
        rules.get_or_insert_default().select_policy = Some("Disabled".to_owned());
    };
    if paused[0] {
        disable(
            &mut behavior
                .get_or_insert_with(HorizontalPodAutoscalerBehavior::default)
                .scale_down,
        );
    }
    if paused[1] {
        disable(
            &mut behavior
                .get_or_insert_with(HorizontalPodAutoscalerBehavior::default)
                .scale_up,
        );
    }
    behavior
}

fn annotation<'a>(findings: &Findings<'a>, name: &str) -> Option<&'a Node> {
    findings.document.get("metadata.annotations")?.get(name)
}

/// The labels of the `ScaledObject`, less those that it keeps for itself.
fn labels(findings: &Findings<'_>) -> Option<BTreeMap<String, String>> {
    let excluded = annotation(findings, EXCLUDED_LABELS).map_or("", trimmed);
    let excluded: Vec<&str> = excluded.split(',').collect();
    kept(findings, "metadata.labels", |name| {
        !excluded.contains(&name) && !name.contains("keda.sh/")
    })
}

fn annotations(findings: &Findings<'_>) -> Option<BTreeMap<String, String>> {
    kept(findings, "metadata.annotations", |name| {
        name != LAST_APPLIED && !name.contains("keda.sh/")
    })
}

fn kept(
    findings: &Findings<'_>,
    path: &str,
    keep: impl Fn(&str) -> bool,
) -> Option<BTreeMap<String, String>> {
    let entries = findings.document.get(path)?.entries().iter();
    let pairs = entries.filter_map(|(key, value)| Some((key.text()?.to_owned(), value.text()?.to_owned())));
    let kept: BTreeMap<String, String> = pairs.filter(|(key, _)| keep(key)).collect();
    (!kept.is_empty()).then_some(kept)
}
