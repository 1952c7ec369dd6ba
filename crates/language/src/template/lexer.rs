//! Template text to tokens, after the rules of Go's text/template/parse with the delimiters `<<` and `>>`.

use super::Fault;
use super::ast::Offset;

const OPEN: &str = "<<";
const CLOSE: &str = ">>";
const TRIM_CLOSE: &str = "->>";
/// A trim marker and the space that must stand beside it.
const TRIM: usize = 2;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    /// Text outside of actions, trimmed.
    Text(&'t str),
    Open,
    Close,
    /// A run of white space inside an action.
    Space,
    Comma,
    Pipe,
    Declare,
    Assign,
    LeftParen,
    RightParen,
    Dot,
    /// `.name`, without the dot.
    Field(&'t str),
    /// `$name` or `$`, with the dollar.
    Variable(&'t str),
    /// A keyword, a function or `true` and `false`.
    Word(&'t str),
    /// `"…"`, `` `…` `` or `'…'`, with its quotes.
    Quoted(&'t str),
    RawQuoted(&'t str),
    Char(&'t str),
    Number(&'t str),
    /// Any other printable ASCII character.
    Other(char),
    /// The text ends, well or badly; always the last token.
    End,
    Invalid(String),
}

#[derive(Debug, Clone)]
pub(super) struct Lexeme<'t> {
    pub(super) at: Offset,
    pub(super) token: Token<'t>,
}

/// Never fails: what cannot be read is an [`Token::Invalid`] at the end, so that the parser reports whatever is wrong
/// before it first.
pub(super) fn lex(text: &str) -> Vec<Lexeme<'_>> {
    let mut lexer = Lexer {
        text,
        pos: 0,
        lexemes: Vec::new(),
    };
    if let Err(Fault { at, message, .. }) = lexer.run() {
        lexer.push(at, Token::Invalid(message));
    }
    lexer.lexemes
}

struct Lexer<'t> {
    text: &'t str,
    pos: Offset,
    lexemes: Vec<Lexeme<'t>>,
}

impl<'t> Lexer<'t> {
    fn push(&mut self, at: Offset, token: Token<'t>) {
        self.lexemes.push(Lexeme { at, token });
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.pos += c.len_utf8();
        Some(c)
    }

    fn accept(&mut self, set: &str) -> bool {
        let found = self.peek().is_some_and(|c| set.contains(c));
        if found {
            self.next();
        }
        found
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }

    fn since(&self, start: Offset) -> &'t str {
        self.text.get(start..self.pos).unwrap_or_default()
    }

    fn run(&mut self) -> Result<(), Fault> {
        loop {
            let (start, rest) = (self.pos, self.rest());
            let Some(len) = rest.find(OPEN) else {
                if !rest.is_empty() {
                    self.push(start, Token::Text(rest));
                }
                self.pos = self.text.len();
                self.push(self.pos, Token::End);
                return Ok(());
            };
            let open = start + len;
            self.pos = open + OPEN.len();
            let trims = self
                .rest()
                .strip_prefix('-')
                .is_some_and(|after| after.starts_with(is_space));
            let before = self.text.get(start..open).unwrap_or_default();
            let before = if trims {
                before.trim_end_matches(is_space)
            } else {
                before
            };
            if !before.is_empty() {
                self.push(start, Token::Text(before));
            }
            if trims {
                self.pos += TRIM;
            }
            if self.rest().starts_with("/*") {
                self.comment(open)?;
            } else {
                self.push(open, Token::Open);
                self.action(open)?;
            }
        }
    }

    fn comment(&mut self, open: Offset) -> Result<(), Fault> {
        let Some(len) = self.rest().get(2..).and_then(|body| body.find("*/")) else {
            return Err(Fault::new(open, "unclosed comment"));
        };
        self.pos += 2 + len + 2;
        if self.close().is_none() {
            return Err(Fault::new(
                self.pos,
                "a comment must end directly before the closing delimiter: */>> or */ ->>",
            ));
        }
        Ok(())
    }

    /// Takes the closing delimiter and what it trims, if it stands here; gives where `>>` began.
    fn close(&mut self) -> Option<Offset> {
        let rest = self.rest();
        let trims =
            rest.starts_with(is_space) && rest.get(1..).is_some_and(|after| after.starts_with(TRIM_CLOSE));
        if trims {
            self.pos += TRIM;
        } else if !rest.starts_with(CLOSE) {
            return None;
        }
        let at = self.pos;
        self.pos += CLOSE.len();
        if trims {
            self.take_while(is_space);
        }
        Some(at)
    }

    fn action(&mut self, open: Offset) -> Result<(), Fault> {
        let mut parens: Vec<Offset> = Vec::new();
        loop {
            let start = self.pos;
            if let Some(at) = self.close() {
                if let Some(paren) = parens.last() {
                    return Err(Fault::new(*paren, "unclosed left paren"));
                }
                self.push(at, Token::Close);
                return Ok(());
            }
            let Some(c) = self.next() else {
                return Err(Fault::new(open, "unclosed action"));
            };
            let token = match c {
                c if is_space(c) => {
                    self.take_while(is_space);
                    if self.rest().starts_with(TRIM_CLOSE) {
                        // The last space belongs to the delimiter.
                        self.pos -= 1;
                    }
                    Token::Space
                }
                '=' => Token::Assign,
                ':' if self.accept("=") => Token::Declare,
                ':' => return Err(Fault::new(start, "expected :=")),
                '|' => Token::Pipe,
                ',' => Token::Comma,
                '"' => self
                    .quoted(start, '"', "unterminated quoted string")
                    .map(Token::Quoted)?,
                '\'' => self
                    .quoted(start, '\'', "unterminated character constant")
                    .map(Token::Char)?,
                '`' => {
                    let Some(len) = self.rest().find('`') else {
                        return Err(Fault::new(start, "unterminated raw quoted string"));
                    };
                    self.pos += len + 1;
                    Token::RawQuoted(self.since(start))
                }
                '$' => self.name().map(|()| Token::Variable(self.since(start)))?,
                '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                    self.name()?;
                    match self.since(start + 1) {
                        "" => Token::Dot,
                        name => Token::Field(name),
                    }
                }
                '+' | '-' | '.' | '0'..='9' => {
                    self.pos = start;
                    self.number(start)?
                }
                '(' => {
                    parens.push(start);
                    Token::LeftParen
                }
                ')' if parens.pop().is_none() => return Err(Fault::new(start, "unexpected right paren")),
                ')' => Token::RightParen,
                c if is_alphanumeric(c) => self.name().map(|()| Token::Word(self.since(start)))?,
                c if c.is_ascii_graphic() => Token::Other(c),
                c => {
                    return Err(Fault::new(
                        start,
                        format!("unrecognized character in action: {c:?}"),
                    ));
                }
            };
            self.push(start, token);
        }
    }

    /// The rest of a string or character constant on this line, escapes left in.
    fn quoted(&mut self, start: Offset, quote: char, unterminated: &str) -> Result<&'t str, Fault> {
        loop {
            match self.next() {
                Some('\\') if self.peek().is_some_and(|c| c != '\n') => {
                    self.next();
                }
                None | Some('\\' | '\n') => return Err(Fault::new(start, unterminated)),
                Some(c) if c == quote => return Ok(self.since(start)),
                Some(_) => {}
            }
        }
    }

    /// The rest of a name, which must end where one may end.
    fn name(&mut self) -> Result<(), Fault> {
        self.take_while(is_alphanumeric);
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => Ok(()),
            Some(c) if is_space(c) || self.rest().starts_with(CLOSE) => Ok(()),
            Some(c) => Err(Fault::new(self.pos, format!("bad character {c:?}"))),
        }
    }

    /// The extent of a number; whether it is one is decided by [`super::literal::number`].
    fn number(&mut self, start: Offset) -> Result<Token<'t>, Fault> {
        self.accept("+-");
        let mut digits = "0123456789_";
        let mut exponent = "eE";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
                exponent = "pP";
            } else if self.accept("oO") {
                digits = "01234567_";
                exponent = "";
            } else if self.accept("bB") {
                digits = "01_";
                exponent = "";
            }
        }
        self.take_while(|c| digits.contains(c));
        if self.accept(".") {
            self.take_while(|c| digits.contains(c));
        }
        if self.accept(exponent) {
            self.accept("+-");
            self.take_while(|c| c.is_ascii_digit() || c == '_');
        }
        if self
            .peek()
            .is_some_and(|c| is_alphanumeric(c) || c == '+' || c == '-')
        {
            self.next();
            return Err(Fault::new(
                start,
                format!("bad number syntax: {:?}", self.since(start)),
            ));
        }
        Ok(Token::Number(self.since(start)))
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}
