//! The rows of an answer: which belong to it, what their numbers are worth, and the verdict on each.

use jiff::{SignedDuration, Timestamp};
use language::quantity::{Milli, Rounded};

use super::sum::Addend;
use crate::{
    api::rule_spec::NegativePolicy,
    query::{Plan, RowVerdict, Tally},
    reason::Reason,
    sample::{InstantVector, Sample},
};

/// A row this much older than the evaluation is no answer to it.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(5);

/// The rows of an answer, and what is found about them.
pub(super) struct Rows<'a> {
    pub(super) plan: &'a Plan,
    pub(super) answer: &'a InstantVector,
    /// The instant of the evaluation.
    pub(super) at: Timestamp,
    /// One for each row of the answer.
    pub(super) verdicts: Vec<RowVerdict>,
    pub(super) warnings: Vec<String>,
}

/// A row that belongs to the answer, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Row<'a, T> {
    /// Its place in the answer.
    pub(super) index: usize,
    pub(super) sample: &'a Sample,
    pub(super) of: T,
}

/// A row with a number.
pub(super) struct Valued<'a, T> {
    pub(super) row: Row<'a, T>,
    pub(super) addend: Addend,
}

// === impl Rows ===

impl<'a> Rows<'a> {
    pub(super) fn new(plan: &'a Plan, answer: &'a InstantVector, at: Timestamp) -> Self {
        Self {
            plan,
            answer,
            at,
            verdicts: vec![RowVerdict::default(); answer.samples.len()],
            warnings: answer.warnings.clone(),
        }
    }

    /// Drops the rows that do not belong to the answer, and those that `whose` does not know. The others come in the order that
    /// decides: of their labels, or for prometheus-adapter's rules of the answer.
    pub(super) fn own<T>(&mut self, whose: impl Fn(&Sample) -> Result<T, Reason>) -> Vec<Row<'a, T>> {
        let rows = if self.plan.served.rule.like_adapter() {
            self.answer.samples.iter().enumerate().collect()
        } else {
            self.answer.by_labels()
        };
        let mut foreign = 0;
        let mut own = Vec::with_capacity(rows.len());
        for (index, sample) in rows {
            let checked = self.check(sample);
            match checked.and_then(|is_foreign| Ok((is_foreign, whose(sample)?))) {
                Ok((is_foreign, of)) => {
                    foreign += u64::from(is_foreign);
                    own.push(Row { index, sample, of });
                }
                Err(reason) => self.drop(index, reason),
            }
        }
        if foreign > 0 {
            self.warnings.push(format!(
                "{foreign} rows belong to another namespace than the request's, and are served anyway, as in \
                 prometheus-adapter: check that the query keeps <<.LabelMatchers>>"
            ));
        }
        own
    }

    /// What the rows are worth, where numbers below 0 are dealt with by `negative`, without those that are worth nothing; and the
    /// reason of the first whose number is refused.
    pub(super) fn values<T>(
        &mut self,
        rows: Vec<Row<'a, T>>,
        negative: NegativePolicy,
    ) -> (Vec<Valued<'a, T>>, Option<Reason>) {
        let mut refused = None;
        let mut values = Vec::with_capacity(rows.len());
        for row in rows {
            if row.sample.value < 0.0
                && let Some(verdict) = self.verdicts.get_mut(row.index)
            {
                verdict.negative = true;
            }
            match self.value(row.sample, negative) {
                Ok(addend) => values.push(Valued { row, addend }),
                Err(reason) => {
                    self.drop(row.index, reason);
                    if reason != Reason::NoData {
                        refused.get_or_insert(reason);
                    }
                }
            }
        }
        (values, refused)
    }

    /// Notes that a row gives no value.
    pub(super) fn drop(&mut self, index: usize, reason: Reason) {
        if let Some(verdict) = self.verdicts.get_mut(index) {
            verdict.dropped = Some(reason);
        }
    }

    /// Notes which of the values that are served are cut.
    pub(super) fn clamp<T>(&mut self, served: &[Valued<'_, T>]) {
        for value in served {
            if let Some(verdict) = self.verdicts.get_mut(value.row.index) {
                verdict.clamped = value.addend.clamped;
            }
        }
    }

    /// The verdicts added up.
    pub(super) fn tally(&self) -> Tally {
        self.verdicts.iter().collect()
    }

    /// A row that says its namespace must say the right one, and must not be old. A `ClusterMetricRule` in prometheus-adapter's
    /// semantics lets rows of other namespaces pass, which is what is given, and rows of any age.
    fn check(&self, row: &Sample) -> Result<bool, Reason> {
        let plan = self.plan;
        let rule = &plan.served.rule;
        let like_adapter = rule.like_adapter();
        let label = plan.namespace_label.as_deref();
        let named = label.and_then(|label| row.labels.get(label));
        let is_foreign = named
            .zip(plan.namespace.as_deref())
            .is_some_and(|(named, namespace)| named != namespace);
        if is_foreign && (!like_adapter || rule.is_namespaced()) {
            return Err(Reason::ForeignNamespace);
        }
        if !like_adapter && self.at.duration_since(row.timestamp) > STALE_AFTER {
            return Err(Reason::StaleRow);
        }
        Ok(is_foreign)
    }

    /// What the number of a row is worth: nothing if it is NaN (`NoData`), and it is refused if it is ±Inf (`NotFinite`) or, as
    /// `negative` says, below 0 (`NegativeValue`).
    fn value(&self, row: &Sample, negative: NegativePolicy) -> Result<Addend, Reason> {
        let like_adapter = self.plan.served.rule.like_adapter();
        if row.value.is_nan() {
            // `metricFor`, `pkg/custom-provider/provider.go`; what it makes of an external NaN depends on the processor.
            return if like_adapter && self.plan.subject.is_some() {
                Ok(Addend {
                    milli: Milli::ZERO,
                    clamped: false,
                })
            } else {
                Err(Reason::NoData)
            };
        }
        let number = match negative {
            NegativePolicy::Error if row.value < 0.0 => return Err(Reason::NegativeValue),
            NegativePolicy::Zero if row.value < 0.0 => 0.0,
            _ => row.value,
        };
        // −Inf is no negative number that may become 0: it is as broken as +Inf.
        if row.value.is_infinite() {
            return Err(Reason::NotFinite);
        }
        let milli = if like_adapter {
            Milli::truncate_f64(number)
        } else {
            Milli::from_f64(number)
        };
        match milli {
            Ok(Rounded { milli, clamped }) => Ok(Addend { milli, clamped }),
            Err(_) => Err(Reason::NotFinite),
        }
    }
}
