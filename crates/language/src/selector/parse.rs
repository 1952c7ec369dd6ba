//! Grammar of `labels.Parse`, token by token, with its oddities: a NUL ends a token unseen, `in` and `notin` are
//! words only where an operator may stand, `(a,)` holds an empty value.

use super::error::{RequirementError, SelectorError};
use super::{Operator, Requirement, label};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    End,
    Identifier,
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    Not,
    Comma,
    Open,
    Close,
}

struct Parser<'a> {
    /// Ends with `Token::End`, which is never stepped over.
    tokens: Vec<(Token, &'a str)>,
    position: usize,
}

/// The requirements of the text, in its order.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser {
        tokens: tokens(text),
        position: 0,
    };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::Identifier | Token::Not, _) => requirements.push(parser.requirement()?),
            (Token::End, _) => return Ok(requirements),
            (_, found) => return Err(unexpected(found, "!, identifier, or 'end of string'").into()),
        }
        match parser.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => match parser.peek() {
                (Token::Identifier | Token::Not, _) => {}
                (_, found) => return Err(unexpected(found, "identifier after ','").into()),
            },
            (_, found) => return Err(unexpected(found, "',' or 'end of string'").into()),
        }
    }
}

impl<'a> Parser<'a> {
    /// The token that follows, where `in` and `notin` are plain words.
    fn peek(&self) -> (Token, &'a str) {
        match self.tokens.get(self.position) {
            Some((Token::In | Token::NotIn, word)) => (Token::Identifier, word),
            Some(token) => *token,
            None => (Token::End, ""),
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let token = self.peek();
        self.position += 1;
        token
    }

    fn next_operator(&mut self) -> (Token, &'a str) {
        let token = self
            .tokens
            .get(self.position)
            .copied()
            .unwrap_or((Token::End, ""));
        self.position += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, RequirementError> {
        let (mut token, mut key) = self.next();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next();
        }
        if token != Token::Identifier {
            return Err(Unexpected {
                found: key,
                expected: "identifier",
            }
            .into());
        }
        if let Some(error) = label::key_error("<nil>", key) {
            return Err(RequirementError::Invalid(vec![error]));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = match self.next_operator() {
            (Token::In, _) => Operator::In,
            (Token::NotIn, _) => Operator::NotIn,
            (Token::Equals, _) => Operator::Equals,
            (Token::DoubleEquals, _) => Operator::DoubleEquals,
            (Token::NotEquals, _) => Operator::NotEquals,
            (Token::Greater, _) => Operator::GreaterThan,
            (Token::Less, _) => Operator::LessThan,
            (_, found) => {
                return Err(Unexpected {
                    found,
                    expected: "in, notin, =, ==, !=, gt, lt",
                }
                .into());
            }
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.list()?,
            _ => vec![self.value()?],
        };
        Requirement::new(key, operator, values)
    }

    fn value(&mut self) -> Result<String, RequirementError> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Identifier, value) => Ok(value.to_owned()),
            (_, found) => Err(Unexpected {
                found,
                expected: "identifier",
            }
            .into()),
        }
    }

    fn list(&mut self) -> Result<Vec<String>, RequirementError> {
        match self.next() {
            (Token::Open, _) => {}
            (_, found) => {
                return Err(RequirementError::ListExpected {
                    found: found.to_owned(),
                });
            }
        }
        match self.peek() {
            (Token::Close, _) => {
                self.next();
                return Ok(vec![String::new()]);
            }
            (Token::Identifier | Token::Comma, _) => {}
            (_, found) => {
                return Err(Unexpected {
                    found,
                    expected: "',', ')' or identifier",
                }
                .into());
            }
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                (Token::Identifier, value) => {
                    values.push(value.to_owned());
                    match self.peek() {
                        (Token::Comma | Token::Close, _) => {}
                        (_, found) => {
                            return Err(Unexpected {
                                found,
                                expected: "',' or ')'",
                            }
                            .into());
                        }
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() || matches!(self.peek().0, Token::Comma | Token::Close) {
                        values.push(String::new());
                    }
                }
                (Token::Close, _) => return Ok(values),
                (_, found) => {
                    return Err(Unexpected {
                        found,
                        expected: "',', or identifier",
                    }
                    .into());
                }
            }
        }
    }
}

struct Unexpected<'a> {
    found: &'a str,
    expected: &'static str,
}

impl From<Unexpected<'_>> for RequirementError {
    fn from(Unexpected { found, expected }: Unexpected<'_>) -> Self {
        Self::Unexpected {
            found: found.to_owned(),
            expected,
        }
    }
}

impl From<Unexpected<'_>> for SelectorError {
    fn from(Unexpected { found, expected }: Unexpected<'_>) -> Self {
        Self::Unexpected {
            found: found.to_owned(),
            expected,
        }
    }
}

const fn unexpected<'a>(found: &'a str, expected: &'static str) -> Unexpected<'a> {
    Unexpected { found, expected }
}

fn tokens(text: &str) -> Vec<(Token, &str)> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(is_space);
        let (token, length) = match rest.as_bytes() {
            [] | [0, ..] => break,
            [b'=', b'=', ..] => (Token::DoubleEquals, 2),
            [b'!', b'=', ..] => (Token::NotEquals, 2),
            [b'=', ..] => (Token::Equals, 1),
            [b'!', ..] => (Token::Not, 1),
            [b'>', ..] => (Token::Greater, 1),
            [b'<', ..] => (Token::Less, 1),
            [b',', ..] => (Token::Comma, 1),
            [b'(', ..] => (Token::Open, 1),
            [b')', ..] => (Token::Close, 1),
            _ => {
                let end = rest.find(|letter| is_space(letter) || is_symbol(letter) || letter == '\0');
                (Token::Identifier, end.unwrap_or(rest.len()))
            }
        };
        let (literal, after) = rest.split_at(length);
        let token = match (token, literal) {
            (Token::Identifier, "in") => Token::In,
            (Token::Identifier, "notin") => Token::NotIn,
            _ => token,
        };
        tokens.push((token, literal));
        // a NUL right after a token is swallowed with it; at the start of one it ends the text
        rest = after.strip_prefix('\0').unwrap_or(after);
    }
    tokens.push((Token::End, ""));
    tokens
}

const fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

const fn is_symbol(letter: char) -> bool {
    matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}
