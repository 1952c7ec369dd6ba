//! HPA validation, as the API server does it for autoscaling/v2 (pkg/apis/autoscaling/validation of Kubernetes).

use k8s_openapi::{
    api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscaler, MetricSpec, MetricTarget},
    apimachinery::pkg::api::resource::Quantity as TextQuantity,
};

use language::{
    dns::is_subdomain,
    quantity::{Milli, Quantity},
};

/// The longest `stabilizationWindowSeconds`.
const MAX_WINDOW: i32 = 3600;
/// The longest `periodSeconds`.
const MAX_PERIOD: i32 = 1800;

/// A field of the HPA, as `spec.maxReplicas`, and what is wrong with it.
pub(super) type Fault = (String, String);

/// What it would be refused for; empty where it is good.
pub(super) fn faults(hpa: &HorizontalPodAutoscaler) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut say = |path: &str, message: String| faults.push((path.to_owned(), message));
    let name = hpa.metadata.name.as_deref().unwrap_or_default();
    if !is_subdomain(name) {
        say(
            "metadata.name",
            format!("{name:?} is not a valid name of an object"),
        );
    }
    let Some(spec) = &hpa.spec else { return faults };
    let (min, max) = (spec.min_replicas.unwrap_or(1), spec.max_replicas);
    if min < 0 {
        say("spec.minReplicas", format!("minReplicas is {min}"));
    }
    if max < 1 || max < min {
        say(
            "spec.maxReplicas",
            format!("maxReplicas is {max}, and minReplicas {min}"),
        );
    }
    for (index, metric) in spec.metrics.iter().flatten().enumerate() {
        if let Some(message) = target(metric).and_then(wrong_target) {
            say(&format!("spec.metrics[{index}]"), message);
        }
    }
    let behavior = spec.behavior.as_ref();
    let rules = [
        (
            "scaleUp",
            behavior.and_then(|behavior| behavior.scale_up.as_ref()),
        ),
        (
            "scaleDown",
            behavior.and_then(|behavior| behavior.scale_down.as_ref()),
        ),
    ];
    for (name, rules) in rules {
        let found = rules.map(scaling).unwrap_or_default();
        let path = |field: &str| format!("spec.behavior.{name}.{field}");
        faults.extend(found.into_iter().map(|(field, message)| (path(&field), message)));
    }
    faults
}

fn target(metric: &MetricSpec) -> Option<&MetricTarget> {
    let external = metric.external.as_ref().map(|source| &source.target);
    let object = metric.object.as_ref().map(|source| &source.target);
    let pods = metric.pods.as_ref().map(|source| &source.target);
    let resource = metric.resource.as_ref().map(|source| &source.target);
    let container = metric.container_resource.as_ref().map(|source| &source.target);
    external.or(object).or(pods).or(resource).or(container)
}

fn wrong_target(target: &MetricTarget) -> Option<String> {
    let above_zero = |text: &TextQuantity| {
        Quantity::parse(&text.0).is_ok_and(|quantity| quantity.to_milli() > Milli::ZERO)
    };
    let given = [
        target.value.as_ref().map(above_zero),
        target.average_value.as_ref().map(above_zero),
        target.average_utilization.map(|percent| percent > 0),
    ];
    match given.iter().flatten().copied().collect::<Vec<_>>().as_slice() {
        [] => Some("a target has no value".to_owned()),
        [true] => None,
        [false] => Some("a target must be above 0".to_owned()),
        _ => Some("a target must have one value".to_owned()),
    }
}

fn scaling(rules: &HPAScalingRules) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut say = |path: &str, message: String| faults.push((path.to_owned(), message));
    let window = rules.stabilization_window_seconds.unwrap_or(0);
    if !(0..=MAX_WINDOW).contains(&window) {
        say(
            "stabilizationWindowSeconds",
            format!("stabilizationWindowSeconds must be from 0 to {MAX_WINDOW}, not {window}"),
        );
    }
    let select = rules.select_policy.as_deref().unwrap_or("Max");
    if !["Max", "Min", "Disabled"].contains(&select) {
        say(
            "selectPolicy",
            format!("selectPolicy must be Max, Min or Disabled, not {select:?}"),
        );
    }
    if rules.policies.as_ref().is_some_and(Vec::is_empty) {
        say(
            "policies",
            "policies must be absent, or contain at least one".to_owned(),
        );
    }
    for (index, policy) in rules.policies.iter().flatten().enumerate() {
        let field = |name: &str| format!("policies[{index}].{name}");
        if !["Pods", "Percent"].contains(&policy.type_.as_str()) {
            say(
                &field("type"),
                format!(
                    "a policy must have the type Pods or Percent, not {:?}",
                    policy.type_
                ),
            );
        }
        if policy.value < 1 {
            say(
                &field("value"),
                "the value of a policy must be above 0".to_owned(),
            );
        }
        if !(1..=MAX_PERIOD).contains(&policy.period_seconds) {
            let message = format!(
                "periodSeconds must be from 1 to {MAX_PERIOD}, not {}",
                policy.period_seconds
            );
            say(&field("periodSeconds"), message);
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_hpa_that_the_api_server_refuses_is_told() {
        let external = |target: serde_json::Value| json!([{"type": "External", "external": {"metric": {"name": "m"}, "target": target}}]);
        let good = external(json!({"type": "Value", "value": "1"}));
        let cases = [
            (json!({"maxReplicas": 3}), vec![]),
            (
                json!({"minReplicas": 0, "maxReplicas": 3, "metrics": good}),
                vec![],
            ),
            (
                json!({"minReplicas": -1, "maxReplicas": 3}),
                vec!["spec.minReplicas"],
            ),
            (
                json!({"minReplicas": 5, "maxReplicas": 3}),
                vec!["spec.maxReplicas"],
            ),
            (
                json!({"minReplicas": 0, "maxReplicas": 0}),
                vec!["spec.maxReplicas"],
            ),
            (
                json!({"maxReplicas": 1, "metrics": external(json!({"type": "Value", "value": "-1m"}))}),
                vec!["spec.metrics[0]"],
            ),
            (
                json!({"maxReplicas": 1, "metrics": external(json!({"type": "Value"}))}),
                vec!["spec.metrics[0]"],
            ),
            (
                json!({"maxReplicas": 1, "behavior": {
                    "scaleUp": {"stabilizationWindowSeconds": 3601, "selectPolicy": "max", "policies": []},
                    "scaleDown": {"policies": [{"type": "Percent", "value": 100, "periodSeconds": 1800}, {"type": "Pod", "value": 0, "periodSeconds": 0}]},
                }}),
                vec![
                    "spec.behavior.scaleUp.stabilizationWindowSeconds",
                    "spec.behavior.scaleUp.selectPolicy",
                    "spec.behavior.scaleUp.policies",
                    "spec.behavior.scaleDown.policies[1].type",
                    "spec.behavior.scaleDown.policies[1].value",
                    "spec.behavior.scaleDown.policies[1].periodSeconds",
                ],
            ),
        ];
        for (mut spec, want) in cases {
            spec["scaleTargetRef"] = json!({"kind": "Deployment", "name": "a"});
            let hpa = json!({"metadata": {"name": "a"}, "spec": spec});
            let hpa: HorizontalPodAutoscaler = serde_json::from_value(hpa).unwrap();
            let found = faults(&hpa);
            let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
            assert_eq!(paths, want, "{spec}");
        }
    }
}
