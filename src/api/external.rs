//! external.metrics.k8s.io: `ExternalMetricValueList` (k8s.io/metrics, `pkg/apis/external_metrics/v1beta1`).

use std::collections::BTreeMap;

use language::quantity::Milli;
use serde::Serialize;

use super::list_meta::{ListMeta, Time};
use crate::metrics_api::ApiVersion;

/// Values of one external metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalMetricValueList<'a> {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta,
    /// In the order of the reply.
    pub items: Vec<ExternalMetricValue<'a>>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalMetricValue<'a> {
    /// The metric's name.
    pub metric_name: &'a str,
    /// The labels that tell the value from others; `{}` where there are none, `null` (`None`) for a scalar of prometheus-adapter's.
    pub metric_labels: Option<BTreeMap<&'a str, &'a str>>,
    /// When the value was taken.
    pub timestamp: Time,
    /// The whole seconds that the value covers.
    #[serde(rename = "window", skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u64>,
    /// The value.
    pub value: Milli,
}

// === impl ExternalMetricValueList ===

impl<'a> ExternalMetricValueList<'a> {
    /// A list of `v1beta1`.
    pub fn v1beta1(items: Vec<ExternalMetricValue<'a>>) -> Self {
        let version = ApiVersion::ExternalV1beta1;
        Self {
            kind: version.api().list_kind(),
            api_version: version.group_version(),
            metadata: ListMeta {},
            items,
        }
    }
}

#[cfg(test)]
mod tests;
