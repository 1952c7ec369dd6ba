//! Lists of labels, and what stands around them.

use super::NumberLiteral;
use crate::span::Place;

/// A label of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name, unquoted.
    pub name: String,
    /// Where it stands, quotes included.
    pub place: Place,
}

/// The word before the labels of an aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    /// `by`
    By,
    /// `without`
    Without,
}

/// `by (…)` or `without (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// The word.
    pub clause: Clause,
    /// The labels.
    pub labels: Vec<Label>,
    /// The word and its list.
    pub place: Place,
}

/// How rows of two sides find each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matching {
    /// `on (…)` or `ignoring (…)`.
    pub labels: Option<MatchLabels>,
    /// `group_left` or `group_right`.
    pub group: Option<Group>,
    /// `fill`, `fill_left` and `fill_right`.
    pub fill: Fill,
}

/// `on (…)` or `ignoring (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchLabels {
    /// Whether it is `on`.
    pub on: bool,
    /// The labels.
    pub labels: Vec<Label>,
    /// The word and its list.
    pub place: Place,
}

/// `group_left (…)` or `group_right (…)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The side with many rows for one of the other.
    pub many: Side,
    /// The labels that are taken from the other side.
    pub labels: Vec<Label>,
    /// The word, and its list where there is one.
    pub place: Place,
}

/// A side of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// The values that stand for rows which a side does not have. `fill(x)` is both.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fill {
    /// For the left side.
    pub left: Option<NumberLiteral>,
    /// For the right side.
    pub right: Option<NumberLiteral>,
}

// === impl Clause ===

impl Clause {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::By => "by",
            Self::Without => "without",
        }
    }
}

// === impl Grouping ===

impl Grouping {
    /// Whether rows keep the label: `by` lists it, or `without` does not.
    pub fn keeps(&self, label: &str) -> bool {
        has(&self.labels, label) == (self.clause == Clause::By)
    }
}

// === impl MatchLabels ===

impl MatchLabels {
    /// Whether rows of both sides have to have equal values of the label.
    pub fn compares(&self, label: &str) -> bool {
        has(&self.labels, label) == self.on
    }
}

// === impl Group ===

impl Group {
    /// Whether rows take the label from the side with one row.
    pub fn takes(&self, label: &str) -> bool {
        has(&self.labels, label)
    }
}

// === impl Fill ===

impl Fill {
    /// Whether neither side has a value.
    pub const fn is_empty(&self) -> bool {
        self.left.is_none() && self.right.is_none()
    }
}

fn has(labels: &[Label], name: &str) -> bool {
    labels.iter().any(|label| label.name == name)
}
