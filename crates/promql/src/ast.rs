//! Trees: [`Expr`] and its nodes.
//!
//! Every node knows its [`Place`] in the text. Trees compare by what they say and not by where they stand. A node is shaped as
//! Prometheus' own is (`promql/parser/ast.go`): a sign before a number is part of the number, and the time of a range selector
//! is that of its inner selector.

mod clause;
mod duration;
mod selector;
mod visit;

pub use self::clause::{Clause, Fill, Group, Grouping, Label, MatchLabels, Matching, Side};
pub(crate) use self::duration::nanoseconds;
pub use self::duration::{DurationExpr, Extreme, Window};
pub use self::selector::{
    At, Extended, MatrixSelector, Name, Offset, SelectorMatcher, Subquery, Time, VectorSelector, When,
};

use crate::function::Function;
use crate::literal::Quote;
use crate::operator::{Aggregation, BinaryOp, UnaryOp};
use crate::span::{Place, Span};
use crate::value::ValueType;

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// `sum by (a) (b)`
    Aggregate(Box<Aggregate>),
    /// `a + b`
    Binary(Box<Binary>),
    /// `rate(a[5m])`
    Call(Call),
    /// `a[5m]`
    Matrix(Box<MatrixSelector>),
    /// `1`
    Number(NumberLiteral),
    /// `(a)`
    Paren(Paren),
    /// `"a"`
    String(StringLiteral),
    /// `a[5m:1m]`
    Subquery(Box<Subquery>),
    /// `-a`
    Unary(Unary),
    /// `a{b="c"}`
    Vector(Box<VectorSelector>),
}

/// An aggregation of the rows of a vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Which one.
    pub operator: Aggregation,
    /// Where its name stands.
    pub name: Place,
    /// What stands before the vector: `3` in `topk(3, a)`.
    pub parameter: Option<Box<Expr>>,
    /// The vector.
    pub argument: Box<Expr>,
    /// `by (…)` or `without (…)`.
    pub grouping: Option<Grouping>,
    /// The whole.
    pub place: Place,
}

/// An operator between two expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// Which one.
    pub operator: BinaryOp,
    /// Where the operator stands.
    pub sign: Place,
    /// The left side.
    pub left: Box<Expr>,
    /// The right side.
    pub right: Box<Expr>,
    /// `bool`: a comparison gives 0 and 1 instead of filtering.
    pub returns_bool: bool,
    /// How rows of both sides find each other.
    pub matching: Matching,
    /// The whole.
    pub place: Place,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The function.
    pub function: &'static Function,
    /// Where its name stands.
    pub name: Place,
    /// The arguments.
    pub arguments: Vec<Expr>,
    /// The whole.
    pub place: Place,
}

/// A number, or a duration that stands for its seconds.
#[derive(Clone, Copy, Debug)]
pub struct NumberLiteral {
    /// The value, with the sign before it; of a duration its seconds.
    pub value: f64,
    /// Whether it was written as a duration. `5m` and `300` are equal all the same.
    pub is_duration: bool,
    /// Where it stands, its sign included; [`Span::of`] gives it as it was written.
    pub place: Place,
}

/// An expression in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    /// The expression.
    pub inner: Box<Expr>,
    /// The whole.
    pub place: Place,
}

/// A string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringLiteral {
    /// The value, escapes read.
    pub value: String,
    /// The quote that it was written with.
    pub quote: Quote,
    /// The whole, quotes included; [`Span::of`] gives it as it was written.
    pub place: Place,
}

/// A sign before an expression that is not a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    /// The sign.
    pub operator: UnaryOp,
    /// The expression.
    pub operand: Box<Expr>,
    /// The whole.
    pub place: Place,
}

// === impl Expr ===

impl Expr {
    /// Where it stands.
    pub fn span(&self) -> Span {
        let place = match self {
            Self::Aggregate(node) => node.place,
            Self::Binary(node) => node.place,
            Self::Call(node) => node.place,
            Self::Matrix(node) => node.place,
            Self::Number(node) => node.place,
            Self::Paren(node) => node.place,
            Self::String(node) => node.place,
            Self::Subquery(node) => node.place,
            Self::Unary(node) => node.place,
            Self::Vector(node) => node.place,
        };
        place.span()
    }

    /// The type of its value (`Type` in `ast.go`).
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Aggregate(_) | Self::Vector(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Call(call) => call.function.result,
            Self::Paren(paren) => paren.inner.value_type(),
            Self::Unary(unary) => unary.operand.value_type(),
            Self::Binary(binary) => {
                let is_scalar = |side: &Self| side.value_type() == ValueType::Scalar;
                if is_scalar(&binary.left) && is_scalar(&binary.right) {
                    ValueType::Scalar
                } else {
                    ValueType::Vector
                }
            }
        }
    }

    /// The expression inside of all its parentheses.
    pub fn without_parens(&self) -> &Self {
        match self {
            Self::Paren(paren) => paren.inner.without_parens(),
            _ => self,
        }
    }
}

// === impl NumberLiteral ===

impl PartialEq for NumberLiteral {
    /// Not a number equals itself here, as a text does.
    fn eq(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits() || self.value.is_nan() && other.value.is_nan()
    }
}
