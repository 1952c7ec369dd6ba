//! Give-back after a take-over: an `APIService` becomes what it was, as [`FORMER`](super::FORMER) keeps it.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::OwnerReference,
    kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec},
};
use kube::ResourceExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    FORMER, GIVE_BACK, UNNEEDED_SINCE,
    action::{Action, patch_of},
    ownership::{Ours, Ownership},
};
use crate::{controller::MANAGED_BY, metrics_api::ApiVersion};

/// What a taken `APIService` was.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Former {
    spec: APIServiceSpec,
    labels: Option<std::collections::BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

/// The writes that give an API back, if a managed one of its `APIService`s says so and it is known whose it was: those that were
/// taken become what they were. One that we made beside them points to the former owner as well, behind the others: a client
/// that prefers it, as an HPA's controller does until it looks again, is then not left without an answer.
///
/// Those that say nothing themselves come first, by themselves: the word must stand until the last is written.
pub(super) fn give_back(members: &[(ApiVersion, Ownership<'_>)], ours: Ours<'_>) -> Option<Vec<Action>> {
    let managed = members.iter().filter_map(|(member, is)| match is {
        Ownership::Managed(object) => Some((*member, *object)),
        _ => None,
    });
    let managed: Vec<_> = managed.collect();
    let (asked, silent): (Vec<_>, Vec<_>) = managed.iter().partition(|(_, object)| {
        let annotation = object.annotations().get(GIVE_BACK);
        annotation.is_some_and(|value| value == "true")
    });
    if asked.is_empty() {
        return None;
    }
    let taken = managed
        .iter()
        .find_map(|(_, object)| Some(former(object, ours)?.spec));
    let foreign = || {
        members.iter().find_map(|(_, is)| match is {
            Ownership::Foreign(object) => object.spec.clone(),
            _ => None,
        })
    };
    let owner = taken.or_else(foreign)?;
    let next = if silent.is_empty() { asked } else { silent };
    let writes = next.into_iter().map(|(member, object)| {
        let patch = match former(object, ours) {
            Some(former) => returned(object, &former),
            None => along(object, &owner),
        };
        Action::Patch(member, "given back", patch)
    });
    Some(writes.collect())
}

/// What it was, if that is known and was not us.
fn former(object: &APIService, ours: Ours<'_>) -> Option<Former> {
    let former: Former = serde_json::from_str(object.annotations().get(FORMER)?).ok()?;
    let service = former.spec.service.as_ref();
    let is_ours = service.is_some_and(|service| {
        service.namespace.as_deref() == Some(ours.namespace) && service.name.as_deref() == Some(ours.service)
    });
    (!is_ours).then_some(former)
}

fn returned(object: &APIService, former: &Former) -> Value {
    let mut patch = patch_of(object);
    let manager = former.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
    patch["metadata"]["labels"] = json!({ MANAGED_BY: manager });
    patch["metadata"]["annotations"] = json!({FORMER: null, GIVE_BACK: null, UNNEEDED_SINCE: null});
    patch["metadata"]["ownerReferences"] = json!(former.owner_references);
    patch["spec"] = whole(&former.spec);
    patch
}

/// The same Service for another version, behind that of which it was.
fn along(object: &APIService, owner: &APIServiceSpec) -> Value {
    let own = object.spec.as_ref();
    let spec = APIServiceSpec {
        version: own.and_then(|spec| spec.version.clone()),
        version_priority: (owner.version_priority - 1).max(1),
        ..owner.clone()
    };
    returned(
        object,
        &Former {
            spec,
            labels: None,
            owner_references: None,
        },
    )
}

/// A spec as a merge patch that leaves nothing else.
fn whole(spec: &APIServiceSpec) -> Value {
    let mut whole = json!({"caBundle": null, "insecureSkipTLSVerify": null});
    let entries = |value: Value| match value {
        Value::Object(entries) => entries,
        _ => Map::new(),
    };
    for (name, value) in entries(json!(spec)) {
        whole[name] = value;
    }
    if spec.service.is_none() {
        whole["service"] = Value::Null;
    } else if whole["service"].get("port").is_none() {
        whole["service"]["port"] = Value::Null;
    }
    whole
}
