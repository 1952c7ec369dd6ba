//! Expressions: operators, signs, calls and aggregations.

use super::Parser;
use crate::ast::{Aggregate, Binary, Call, Expr, Matching, NumberLiteral, Paren, StringLiteral, Unary};
use crate::error::{ParseError, ParseErrorKind};
use crate::function::Function;
use crate::lexer::{Keyword, Symbol, Token, TokenKind};
use crate::literal::{Quote, unquote};
use crate::number;
use crate::operator::{Aggregation, BinaryOp, UnaryOp};
use crate::span::Span;

// === impl Parser ===

impl<'a> Parser<'a> {
    /// An expression of operators that bind as tightly as `least` or tighter.
    pub(super) fn expression(&mut self, least: u8) -> Result<Expr, ParseError> {
        let mut left = self.operand()?;
        while let Some((operator, sign)) = self.operator(least) {
            let modifiers = self.modifiers()?;
            let right =
                self.expression(operator.precedence() + u8::from(!operator.is_right_associative()))?;
            left = joined(left, operator, sign, modifiers, right);
        }
        Ok(left)
    }

    /// Steps over an operator that binds as tightly as `least` or tighter.
    fn operator(&mut self, least: u8) -> Option<(BinaryOp, Span)> {
        let token = self.cursor.peek()?;
        let operator = token
            .operator()
            .filter(|operator| operator.precedence() >= least)?;
        self.cursor.next();
        Some((operator, token.span))
    }

    /// What stands between operators, with its sign and its time.
    fn operand(&mut self) -> Result<Expr, ParseError> {
        let Some((operator, span)) = self.cursor.take_sign() else {
            return self.timed_primary();
        };
        // A sign binds as tightly as `*`, so only `^` comes before it.
        let operand = self.expression(BinaryOp::Pow.precedence())?;
        Ok(signed(operator, span, operand))
    }

    fn timed_primary(&mut self) -> Result<Expr, ParseError> {
        let primary = self.primary()?;
        self.timed(primary)
    }

    fn primary(&mut self) -> Result<Expr, ParseError> {
        let Some(token) = self.cursor.peek() else {
            return Err(self.cursor.unexpected("an expression"));
        };
        match token.kind {
            TokenKind::Number | TokenKind::Duration => self.number().map(Expr::Number),
            TokenKind::String(quote) => self.string_literal(token, quote),
            TokenKind::Symbol(Symbol::OpenParen) => self.paren(token.span),
            TokenKind::Symbol(Symbol::OpenBrace) => self.selector(None),
            TokenKind::Symbol(_) => Err(self.cursor.unexpected("an expression")),
            TokenKind::MetricName => self.named(token),
            TokenKind::Word(keyword) => self.word(token, keyword),
        }
    }

    fn paren(&mut self, open: Span) -> Result<Expr, ParseError> {
        self.cursor.next();
        let inner = Box::new(self.expression(0)?);
        let close = self.cursor.expect(Symbol::CloseParen, "an operator or `)`")?;
        let place = open.to(close).into();
        Ok(Expr::Paren(Paren { inner, place }))
    }

    fn string_literal(&mut self, token: Token<'_>, quote: Quote) -> Result<Expr, ParseError> {
        self.cursor.next();
        let value = string(&token, quote)?;
        Ok(Expr::String(StringLiteral {
            value,
            quote,
            place: token.span.into(),
        }))
    }

    /// What begins with a word: an aggregation, a call, or a selector.
    fn word(&mut self, token: Token<'a>, keyword: Option<Keyword>) -> Result<Expr, ParseError> {
        let next = self.cursor.ahead(1);
        let opens = next.is_some_and(|next| next.is(Symbol::OpenParen));
        let groups = next
            .and_then(|next| next.keyword())
            .is_some_and(|next| matches!(next, Keyword::By | Keyword::Without));
        match keyword {
            Some(Keyword::Aggregation(operator)) if opens || groups => self.aggregate(token, operator),
            None if opens => self.call(token),
            Some(
                Keyword::Start
                | Keyword::End
                | Keyword::Step
                | Keyword::Range
                | Keyword::MaxOf
                | Keyword::MinOf,
            ) if opens && self.dialect.is_3_16() => self.call(token),
            Some(keyword) if !keyword.may_name_a_metric() => Err(self.cursor.unexpected("an expression")),
            _ => self.named(token),
        }
    }

    fn named(&mut self, token: Token<'a>) -> Result<Expr, ParseError> {
        self.cursor.next();
        self.selector(Some(token))
    }

    fn aggregate(&mut self, token: Token<'a>, operator: Aggregation) -> Result<Expr, ParseError> {
        self.cursor.next();
        let before = self.grouping()?;
        let mut arguments = self.arguments()?;
        let grouping = match before {
            Some(grouping) => Some(grouping),
            None => self.grouping()?,
        };
        let span = token.span.to(self.cursor.end());
        if operator.is_experimental() && !self.dialect.experimental_functions {
            let message = format!("the aggregation `{operator}` is experimental and not switched on");
            return Err(ParseError::of_kind(ParseErrorKind::Dialect, token.span, message));
        }
        let wanted = 1 + usize::from(operator.has_parameter());
        let found = arguments.len();
        let wrong = || {
            let arguments = if wanted == 1 { "1 argument" } else { "2 arguments" };
            ParseError::new(
                span,
                format!("`{operator}` takes {arguments}, and this call has {found}"),
            )
        };
        if found != wanted {
            return Err(wrong());
        }
        let argument = Box::new(arguments.pop().ok_or_else(wrong)?);
        Ok(Expr::Aggregate(Box::new(Aggregate {
            operator,
            name: token.span.into(),
            parameter: arguments.pop().map(Box::new),
            argument,
            grouping,
            place: span.into(),
        })))
    }

    fn call(&mut self, token: Token<'a>) -> Result<Expr, ParseError> {
        self.cursor.next();
        let known = Function::find(token.text).filter(|function| function.is_of(self.dialect.version));
        let Some(function) = known else {
            let message = format!("unknown function `{}`", token.text);
            return Err(ParseError::new(token.span, message));
        };
        if !function.is_in(self.dialect) {
            let message = format!(
                "the function `{}` is experimental and not switched on",
                token.text
            );
            return Err(ParseError::of_kind(ParseErrorKind::Dialect, token.span, message));
        }
        let arguments = self.arguments()?;
        Ok(Expr::Call(Call {
            function,
            name: token.span.into(),
            arguments,
            place: token.span.to(self.cursor.end()).into(),
        }))
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, ParseError> {
        self.cursor.expect(Symbol::OpenParen, "`(`")?;
        let mut arguments = Vec::new();
        if self.cursor.take(Symbol::CloseParen).is_some() {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression(0)?);
            if self.cursor.take(Symbol::Comma).is_none() {
                self.cursor
                    .expect(Symbol::CloseParen, "an operator, `,` or `)`")?;
                return Ok(arguments);
            }
        }
    }

    /// A number or duration, without a sign.
    pub(super) fn number(&mut self) -> Result<NumberLiteral, ParseError> {
        let Some(token) = self.cursor.peek() else {
            return Err(self.cursor.unexpected("a number"));
        };
        let (value, is_duration) = match token.kind {
            TokenKind::Number => (number::value(token.text), false),
            TokenKind::Duration => (number::nanoseconds(token.text).map(number::seconds), true),
            _ => return Err(self.cursor.unexpected("a number")),
        };
        self.cursor.next();
        let kind = if is_duration { "duration" } else { "number" };
        let value = value
            .ok_or_else(|| ParseError::new(token.span, format!("`{}` is not a valid {kind}", token.text)))?;
        Ok(NumberLiteral {
            value,
            is_duration,
            place: token.span.into(),
        })
    }
}

/// The value of a string.
pub(super) fn string(token: &Token<'_>, quote: Quote) -> Result<String, ParseError> {
    unquote(token.body(), quote).map_err(|message| ParseError::new(token.span, message))
}

fn joined(
    left: Expr,
    operator: BinaryOp,
    sign: Span,
    (returns_bool, matching): (bool, Box<Matching>),
    right: Expr,
) -> Expr {
    Expr::Binary(Box::new(Binary {
        operator,
        sign: sign.into(),
        place: left.span().to(right.span()).into(),
        left: Box::new(left),
        right: Box::new(right),
        returns_bool,
        matching: *matching,
    }))
}

/// The expression with a sign, which becomes part of a number.
fn signed(operator: UnaryOp, sign: Span, operand: Expr) -> Expr {
    let place = sign.to(operand.span()).into();
    match operand {
        Expr::Number(number) => Expr::Number(NumberLiteral {
            value: operator.apply(number.value),
            place,
            ..number
        }),
        operand => Expr::Unary(Unary {
            operator,
            operand: Box::new(operand),
            place,
        }),
    }
}
