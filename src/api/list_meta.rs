//! List metadata: the parts that the lists of the metrics APIs share.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use language::selector::{LabelSelectorParts, Selector, UnsupportedOperator};

/// `metav1.ListMeta` of a list that is complete: always `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ListMeta {}

/// `metav1.Time`: UTC, whole seconds, `2026-01-02T02:04:05Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Timestamp);

/// `metav1.LabelSelector` as a reply repeats it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    match_labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    match_expressions: Vec<LabelSelectorRequirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct LabelSelectorRequirement {
    key: String,
    operator: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

// === impl Time ===

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The seconds of a timestamp are always in range.
        let seconds = Timestamp::from_second(self.0.as_second()).unwrap_or(self.0);
        serializer.collect_str(&seconds)
    }
}

// === impl LabelSelector ===

impl LabelSelector {
    /// The selector of a request; `None` for the one that selects everything, which a reply writes as `null`.
    ///
    /// # Errors
    ///
    /// `>` and `<`, which a `metav1.LabelSelector` cannot say.
    pub fn of(selector: &Selector) -> Result<Option<Self>, UnsupportedOperator> {
        if selector.is_empty() {
            return Ok(None);
        }
        let LabelSelectorParts {
            match_labels,
            match_expressions,
        } = selector.to_label_selector_parts()?;
        let match_expressions = match_expressions
            .into_iter()
            .map(|expression| LabelSelectorRequirement {
                key: expression.key,
                operator: expression.operator.as_str(),
                values: expression.values,
            })
            .collect();
        Ok(Some(Self {
            match_labels,
            match_expressions,
        }))
    }
}
