//! What a backend answers with: labelled samples and series, free of any backend's wire format.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;

/// The label that holds a series' name in a Prometheus label set.
pub const NAME_LABEL: &str = "__name__";

/// A label set, ordered by label name, so that two equal sets compare and print alike on every replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(BTreeMap<String, String>);

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

/// The series that a selector matches, `__name__` included, sorted and without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesSet {
    series: Vec<Labels>,
}

// === impl Labels ===

impl Labels {
    /// The value of `name`; a label with an empty value counts as absent, as in Prometheus.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The series' name, where the set has one.
    pub fn name(&self) -> Option<&str> {
        self.get(NAME_LABEL)
    }

    /// All labels, ordered by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is no label at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The set without the label `name`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(labels: BTreeMap<String, String>) -> Self {
        Self(labels)
    }
}

impl From<Labels> for BTreeMap<String, String> {
    fn from(labels: Labels) -> Self {
        labels.0
    }
}

/// Prints `{a="1",b="2"}` for logs and messages; not meant to be parsed.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

// === impl InstantVector ===

impl InstantVector {
    /// The rows ordered by their labels, so that "the first row" means the same on every replica.
    pub fn by_labels(&self) -> Vec<&Sample> {
        let mut samples: Vec<&Sample> = self.samples.iter().collect();
        samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        samples
    }
}

// === impl SeriesSet ===

impl SeriesSet {
    /// The series, ordered by their labels.
    pub fn iter(&self) -> impl Iterator<Item = &Labels> {
        self.series.iter()
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether the selector matched nothing.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

impl FromIterator<Labels> for SeriesSet {
    fn from_iter<I: IntoIterator<Item = Labels>>(series: I) -> Self {
        let mut series: Vec<_> = series.into_iter().collect();
        series.sort_unstable();
        series.dedup();
        Self { series }
    }
}
