//! Places in a text: [`Span`] in bytes, [`Location`] in lines and columns, and [`Place`], a node's span.

use std::fmt;
use std::ops::Range;

/// A stretch of a text, in bytes; both ends lie between characters.
///
/// ```
/// use promql::{Expr, Span};
///
/// let text = "a + rate(b[5m])";
/// let Expr::Binary(sum) = promql::parse(text)? else { unreachable!() };
/// assert_eq!(sum.right.span(), Span::new(4, 15));
/// assert_eq!(sum.right.span().of(text), "rate(b[5m])");
/// # Ok::<(), promql::ParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Where it begins.
    pub start: usize,
    /// Where it ends; the byte here does not belong to it.
    pub end: usize,
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Where a node stands in the text that it was read from.
///
/// All places are equal, so that two trees are equal if they say the same, wherever they stand: a tree that was printed and read
/// again equals itself. Compare [`span`](Self::span) to compare places.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place(Span);

// === impl Span ===

impl Span {
    /// The stretch from `start` up to `end`.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The stretch from the start of this one to the end of another one.
    #[must_use]
    pub const fn to(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end,
        }
    }

    /// What stands here in `text`; nothing where the text is another one and too short.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// The bytes as a range.
    pub const fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Line and column of the start in `text`.
    pub fn location(self, text: &str) -> Location {
        Location::of(text, self.start)
    }
}

impl From<Span> for Range<usize> {
    fn from(span: Span) -> Self {
        span.range()
    }
}

// === impl Location ===

impl Location {
    /// Line and column of the byte `at` of `text`.
    pub fn of(text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

// === impl Place ===

impl Place {
    /// The span itself.
    pub const fn span(self) -> Span {
        self.0
    }
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        Self(span)
    }
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_characters() {
        let text = "é +\n  b";
        assert_eq!(Location::of(text, 0).to_string(), "1:1");
        assert_eq!(Location::of(text, 3).to_string(), "1:3");
        assert_eq!(Span::new(7, 8).location(text).to_string(), "2:3");
        assert_eq!(Span::new(7, 8).of(text), "b");
        assert_eq!(Span::new(7, 80).of(text), "");
        assert_eq!(Location::of(text, 800).to_string(), "2:4");
    }

    #[test]
    fn places_are_equal_and_spans_are_not() {
        let (a, b) = (Place::from(Span::new(0, 1)), Place::from(Span::new(2, 3)));
        assert_eq!(a, b);
        assert_ne!(a.span(), b.span());
        assert_eq!(a.span().to(b.span()).range(), 0..3);
    }
}
