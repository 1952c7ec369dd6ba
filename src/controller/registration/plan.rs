//! Plan of a registration: what to write, and the resulting state. Pure.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    kube_aggregator::pkg::apis::apiregistration::v1::{APIService, APIServiceSpec, ServiceReference},
};
use kube::{ResourceExt as _, core::ObjectMeta};
use serde_json::{Map, Value, json};

use super::{
    ApiState, FORMER, Needs, OtherOwner, RegisterMode, RegistrationState, TAKE_OVER, UNNEEDED_SINCE,
    WITHDRAW_AFTER,
    action::{Action, identity, patch_of},
    give_back::give_back,
    ownership::{Install, Ours, Ownership},
};
use crate::{
    controller::{MANAGED_BY, MANAGER, single::Observed},
    metrics_api::{ApiVersion, GROUP_PRIORITY_MINIMUM, MetricsApi, PerApi, PerVersion},
    pki,
};

/// The `caBundle` to write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bundle<'a> {
    /// There will be one.
    Pending,
    /// This one, in PEM.
    Is(&'a [u8]),
    /// None.
    LeaveAlone,
}

/// All that a decision is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub(super) mode: RegisterMode,
    pub(super) needs: &'a Needs,
    pub(super) ours: Ours<'a>,
    pub(super) bundle: Bundle<'a>,
    pub(super) observed: &'a PerVersion<Observed<APIService>>,
}

// === impl View ===

impl<'a> View<'a> {
    fn wants(&self, api: MetricsApi) -> bool {
        match self.mode {
            RegisterMode::Auto => self.needs.apis.contains(&api),
            RegisterMode::Always => true,
            RegisterMode::Never => false,
        }
    }

    fn members(&self, api: MetricsApi, install: Option<&Install>) -> Vec<(ApiVersion, Ownership<'a>)> {
        let is = |version| Ownership::of(&self.observed[version], self.ours, install);
        api.versions()
            .iter()
            .map(|version| (*version, is(*version)))
            .collect()
    }

    /// What to write, with the install as just read.
    pub(super) fn actions(&self, install: &Install, now: Timestamp) -> Vec<Action> {
        if self.mode == RegisterMode::Never {
            return Vec::new();
        }
        let apis = MetricsApi::ALL.into_iter();
        apis.flat_map(|api| self.actions_of(api, install, now)).collect()
    }

    fn actions_of(&self, api: MetricsApi, install: &Install, now: Timestamp) -> Vec<Action> {
        let members = self.members(api, Some(install));
        if members.iter().any(|(_, is)| matches!(is, Ownership::Unknown)) {
            return Vec::new();
        }
        if let Some(writes) = give_back(&members, self.ours) {
            return writes;
        }
        let wanted = self.wants(api);
        let free = !members.iter().any(|(_, is)| matches!(is, Ownership::Foreign(_)));
        let may_make = wanted && free && !matches!(self.bundle, Bundle::Pending);
        let withdraw = !wanted && self.needs.synced && unneeded_long(&members, now);
        members
            .into_iter()
            .filter_map(|(member, is)| match is {
                Ownership::Absent if may_make => {
                    Some(Action::Create(member, Box::new(self.wanted(member, install))))
                }
                Ownership::Given(object) if may_make => Some(Action::Patch(
                    member,
                    "taken over",
                    self.take(member, object, install),
                )),
                Ownership::Managed(object) if withdraw => {
                    let (uid, version) = identity(object);
                    Some(Action::Delete(member, uid, version))
                }
                Ownership::Managed(object) => self
                    .drift(member, object, install, wanted, now)
                    .map(|patch| Action::Patch(member, "corrected", patch)),
                Ownership::Adopted(object) => self
                    .missing_bundle(object)
                    .map(|patch| Action::Patch(member, "updated with the operator's CA", patch)),
                Ownership::Absent
                | Ownership::Given(_)
                | Ownership::Unknown
                | Ownership::Leaving
                | Ownership::Foreign(_) => None,
            })
            .collect()
    }

    fn wanted(&self, member: ApiVersion, install: &Install) -> APIService {
        APIService {
            metadata: ObjectMeta {
                name: Some(member.api_service().to_owned()),
                labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
                owner_references: install.owner.clone().map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(self.wanted_spec(member, install)),
            status: None,
        }
    }

    fn wanted_spec(&self, member: ApiVersion, install: &Install) -> APIServiceSpec {
        APIServiceSpec {
            ca_bundle: match self.bundle {
                Bundle::Is(bundle) => Some(ByteString(bundle.to_vec())),
                Bundle::Pending | Bundle::LeaveAlone => None,
            },
            group: Some(member.api().group().to_owned()),
            group_priority_minimum: GROUP_PRIORITY_MINIMUM,
            insecure_skip_tls_verify: None,
            service: Some(ServiceReference {
                name: Some(self.ours.service.to_owned()),
                namespace: Some(self.ours.namespace.to_owned()),
                port: Some(install.port),
            }),
            version: Some(member.version().to_owned()),
            version_priority: member.priority(),
        }
    }

    /// The patch that makes another's `APIService` ours, and keeps what it was.
    fn take(&self, member: ApiVersion, object: &APIService, install: &Install) -> Value {
        let former = json!({
            "spec": object.spec,
            "labels": object.metadata.labels,
            "ownerReferences": object.metadata.owner_references,
        });
        let mut spec = json!(self.wanted_spec(member, install));
        if matches!(self.bundle, Bundle::Is(_)) {
            // The API allows only one of the two.
            spec["insecureSkipTLSVerify"] = Value::Null;
        }
        let mut patch = patch_of(object);
        patch["metadata"]["labels"] = json!({MANAGED_BY: MANAGER});
        patch["metadata"]["annotations"] = json!({TAKE_OVER: null, FORMER: former.to_string()});
        patch["metadata"]["ownerReferences"] = json!(install.owner.iter().collect::<Vec<_>>());
        patch["spec"] = spec;
        patch
    }

    /// The patch that brings a managed `APIService` to what it should be, if it is not.
    fn drift(
        &self,
        member: ApiVersion,
        object: &APIService,
        install: &Install,
        wanted: bool,
        now: Timestamp,
    ) -> Option<Value> {
        let is = object.spec.clone().unwrap_or_default();
        let should = self.wanted_spec(member, install);
        let mut spec = Map::new();
        if is.service != should.service {
            spec.insert("service".into(), json!(should.service));
        }
        if is.group_priority_minimum != should.group_priority_minimum {
            spec.insert(
                "groupPriorityMinimum".into(),
                json!(should.group_priority_minimum),
            );
        }
        if is.version_priority != should.version_priority {
            spec.insert("versionPriority".into(), json!(should.version_priority));
        }
        if let Bundle::Is(bundle) = self.bundle {
            if is.insecure_skip_tls_verify == Some(true) {
                spec.insert("insecureSkipTLSVerify".into(), Value::Null);
            }
            if is.ca_bundle.as_ref().map(|is| is.0.as_slice()) != Some(bundle) {
                spec.insert("caBundle".into(), json!(should.ca_bundle));
            }
        }
        let mut metadata = Map::new();
        if let Some(owner) = &install.owner {
            // Exactly ours: another owner beside it would keep the object when we are uninstalled.
            if object.owner_references() != std::slice::from_ref(owner) {
                metadata.insert("ownerReferences".into(), json!([owner]));
            }
        }
        let stamp = object.annotations().get(UNNEEDED_SINCE);
        if wanted {
            if stamp.is_some() {
                metadata.insert("annotations".into(), json!({UNNEEDED_SINCE: null}));
            }
        } else if self.needs.synced && unneeded_since(object, now).is_none() {
            metadata.insert("annotations".into(), json!({UNNEEDED_SINCE: now.to_string()}));
        }
        if spec.is_empty() && metadata.is_empty() {
            return None;
        }
        let mut patch = patch_of(object);
        for (name, value) in metadata {
            patch["metadata"][name] = value;
        }
        if !spec.is_empty() {
            patch["spec"] = Value::Object(spec);
        }
        Some(patch)
    }

    /// The patch that lets kube-apiserver verify us through somebody else's `APIService`, if it cannot.
    fn missing_bundle(&self, object: &APIService) -> Option<Value> {
        let Bundle::Is(bundle) = self.bundle else {
            return None;
        };
        let spec = object.spec.as_ref()?;
        let verifies = spec.insecure_skip_tls_verify == Some(true)
            || spec
                .ca_bundle
                .as_ref()
                .is_some_and(|there| pki::carries(&there.0, bundle));
        (!verifies).then(|| {
            let mut patch = patch_of(object);
            patch["spec"] = json!({"caBundle": ByteString(bundle.to_vec())});
            patch
        })
    }

    /// How things stand. `trouble`: why the last write, or what precedes it, failed.
    pub(super) fn states(&self, trouble: Option<&str>) -> RegistrationState {
        RegistrationState {
            apis: PerApi::of(|api| self.state_of(api, trouble)),
            verified_by: self.verified_by(),
        }
    }

    fn state_of(&self, api: MetricsApi, trouble: Option<&str>) -> ApiState {
        let members = self.members(api, None);
        if self.mode == RegisterMode::Never {
            return ApiState::NotManaged;
        }
        if !self.wants(api) {
            return if self.needs.synced {
                ApiState::NotNeeded
            } else {
                ApiState::Pending
            };
        }
        for (member, is) in &members {
            if let Ownership::Foreign(object) = is {
                return ApiState::OwnedByOther(self.other(*member, object));
            }
        }
        let unavailable = |message: String| ApiState::Unavailable { message };
        let mut pending = false;
        for (member, is) in members {
            match is {
                Ownership::Managed(object) | Ownership::Adopted(object) => match available(object) {
                    Some(Ok(())) => {}
                    Some(Err(why)) => {
                        return unavailable(format!(
                            "kube-apiserver cannot reach {}: {why}",
                            member.api_service()
                        ));
                    }
                    None => pending = true,
                },
                _ => match trouble {
                    Some(trouble) => {
                        return unavailable(format!("{} is not registered: {trouble}", member.api_service()));
                    }
                    None => pending = true,
                },
            }
        }
        if pending {
            ApiState::Pending
        } else {
            ApiState::Registered
        }
    }

    fn verified_by(&self) -> BTreeMap<ApiVersion, Arc<[u8]>> {
        let bundle = |member: &ApiVersion| {
            let (Ownership::Managed(object) | Ownership::Adopted(object)) =
                Ownership::of(&self.observed[*member], self.ours, None)
            else {
                return None;
            };
            let spec = object.spec.as_ref()?;
            let bundle = spec
                .ca_bundle
                .as_ref()
                .map_or(&[][..], |bundle| bundle.0.as_slice());
            (spec.insecure_skip_tls_verify != Some(true)).then(|| (*member, bundle.into()))
        };
        ApiVersion::ALL.iter().filter_map(bundle).collect()
    }

    fn other(&self, member: ApiVersion, object: &APIService) -> OtherOwner {
        let service = object.spec.as_ref().and_then(|spec| spec.service.clone());
        OtherOwner {
            api_service: member.api_service(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            service: service.map(|service| {
                (
                    service.namespace.unwrap_or_default(),
                    service.name.unwrap_or_default(),
                )
            }),
            ours: (self.ours.namespace.to_owned(), self.ours.service.to_owned()),
        }
    }

    /// Whether every `APIService` that points to us carries `bundle`; `None` while one of them is not known.
    pub(super) fn carry(&self, bundle: &[u8]) -> Option<bool> {
        let mut all = true;
        for (_, observed) in self.observed.iter() {
            match Ownership::of(observed, self.ours, None) {
                Ownership::Unknown => return None,
                Ownership::Managed(object) | Ownership::Adopted(object) => {
                    let spec = object.spec.as_ref();
                    all &= spec.is_some_and(|spec| {
                        spec.insecure_skip_tls_verify == Some(true)
                            || spec
                                .ca_bundle
                                .as_ref()
                                .is_some_and(|there| pki::carries(&there.0, bundle))
                    });
                }
                _ => {}
            }
        }
        Some(all)
    }
}

/// The stamp, unless it is garbled or lies in the future.
fn unneeded_since(object: &APIService, now: Timestamp) -> Option<Timestamp> {
    let stamp: Timestamp = object.annotations().get(UNNEEDED_SINCE)?.parse().ok()?;
    (stamp <= now).then_some(stamp)
}

/// Whether all managed ones have been unneeded for long enough.
fn unneeded_long(members: &[(ApiVersion, Ownership<'_>)], now: Timestamp) -> bool {
    members.iter().all(|(_, is)| match is {
        Ownership::Managed(object) => {
            unneeded_since(object, now).is_some_and(|since| now.duration_since(since) >= WITHDRAW_AFTER)
        }
        _ => true,
    })
}

/// What kube-apiserver's own check says (`Available`); `None` where it has not said.
fn available(object: &APIService) -> Option<Result<(), String>> {
    let conditions = object.status.as_ref()?.conditions.as_ref()?;
    let available = conditions
        .iter()
        .find(|condition| condition.type_ == "Available")?;
    match available.status.as_str() {
        "True" => Some(Ok(())),
        "False" => {
            let reason = available.reason.as_deref().unwrap_or("no reason given");
            Some(Err(match available.message.as_deref() {
                Some(message) if !message.is_empty() => format!("{reason}: {message}"),
                _ => reason.to_owned(),
            }))
        }
        _ => None,
    }
}
