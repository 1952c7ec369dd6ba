//! Lists of labels, and the modifiers of an operator.

use super::Parser;
use super::expression::string;
use crate::ast::{Clause, Fill, Group, Grouping, Label, MatchLabels, Matching, NumberLiteral, Side};
use crate::error::{ParseError, ParseErrorKind};
use crate::lexer::{Keyword, Symbol, TokenKind};
use crate::span::Span;

// === impl Parser ===

impl Parser<'_> {
    /// `by (…)` or `without (…)`, if one comes next.
    pub(super) fn grouping(&mut self) -> Result<Option<Grouping>, ParseError> {
        let clause = match self.cursor.keyword() {
            Some(Keyword::By) => Clause::By,
            Some(Keyword::Without) => Clause::Without,
            _ => return Ok(None),
        };
        self.cursor.next();
        let word = self.cursor.end();
        let labels = self.labels()?;
        Ok(Some(Grouping {
            clause,
            labels,
            place: word.to(self.cursor.end()).into(),
        }))
    }

    /// `bool`, and how rows of both sides find each other.
    pub(super) fn modifiers(&mut self) -> Result<(bool, Box<Matching>), ParseError> {
        let returns_bool = self.cursor.take_keyword(Keyword::Bool).is_some();
        let labels = self.match_labels()?;
        let group = match labels {
            Some(_) => self.group()?,
            None => None,
        };
        let fill = self.fill()?;
        let matching = Matching { labels, group, fill };
        Ok((returns_bool, Box::new(matching)))
    }

    fn match_labels(&mut self) -> Result<Option<MatchLabels>, ParseError> {
        let on = match self.cursor.keyword() {
            Some(Keyword::On) => true,
            Some(Keyword::Ignoring) => false,
            _ => return Ok(None),
        };
        self.cursor.next();
        let word = self.cursor.end();
        let labels = self.labels()?;
        Ok(Some(MatchLabels {
            on,
            labels,
            place: word.to(self.cursor.end()).into(),
        }))
    }

    fn group(&mut self) -> Result<Option<Group>, ParseError> {
        let many = match self.cursor.keyword() {
            Some(Keyword::GroupLeft) => Side::Left,
            Some(Keyword::GroupRight) => Side::Right,
            _ => return Ok(None),
        };
        self.cursor.next();
        let word = self.cursor.end();
        // Labels, or a right side in parentheses: the grammar takes the former.
        let labels = if self.cursor.is(Symbol::OpenParen) {
            self.labels()?
        } else {
            Vec::new()
        };
        Ok(Some(Group {
            many,
            labels,
            place: word.to(self.cursor.end()).into(),
        }))
    }

    /// `fill (…)`, or `fill_left (…)` and `fill_right (…)` in any order, each once.
    fn fill(&mut self) -> Result<Fill, ParseError> {
        let mut fill = Fill::default();
        if let Some(word) = self.cursor.take_keyword(Keyword::Fill) {
            let value = Some(self.fill_value(word)?);
            return Ok(Fill {
                left: value,
                right: value,
            });
        }
        loop {
            match self.cursor.keyword() {
                Some(Keyword::FillLeft) if fill.left.is_none() => {
                    self.cursor.next();
                    fill.left = Some(self.fill_value(self.cursor.end())?);
                }
                Some(Keyword::FillRight) if fill.right.is_none() => {
                    self.cursor.next();
                    fill.right = Some(self.fill_value(self.cursor.end())?);
                }
                _ => return Ok(fill),
            }
        }
    }

    fn fill_value(&mut self, word: Span) -> Result<NumberLiteral, ParseError> {
        if !self.dialect.fill_modifiers {
            let message = "`fill` is experimental and not switched on";
            return Err(ParseError::of_kind(ParseErrorKind::Dialect, word, message));
        }
        self.cursor.expect(Symbol::OpenParen, "`(`")?;
        let sign = self.cursor.take_sign();
        let mut number = self.number()?;
        if let Some((sign, span)) = sign {
            number.value = sign.apply(number.value);
            number.place = span.to(number.place.span()).into();
        }
        self.cursor.expect(Symbol::CloseParen, "`)`")?;
        Ok(number)
    }

    /// Labels in parentheses; a comma may end them.
    fn labels(&mut self) -> Result<Vec<Label>, ParseError> {
        self.cursor.expect(Symbol::OpenParen, "`(`")?;
        let mut labels = Vec::new();
        while self.cursor.take(Symbol::CloseParen).is_none() {
            labels.push(self.label()?);
            if self.cursor.take(Symbol::Comma).is_none() && !self.cursor.is(Symbol::CloseParen) {
                return Err(self.cursor.unexpected("`,` or `)`"));
            }
        }
        Ok(labels)
    }

    fn label(&mut self) -> Result<Label, ParseError> {
        let expected = "a label name or `)`";
        let Some(token) = self.cursor.peek() else {
            return Err(self.cursor.unexpected(expected));
        };
        let name = match token.kind {
            // Prometheus takes a name with a colon too, although no other list does.
            TokenKind::Word(_) | TokenKind::MetricName => token.text.to_owned(),
            TokenKind::String(quote) => string(&token, quote)?,
            _ => return Err(self.cursor.unexpected(expected)),
        };
        if name.is_empty() {
            return Err(ParseError::new(token.span, "a label name may not be empty"));
        }
        self.cursor.next();
        Ok(Label {
            name,
            place: token.span.into(),
        })
    }
}
