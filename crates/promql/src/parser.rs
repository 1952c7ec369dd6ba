//! Parser of texts: [`parse`].
//!
//! The grammar is that of `promql/parser/generated_parser.y`, read by precedence climbing. Where that grammar leaves a choice,
//! its generator shifts rather than reduces, and reduces by the rule that comes first; the places are noted here.

mod clause;
mod cursor;
mod duration;
mod expression;
mod selector;
mod time;

use self::cursor::Cursor;
use crate::ast::Expr;
use crate::check;
use crate::dialect::Dialect;
use crate::error::ParseError;
use crate::lexer;
use crate::span::Span;

/// Reads an expression of the newest dialect; see [`parse_with`].
///
/// # Errors
///
/// As [`parse_with`].
///
/// ```
/// let expr = promql::parse("sum by (pod) (rate(requests_total[5m]))")?;
/// assert_eq!(expr.to_string(), "sum by (pod) (rate(requests_total[5m]))");
///
/// let error = promql::parse("sum(rate(requests_total))").unwrap_err();
/// assert_eq!(error.to_string(), "`rate` takes a range vector as its first argument, and this is an instant vector");
/// assert_eq!(error.span.range(), 9..23);
/// # Ok::<(), promql::ParseError>(())
/// ```
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    parse_with(text, Dialect::default())
}

/// Reads an expression. It never panics, on whatever text, and needs a bounded stack.
///
/// # Errors
///
/// For a text that is not valid PromQL of this dialect, for a pattern that is not valid RE2, and for a text that is beyond the
/// bounds of [`lexer`] or has more than [`MAX_PATTERNS`](crate::MAX_PATTERNS) patterns. The README lists what else
/// Prometheus takes and this does not.
///
/// ```
/// use promql::{Dialect, ParseErrorKind, Version, parse_with};
///
/// let old = Dialect::of(Version::V3_5);
/// assert!(parse_with("rate(requests_total[5m] smoothed)", old).is_err());
///
/// let error = parse_with("limitk(3, up)", old.stable()).unwrap_err();
/// assert_eq!(error.kind, ParseErrorKind::Dialect);
/// ```
pub fn parse_with(text: &str, dialect: Dialect) -> Result<Expr, ParseError> {
    let tokens = lexer::tokens(text, dialect)?;
    if tokens.is_empty() {
        return Err(ParseError::new(Span::new(0, 0), "the text is empty"));
    }
    let mut parser = Parser {
        cursor: Cursor::new(tokens),
        dialect,
    };
    let expr = parser.expression(0)?;
    if parser.cursor.peek().is_some() {
        return Err(parser.cursor.unexpected("an operator or the end"));
    }
    check::check(&expr, dialect.patterns)?;
    Ok(expr)
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    dialect: Dialect,
}

#[cfg(test)]
mod tests;
