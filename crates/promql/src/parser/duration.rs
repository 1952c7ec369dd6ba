//! Durations, and arithmetic between them.

use super::Parser;
use super::time::is_number;
use crate::ast::{DurationExpr, Extreme, Window};
use crate::error::{ParseError, ParseErrorKind};
use crate::lexer::{Keyword, Symbol};
use crate::operator::BinaryOp;
use crate::span::Span;

/// The most seconds that Go's durations hold, with either sign.
const MAX_SECONDS: f64 = 9_223_372_036.854_775;

// === impl Parser ===

impl Parser<'_> {
    /// The duration of a range or a step.
    pub(super) fn positive_duration(&mut self) -> Result<DurationExpr, ParseError> {
        let duration = self.duration(0)?;
        if duration
            .literal(self.dialect)
            .is_some_and(|seconds| seconds <= 0.0)
        {
            return Err(ParseError::new(
                duration.span(),
                "a range or a step must be longer than 0",
            ));
        }
        Ok(duration)
    }

    /// The duration of an offset.
    ///
    /// With at most one sign, a literal, a call and, behind a sign, a parenthesis end it; so `a offset 5 + b` adds `b` to the
    /// rows. Everything else goes on over operators: `a offset (5) + 3` is an offset of 8 (`offset_duration_expr`).
    pub(super) fn offset_duration(&mut self) -> Result<DurationExpr, ParseError> {
        let signs = usize::from(self.cursor.sign_ahead(0).is_some());
        let Some(first) = self.cursor.ahead(signs) else {
            return self.duration(0);
        };
        let is_call = self.dialect.is_3_16() && is_call(first.keyword());
        let is_paren = self.dialect.is_3_16() && signs == 1 && first.is(Symbol::OpenParen);
        if !(is_number(first.kind) || is_call || is_paren) {
            return self.duration(0);
        }
        let sign = self.cursor.take_sign();
        let duration = self.duration_operand()?;
        Ok(match sign {
            Some((sign, span)) => {
                let place = span.to(duration.span()).into();
                DurationExpr::Unary(sign, Box::new(duration), place)
            }
            None => duration,
        })
    }

    /// A duration of operators that bind as tightly as `least` or tighter.
    fn duration(&mut self, least: u8) -> Result<DurationExpr, ParseError> {
        let mut left = if let Some((sign, span)) = self.cursor.take_sign() {
            let operand = self.duration(BinaryOp::Pow.precedence())?;
            let place = span.to(operand.span()).into();
            DurationExpr::Unary(sign, Box::new(operand), place)
        } else {
            self.duration_operand()?
        };
        while let Some(token) = self.cursor.peek()
            && let Some(operator) = token.operator()
            && is_arithmetic(operator)
            && operator.precedence() >= least
        {
            self.cursor.next();
            self.need_expressions(token.span)?;
            let right = self.duration(operator.precedence() + u8::from(!operator.is_right_associative()))?;
            let divides = matches!(operator, BinaryOp::Div | BinaryOp::Mod);
            if divides && right.literal(self.dialect).is_some_and(|seconds| seconds == 0.0) {
                return Err(ParseError::new(
                    right.span(),
                    "a duration may not be divided by zero",
                ));
            }
            let place = left.span().to(right.span()).into();
            left = DurationExpr::Binary(operator, Box::new([left, right]), place);
        }
        Ok(left)
    }

    fn duration_operand(&mut self) -> Result<DurationExpr, ParseError> {
        let Some(token) = self.cursor.peek() else {
            return Err(self.cursor.unexpected("a duration"));
        };
        if is_number(token.kind) {
            let number = self.number()?;
            // Not a number is one for Prometheus, whose offset then depends on the machine.
            if number.value.is_nan() || number.value > MAX_SECONDS {
                let message = format!("`{}` is out of range for a duration", token.text);
                return Err(ParseError::new(token.span, message));
            }
            return Ok(DurationExpr::Literal(number));
        }
        if token.is(Symbol::OpenParen) {
            self.cursor.next();
            self.need_expressions(token.span)?;
            let inner = Box::new(self.duration(0)?);
            let close = self.cursor.expect(Symbol::CloseParen, "an operator or `)`")?;
            return Ok(DurationExpr::Paren(inner, token.span.to(close).into()));
        }
        let keyword = token.keyword().filter(|_| self.dialect.is_3_16());
        match keyword {
            Some(Keyword::Step) => self.window_call(token.span, Window::Step),
            Some(Keyword::Range) => self.window_call(token.span, Window::Range),
            Some(Keyword::MaxOf) => self.extreme_call(token.span, Extreme::Max),
            Some(Keyword::MinOf) => self.extreme_call(token.span, Extreme::Min),
            _ => Err(self.cursor.unexpected("a duration")),
        }
    }

    fn window_call(&mut self, name: Span, window: Window) -> Result<DurationExpr, ParseError> {
        self.cursor.next();
        self.cursor.expect(Symbol::OpenParen, "`(`")?;
        let close = self.cursor.expect(Symbol::CloseParen, "`)`")?;
        Ok(DurationExpr::Window(window, name.to(close).into()))
    }

    fn extreme_call(&mut self, name: Span, extreme: Extreme) -> Result<DurationExpr, ParseError> {
        self.cursor.next();
        self.cursor.expect(Symbol::OpenParen, "`(`")?;
        let left = self.duration(0)?;
        self.cursor.expect(Symbol::Comma, "an operator or `,`")?;
        let right = self.duration(0)?;
        let close = self.cursor.expect(Symbol::CloseParen, "an operator or `)`")?;
        let place = name.to(close).into();
        Ok(DurationExpr::Extreme(extreme, Box::new([left, right]), place))
    }

    fn need_expressions(&self, span: Span) -> Result<(), ParseError> {
        if self.dialect.has_duration_expressions() {
            return Ok(());
        }
        let message = "arithmetic between durations is experimental and not switched on";
        Err(ParseError::of_kind(ParseErrorKind::Dialect, span, message))
    }
}

fn is_call(keyword: Option<Keyword>) -> bool {
    matches!(
        keyword,
        Some(Keyword::Step | Keyword::Range | Keyword::MaxOf | Keyword::MinOf)
    )
}

fn is_arithmetic(operator: BinaryOp) -> bool {
    matches!(
        operator,
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod | BinaryOp::Pow
    )
}
