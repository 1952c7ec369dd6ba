//! A place between tokens.

use crate::error::ParseError;
use crate::lexer::{Keyword, Symbol, Token};
use crate::operator::{BinaryOp, UnaryOp};
use crate::span::Span;

/// The tokens, and which comes next.
pub(super) struct Cursor<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    pub(super) fn new(tokens: Vec<Token<'a>>) -> Self {
        Self { tokens, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.ahead(0)
    }

    /// The token that comes after `count` others.
    pub(super) fn ahead(&self, count: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + count).copied()
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    pub(super) fn is(&self, symbol: Symbol) -> bool {
        self.peek().is_some_and(|token| token.is(symbol))
    }

    /// Steps over this symbol if it comes next.
    pub(super) fn take(&mut self, symbol: Symbol) -> Option<Span> {
        let token = self.peek().filter(|token| token.is(symbol))?;
        self.at += 1;
        Some(token.span)
    }

    /// Steps over this symbol, which has to come next.
    pub(super) fn expect(&mut self, symbol: Symbol, expected: &str) -> Result<Span, ParseError> {
        self.take(symbol).ok_or_else(|| self.unexpected(expected))
    }

    pub(super) fn keyword(&self) -> Option<Keyword> {
        self.peek().and_then(|token| token.keyword())
    }

    /// Steps over this keyword if it comes next.
    pub(super) fn take_keyword(&mut self, keyword: Keyword) -> Option<Span> {
        let token = self.peek().filter(|token| token.keyword() == Some(keyword))?;
        self.at += 1;
        Some(token.span)
    }

    /// The sign that comes `count` tokens later.
    pub(super) fn sign_ahead(&self, count: usize) -> Option<UnaryOp> {
        match self.ahead(count)?.operator()? {
            BinaryOp::Add => Some(UnaryOp::Plus),
            BinaryOp::Sub => Some(UnaryOp::Minus),
            _ => None,
        }
    }

    /// Steps over a sign if one comes next.
    pub(super) fn take_sign(&mut self) -> Option<(UnaryOp, Span)> {
        let sign = self.sign_ahead(0)?;
        let token = self.next()?;
        Some((sign, token.span))
    }

    /// Where the last token ended.
    pub(super) fn end(&self) -> Span {
        let last = self.at.checked_sub(1).and_then(|last| self.tokens.get(last));
        last.map_or(Span::new(0, 0), |token| token.span)
    }

    /// The token at hand cannot stand here.
    pub(super) fn unexpected(&self, expected: &str) -> ParseError {
        if let Some(token) = self.peek() {
            let found = shortened(token.text);
            ParseError::new(token.span, format!("expected {expected}, found `{found}`"))
        } else {
            let end = self.end().end;
            let message = format!("expected {expected}, found the end");
            ParseError::new(Span::new(end, end), message)
        }
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 32 {
        text.to_owned()
    } else {
        text.chars().take(32).chain(['…']).collect()
    }
}
