//! Samples: labelled values and series of a backend's answer, free of any backend's wire format.

mod series;

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;

pub use self::series::{Collector, Full, SeriesGroup, SeriesSet};

/// The label that holds a series' name in a Prometheus label set.
pub const NAME_LABEL: &str = "__name__";

/// A label set, ordered by label name, so that two equal sets compare and print alike on every replica. A clone is the
/// same set in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<[Label]>);

/// Rows share the names of their labels, and hold the values each for itself.
type Label = (Arc<str>, Box<str>);

/// One value of one series at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The labels of the row; an aggregation may have left none.
    pub labels: Labels,
    /// Any float, NaN and the infinities included: what they mean is the projection's to say.
    pub value: f64,
    /// The instant that the query was evaluated for.
    pub timestamp: Timestamp,
}

/// The rows of an instant query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstantVector {
    /// In the order of the backend's answer, which may differ from replica to replica of it.
    pub samples: Vec<Sample>,
    /// What the backend said beside the rows (Prometheus' `warnings` and `infos`).
    pub warnings: Vec<String>,
    /// Whether the answer is a number by itself; it is the value of the one sample, which has no labels.
    pub scalar: bool,
    /// Rows that the answer had and that hold no number: native histograms.
    pub histograms: u64,
    /// Whether the backend says that rows may be missing; the `MetricBackend` accepts such answers.
    pub partial: bool,
}

// === impl Labels ===

impl Labels {
    /// The value of `name`; a label with an empty value counts as absent, as in Prometheus.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(label, _)| (**label).cmp(name)).ok()?;
        self.0
            .get(at)
            .map(|(_, value)| &**value)
            .filter(|value| !value.is_empty())
    }

    /// The series' name, where the set has one.
    pub fn name(&self) -> Option<&str> {
        self.get(NAME_LABEL)
    }

    /// All labels, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set without the label `name`.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        if self.0.iter().all(|(label, _)| **label != *name) {
            return self;
        }
        let rest = self.0.iter().filter(|(label, _)| **label != *name);
        Self(rest.cloned().collect())
    }

    /// About its size in memory, in bytes, without the names, which are shared.
    pub fn weight(&self) -> usize {
        let values: usize = self.0.iter().map(|(_, value)| value.len()).sum();
        Self::cost(self.0.len(), values)
    }

    /// About the size in memory of a set of so many labels, whose values take so many bytes.
    pub const fn cost(labels: usize, values: usize) -> usize {
        // Each value is an allocation of its own.
        values + labels * (size_of::<Label>() + 16) + 32
    }
}

/// Of two labels of one name the later counts.
impl<K: Into<Arc<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        let mut labels: Vec<Label> = pairs.collect();
        if labels.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Self(labels.into());
        }
        // Stable, so that the later one stays the later.
        labels.sort_by(|(a, _), (b, _)| a.cmp(b));
        labels.reverse();
        labels.dedup_by(|(a, _), (b, _)| a == b);
        labels.reverse();
        Self(labels.into())
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Prints `{a="1",b="2"}` for logs and messages; not meant to be parsed.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

// === impl InstantVector ===

impl InstantVector {
    /// The rows ordered by their labels, so that "the first row" means the same on every replica; each with its place in the
    /// answer.
    pub fn by_labels(&self) -> Vec<(usize, &Sample)> {
        let mut samples: Vec<(usize, &Sample)> = self.samples.iter().enumerate().collect();
        samples.sort_by(|(_, a), (_, b)| a.labels.cmp(&b.labels));
        samples
    }

    /// About its size in memory, in bytes.
    pub fn weight(&self) -> usize {
        let rows = self
            .samples
            .iter()
            .map(|row| size_of_val(row) + row.labels.weight());
        let warnings = self
            .warnings
            .iter()
            .map(|warning| warning.len() + size_of::<String>());
        size_of::<Self>() + rows.sum::<usize>() + warnings.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_labels_of_one_name_the_later_counts_and_all_are_ordered() {
        let labels: Labels = [("b", "1"), ("a", "2"), ("b", "3"), ("c", ""), ("a", "4")]
            .into_iter()
            .collect();
        assert_eq!(labels.to_string(), r#"{a="4",b="3",c=""}"#);
        assert_eq!(
            (labels.get("b"), labels.get("c"), labels.get("d")),
            (Some("3"), None, None)
        );
        assert_eq!(labels.clone().without("b").to_string(), r#"{a="4",c=""}"#);
        assert_eq!(labels.clone().without("x"), labels);
    }
}
