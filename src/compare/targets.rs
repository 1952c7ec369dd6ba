//! Targets of HPAs: the part of a target by which a value may be off before the HPA scales. Pure.

use k8s_openapi::{
    api::autoscaling::v2::{HorizontalPodAutoscaler, MetricSpec, MetricTarget},
    apimachinery::pkg::api::resource::Quantity as Written,
};

use language::quantity::Quantity;

/// The part of the target within which an HPA leaves its replicas alone: the default of the controller's
/// `--horizontal-pod-autoscaler-tolerance`.
const TOLERANCE_MILLI: u64 = 100;

/// In thousandths of the metric: what the HPA passes over for a metric of its spec; 0 where that is not known.
///
/// A target for the average is that of one pod: what is off is never more for one than for all.
pub(super) fn slack(hpa: &HorizontalPodAutoscaler, index: usize) -> u64 {
    let metric = hpa
        .spec
        .as_ref()
        .and_then(|spec| spec.metrics.as_ref()?.get(index));
    let Some(target) = metric.and_then(target) else {
        return 0;
    };
    let quantity = target.average_value.as_ref().or(target.value.as_ref());
    let Some(target) = quantity.and_then(milli) else {
        return 0;
    };
    let part = u128::from(target) * u128::from(tolerance(hpa)) / 1000;
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// Its own tolerance where that is smaller.
fn tolerance(hpa: &HorizontalPodAutoscaler) -> u64 {
    let behavior = hpa.spec.as_ref().and_then(|spec| spec.behavior.as_ref());
    let rules = behavior.map(|behavior| [&behavior.scale_up, &behavior.scale_down]);
    let own = rules.into_iter().flatten().flatten();
    own.filter_map(|rules| milli(rules.tolerance.as_ref()?))
        .fold(TOLERANCE_MILLI, u64::min)
}

fn target(metric: &MetricSpec) -> Option<&MetricTarget> {
    let pods = metric.pods.as_ref().map(|pods| &pods.target);
    let object = metric.object.as_ref().map(|object| &object.target);
    let external = metric.external.as_ref().map(|external| &external.target);
    pods.or(object).or(external)
}

fn milli(quantity: &Written) -> Option<u64> {
    let quantity = Quantity::parse(&quantity.0).ok()?;
    u64::try_from(quantity.to_milli().get()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(metric: &Value, behavior: &Value) -> u64 {
        let hpa = json!({"spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
            "metrics": [metric], "behavior": behavior}});
        slack(&serde_json::from_value(hpa).unwrap(), 0)
    }

    #[test]
    fn a_tenth_of_the_target_is_passed_over() {
        let pods = |target: &str| json!({"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": target}}});
        for (target, expected) in [
            ("5m", 0),
            ("10m", 1),
            ("25m", 2),
            ("100", 10_000),
            ("1e30", 922_337_203_685_477_580),
        ] {
            assert_eq!(of(&pods(target), &json!({})), expected, "{target}");
        }
        let external = json!({"type": "External", "external": {
            "metric": {"name": "m"}, "target": {"type": "Value", "value": "1"},
        }});
        assert_eq!(of(&external, &json!({})), 100);
        // Its own tolerance counts where it is smaller.
        let fine = json!({"scaleUp": {"tolerance": "0.01"}, "scaleDown": {"tolerance": "0.5"}});
        assert_eq!(of(&external, &fine), 10);
        // Without a target nothing is known.
        let resource = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50},
        }});
        assert_eq!(of(&resource, &json!({})), 0);
    }
}
