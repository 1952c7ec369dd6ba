//! What an HPA says about itself.

use anyhow::{Context, Result};
use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// One reading of an HPA's status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The replicas that the controller saw.
    pub replicas: i32,
    /// The replicas that it wants.
    pub desired: i32,
    /// The first metric's average per pod, once the controller has read it. For an Object metric or an External one with a
    /// `Value` target: the value.
    pub value: Option<f64>,
    /// `type=status reason: message` of each condition.
    pub conditions: Vec<String>,
}

/// The first metric's target of an HPA.
///
/// # Errors
/// It has no metric with a target value.
pub fn target(hpa: &HorizontalPodAutoscaler) -> Result<f64> {
    let metric = hpa
        .spec
        .as_ref()
        .and_then(|spec| spec.metrics.as_ref()?.first())
        .context("the HPA has no metric")?;
    let target = target_of(metric).context("the HPA's first metric has no target")?;
    quantity(
        target
            .average_value
            .as_ref()
            .or(target.value.as_ref())
            .context("the HPA's target is no value")?,
    )
}

fn target_of(metric: &MetricSpec) -> Option<&MetricTarget> {
    let pods = metric.pods.as_ref().map(|source| &source.target);
    let object = metric.object.as_ref().map(|source| &source.target);
    pods.or(object)
        .or_else(|| metric.external.as_ref().map(|source| &source.target))
}

fn current_of(metric: &MetricStatus) -> Option<&MetricValueStatus> {
    let pods = metric.pods.as_ref().map(|source| &source.current);
    let object = metric.object.as_ref().map(|source| &source.current);
    pods.or(object)
        .or_else(|| metric.external.as_ref().map(|source| &source.current))
}

// === impl Reading ===

impl Reading {
    /// Reads an HPA's status.
    ///
    /// # Errors
    /// Its value is no quantity.
    pub fn of(hpa: &HorizontalPodAutoscaler) -> Result<Self> {
        let Some(status) = &hpa.status else {
            return Ok(Self::default());
        };
        let current = status.current_metrics.iter().flatten().find_map(current_of);
        let value = current.and_then(|current| current.average_value.as_ref().or(current.value.as_ref()));
        let conditions = status.conditions.iter().flatten().map(|condition| {
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            format!(
                "{}={} {}: {}",
                condition.type_,
                condition.status,
                text(&condition.reason),
                text(&condition.message)
            )
        });
        Ok(Self {
            replicas: status.current_replicas.unwrap_or_default(),
            desired: status.desired_replicas,
            value: value.map(quantity).transpose()?,
            conditions: conditions.collect(),
        })
    }
}

/// A quantity as a number.
///
/// # Errors
/// It is none.
pub fn quantity(quantity: &Quantity) -> Result<f64> {
    let text = quantity.0.trim();
    let end = text
        .find(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let scale = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        other => anyhow::bail!("unknown suffix {other:?} of the quantity {text:?}"),
    };
    let number: f64 = number.parse().with_context(|| format!("the quantity {text:?}"))?;
    Ok(number * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_the_api_server_writes_them() {
        for (text, want) in [
            ("50", 50.0),
            ("54312m", 54.312),
            ("2k", 2000.0),
            ("1.5", 1.5),
            ("1Ki", 1024.0),
            ("1e3", 1000.0),
        ] {
            let got = quantity(&Quantity(text.to_owned())).unwrap();
            assert!((got - want).abs() < 1e-9, "{text}: {got}");
        }
        assert!(quantity(&Quantity("5x".to_owned())).is_err());
    }
}
