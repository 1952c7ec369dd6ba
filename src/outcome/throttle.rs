//! Throttled backends: which ceiling of a `MetricBackend` holds queries up, and the value to set.
//!
//! Each replica has ceilings of its own, and any of them may be the one that kube-apiserver asks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Backends whose ceilings hold queries up, by name.
pub type Throttles = BTreeMap<String, Throttle>;

/// A ceiling that holds queries up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// The field of the `MetricBackend`'s spec: `limits.queriesPerSecond`.
    pub field: String,
    /// Its value.
    pub limit: u32,
    /// The value to set. Of two digits that count, so that it does not move with every period.
    pub wanted: u32,
}

// === impl Throttle ===

impl Throttle {
    /// The ceiling `field` of `limit`, with `wanted` rounded up.
    pub fn new(field: &str, limit: u32, wanted: u32) -> Self {
        Self {
            field: field.to_owned(),
            limit,
            wanted: rounded(wanted),
        }
    }

    /// The one of two that asks for more; of the same ceiling, the larger value.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if (other.urgency(), &other.field) > (self.urgency(), &self.field) {
            other
        } else {
            self
        }
    }

    /// What was said of the same ceiling before stays as long as it is enough: a value that follows each lull is no advice.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        match before {
            Some(before) if before.field == self.field && before.limit == self.limit => Self {
                wanted: self.wanted.max(before.wanted),
                ..self
            },
            _ => self,
        }
    }

    /// How many times the limit is wanted, in hundredths.
    fn urgency(&self) -> u64 {
        u64::from(self.wanted) * 100 / u64::from(self.limit.max(1))
    }
}

/// `limits.queriesPerSecond: 50 holds queries up; set it to 800 or more`
impl std::fmt::Display for Throttle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { field, limit, wanted } = self;
        write!(f, "{field}: {limit} delays queries; set it to {wanted} or more")
    }
}

/// Rounded up to two digits that count.
fn rounded(value: u32) -> u32 {
    let mut unit = 1;
    while value / unit >= 100 {
        unit *= 10;
    }
    value.div_ceil(unit).saturating_mul(unit)
}
