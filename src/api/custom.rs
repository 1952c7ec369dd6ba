//! custom.metrics.k8s.io: `MetricValueList` of both versions (k8s.io/metrics, `pkg/apis/custom_metrics/v1beta{1,2}`).

use language::quantity::Milli;
use serde::Serialize;

use super::{
    list_meta::{LabelSelector, ListMeta, Time},
    object_ref::ObjectReference,
};
use crate::metrics_api::ApiVersion;

/// Values of one metric for objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricValueList<Item> {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta,
    /// In the order of the reply.
    pub items: Vec<Item>,
}

/// An item of `v1beta1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricValueV1beta1<'a> {
    /// What the value is about.
    pub described_object: ObjectReference<'a>,
    /// The metric's name.
    pub metric_name: &'a str,
    /// When the value was taken.
    pub timestamp: Time,
    /// The whole seconds that the value covers.
    #[serde(rename = "window", skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u64>,
    /// The value.
    pub value: Milli,
    /// The request's selector of series; `null` where it has none.
    pub selector: Option<&'a LabelSelector>,
}

/// An item of `v1beta2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricValueV1beta2<'a> {
    /// What the value is about.
    pub described_object: ObjectReference<'a>,
    /// Which metric.
    pub metric: MetricIdentifier<'a>,
    /// When the value was taken.
    pub timestamp: Time,
    /// The whole seconds that the value covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_seconds: Option<u64>,
    /// The value.
    pub value: Milli,
}

/// A metric by its name and the request's selector of its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MetricIdentifier<'a> {
    /// The metric's name.
    pub name: &'a str,
    /// `null` where the request has none.
    pub selector: Option<&'a LabelSelector>,
}

// === impl MetricValueList ===

impl<Item> MetricValueList<Item> {
    fn of(version: ApiVersion, items: Vec<Item>) -> Self {
        Self {
            kind: version.api().list_kind(),
            api_version: version.group_version(),
            metadata: ListMeta {},
            items,
        }
    }
}

impl<'a> MetricValueList<MetricValueV1beta1<'a>> {
    /// A list of `v1beta1`.
    pub fn v1beta1(items: Vec<MetricValueV1beta1<'a>>) -> Self {
        Self::of(ApiVersion::CustomV1beta1, items)
    }
}

impl<'a> MetricValueList<MetricValueV1beta2<'a>> {
    /// A list of `v1beta2`.
    pub fn v1beta2(items: Vec<MetricValueV1beta2<'a>>) -> Self {
        Self::of(ApiVersion::CustomV1beta2, items)
    }
}

#[cfg(test)]
mod tests;
