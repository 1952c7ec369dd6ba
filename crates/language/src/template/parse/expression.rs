//! Expressions inside an action: pipelines, commands, operands.

use super::super::Fault;
use super::super::ast::{Binding, Call, Field, Function, Offset, Operand, Pipeline, Term};
use super::super::lexer::{Lexeme, Token};
use super::super::literal;
use super::{Keyword, Parser, unexpected};

/// Functions and actions of Go's templates that a rule has no use for, or that would escape for another language.
const UNSUPPORTED: [&str; 6] = ["call", "html", "js", "println", "slice", "urlquery"];

/// Where a pipeline stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Command,
    Condition(Keyword),
    Range,
    Parentheses,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Condition(keyword) => keyword.name(),
            Self::Range => "range",
            Self::Parentheses => "parenthesized pipeline",
        }
    }
}

impl Parser<'_> {
    /// A pipeline with what closes it.
    pub(super) fn pipeline(&mut self, place: Place) -> Result<Pipeline, Fault> {
        let at = self.peek_past_space().at;
        self.node(at)?;
        let binding = self.binding(place)?;
        let end = if place == Place::Parentheses {
            Token::RightParen
        } else {
            Token::Close
        };
        let mut commands = Vec::new();
        loop {
            let lexeme = self.peek_past_space();
            if lexeme.token == end {
                self.next += 1;
                break;
            }
            if !begins_operand(&lexeme.token) {
                return Err(unexpected(&lexeme, place.name()));
            }
            commands.push(self.command()?);
        }
        let mut commands = commands.into_iter();
        let Some((head, args)) = commands.next() else {
            return Err(Fault::new(at, format!("missing value for {}", place.name())));
        };
        let head = head_of_pipeline(head, args)?;
        let stages = commands
            .map(|(head, args)| stage(head, args))
            .collect::<Result<_, _>>()?;
        if let Some(binding) = &binding {
            self.bind(binding)?;
        }
        Ok(Pipeline {
            at,
            binding,
            head,
            stages,
        })
    }

    /// `$x :=`, `$x =`, `$i, $x :=` if one stands here; else nothing is taken.
    fn binding(&mut self, place: Place) -> Result<Option<Binding>, Fault> {
        let first = self.peek_past_space();
        let Token::Variable(name) = first.token else {
            return Ok(None);
        };
        let start = self.next;
        self.next += 1;
        let mut names = vec![name.to_owned()];
        if self.peek_past_space().token == Token::Comma {
            if place != Place::Range {
                return Err(Fault::new(
                    self.peek().at,
                    format!("too many declarations in {}", place.name()),
                ));
            }
            self.next += 1;
            let second = self.peek_past_space();
            let Token::Variable(name) = second.token else {
                return Err(Fault::new(second.at, "range can only initialize variables"));
            };
            self.next += 1;
            names.push(name.to_owned());
        }
        let operator = self.peek_past_space();
        match operator.token {
            Token::Declare | Token::Assign => {
                self.next += 1;
                Ok(Some(Binding {
                    at: first.at,
                    declares: operator.token == Token::Declare,
                    names,
                }))
            }
            Token::Comma => Err(Fault::new(operator.at, "too many declarations in range")),
            _ if names.len() > 1 => Err(unexpected(&operator, "range; expected :=")),
            _ => {
                self.next = start;
                Ok(None)
            }
        }
    }

    /// A variable exists after the pipeline that gives its value, not in it.
    fn bind(&mut self, binding: &Binding) -> Result<(), Fault> {
        for name in &binding.names {
            if binding.declares {
                self.variables.push(name.clone());
            } else {
                self.known(binding.at, name)?;
            }
        }
        Ok(())
    }

    fn known(&self, at: Offset, name: &str) -> Result<(), Fault> {
        if self.variables.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Fault::new(at, format!("undefined variable {name:?}")))
    }

    /// Operands up to a pipe, which is taken, or to the end of the pipeline, which is not.
    fn command(&mut self) -> Result<(Operand, Vec<Operand>), Fault> {
        let head = self.operand()?;
        let mut args = Vec::new();
        loop {
            let after = self.peek();
            match after.token {
                Token::Space => {
                    if begins_operand(&self.peek_past_space().token) {
                        args.push(self.operand()?);
                    }
                }
                Token::Close | Token::RightParen => break,
                Token::Pipe => {
                    self.next += 1;
                    break;
                }
                _ => return Err(unexpected(&after, "operand")),
            }
        }
        Ok((head, args))
    }

    /// A term and the fields that directly follow it.
    fn operand(&mut self) -> Result<Operand, Fault> {
        let Lexeme { at, token } = self.take();
        self.node(at)?;
        let mut fields = Vec::new();
        let term = match token {
            Token::Dot => Term::Dot,
            Token::Field(name) => {
                fields.push(Field {
                    at,
                    name: name.to_owned(),
                });
                Term::Dot
            }
            Token::Variable(name) => {
                self.known(at, name)?;
                Term::Variable(name.to_owned())
            }
            Token::Word("nil") => Term::Nil,
            Token::Word(word @ ("true" | "false")) => Term::Bool(word == "true"),
            Token::Word(word) => Term::Call(Call {
                at,
                function: function(at, word)?,
                args: Vec::new(),
            }),
            Token::Quoted(text) => {
                Term::Text(literal::quoted(text).map_err(|message| Fault::new(at, message))?)
            }
            Token::RawQuoted(text) => Term::Text(literal::raw_quoted(text)),
            Token::Char(text) => {
                Term::Int(literal::character(text).map_err(|message| Fault::new(at, message))?)
            }
            Token::Number(text) => literal::number(text).map_err(|message| Fault::new(at, message))?,
            Token::LeftParen => Term::Pipeline(Box::new(
                self.deeper(at, |parser| parser.pipeline(Place::Parentheses))?,
            )),
            token => return Err(unexpected(&Lexeme { at, token }, "operand")),
        };
        let has_fields = matches!(self.peek().token, Token::Field(_));
        let takes_fields =
            !fields.is_empty() || matches!(term, Term::Variable(_) | Term::Call(_) | Term::Pipeline(_));
        if has_fields && !takes_fields {
            return Err(Fault::new(
                self.peek().at,
                "unexpected . after a term that has no fields",
            ));
        }
        while let Token::Field(name) = self.peek().token {
            let at = self.take().at;
            self.node(at)?;
            fields.push(Field {
                at,
                name: name.to_owned(),
            });
        }
        if fields.is_empty() {
            return Ok(Operand { at, term });
        }
        let base = Box::new(Operand { at, term });
        Ok(Operand {
            at,
            term: Term::Access { base, fields },
        })
    }
}

fn begins_operand(token: &Token<'_>) -> bool {
    matches!(
        token,
        Token::Dot
            | Token::Field(_)
            | Token::Variable(_)
            | Token::Word(_)
            | Token::Quoted(_)
            | Token::RawQuoted(_)
            | Token::Char(_)
            | Token::Number(_)
            | Token::LeftParen
    )
}

fn function(at: Offset, word: &str) -> Result<Function, Fault> {
    Function::named(word).ok_or_else(|| {
        let message = match word {
            "if" | "else" | "end" | "range" | "with" | "break" | "continue" | "define" | "template"
            | "block" => {
                format!("unexpected <{word}> in operand")
            }
            _ if UNSUPPORTED.contains(&word) => format!("function {word:?} is not supported"),
            _ => format!("function {word:?} not defined"),
        };
        Fault::new(at, message)
    })
}

fn head_of_pipeline(head: Operand, args: Vec<Operand>) -> Result<Operand, Fault> {
    let Operand { at, term } = head;
    let term = match term {
        Term::Nil => return Err(Fault::new(at, "nil is not a command")),
        Term::Call(call) => Term::Call(Call { args, ..call }),
        term => match args.first() {
            None => term,
            Some(arg) => {
                return Err(Fault::new(
                    arg.at,
                    "can't give an argument to something that is not a function",
                ));
            }
        },
    };
    Ok(Operand { at, term })
}

fn stage(head: Operand, args: Vec<Operand>) -> Result<Call, Fault> {
    match head.term {
        Term::Call(call) => Ok(Call { args, ..call }),
        _ => Err(Fault::new(head.at, "what follows | must be a function")),
    }
}
