//! Record of claims: what each rule claimed at the last good listing of its series, as the cluster keeps it.
//!
//! The leader alone writes it, into one object; all replicas decide by it. So a claim outlives a broken spec, a backend that is
//! gone, a listing that fails and a replica that starts: nothing but a good listing, or the end of its rule, ends it.

mod advance;
mod codec;
mod share;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use sha2::{Digest as _, Sha256};

pub use self::{
    advance::{Advanced, advance},
    codec::{PACKED_MAX, RecordError, UNPACKED_MAX, VERSION, pack, unpack},
    share::{Shared, share},
};
use super::{Metric, Subject};
use crate::{
    api::metric_rule::RuleKey,
    resource::GroupResource,
    rule::{CompiledRule, naming::Source},
};

/// Every rule's recorded claims, by the rule's UID.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// By UID.
    pub rules: BTreeMap<Arc<str>, Arc<RecordedRule>>,
    /// The namespaces (`None`: the `ClusterMetricRule`s) of which whole rules were left out for want of room; those are decided by
    /// what a replica itself has listed.
    pub crowded: BTreeSet<Option<String>>,
}

/// What is recorded of one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedRule {
    /// Namespace and name.
    pub key: RuleKey,
    /// The generation of the spec that was listed.
    pub generation: i64,
    /// What was listed.
    pub origin: Origin,
    /// Its `priority`; in force while the spec cannot be read.
    pub priority: i32,
    /// Its `namespaceSelector`; in force while the spec's own cannot be read.
    pub selector: Option<LabelSelector>,
    /// Its claims.
    pub claims: BTreeMap<ClaimKey, RecordedClaim>,
    /// Whether some claims were left out for want of room; those are decided by what a replica itself has listed.
    pub cut: bool,
}

/// What a claim is about: a kind of objects (none: an external metric), and the metric's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey {
    /// The kind.
    pub resource: Option<GroupResource>,
    /// As requests name it.
    pub name: Arc<str>,
}

/// A claim, with what its query is made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedClaim {
    /// The series; empty for a static rule.
    pub series: Arc<str>,
    /// The label that holds an object's name; empty for an external metric.
    pub label: Arc<str>,
    /// Since when its series are gone, in Unix seconds; none while the last good listing had them.
    pub idle_since: Option<i64>,
}

/// Which backend was asked for which series, as a digest: equal only where the same was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(pub u64);

/// The record as a replica has it.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The claims.
    pub record: Arc<Record>,
    /// Whose word it is.
    pub source: RecordSource,
}

/// Whose word a record is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecordSource {
    /// Nothing was read yet.
    #[default]
    Unread,
    /// The cluster's: all replicas decide by it.
    Cluster,
    /// This replica's own, for there is no record that could be read: it decides by what it has listed.
    Own,
}

// === impl Record ===

impl Record {
    /// How many claims it holds.
    pub fn claims(&self) -> usize {
        self.rules.values().map(|rule| rule.claims.len()).sum()
    }
}

// === impl ClaimKey ===

impl ClaimKey {
    /// What `metric` is a claim of.
    pub fn of(metric: &Metric) -> Self {
        Self {
            resource: metric.resource().cloned(),
            name: metric.name.clone(),
        }
    }
}

// === impl RecordedClaim ===

impl RecordedClaim {
    /// The claim of a metric whose series are there.
    pub fn of(metric: &Metric) -> Self {
        let label = match &metric.subject {
            Subject::Object { label, .. } => label.clone(),
            Subject::External => "".into(),
        };
        Self {
            series: metric.series.clone(),
            label,
            idle_since: None,
        }
    }
}

// === impl Origin ===

impl Origin {
    /// What is listed for `rule`; `None` where that is not known. The backend counts by its name: one that is deleted and
    /// created again ends no claim.
    pub fn of(rule: &CompiledRule) -> Option<Self> {
        let mut digest = Sha256::new();
        match &rule.naming.as_ref()?.source {
            Source::Static { .. } => digest.update("static"),
            Source::Series { listed, .. } => {
                digest.update(rule.backend.as_ref().ok()?.name.as_bytes());
                digest.update([0]);
                digest.update(listed.as_bytes());
            }
        }
        let mut bytes = [0; 8];
        for (byte, digested) in bytes.iter_mut().zip(digest.finalize()) {
            *byte = digested;
        }
        Some(Self(u64::from_be_bytes(bytes)))
    }
}

// === impl Recorded ===

impl Recorded {
    /// Nothing recorded, and nobody who would: what a replica has listed decides.
    pub fn nothing() -> Self {
        Self {
            record: Arc::default(),
            source: RecordSource::Own,
        }
    }
}
