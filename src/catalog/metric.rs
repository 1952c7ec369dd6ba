//! Metrics: what a rule makes of its series, and the counts behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    reason::Reason,
    resource::{GroupResource, ResourceInfo},
    rule::CompiledRule,
};

/// A metric that a rule makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// As requests name it.
    pub name: Arc<str>,
    /// The series that it is made from; empty for a static rule.
    pub series: Arc<str>,
    /// What it describes.
    pub subject: Subject,
}

/// What a metric describes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Objects of a kind.
    Object {
        /// The kind.
        resource: Arc<ResourceInfo>,
        /// The label that holds an object's name.
        label: Arc<str>,
    },
    /// Nothing in the cluster.
    External,
}

/// The metrics of one rule.
#[derive(Clone, Debug)]
pub struct RuleMetrics {
    /// The rule.
    pub rule: Arc<CompiledRule>,
    /// By name, then kind.
    pub metrics: Vec<Metric>,
    /// The counts behind them.
    pub discovered: Discovered,
    /// The names of series that a metric's name is made of, and that name no object.
    pub nobodys: BTreeSet<Arc<str>>,
}

/// What became of a rule's series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovered {
    /// Series that the selector matched.
    pub series: usize,
    /// Different metric names.
    pub metrics: usize,
    /// Series, or for `Duplicate` and `Truncated` names, that came to nothing.
    pub dropped: BTreeMap<Reason, usize>,
    /// At most ten: series, metric, group-resource.
    pub sample: Vec<(Arc<str>, Arc<str>, Option<GroupResource>)>,
}

// === impl Metric ===

impl Metric {
    /// The kind that it describes; `None` for an external metric.
    pub fn kind(&self) -> Option<&ResourceInfo> {
        match &self.subject {
            Subject::Object { resource, .. } => Some(resource),
            Subject::External => None,
        }
    }

    /// The name of that kind.
    pub fn resource(&self) -> Option<&GroupResource> {
        self.kind().map(|kind| &kind.group_resource)
    }
}
