//! Printer of durations.

use std::fmt::{self, Display, Formatter, Write as _};

use crate::ast::DurationExpr;
use crate::number;

/// Whether an operator behind the duration of an offset would be read as part of it; see the parser's `offset_duration`.
pub(super) fn goes_on(offset: &DurationExpr) -> bool {
    match offset {
        DurationExpr::Literal(_) | DurationExpr::Window(..) | DurationExpr::Extreme(..) => false,
        // A sign before parentheses ends in 3.16 and goes on in 3.5.
        DurationExpr::Unary(_, inner, _) => goes_on(inner) || matches!(**inner, DurationExpr::Unary(..)),
        DurationExpr::Binary(..) | DurationExpr::Paren(..) => true,
    }
}

/// A duration by itself, with units: servers before Prometheus 3 take no number there.
pub(super) struct Plain<'a>(pub(super) &'a DurationExpr);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            DurationExpr::Literal(number) => match of_seconds(number.value) {
                Some(text) => f.write_str(&text),
                None => number.fmt(f),
            },
            DurationExpr::Unary(sign, inner, _) => write!(f, "{sign}{}", Plain(inner)),
            other => other.fmt(f),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(number) if number.is_duration => Plain(self).fmt(f),
            Self::Literal(number) => number.fmt(f),
            Self::Window(window, _) => write!(f, "{}()", window.as_str()),
            Self::Extreme(extreme, sides, _) => {
                write!(f, "{}({}, {})", extreme.as_str(), sides[0], sides[1])
            }
            Self::Unary(sign, inner, _) => write!(f, "{sign}{inner}"),
            Self::Binary(operator, sides, _) => write!(f, "{} {operator} {}", sides[0], sides[1]),
            Self::Paren(inner, _) => write!(f, "({inner})"),
        }
    }
}

/// Seconds as a duration with units that reads back as the same number, `None` where there is none.
fn of_seconds(seconds: f64) -> Option<String> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    if !(0.0..=9_223_372_036.0).contains(&seconds) {
        return None;
    }
    // Of a large duration the last digits of its nanoseconds are lost in a float; its milliseconds are not.
    #[expect(clippy::cast_possible_truncation, reason = "it was rounded and is in range")]
    let mut left = (seconds * 1000.0).round() as i64;
    if left == 0 || number::seconds(left * 1_000_000).to_bits() != seconds.to_bits() {
        return None;
    }
    let mut text = String::new();
    for (unit, size) in UNITS {
        // Years and weeks only where nothing is left: `90d` is easier to read than `12w6d`.
        let whole = !matches!(unit, "y" | "w") || left % size == 0;
        if whole && left >= size {
            let _ = write!(text, "{}{unit}", left / size); // writing to a String does not fail
            left %= size;
        }
    }
    Some(text)
}
