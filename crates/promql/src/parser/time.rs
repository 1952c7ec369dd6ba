//! Time clauses behind an expression: ranges, `offset`, `@`, `anchored` and `smoothed`.

use super::Parser;
use crate::ast::{
    At, DurationExpr, Expr, Extended, MatrixSelector, Offset, Subquery, Time, When, nanoseconds,
};
use crate::error::ParseError;
use crate::lexer::{Keyword, Symbol};
use crate::span::Span;
use crate::value::ValueType;

// === impl Parser ===

impl Parser<'_> {
    /// The expression with all that stands behind it.
    pub(super) fn timed(&mut self, mut expr: Expr) -> Result<Expr, ParseError> {
        loop {
            if let Some(open) = self.cursor.take(Symbol::OpenBracket) {
                expr = self.window(expr, open)?;
            } else if let Some(word) = self.cursor.take_keyword(Keyword::Offset) {
                self.offset(&mut expr, word)?;
            } else if let Some(sign) = self.cursor.take(Symbol::At) {
                self.at(&mut expr, sign)?;
            } else if let Some(word) = self.cursor.take_keyword(Keyword::Anchored) {
                extend(&mut expr, word, Extended::Anchored)?;
            } else if let Some(word) = self.cursor.take_keyword(Keyword::Smoothed) {
                extend(&mut expr, word, Extended::Smoothed)?;
            } else {
                return Ok(expr);
            }
        }
    }

    /// A range or a subquery, behind its bracket.
    fn window(&mut self, expr: Expr, open: Span) -> Result<Expr, ParseError> {
        let range = self.positive_duration()?;
        if self.cursor.take(Symbol::Colon).is_none() {
            let close = self.cursor.expect(Symbol::CloseBracket, "`:` or `]`")?;
            return self.matrix(expr, range, open.to(close));
        }
        let step = if self.cursor.is(Symbol::CloseBracket) {
            None
        } else {
            Some(self.positive_duration()?)
        };
        let close = self.cursor.expect(Symbol::CloseBracket, "`]`")?;
        let found = expr.value_type();
        if found != ValueType::Vector {
            let message = format!("a subquery takes an instant vector, and this is a {found}");
            return Err(ParseError::new(expr.span(), message));
        }
        Ok(Expr::Subquery(Box::new(Subquery {
            place: expr.span().to(close).into(),
            inner: Box::new(expr),
            range,
            step,
            time: Time::default(),
            window: open.to(close).into(),
        })))
    }

    fn matrix(&self, expr: Expr, range: DurationExpr, window: Span) -> Result<Expr, ParseError> {
        let refuse = |message| Err(ParseError::new(window, message));
        let Expr::Vector(selector) = expr else {
            return refuse("only a selector can have a range; a subquery has a colon: `[5m:]`");
        };
        // 3.5 looks at the literals alone.
        let time = &selector.time;
        let is_new = self.dialect.is_3_16();
        let offset = time
            .offset
            .as_ref()
            .is_some_and(|offset| is_new || offset.by.literal(self.dialect).is_some());
        let at = time
            .at
            .is_some_and(|at| is_new || matches!(at.when, When::Milliseconds(_)));
        if offset {
            return refuse("the `offset` belongs behind the range");
        }
        if at {
            return refuse("the `@` belongs behind the range");
        }
        Ok(Expr::Matrix(Box::new(MatrixSelector {
            place: selector.place.span().to(window).into(),
            selector: *selector,
            range,
            window: window.into(),
        })))
    }

    fn offset(&mut self, expr: &mut Expr, word: Span) -> Result<(), ParseError> {
        let by = self.offset_duration()?;
        let span = word.to(self.cursor.end());
        let place = span.into();
        // `offset 0` counts as none, as it does for Prometheus.
        let is_zero = by
            .literal(self.dialect)
            .is_some_and(|seconds| nanoseconds(seconds) == 0);
        let time = time_of(expr, span, "`offset`")?;
        if time.offset.is_some() {
            return Err(ParseError::new(span, "`offset` may appear only once"));
        }
        time.offset = (!is_zero).then_some(Offset { by, place });
        end_at(expr, span);
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr, sign: Span) -> Result<(), ParseError> {
        let preprocessor = match self.cursor.keyword() {
            Some(Keyword::Start) => Some(When::Start),
            Some(Keyword::End) => Some(When::End),
            _ => None,
        };
        let when = match preprocessor {
            Some(when) => {
                self.cursor.next();
                self.cursor.expect(Symbol::OpenParen, "`(`")?;
                self.cursor.expect(Symbol::CloseParen, "`)`")?;
                when
            }
            None => self.timestamp()?,
        };
        let span = sign.to(self.cursor.end());
        let place = span.into();
        let time = time_of(expr, span, "`@`")?;
        if time.at.is_some() {
            return Err(ParseError::new(span, "`@` may appear only once"));
        }
        time.at = Some(At { when, place });
        end_at(expr, span);
        Ok(())
    }

    fn timestamp(&mut self) -> Result<When, ParseError> {
        let sign = self.cursor.take_sign();
        let expected = "a timestamp, `start()` or `end()`";
        let number = match self.cursor.peek() {
            Some(token) if is_number(token.kind) => self.number()?,
            _ => return Err(self.cursor.unexpected(expected)),
        };
        let seconds = sign.map_or(number.value, |(sign, _)| sign.apply(number.value));
        let milliseconds = (seconds * 1000.0).round();
        // What milliseconds in 64 bits hold; Go's conversion of more depends on the machine.
        if milliseconds.is_nan() || milliseconds.abs() >= 9_223_372_036_854_775_808.0 {
            return Err(ParseError::new(
                number.place.span(),
                "the timestamp is out of range",
            ));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it was rounded and is in range")]
        Ok(When::Milliseconds(milliseconds as i64))
    }
}

pub(super) fn is_number(kind: crate::lexer::TokenKind) -> bool {
    use crate::lexer::TokenKind::{Duration, Number};
    matches!(kind, Number | Duration)
}

/// The time of a selector or a subquery, which nothing else has.
fn time_of<'a>(expr: &'a mut Expr, modifier: Span, what: &str) -> Result<&'a mut Time, ParseError> {
    match expr {
        Expr::Vector(selector) => Ok(&mut selector.time),
        Expr::Matrix(matrix) => Ok(&mut matrix.selector.time),
        Expr::Subquery(subquery) => Ok(&mut subquery.time),
        _ => Err(ParseError::new(
            modifier,
            format!("{what} may follow only a selector, a range or a subquery"),
        )),
    }
}

/// The expression reaches as far as what was read behind it.
fn end_at(expr: &mut Expr, last: Span) {
    let place = match expr {
        Expr::Vector(selector) => &mut selector.place,
        Expr::Matrix(matrix) => &mut matrix.place,
        Expr::Subquery(subquery) => &mut subquery.place,
        _ => return,
    };
    *place = place.span().to(last).into();
}

fn extend(expr: &mut Expr, word: Span, extended: Extended) -> Result<(), ParseError> {
    let refuse = |message: String| Err(ParseError::new(word, message));
    let name = extended.as_str();
    let time = match expr {
        Expr::Vector(selector) => &mut selector.time,
        Expr::Matrix(matrix) => &mut matrix.selector.time,
        _ => return refuse(format!("`{name}` may follow only a selector or a range")),
    };
    if time.extended.is_some_and(|other| other != extended) {
        return refuse("`anchored` and `smoothed` cannot be combined".to_owned());
    }
    time.extended = Some(extended);
    end_at(expr, word);
    Ok(())
}
