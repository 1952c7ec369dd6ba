//! Tokens to nodes, after the grammar of Go's text/template/parse.

mod expression;

use self::expression::Place;
use super::Fault;
use super::ast::{Arm, Branches, Loop, Node, Offset};
use super::lexer::{Lexeme, Token, lex};

/// Nested parentheses and blocks.
const MAX_DEPTH: usize = 64;
/// Nodes, operands and pipelines of one template.
const MAX_NODES: usize = 10_000;

/// Parses a whole template. Variables are resolved here; fields, arities and types are left to [`super::check`].
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Fault> {
    let mut parser = Parser {
        lexemes: lex(text),
        next: 0,
        variables: vec!["$".to_owned()],
        depth: 0,
        loops: 0,
        nodes: 0,
    };
    let (nodes, ending) = parser.list()?;
    match ending {
        Ending::Text => Ok(nodes),
        Ending::End(at) => Err(Fault::new(at, "unexpected <<end>>")),
        Ending::Else(at) => Err(Fault::new(at, "unexpected <<else>>")),
    }
}

struct Parser<'t> {
    lexemes: Vec<Lexeme<'t>>,
    next: usize,
    /// Names in scope, innermost last.
    variables: Vec<String>,
    depth: usize,
    /// Ranges around this place: where `break` and `continue` may stand.
    loops: usize,
    nodes: usize,
}

/// What ended a list of nodes.
enum Ending {
    Text,
    End(Offset),
    /// The `else` is taken, what follows it is not.
    Else(Offset),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Keyword {
    If,
    With,
}

impl Keyword {
    fn name(self) -> &'static str {
        match self {
            Self::If => "if",
            Self::With => "with",
        }
    }
}

impl<'t> Parser<'t> {
    /// The lexer ends with [`Token::End`] or [`Token::Invalid`], which are never passed.
    fn peek(&self) -> Lexeme<'t> {
        let last = self.lexemes.len().saturating_sub(1);
        self.lexemes.get(self.next.min(last)).cloned().unwrap_or(Lexeme {
            at: 0,
            token: Token::End,
        })
    }

    fn take(&mut self) -> Lexeme<'t> {
        let lexeme = self.peek();
        if !matches!(lexeme.token, Token::End | Token::Invalid(_)) {
            self.next += 1;
        }
        lexeme
    }

    fn skip_space(&mut self) {
        while self.peek().token == Token::Space {
            self.next += 1;
        }
    }

    fn peek_past_space(&mut self) -> Lexeme<'t> {
        self.skip_space();
        self.peek()
    }

    fn node(&mut self, at: Offset) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Fault::new(
                at,
                format!("the template has more than {MAX_NODES} parts"),
            ));
        }
        Ok(())
    }

    /// Runs `parse` one level deeper.
    fn deeper<T>(
        &mut self,
        at: Offset,
        parse: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::new(
                at,
                format!("nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Runs `parse` and forgets the variables that it declared.
    fn scoped<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let mark = self.variables.len();
        let parsed = parse(self);
        self.variables.truncate(mark);
        parsed
    }

    fn expect_close(&mut self, place: &str) -> Result<(), Fault> {
        match self.peek_past_space() {
            Lexeme {
                token: Token::Close, ..
            } => {
                self.next += 1;
                Ok(())
            }
            found => Err(unexpected(&found, place)),
        }
    }

    fn list(&mut self) -> Result<(Vec<Node>, Ending), Fault> {
        let mut nodes = Vec::new();
        loop {
            let lexeme = self.take();
            self.node(lexeme.at)?;
            let open = match lexeme.token {
                Token::Text(text) => {
                    nodes.push(Node::Text {
                        at: lexeme.at,
                        text: text.to_owned(),
                    });
                    continue;
                }
                Token::End => return Ok((nodes, Ending::Text)),
                Token::Open => lexeme.at,
                _ => return Err(unexpected(&lexeme, "input")),
            };
            let start = self.peek_past_space();
            let Token::Word(word) = start.token else {
                nodes.push(Node::Action(self.pipeline(Place::Command)?));
                continue;
            };
            match word {
                "end" => {
                    self.next += 1;
                    self.expect_close("end")?;
                    return Ok((nodes, Ending::End(open)));
                }
                "else" => {
                    self.next += 1;
                    return Ok((nodes, Ending::Else(open)));
                }
                "if" | "with" => {
                    self.next += 1;
                    let keyword = if word == "if" { Keyword::If } else { Keyword::With };
                    let branches = self.deeper(open, |parser| {
                        parser.scoped(|parser| parser.branches(open, keyword))
                    })?;
                    nodes.push(if word == "if" {
                        Node::If(branches)
                    } else {
                        Node::With(branches)
                    });
                }
                "range" => {
                    self.next += 1;
                    nodes.push(self.deeper(open, |parser| parser.scoped(|parser| parser.range(open)))?);
                }
                "break" | "continue" => {
                    self.next += 1;
                    self.expect_close(word)?;
                    if self.loops == 0 {
                        return Err(Fault::new(start.at, format!("<<{word}>> outside <<range>>")));
                    }
                    nodes.push(if word == "break" {
                        Node::Break
                    } else {
                        Node::Continue
                    });
                }
                "define" | "template" | "block" => {
                    return Err(Fault::new(
                        start.at,
                        format!("<<{word}>> is not supported: a rule has one template"),
                    ));
                }
                _ => nodes.push(Node::Action(self.pipeline(Place::Command)?)),
            }
        }
    }

    fn branches(&mut self, open: Offset, keyword: Keyword) -> Result<Branches, Fault> {
        let mut arms = Vec::new();
        loop {
            let condition = self.pipeline(Place::Condition(keyword))?;
            let (body, ending) = self.scoped(Self::list)?;
            arms.push(Arm { condition, body });
            match ending {
                Ending::End(_) => {
                    return Ok(Branches {
                        arms,
                        otherwise: Vec::new(),
                    });
                }
                Ending::Text => return Err(unclosed(open, keyword.name())),
                Ending::Else(_) => {}
            }
            if self.peek_past_space().token == Token::Word(keyword.name()) {
                self.next += 1;
                self.node(open)?;
                continue;
            }
            let otherwise = self.otherwise(open, keyword.name())?;
            return Ok(Branches { arms, otherwise });
        }
    }

    fn range(&mut self, open: Offset) -> Result<Node, Fault> {
        let over = self.pipeline(Place::Range)?;
        self.loops += 1;
        let list = self.scoped(Self::list);
        self.loops -= 1;
        let (body, ending) = list?;
        let otherwise = match ending {
            Ending::End(_) => Vec::new(),
            Ending::Text => return Err(unclosed(open, "range")),
            Ending::Else(_) => self.otherwise(open, "range")?,
        };
        Ok(Node::Range(Loop {
            over,
            body,
            otherwise,
        }))
    }

    /// What follows the last `else` of a block.
    fn otherwise(&mut self, open: Offset, block: &str) -> Result<Vec<Node>, Fault> {
        self.expect_close("else")?;
        match self.scoped(Self::list)? {
            (nodes, Ending::End(_)) => Ok(nodes),
            (_, Ending::Else(at)) => Err(Fault::new(at, "expected <<end>>; found a second <<else>>")),
            (_, Ending::Text) => Err(unclosed(open, block)),
        }
    }
}

fn unclosed(open: Offset, block: &str) -> Fault {
    Fault::new(open, format!("<<{block}>> without <<end>>"))
}

fn unexpected(lexeme: &Lexeme<'_>, place: &str) -> Fault {
    let found = match &lexeme.token {
        Token::Invalid(message) => return Fault::new(lexeme.at, message.clone()),
        Token::Text(_) => "text".to_owned(),
        Token::Open => "<<".to_owned(),
        Token::Close => ">>".to_owned(),
        Token::Space => "space".to_owned(),
        Token::Comma => "\",\"".to_owned(),
        Token::Pipe => "\"|\"".to_owned(),
        Token::Declare => "\":=\"".to_owned(),
        Token::Assign => "\"=\"".to_owned(),
        Token::LeftParen => "\"(\"".to_owned(),
        Token::RightParen => "\")\"".to_owned(),
        Token::Dot => "<.>".to_owned(),
        Token::Field(name) => format!("<.{name}>"),
        Token::Variable(text) | Token::Word(text) | Token::Number(text) => format!("<{text}>"),
        Token::Quoted(text) | Token::RawQuoted(text) | Token::Char(text) => (*text).to_owned(),
        Token::Other(c) => format!("{:?}", c.to_string()),
        Token::End => "the end of the template".to_owned(),
    };
    Fault::new(lexeme.at, format!("unexpected {found} in {place}"))
}
