//! References to the objects that metrics describe.

use serde::Serialize;

/// `core/v1` `ObjectReference`, of which the metrics APIs use four fields. Empty fields are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference<'a> {
    /// For example `Pod`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub kind: &'a str,
    /// Empty for cluster-scoped kinds.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub namespace: &'a str,
    /// The object's name; the only field that an HPA reads.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub name: &'a str,
    /// Group and version; `/v1` for the core group, as `helpers.ReferenceFor` of custom-metrics-apiserver writes it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub api_version: &'a str,
}
