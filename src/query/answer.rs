//! The reply before it has a wire format.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use language::quantity::Milli;

use super::Failure;
use crate::{reason::Reason, sample::Labels};

/// The values of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<Item> {
    /// Sorted, one for each object.
    pub items: Vec<Item>,
    /// The time that each value covers, where it is known.
    pub window: Option<Duration>,
}

/// The values of either API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items {
    /// Of objects.
    Custom(Vec<CustomItem>),
    /// Of an external metric.
    External(Vec<ExternalItem>),
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

// === impl Items ===

impl Items {
    /// The values of objects.
    ///
    /// # Errors
    ///
    /// `Internal` for those of an external metric.
    pub fn custom(self) -> Result<Vec<CustomItem>, Failure> {
        match self {
            Self::Custom(items) => Ok(items),
            Self::External(_) => Err(Failure::new(Reason::Internal, "the values describe no objects")),
        }
    }

    /// The values of an external metric.
    ///
    /// # Errors
    ///
    /// `Internal` for those of objects.
    pub fn external(self) -> Result<Vec<ExternalItem>, Failure> {
        match self {
            Self::Custom(_) => Err(Failure::new(Reason::Internal, "the values describe objects")),
            Self::External(items) => Ok(items),
        }
    }
}
