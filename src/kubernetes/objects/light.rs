//! Objects as they are watched: whatever is not kept is skipped while decoding and never takes memory.
//!
//! These types stand for kinds that the API server itself validates, so they need no guard against objects that do not
//! decode: every field is optional and has the type that `metadata` has everywhere.

use std::{borrow::Cow, collections::BTreeMap};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Resource,
    core::{ApiResource, DynamicResourceScope, NamespaceResourceScope, ObjectMeta},
};
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    kubernetes::watch::{Entry, Watched},
    resource::{ObjectRow, PodState},
};

/// A pod.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WirePod")]
pub(super) struct PodObject {
    meta: ObjectMeta,
    state: PodState,
}

/// An object of any other kind, asked for as `PartialObjectMetadata`.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WireObject")]
pub(super) struct AnyObject(ObjectMeta);

#[derive(Deserialize)]
struct WireObject {
    #[serde(default)]
    metadata: WireMeta,
}

#[derive(Deserialize)]
struct WirePod {
    #[serde(default)]
    metadata: WireMeta,
    #[serde(default)]
    status: WireStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireMeta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireStatus {
    phase: String,
    conditions: Option<Vec<WireCondition>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireCondition {
    r#type: String,
    status: String,
    last_transition_time: Option<Time>,
}

impl From<WireMeta> for ObjectMeta {
    fn from(wire: WireMeta) -> Self {
        Self {
            name: wire.name,
            namespace: wire.namespace,
            uid: wire.uid,
            resource_version: wire.resource_version,
            labels: wire.labels,
            ..Self::default()
        }
    }
}

impl From<WireObject> for AnyObject {
    fn from(wire: WireObject) -> Self {
        Self(wire.metadata.into())
    }
}

impl From<WirePod> for PodObject {
    fn from(wire: WirePod) -> Self {
        let conditions = wire.status.conditions.unwrap_or_default();
        let ready = conditions
            .into_iter()
            .find(|condition| condition.r#type == "Ready" && condition.status == "True");
        let state = PodState {
            phase: wire.status.phase,
            // A ready pod without the time has been ready for as long as anyone can say.
            ready_since: ready.map(|condition| {
                condition
                    .last_transition_time
                    .map_or_else(Default::default, |time| time.0)
            }),
            terminating: wire.metadata.deletion_timestamp.is_some(),
        };
        Self {
            meta: wire.metadata.into(),
            state,
        }
    }
}

fn row(meta: ObjectMeta, pod: Option<PodState>) -> ObjectRow {
    ObjectRow {
        name: meta.name.unwrap_or_default(),
        namespace: meta.namespace,
        uid: meta.uid.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default(),
        pod,
    }
}

impl Watched for PodObject {
    type Object = ObjectRow;

    fn into_entry(self) -> Entry<ObjectRow> {
        Ok(row(self.meta, Some(self.state)))
    }
}

impl Watched for AnyObject {
    type Object = ObjectRow;

    fn into_entry(self) -> Entry<ObjectRow> {
        Ok(row(self.0, None))
    }
}

impl Resource for PodObject {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

impl Resource for AnyObject {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    /// Makes kube ask for `PartialObjectMetadata`.
    fn metadata_api() -> bool {
        true
    }

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.0
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_reduced_to_what_choosing_needs() {
        let pod: PodObject = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "c", "image": "i"}]},
            "metadata": {"name": "a", "namespace": "shop", "uid": "1", "resourceVersion": "9", "labels": {"app": "x"},
                "annotations": {"long": "text"}, "managedFields": [{"manager": "m"}], "deletionTimestamp": "2025-01-01T00:00:00Z"},
            "status": {"phase": "Running", "containerStatuses": [], "conditions": [
                {"type": "Initialized", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"},
                {"type": "Ready", "status": "True", "lastTransitionTime": "2025-01-01T00:00:07Z"}]},
        }))
        .unwrap();
        assert_eq!(pod.meta.annotations, None);
        assert_eq!(pod.meta.resource_version.as_deref(), Some("9"));
        let expected = ObjectRow {
            name: "a".to_owned(),
            namespace: Some("shop".to_owned()),
            uid: "1".to_owned(),
            labels: [("app".to_owned(), "x".to_owned())].into(),
            pod: Some(PodState {
                phase: "Running".to_owned(),
                ready_since: Some("2025-01-01T00:00:07Z".parse().unwrap()),
                terminating: true,
            }),
        };
        assert_eq!(pod.into_entry().unwrap(), expected);
    }

    #[test]
    fn a_pod_without_a_status_decodes() {
        for pod in [
            json!({"metadata": {"name": "a"}}),
            json!({"metadata": {"name": "a", "labels": null}, "status": {}}),
            json!({"metadata": {"name": "a"}, "status": {"phase": "Pending", "conditions": null}}),
            json!({"metadata": {"name": "a"}, "status": {"conditions": [
                {"type": "Ready", "status": "False", "lastTransitionTime": null}]}}),
        ] {
            let row = serde_json::from_value::<PodObject>(pod)
                .unwrap()
                .into_entry()
                .unwrap();
            let state = row.pod.unwrap();
            assert_eq!((state.ready_since, state.terminating), (None, false));
        }
    }
}
