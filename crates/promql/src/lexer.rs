//! Tokens of a text, cut as Prometheus cuts them (`promql/parser/lex.go`), with bounds on what a text may hold.

mod token;

pub use self::token::{Keyword, Symbol, Token, TokenKind};

use crate::dialect::Dialect;
use crate::error::{ParseError, ParseErrorKind};
use crate::literal::Quote;
use crate::number::{self, Shape};
use crate::operator::BinaryOp;
use crate::span::Span;

/// The longest text that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// How deep brackets may nest. A tree is at most this deep plus [`MAX_OPERATORS`].
pub const MAX_DEPTH: usize = 100;
/// How many operators a text may have, signs included: a chain of them is a tree as deep as it is long.
pub const MAX_OPERATORS: usize = 300;
/// How many strings a text may have.
pub const MAX_STRINGS: usize = 2000;

/// The tokens of a text, without spaces and comments. Brackets are balanced and every bound is kept.
///
/// # Errors
///
/// For a character that no token begins with, a string or a bracket that is never closed, a bracket that closes nothing, and
/// a text beyond the bounds.
///
/// ```
/// use promql::{Dialect, lexer};
///
/// let tokens = lexer::tokens("rate(a[5m]) # per second", Dialect::default())?;
/// let texts: Vec<&str> = tokens.iter().map(|token| token.text).collect();
/// assert_eq!(texts, ["rate", "(", "a", "[", "5m", "]", ")"]);
/// # Ok::<(), promql::ParseError>(())
/// ```
pub fn tokens(text: &str, dialect: Dialect) -> Result<Vec<Token<'_>>, ParseError> {
    if text.len() > MAX_BYTES {
        let message = format!("the text is longer than {MAX_BYTES} bytes");
        return Err(ParseError::of_kind(
            ParseErrorKind::Bound,
            Span::new(0, 0),
            message,
        ));
    }
    let mut lexer = Lexer {
        text,
        dialect,
        at: 0,
        open: Vec::new(),
        duration: false,
        operators: 0,
        strings: 0,
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    match lexer.open.pop() {
        Some((symbol, span)) => Err(ParseError::new(
            span,
            format!("`{}` is never closed", symbol.as_str()),
        )),
        None => Ok(tokens),
    }
}

struct Lexer<'a> {
    text: &'a str,
    dialect: Dialect,
    at: usize,
    /// The brackets now open, each with its place.
    open: Vec<(Symbol, Span)>,
    /// Right after `[`, up to the first number: no comment may stand there.
    duration: bool,
    operators: usize,
    strings: usize,
}

// === impl Lexer ===

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Token<'a>>, ParseError> {
        self.skip_blank();
        let rest = &self.text[self.at..];
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            return Ok(None);
        };
        let second = chars.next();
        let (kind, len) = if self.in_braces() {
            self.in_braces_next(rest, first, second)?
        } else if first.is_ascii_digit() || first == '.' && second.is_some_and(|c| c.is_ascii_digit()) {
            self.number(rest)?
        } else if let Some(quote) = Quote::from_char(first).filter(|_| !self.duration) {
            self.string(rest, quote)?
        } else if is_name_start(first) || first == ':' {
            self.word(rest, first)?
        } else {
            let symbol = self.symbol(first, second)?;
            (TokenKind::Symbol(symbol), symbol.as_str().len())
        };
        let token = Token {
            kind,
            text: &rest[..len],
            span: Span::new(self.at, self.at + len),
        };
        self.count(&token)?;
        self.at += len;
        Ok(Some(token))
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            self.at += rest.len() - rest.trim_start_matches(BLANK).len();
            let rest = &self.text[self.at..];
            if self.duration || !rest.starts_with('#') {
                return;
            }
            self.at += rest.find(['\r', '\n']).unwrap_or(rest.len());
        }
    }

    fn in_braces_next(
        &mut self,
        rest: &str,
        first: char,
        second: Option<char>,
    ) -> Result<(TokenKind, usize), ParseError> {
        if let Some(quote) = Quote::from_char(first) {
            return self.string(rest, quote);
        }
        if is_name_start(first) {
            let len = rest.find(|c: char| !is_name_part(c)).unwrap_or(rest.len());
            return Ok((TokenKind::Word(None), len));
        }
        let symbol = match (first, second) {
            ('=', Some('~')) => Symbol::Matches,
            ('=', _) => Symbol::Equal,
            ('!', Some('~')) => Symbol::MatchesNot,
            ('!', Some('=')) => Symbol::Operator(BinaryOp::NotEqual),
            (',', _) => Symbol::Comma,
            ('}', _) => self.close(Symbol::CloseBrace)?,
            _ => return Err(self.unexpected(first)),
        };
        Ok((TokenKind::Symbol(symbol), symbol.as_str().len()))
    }

    fn number(&mut self, rest: &str) -> Result<(TokenKind, usize), ParseError> {
        self.duration = false;
        match number::cut(rest) {
            Ok((Shape::Number, len)) => Ok((TokenKind::Number, len)),
            Ok((Shape::Duration, len)) => Ok((TokenKind::Duration, len)),
            Err(len) => {
                let message = format!("`{}` is not a valid number or duration", &rest[..len]);
                Err(ParseError::new(Span::new(self.at, self.at + len), message))
            }
        }
    }

    fn string(&mut self, rest: &str, quote: Quote) -> Result<(TokenKind, usize), ParseError> {
        self.strings += 1;
        if self.strings > MAX_STRINGS {
            return Err(self.beyond(format!("the text has more than {MAX_STRINGS} strings")));
        }
        let mut escaped = false;
        for (at, c) in rest.char_indices().skip(1) {
            match c {
                // What the replacement of broken UTF-8 is for Prometheus' lexer.
                '\u{fffd}' => {
                    let span = Span::new(self.at + at, self.at + at + c.len_utf8());
                    return Err(ParseError::new(
                        span,
                        "U+FFFD may stand in a string only as an escape",
                    ));
                }
                _ if escaped => escaped = false,
                '\\' if quote != Quote::Raw => escaped = true,
                '\n' if quote != Quote::Raw => break,
                c if c == quote.as_char() => return Ok((TokenKind::String(quote), at + 1)),
                _ => {}
            }
        }
        let span = Span::new(self.at, self.at + 1);
        Err(ParseError::new(
            span,
            "the string that begins here is never closed",
        ))
    }

    fn word(&mut self, rest: &str, first: char) -> Result<(TokenKind, usize), ParseError> {
        if self.in_brackets() {
            return self.duration_word(rest, first);
        }
        let len = rest
            .find(|c: char| !(is_name_part(c) || c == ':'))
            .unwrap_or(rest.len());
        let word = &rest[..len];
        let kind = if word.contains(':') {
            TokenKind::MetricName
        } else if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("nan") {
            TokenKind::Number
        } else {
            let followed = rest[len..].trim_start_matches(BLANK).starts_with('(');
            TokenKind::Word(Keyword::of(word, self.dialect, followed))
        };
        Ok((kind, len))
    }

    /// A word between brackets, where a colon parts range and step.
    fn duration_word(&self, rest: &str, first: char) -> Result<(TokenKind, usize), ParseError> {
        if first == ':' {
            return Ok((TokenKind::Symbol(Symbol::Colon), 1));
        }
        let len = rest
            .find(|c: char| !(c.is_ascii_alphabetic() || c == '_'))
            .unwrap_or(rest.len());
        let keyword = Keyword::of(&rest[..len], self.dialect, true).filter(|word| word.is_of_durations());
        match keyword {
            Some(keyword) => Ok((TokenKind::Word(Some(keyword)), len)),
            None => Err(ParseError::new(
                Span::new(self.at, self.at + len),
                format!("`{}` may not stand inside `[`", &rest[..len]),
            )),
        }
    }

    fn symbol(&mut self, first: char, second: Option<char>) -> Result<Symbol, ParseError> {
        let operator = match (first, second) {
            ('+', _) => BinaryOp::Add,
            ('-', _) => BinaryOp::Sub,
            ('*', _) => BinaryOp::Mul,
            ('/', _) => BinaryOp::Div,
            ('%', _) => BinaryOp::Mod,
            ('^', _) => BinaryOp::Pow,
            ('(', _) => return self.open(Symbol::OpenParen),
            (')', _) => return self.close(Symbol::CloseParen),
            ('[', _) => return self.open(Symbol::OpenBracket),
            (']', _) => return self.close(Symbol::CloseBracket),
            (',', _) => return Ok(Symbol::Comma),
            _ if self.in_brackets() => return Err(self.unexpected(first)),
            ('@', _) => return Ok(Symbol::At),
            ('{', _) => return self.open(Symbol::OpenBrace),
            ('=', Some('=')) => BinaryOp::Equal,
            ('!', Some('=')) => BinaryOp::NotEqual,
            ('<', Some('=')) => BinaryOp::LessOrEqual,
            ('>', Some('=')) => BinaryOp::GreaterOrEqual,
            ('<', Some('/')) if self.dialect.is_3_16() => BinaryOp::TrimUpper,
            ('>', Some('/')) if self.dialect.is_3_16() => BinaryOp::TrimLower,
            ('<', _) => BinaryOp::Less,
            ('>', _) => BinaryOp::Greater,
            _ => return Err(self.unexpected(first)),
        };
        Ok(Symbol::Operator(operator))
    }

    fn open(&mut self, symbol: Symbol) -> Result<Symbol, ParseError> {
        if symbol == Symbol::OpenBracket {
            if self.in_brackets() {
                return Err(self.unexpected('['));
            }
            self.duration = true;
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.beyond(format!("brackets nest deeper than {MAX_DEPTH}")));
        }
        self.open.push((symbol, Span::new(self.at, self.at + 1)));
        Ok(symbol)
    }

    fn close(&mut self, symbol: Symbol) -> Result<Symbol, ParseError> {
        let span = Span::new(self.at, self.at + 1);
        let open = self.open.pop().map(|(open, _)| open);
        match (open, symbol) {
            (Some(Symbol::OpenBracket), Symbol::CloseBracket) => {
                self.duration = false;
                Ok(symbol)
            }
            (Some(Symbol::OpenParen), Symbol::CloseParen) | (Some(Symbol::OpenBrace), Symbol::CloseBrace) => {
                Ok(symbol)
            }
            (Some(open), _) => Err(ParseError::new(
                span,
                format!("`{}` does not close `{}`", symbol.as_str(), open.as_str()),
            )),
            (None, _) => Err(ParseError::new(
                span,
                format!("`{}` closes nothing", symbol.as_str()),
            )),
        }
    }

    /// Counts what makes a tree deep.
    fn count(&mut self, token: &Token<'_>) -> Result<(), ParseError> {
        if !self.in_braces() && token.operator().is_some() {
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                return Err(self.beyond(format!("the text has more than {MAX_OPERATORS} operators")));
            }
        }
        Ok(())
    }

    fn in_braces(&self) -> bool {
        matches!(self.open.last(), Some((Symbol::OpenBrace, _)))
    }

    /// Parentheses may stand inside brackets, and nothing else.
    fn in_brackets(&self) -> bool {
        let mut outwards = self.open.iter().rev();
        matches!(
            outwards.find(|(symbol, _)| *symbol != Symbol::OpenParen),
            Some((Symbol::OpenBracket, _))
        )
    }

    fn unexpected(&self, found: char) -> ParseError {
        let place = match self.open.last() {
            Some((open, _)) if *open != Symbol::OpenParen => format!(" inside `{}`", open.as_str()),
            _ => String::new(),
        };
        let span = Span::new(self.at, self.at + found.len_utf8());
        ParseError::new(span, format!("{found:?} may not stand here{place}"))
    }

    fn beyond(&self, message: String) -> ParseError {
        ParseError::of_kind(ParseErrorKind::Bound, Span::new(self.at, self.at + 1), message)
    }
}

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name_part(c: char) -> bool {
    is_name_start(c) || c.is_ascii_digit()
}

#[cfg(test)]
mod tests;
