//! Writes the statuses that should be, where they differ from those that are: the leader alone, by server-side apply.
//!
//! What costs nothing at rest: a status is compared before it is written, `lastTransitionTime` moves only when a
//! condition's status does, and what was just written counts as seen until the watch brings it back.
//!
//! What happened to one object is written at once. Counts that drift without any condition changing (a relist found three
//! series more) are written at most once a minute per object, and [`MINOR_PER_MINUTE`] times a minute in all, those first
//! that have waited longest: in a cluster with rollouts they drift everywhere and always. What a backend or the
//! registration does to all rules at a time follows at [`FOLLOWING_PER_SECOND`]: the `MetricBackend` or the `APIService` says
//! it at once.

mod merge;
mod notice;
mod pace;
mod writer;

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::ApiResource;
use serde_json::Value;

use super::Term;
use crate::api::{ClusterMetricRule, MetricBackend, MetricRule};

pub use self::{
    merge::{Change, Merged, Transition, merge, merge_conditions},
    writer::StatusWriter,
};

/// How many statuses are written at a time.
pub const CONCURRENCY: usize = 8;

/// How long a status whose conditions stay as they are waits after the last write of the same object.
pub const MINOR_INTERVAL: Duration = Duration::from_mins(1);

/// How many statuses whose conditions stay as they are are written in a minute, whatever the number of objects; a burst of
/// [`MINOR_BURST`] comes on top where nothing was written before.
pub const MINOR_PER_MINUTE: u32 = 40;

/// See [`MINOR_PER_MINUTE`].
pub const MINOR_BURST: u32 = 8;

/// How many rules a second follow what has befallen all rules of a backend or of an API, after a burst of
/// [`FOLLOWING_BURST`].
pub const FOLLOWING_PER_SECOND: u32 = 1;

/// See [`FOLLOWING_PER_SECOND`].
pub const FOLLOWING_BURST: u32 = 20;

/// How many Events tell of that, rule by rule, in a burst; afterwards one a minute. The `MetricBackend` or the `APIService` has
/// its own, and an Event of something else must find its place.
pub const FOLLOWING_EVENTS: u32 = 5;

/// A kind that has a status of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StatusKind {
    /// `MetricRule`.
    MetricRule,
    /// `ClusterMetricRule`.
    ClusterMetricRule,
    /// `MetricBackend`.
    MetricBackend,
}

/// An object that has a status of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusKey {
    /// Its kind.
    pub kind: StatusKind,
    /// Its namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
}

/// The status of one object: as the watch last brought it, and as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusTarget {
    /// `metadata.uid`: the status of an object that was deleted must not go to another of its name.
    pub uid: String,
    /// `metadata.resourceVersion` of the object that `observed` was read from.
    pub resource_version: String,
    /// `.status` as the watch last brought it.
    pub observed: Option<Value>,
    /// `.status` as it should be. Each condition's `lastTransitionTime`, and `lastError.time` where the reason is the
    /// observed one or no time is given, are set by the writer; anything may stand there.
    pub desired: Value,
    /// The term in which this was found out, where it is not to be written in another.
    pub term: Option<Term>,
}

/// All that should be written, by object. An object that is not in it is left alone. Publishing the same `Arc` again
/// costs nothing.
pub type StatusTargets = HashMap<StatusKey, Arc<StatusTarget>>;

// === impl StatusKind ===

impl StatusKind {
    fn is_rule(self) -> bool {
        matches!(self, Self::MetricRule | Self::ClusterMetricRule)
    }

    fn resource(self) -> ApiResource {
        match self {
            Self::MetricRule => ApiResource::erase::<MetricRule>(&()),
            Self::ClusterMetricRule => ApiResource::erase::<ClusterMetricRule>(&()),
            Self::MetricBackend => ApiResource::erase::<MetricBackend>(&()),
        }
    }
}

// === impl StatusKey ===

impl StatusKey {
    fn reference(&self, uid: &str) -> ObjectReference {
        let resource = self.kind.resource();
        ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            namespace: self.namespace.as_deref().map(Into::into),
            name: Some(self.name.to_string()),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        }
    }
}

impl std::fmt::Display for StatusKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests;
