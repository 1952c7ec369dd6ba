//! Durations, and arithmetic between them.

use std::time::Duration;

use super::NumberLiteral;
use crate::dialect::Dialect;
use crate::operator::{BinaryOp, UnaryOp};
use crate::span::{Place, Span};

/// A duration, in seconds, or a number of operations on durations.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// `5m`, `300`; its value is never negative, not a number or infinite.
    Literal(NumberLiteral),
    /// `step()` or `range()`
    Window(Window, Place),
    /// `max_of(a, b)` or `min_of(a, b)`
    Extreme(Extreme, Box<[Self; 2]>, Place),
    /// A sign.
    Unary(UnaryOp, Box<Self>, Place),
    /// One of `+`, `-`, `*`, `/`, `%` and `^`.
    Binary(BinaryOp, Box<[Self; 2]>, Place),
    /// In parentheses.
    Paren(Box<Self>, Place),
}

/// A duration that a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// `step()`: the step of a range query, 0 of an instant query.
    Step,
    /// `range()`: from the start to the end of a range query.
    Range,
}

/// Of two durations the longer or the shorter one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    /// `max_of`
    Max,
    /// `min_of`
    Min,
}

// === impl DurationExpr ===

impl DurationExpr {
    /// Where it stands.
    pub fn span(&self) -> Span {
        let place = match self {
            Self::Literal(number) => number.place,
            Self::Window(_, place)
            | Self::Extreme(_, _, place)
            | Self::Unary(_, _, place)
            | Self::Binary(_, _, place)
            | Self::Paren(_, place) => *place,
        };
        place.span()
    }

    /// The seconds in an instant query, of which `step()` and `range()` are 0 (`evaluateDurationExpr` in `durations.go`). They
    /// may be negative, infinite or not a number, and then the server refuses the query.
    pub fn seconds_at_an_instant(&self) -> f64 {
        let both = |sides: &[Self; 2]| (sides[0].seconds_at_an_instant(), sides[1].seconds_at_an_instant());
        match self {
            Self::Literal(number) => number.value,
            Self::Window(..) => 0.0,
            Self::Extreme(extreme, sides, _) => match (extreme, both(sides)) {
                (Extreme::Max, (a, b)) => a.max(b),
                (Extreme::Min, (a, b)) => a.min(b),
            },
            Self::Unary(sign, inner, _) => sign.apply(inner.seconds_at_an_instant()),
            Self::Paren(inner, _) => inner.seconds_at_an_instant(),
            Self::Binary(operator, sides, _) => match (operator, both(sides)) {
                (BinaryOp::Add, (a, b)) => a + b,
                (BinaryOp::Sub, (a, b)) => a - b,
                (BinaryOp::Mul, (a, b)) => a * b,
                (BinaryOp::Div, (a, b)) => a / b,
                (BinaryOp::Mod, (a, b)) => a % b,
                (BinaryOp::Pow, (a, b)) => a.powf(b),
                // The parser makes no other.
                _ => f64::NAN,
            },
        }
    }

    /// The same as a length of time: none where it is negative or not a number, the longest where it is too long.
    pub fn length_at_an_instant(&self) -> Duration {
        let seconds = self.seconds_at_an_instant();
        if seconds > 0.0 {
            Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
        } else {
            Duration::ZERO
        }
    }

    /// The seconds where Prometheus has a plain number: a literal with any signs. 3.5 has one for a literal in parentheses too.
    pub fn literal(&self, dialect: Dialect) -> Option<f64> {
        match self {
            Self::Literal(number) => Some(number.value),
            Self::Unary(sign, inner, _) => inner.literal(dialect).map(|value| sign.apply(value)),
            Self::Paren(inner, _) if !dialect.is_3_16() => inner.literal(dialect),
            _ => None,
        }
    }
}

// === impl Window ===

impl Window {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Range => "range",
        }
    }
}

// === impl Extreme ===

impl Extreme {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Max => "max_of",
            Self::Min => "min_of",
        }
    }
}

/// Nanoseconds of seconds, as `time.Duration(math.Round(seconds * 1e9))` gives them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is out of range is refused before"
)]
pub(crate) fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}
