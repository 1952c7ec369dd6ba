//! Actions: the writes of `APIService`s, each for the object as it was seen.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use serde_json::{Value, json};

use crate::metrics_api::ApiVersion;

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// POST: it fails where there is one by now.
    Create(ApiVersion, Box<APIService>),
    /// A merge patch that names the `resourceVersion` that it was made for.
    Patch(ApiVersion, &'static str, Value),
    /// With preconditions.
    Delete(ApiVersion, String, String),
}

// === impl Action ===

impl Action {
    pub(super) const fn target(&self) -> ApiVersion {
        match self {
            Self::Create(member, _) | Self::Patch(member, ..) | Self::Delete(member, ..) => *member,
        }
    }

    pub(super) const fn verb(&self) -> &'static str {
        match self {
            Self::Create(..) => "created",
            Self::Patch(_, verb, _) => verb,
            Self::Delete(..) => "withdrawn: no rule has needed it for a day",
        }
    }
}

/// Its uid and its version, for preconditions.
pub(super) fn identity(object: &APIService) -> (String, String) {
    (
        object.metadata.uid.clone().unwrap_or_default(),
        object.metadata.resource_version.clone().unwrap_or_default(),
    )
}

/// A merge patch that changes nothing yet, and that the API server refuses once the object is another or has changed.
pub(super) fn patch_of(object: &APIService) -> Value {
    let (uid, version) = identity(object);
    json!({"metadata": {"uid": uid, "resourceVersion": version}})
}
