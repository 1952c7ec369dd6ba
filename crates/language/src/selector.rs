//! Label selectors: the text form of `labelSelector=…`, matching, and the way to and from `metav1.LabelSelector`.
//!
//! Grammar, canonical form and error texts are those of `k8s.io/apimachinery/pkg/labels`, because clients and users
//! know them; that package is the oracle of the tests.

mod error;
mod label;
mod parse;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::quote;
pub use error::{FieldError, RequirementError, SelectorError};
pub use label::{is_label_key, is_label_value};

/// The longest text that is read as a selector, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Requirements that must all hold; none at all selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    /// Sorted by key; requirements on one key stay in the order in which they were written.
    pub requirements: Vec<Requirement>,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// A qualified name: `app`, `example.com/app`.
    pub key: String,
    /// How the label relates to the values.
    pub operator: Operator,
    /// Sorted, each once. None for `Exists` and `DoesNotExist`, at least one for `In` and `NotIn`, else exactly one.
    pub values: Vec<String>,
}

/// How a label relates to the values of its requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `key=value`
    Equals,
    /// `key==value`; the same as `=`, but the spelling is kept.
    DoubleEquals,
    /// `key!=value`; holds if the label is absent.
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`; holds if the label is absent.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>1`; both sides are 64-bit integers, a label that is none does not match.
    GreaterThan,
    /// `key<1`
    LessThan,
}

/// The two halves of a `metav1.LabelSelector`, free of its types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelectorParts {
    /// `matchLabels`
    pub match_labels: BTreeMap<String, String>,
    /// `matchExpressions`, sorted by key.
    pub match_expressions: Vec<Expression>,
}

/// One item of `matchExpressions`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expression {
    /// The label's key.
    pub key: String,
    /// The operator, as the API spells it.
    pub operator: ExpressionOperator,
    /// Sorted; none for `Exists` and `DoesNotExist`.
    pub values: Vec<String>,
}

/// The operators of `metav1.LabelSelectorRequirement`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExpressionOperator {
    /// `In`
    In,
    /// `NotIn`
    NotIn,
    /// `Exists`
    Exists,
    /// `DoesNotExist`
    DoesNotExist,
}

/// A selector that a `metav1.LabelSelector` cannot say: it uses `>` or `<`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{}\" isn't supported in label selectors", .0.name())]
pub struct UnsupportedOperator(pub Operator);

/// An operator that `metav1.LabelSelector` does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a valid label selector operator", quote::quote(.0))]
pub struct UnknownOperator(pub String);

impl Selector {
    /// The selector without requirements.
    pub const fn everything() -> Self {
        Self {
            requirements: Vec::new(),
        }
    }

    /// Reads `a=b,c in (d,e),!f`; the empty text selects everything.
    ///
    /// ```
    /// use language::selector::Selector;
    ///
    /// let selector = Selector::parse("app=web,tier in (a,b),!old")?;
    /// let labels = [("app", "web"), ("tier", "b")];
    /// let value = |key: &str| labels.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    /// assert!(selector.matches(value));
    /// # Ok::<(), language::selector::SelectorError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_LENGTH {
            return Err(SelectorError::TooLong);
        }
        parse::requirements(text).map(Self::new)
    }

    /// Sorts the requirements by key.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|left, right| left.key.cmp(&right.key));
        Self { requirements }
    }

    /// Reads a `metav1.LabelSelector` (`LabelSelectorAsSelector` in `pkg/apis/meta/v1/helpers.go`). Empty parts select
    /// everything; that an *absent* selector selects nothing is for the caller to know.
    pub fn from_label_selector_parts(parts: &LabelSelectorParts) -> Result<Self, RequirementError> {
        let labels = parts.match_labels.iter();
        let labels = labels.map(|(key, value)| Requirement::new(key, Operator::Equals, vec![value.clone()]));
        let expressions = parts.match_expressions.iter();
        let expressions = expressions.map(
            |Expression {
                 key,
                 operator,
                 values,
             }| Requirement::new(key, (*operator).into(), values.clone()),
        );
        labels.chain(expressions).collect::<Result<_, _>>().map(Self::new)
    }

    /// The selector as a `metav1.LabelSelector`: `=` and `==` become labels, the others expressions, `!=` a `NotIn`.
    ///
    /// A second, different value demanded of one key becomes an `In`; Go's `ParseToLabelSelector` forgets the first.
    pub fn to_label_selector_parts(&self) -> Result<LabelSelectorParts, UnsupportedOperator> {
        let mut parts = LabelSelectorParts::default();
        for Requirement {
            key,
            operator,
            values,
        } in &self.requirements
        {
            let operator = match operator {
                Operator::Equals | Operator::DoubleEquals => {
                    let value = values.first().cloned().unwrap_or_default();
                    if *parts
                        .match_labels
                        .entry(key.clone())
                        .or_insert_with(|| value.clone())
                        == value
                    {
                        continue;
                    }
                    ExpressionOperator::In
                }
                Operator::In => ExpressionOperator::In,
                Operator::NotIn | Operator::NotEquals => ExpressionOperator::NotIn,
                Operator::Exists => ExpressionOperator::Exists,
                Operator::DoesNotExist => ExpressionOperator::DoesNotExist,
                Operator::GreaterThan | Operator::LessThan => return Err(UnsupportedOperator(*operator)),
            };
            parts.match_expressions.push(Expression {
                key: key.clone(),
                operator,
                values: values.clone(),
            });
        }
        Ok(parts)
    }

    /// Whether it selects everything because it has no requirement.
    pub const fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether all requirements hold; `lookup` gives the value of a label, `None` if it is absent.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.matches(lookup(&requirement.key)))
    }
}

impl Requirement {
    /// Checks key, number of values, and each value; sorts the values.
    pub fn new(key: &str, operator: Operator, mut values: Vec<String>) -> Result<Self, RequirementError> {
        values.sort_unstable();
        values.dedup();
        let errors = label::requirement_errors(key, operator, &values);
        if errors.is_empty() {
            Ok(Self {
                key: key.to_owned(),
                operator,
                values,
            })
        } else {
            Err(RequirementError::Invalid(errors))
        }
    }

    /// Whether the requirement holds for a label with this value, or for its absence.
    pub fn matches(&self, label: Option<&str>) -> bool {
        let listed = label.map(|label| self.values.iter().any(|value| value == label));
        match self.operator {
            Operator::Equals | Operator::DoubleEquals | Operator::In => listed == Some(true),
            Operator::NotEquals | Operator::NotIn => listed != Some(true),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan => self.compare(label).is_some_and(|(label, bound)| label > bound),
            Operator::LessThan => self.compare(label).is_some_and(|(label, bound)| label < bound),
        }
    }

    fn compare(&self, label: Option<&str>) -> Option<(i64, i64)> {
        Some((label?.parse().ok()?, self.values.first()?.parse().ok()?))
    }
}

impl Operator {
    /// The name apimachinery gives it in its texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Exists => "exists",
            Self::DoesNotExist => "!",
            Self::GreaterThan => "gt",
            Self::LessThan => "lt",
        }
    }
}

impl ExpressionOperator {
    /// The name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
        }
    }
}

impl From<ExpressionOperator> for Operator {
    fn from(operator: ExpressionOperator) -> Self {
        match operator {
            ExpressionOperator::In => Self::In,
            ExpressionOperator::NotIn => Self::NotIn,
            ExpressionOperator::Exists => Self::Exists,
            ExpressionOperator::DoesNotExist => Self::DoesNotExist,
        }
    }
}

impl FromStr for ExpressionOperator {
    type Err = UnknownOperator;

    fn from_str(text: &str) -> Result<Self, UnknownOperator> {
        [Self::In, Self::NotIn, Self::Exists, Self::DoesNotExist]
            .into_iter()
            .find(|operator| operator.as_str() == text)
            .ok_or_else(|| UnknownOperator(text.to_owned()))
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

/// The canonical text, which [`Selector::parse`] reads back to the same selector.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            operator,
            values,
        } = self;
        let values = values.join(",");
        match operator {
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::In | Operator::NotIn => write!(f, "{key} {} ({values})", operator.name()),
            Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => {
                write!(f, "{key}{}{values}", operator.name())
            }
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

#[cfg(test)]
mod tests;
