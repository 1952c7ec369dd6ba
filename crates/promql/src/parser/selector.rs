//! Selectors: names and conditions.

use super::Parser;
use super::expression::string;
use crate::ast::{Expr, Name, SelectorMatcher, Time, VectorSelector};
use crate::error::{ParseError, ParseErrorKind};
use crate::lexer::{Symbol, Token, TokenKind};
use crate::matcher::{MatchOp, Matcher, NAME_LABEL};
use crate::operator::BinaryOp;

// === impl Parser ===

impl<'a> Parser<'a> {
    /// A selector whose name was read; without one its braces come next.
    pub(super) fn selector(&mut self, name: Option<Token<'a>>) -> Result<Expr, ParseError> {
        let start = match (name, self.cursor.peek()) {
            (Some(token), _) | (None, Some(token)) => token.span,
            (None, None) => self.cursor.end(),
        };
        let matchers = if self.cursor.take(Symbol::OpenBrace).is_some() {
            self.matchers()?
        } else {
            Vec::new()
        };
        let place = start.to(self.cursor.end()).into();
        Ok(Expr::Vector(Box::new(VectorSelector {
            name: name.map(|token| Name {
                text: token.text.to_owned(),
                place: token.span.into(),
            }),
            matchers,
            time: Time::default(),
            selector: place,
            place,
        })))
    }

    /// Conditions up to the closing brace; a comma may end them.
    fn matchers(&mut self) -> Result<Vec<SelectorMatcher>, ParseError> {
        let mut matchers = Vec::new();
        while self.cursor.take(Symbol::CloseBrace).is_none() {
            matchers.push(self.matcher()?);
            if self.cursor.take(Symbol::Comma).is_none() && !self.cursor.is(Symbol::CloseBrace) {
                return Err(self.no_comma());
            }
        }
        Ok(matchers)
    }

    /// What is wrong behind a matcher.
    fn no_comma(&self) -> ParseError {
        match self.cursor.peek() {
            Some(token) if token.text.eq_ignore_ascii_case("or") => ParseError::of_kind(
                ParseErrorKind::Alternatives,
                token.span,
                "matchers cannot be joined by `or`: put the operator `or` between two selectors",
            ),
            _ => self.cursor.unexpected("`,` or `}`"),
        }
    }

    fn matcher(&mut self) -> Result<SelectorMatcher, ParseError> {
        let expected = "a label name or `}`";
        let Some(token) = self.cursor.peek() else {
            return Err(self.cursor.unexpected(expected));
        };
        let (label, quoted) = match token.kind {
            TokenKind::Word(_) => (token.text.to_owned(), false),
            TokenKind::String(quote) => (string(&token, quote)?, true),
            _ => return Err(self.cursor.unexpected(expected)),
        };
        self.cursor.next();
        let Some(op) = self.match_op() else {
            // A string alone is the name of the metric.
            if quoted && (self.cursor.is(Symbol::Comma) || self.cursor.is(Symbol::CloseBrace)) {
                return Ok(SelectorMatcher {
                    matcher: Matcher::equal(NAME_LABEL, label),
                    value: token.span.into(),
                    place: token.span.into(),
                });
            }
            return Err(self.cursor.unexpected("`=`, `!=`, `=~` or `!~`"));
        };
        let Some(value) = self.cursor.peek() else {
            return Err(self.cursor.unexpected("a string in quotes"));
        };
        let TokenKind::String(quote) = value.kind else {
            return Err(self.cursor.unexpected("a string in quotes"));
        };
        self.cursor.next();
        Ok(SelectorMatcher {
            matcher: Matcher::new(label, op, string(&value, quote)?),
            value: value.span.into(),
            place: token.span.to(value.span).into(),
        })
    }

    fn match_op(&mut self) -> Option<MatchOp> {
        let op = match self.cursor.peek()?.kind {
            TokenKind::Symbol(Symbol::Equal) => MatchOp::Equal,
            TokenKind::Symbol(Symbol::Operator(BinaryOp::NotEqual)) => MatchOp::NotEqual,
            TokenKind::Symbol(Symbol::Matches) => MatchOp::Regex,
            TokenKind::Symbol(Symbol::MatchesNot) => MatchOp::NotRegex,
            _ => return None,
        };
        self.cursor.next();
        Some(op)
    }
}
