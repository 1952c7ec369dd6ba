//! Ownership of an `APIService`.

use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::OwnerReference,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::ResourceExt as _;

use super::TAKE_OVER;
use crate::controller::{MANAGED_BY, MANAGER, single::Observed};

/// What must be there for anything to be written, as just read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Install {
    /// The uid of our Service.
    pub(super) service_uid: String,
    /// Its port named `https`.
    pub(super) port: i32,
    /// The install's `ClusterRole`; `None` where none is configured.
    pub(super) owner: Option<OwnerReference>,
}

/// Namespace and name of our Service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours<'a> {
    pub(super) namespace: &'a str,
    pub(super) service: &'a str,
}

/// One `APIService`, judged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ownership<'a> {
    /// Not listed yet, or not to be read.
    Unknown,
    /// There is none.
    Absent,
    /// Ours, and on its way out: there will be none.
    Leaving,
    /// Ours to keep and to withdraw.
    Managed(&'a APIService),
    /// Points to us, but somebody else made it.
    Adopted(&'a APIService),
    /// Another's, who does not give it.
    Foreign(&'a APIService),
    /// Another's, given to us.
    Given(&'a APIService),
}

// === impl Ownership ===

impl<'a> Ownership<'a> {
    /// `install`: as just read; without it nothing counts as given.
    pub(super) fn of(observed: &'a Observed<APIService>, ours: Ours<'_>, install: Option<&Install>) -> Self {
        let object = match observed {
            Observed::Unknown | Observed::Undecodable(_) => return Self::Unknown,
            Observed::Absent => return Self::Absent,
            Observed::Present(object) => &**object,
        };
        if points_to(object, ours) {
            return match object {
                object if object.metadata.deletion_timestamp.is_some() => Self::Leaving,
                object if object.labels().get(MANAGED_BY).map(String::as_str) == Some(MANAGER) => {
                    Self::Managed(object)
                }
                object => Self::Adopted(object),
            };
        }
        let given = object.annotations().get(TAKE_OVER);
        let given = given.is_some_and(|uid| install.is_some_and(|install| install.service_uid == *uid));
        if given && object.metadata.deletion_timestamp.is_none() {
            Self::Given(object)
        } else {
            Self::Foreign(object)
        }
    }
}

fn points_to(object: &APIService, ours: Ours<'_>) -> bool {
    object
        .spec
        .as_ref()
        .and_then(|spec| spec.service.as_ref())
        .is_some_and(|service| {
            service.namespace.as_deref() == Some(ours.namespace)
                && service.name.as_deref() == Some(ours.service)
        })
}
