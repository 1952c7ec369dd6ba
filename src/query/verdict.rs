//! Verdicts on rows: what became of each row of an answer, and the counts that are made of that.

use std::collections::BTreeMap;

use crate::reason::Reason;

/// What became of one row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowVerdict {
    /// Why it gives no value; `None` where it gives one, or would if the request did not fail as a whole.
    pub dropped: Option<Reason>,
    /// Whether its number is below 0, whatever the rule makes of it. Rows that are dropped unread never are.
    pub negative: bool,
    /// Whether the value that is served is cut to what a quantity can carry.
    pub clamped: bool,
}

/// Counts for the operator's own metrics: the verdicts on the rows of an answer, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows left out, by reason.
    pub dropped: BTreeMap<Reason, u64>,
    /// Values cut to what a quantity can carry.
    pub clamped: u64,
    /// Values below 0, whatever the rule makes of them.
    pub negative: u64,
}

// === impl Tally ===

impl Tally {
    /// How many rows were left out for a reason.
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get(&reason).copied().unwrap_or(0)
    }
}

impl<'a> FromIterator<&'a RowVerdict> for Tally {
    fn from_iter<I: IntoIterator<Item = &'a RowVerdict>>(verdicts: I) -> Self {
        let mut tally = Self::default();
        for verdict in verdicts {
            if let Some(reason) = verdict.dropped {
                *tally.dropped.entry(reason).or_default() += 1;
            }
            tally.clamped += u64::from(verdict.clamped);
            tally.negative += u64::from(verdict.negative);
        }
        tally
    }
}
