//! Selectors, and the time that they read.

use super::{DurationExpr, Expr};
use crate::matcher::{MatchOp, Matcher, NAME_LABEL};
use crate::span::{Place, Span};

/// A selector of series: `name{label="value"} offset 5m`.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The name before the braces.
    pub name: Option<Name>,
    /// What stands in the braces. A string alone is a condition on the name.
    pub matchers: Vec<SelectorMatcher>,
    /// The time that it reads, and how.
    pub time: Time,
    /// The name and the braces.
    pub selector: Place,
    /// The whole, its time included. Of the selector of a range it ends before the bracket.
    pub place: Place,
}

/// The name of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// A condition of a selector. Patterns are valid RE2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorMatcher {
    /// The condition.
    pub matcher: Matcher,
    /// Where the string stands that is compared with.
    pub value: Place,
    /// The whole.
    pub place: Place,
}

/// A selector with a range: `a[5m]`.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// The selector, with the time that stands behind the range.
    pub selector: VectorSelector,
    /// The range.
    pub range: DurationExpr,
    /// The brackets.
    pub window: Place,
    /// The whole.
    pub place: Place,
}

/// A query that is asked at several times: `a[5m:1m]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    /// The query.
    pub inner: Box<Expr>,
    /// The range.
    pub range: DurationExpr,
    /// The step; without one the server's default is used.
    pub step: Option<DurationExpr>,
    /// The time that the range ends at. It is never extended.
    pub time: Time,
    /// The brackets.
    pub window: Place,
    /// The whole.
    pub place: Place,
}

/// The time that a selector reads, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Time {
    /// `@ …`
    pub at: Option<At>,
    /// `offset …`; one of 0 says nothing and is left out.
    pub offset: Option<Offset>,
    /// `anchored` or `smoothed`
    pub extended: Option<Extended>,
}

/// `@ …`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The time.
    pub when: When,
    /// The whole.
    pub place: Place,
}

/// A fixed time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Milliseconds since 1970; negative before.
    Milliseconds(i64),
    /// `start()`: where a range query starts.
    Start,
    /// `end()`: where it ends.
    End,
}

/// `offset …`
#[derive(Clone, Debug, PartialEq)]
pub struct Offset {
    /// How far back.
    pub by: DurationExpr,
    /// The whole.
    pub place: Place,
}

/// How a range is extended to its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extended {
    /// `anchored`
    Anchored,
    /// `smoothed`
    Smoothed,
}

// === impl VectorSelector ===

impl VectorSelector {
    /// All conditions, that of the name before the braces among them, first.
    pub fn conditions(&self) -> impl Iterator<Item = Matcher> + '_ {
        let name = self
            .name
            .iter()
            .map(|name| Matcher::equal(NAME_LABEL, &*name.text));
        name.chain(self.matchers.iter().map(|matcher| matcher.matcher.clone()))
    }

    /// The name of its series where `=` gives it, before the braces or in them; and the conditions besides.
    pub fn parts(&self) -> (Option<String>, Vec<Matcher>) {
        let mut matchers: Vec<Matcher> = self.matchers.iter().map(|m| m.matcher.clone()).collect();
        let is_name = |m: &Matcher| m.label == NAME_LABEL && m.op == MatchOp::Equal;
        let name = match &self.name {
            Some(name) => Some(name.text.clone()),
            None => matchers
                .iter()
                .position(is_name)
                .map(|index| matchers.remove(index).value),
        };
        (name, matchers)
    }

    /// Name and braces.
    pub fn span(&self) -> Span {
        self.selector.span()
    }
}

// === impl Extended ===

impl Extended {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anchored => "anchored",
            Self::Smoothed => "smoothed",
        }
    }
}
