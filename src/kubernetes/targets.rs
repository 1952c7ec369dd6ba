//! Targets of `HorizontalPodAutoscaler`s: how large the values of a metric may be before their controller overflows.
//!
//! For the types Pods and Object it makes an int32 of the sum of the values divided by the target, without a check up to
//! Kubernetes 1.36 at least (`calcPlainMetricReplicas` and `GetObjectPerPodMetricReplicas`, `pkg/controller/podautoscaler`).
//! What does not fit becomes −2^31, and the HPA scales to its minimum. A request does not say the target, so HPAs are watched.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, PoisonError, RwLock},
};

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, MetricSpec};
use kube::{Api, Client, core::DeserializeGuard};
use language::quantity::Quantity;

use super::watch::{Change, Entry, ObjectKey, config, drive};
use crate::metrics::ControllerMetrics;

/// The targets in force; a clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Targets(Arc<RwLock<Table>>);

#[derive(Debug, Default)]
struct Table {
    by_hpa: HashMap<ObjectKey, Vec<String>>,
    /// Namespace → metric → HPA → its lowest target, in thousandths.
    by_metric: HashMap<String, HashMap<String, BTreeMap<String, i64>>>,
}

// === impl Targets ===

impl Targets {
    /// Watches all HPAs. Runs for as long as it is polled. Until they are listed nothing is known of any.
    pub async fn run(self, client: Client, metrics: ControllerMetrics) -> Infallible {
        let api = Api::<DeserializeGuard<HorizontalPodAutoscaler>>::all(client);
        drive(api, config(), "HorizontalPodAutoscaler", &metrics, |change| {
            self.apply(change);
        })
        .await
    }

    /// The lowest target of a metric of pods or of an object in the HPAs of a namespace, in thousandths.
    pub fn lowest(&self, namespace: &str, metric: &str) -> Option<i64> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let targets = table.by_metric.get(namespace)?.get(metric)?;
        targets.values().min().copied()
    }

    fn apply(&self, change: Change<HorizontalPodAutoscaler>) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Reset(entries) => {
                *table = Table::default();
                for entry in entries {
                    table.apply(entry);
                }
            }
            Change::Apply(entry) => table.apply(entry),
            Change::Delete(key) => table.delete(&key),
            Change::Failed(_) => {}
        }
    }
}

// === impl Table ===

impl Table {
    fn apply(&mut self, entry: Entry<HorizontalPodAutoscaler>) {
        let hpa = match entry {
            Ok(hpa) => hpa,
            Err(invalid) => return self.delete(&ObjectKey::of(&invalid.metadata)),
        };
        let key = ObjectKey::of(&hpa.metadata);
        self.delete(&key);
        let Some(namespace) = key.namespace.clone() else {
            return;
        };
        let metrics = hpa.spec.and_then(|spec| spec.metrics).unwrap_or_default();
        let mut named = Vec::new();
        for (metric, target) in metrics.iter().filter_map(divisor) {
            let of_namespace = self.by_metric.entry(namespace.clone()).or_default();
            let targets = of_namespace.entry(metric.to_owned()).or_default();
            let lowest = targets.entry(key.name.clone()).or_insert(target);
            *lowest = target.min(*lowest);
            named.push(metric.to_owned());
        }
        if !named.is_empty() {
            self.by_hpa.insert(key, named);
        }
    }

    fn delete(&mut self, key: &ObjectKey) {
        let Some(namespace) = &key.namespace else { return };
        let Some(of_namespace) = self.by_metric.get_mut(namespace) else {
            return;
        };
        for metric in self.by_hpa.remove(key).unwrap_or_default() {
            if let Some(targets) = of_namespace.get_mut(&metric) {
                targets.remove(&key.name);
                if targets.is_empty() {
                    of_namespace.remove(&metric);
                }
            }
        }
        if of_namespace.is_empty() {
            self.by_metric.remove(namespace);
        }
    }
}

/// The metric and the number that its values are divided by. A target of an object's whole value is not among them: there
/// the controller checks.
fn divisor(spec: &MetricSpec) -> Option<(&str, i64)> {
    let (metric, target) = match (&spec.pods, &spec.object) {
        (Some(pods), _) => (&pods.metric, &pods.target),
        (_, Some(object)) => (&object.metric, &object.target),
        _ => return None,
    };
    let target = Quantity::parse(&target.average_value.as_ref()?.0).ok()?;
    Some((&metric.name, target.to_milli().get().max(1)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        kubernetes::fake::{FakeApi, until},
        metrics::Metrics,
    };

    const PATH: &str = "/apis/autoscaling/v2/horizontalpodautoscalers";

    fn hpa(name: &str, metrics: &Value) -> Value {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"namespace": "shop", "name": name, "resourceVersion": "1"},
            "spec": {"maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "web"}, "metrics": metrics}})
    }

    fn pods(target: &str) -> Value {
        json!({"type": "Pods", "pods": {"metric": {"name": "load"},
            "target": {"type": "AverageValue", "averageValue": target}}})
    }

    fn object(kind: &str, target: &str) -> Value {
        let field = if kind == "Value" { "value" } else { "averageValue" };
        json!({"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "web"},
            "metric": {"name": "depth"}, "target": {"type": kind, field: target}}})
    }

    #[tokio::test(start_paused = true)]
    async fn the_lowest_target_of_a_metric_counts_for_as_long_as_its_hpa_is_there() {
        let fake = FakeApi::default();
        let all = [
            hpa(
                "one",
                &json!([pods("10"), object("AverageValue", "3"), object("Value", "1m")]),
            ),
            hpa("two", &json!([pods("1500m"), pods("100k")])),
            hpa("odd", &json!(7)),
        ];
        fake.set_list(PATH, &all);
        let targets = Targets::default();
        assert_eq!(targets.lowest("shop", "load"), None);
        let task = tokio::spawn(targets.clone().run(fake.client(), Metrics::new().controller));
        until("they are listed", || targets.lowest("shop", "load").is_some()).await;
        assert_eq!(targets.lowest("shop", "load"), Some(1500));
        assert_eq!(
            targets.lowest("shop", "depth"),
            Some(3000),
            "a whole value is checked by the HPA"
        );
        assert_eq!(targets.lowest("other", "load"), None);

        fake.send(PATH, "DELETED", hpa("two", &json!([]))).await;
        until("the other is left", || {
            targets.lowest("shop", "load") == Some(10_000)
        })
        .await;
        fake.send(PATH, "MODIFIED", hpa("one", &json!([]))).await;
        until("none is left", || targets.lowest("shop", "load").is_none()).await;
        assert!(targets.0.read().unwrap().by_metric.is_empty());
        assert!(targets.0.read().unwrap().by_hpa.is_empty());
        tokio::time::sleep(Duration::from_millis(1)).await;
        task.abort();
    }
}
