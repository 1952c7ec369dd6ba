//! The reply before it has a wire format.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use language::quantity::Milli;

use crate::{reason::Reason, sample::Labels};

/// The values of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<Item> {
    /// Sorted, one for each object.
    pub items: Vec<Item>,
    /// The time that each value covers, where it is known.
    pub window: Option<Duration>,
    /// What was set right or left out on the way.
    pub tally: Tally,
    /// What the platform's log should say about the rule, in words.
    pub warnings: Vec<String>,
}

/// Counts for the operator's own metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows left out, by reason.
    pub dropped: BTreeMap<Reason, u64>,
    /// Values cut to what a quantity can carry.
    pub clamped: u64,
    /// Values below 0, whatever the rule makes of them.
    pub negative: u64,
}

/// The value of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomItem {
    /// The object's kind, for example `Pod`.
    pub kind: Arc<str>,
    /// Its group and version as reference adapters write them: `apps/v1`, and `/v1` for the core group.
    pub api_version: Arc<str>,
    /// Its namespace; `None` for cluster-scoped kinds.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
    /// The value.
    pub value: Milli,
    /// When the query that gave the value was evaluated.
    pub timestamp: Timestamp,
}

/// One value of an external metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalItem {
    /// The row's labels; `None` of a scalar, by prometheus-adapter's semantics.
    pub labels: Option<Labels>,
    /// The value.
    pub value: Milli,
    /// When the query that gave the value was evaluated.
    pub timestamp: Timestamp,
}

// === impl Tally ===

impl Tally {
    pub(super) fn drop_rows(&mut self, reason: Reason, rows: u64) {
        *self.dropped.entry(reason).or_default() += rows;
    }
}
