//! Cuts PromQL into tokens and bounds what it holds.
//!
//! promql-parser's own lexer keeps no usable positions, reads escapes in backticks, and sets no bound on depth, which its
//! recursive tree turns into a stack overflow. This one goes before it.

use super::literal::Quote;

/// How deep brackets may nest. A tree is at most this deep plus [`MAX_OPERATORS`].
pub(super) const MAX_DEPTH: usize = 100;
/// How many operators a query may have: a chain of them is a tree as deep as it is long.
pub(super) const MAX_OPERATORS: usize = 300;
/// How many string literals a query may have.
pub(super) const MAX_LITERALS: usize = 2000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word: a name or a keyword.
    Word,
    /// A number or a duration.
    Number,
    /// A string literal, quotes included.
    Literal(Quote),
    /// Anything else: one operator, bracket, comma or colon.
    Symbol,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Where it begins, in bytes.
    pub(super) start: usize,
}

impl<'a> Token<'a> {
    /// What stands between the quotes of a literal.
    pub(super) fn body(&self) -> &'a str {
        self.text
            .get(1..self.text.len().saturating_sub(1))
            .unwrap_or_default()
    }

    pub(super) fn is_symbol(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.text == symbol
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(super) fn is_binary_operator(&self) -> bool {
        match self.kind {
            Kind::Symbol => {
                ["+", "-", "*", "/", "%", "^", "==", "!=", "<", "<=", ">", ">="].contains(&self.text)
            }
            Kind::Word => ["and", "or", "unless", "atan2"]
                .iter()
                .any(|word| self.is_word(word)),
            Kind::Number | Kind::Literal(_) => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LexError {
    /// Where, in bytes.
    pub(super) at: usize,
    pub(super) message: String,
}

/// The tokens of a query, without spaces and comments. Brackets are balanced and every bound above is kept.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, LexError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        open: Vec::new(),
        operators: 0,
        literals: 0,
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next()? {
        tokens.push(token);
    }
    if let Some((symbol, at)) = lexer.open.pop() {
        return Err(LexError {
            at,
            message: format!("`{symbol}` is never closed"),
        });
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// The brackets now open, each with its place.
    open: Vec<(char, usize)>,
    operators: usize,
    literals: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self) -> Result<Option<Token<'a>>, LexError> {
        self.skip_blank();
        let rest = &self.text[self.at..];
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        let second = rest.chars().nth(1);
        let (kind, len) = if let Some(quote) = Quote::from_char(first) {
            (Kind::Literal(quote), self.literal(quote)?)
        } else if first.is_ascii_digit() || first == '.' && second.is_some_and(|c| c.is_ascii_digit()) {
            (Kind::Number, number_len(rest))
        } else if first.is_ascii_alphabetic() || first == '_' || first == ':' && self.open_bracket().is_none()
        {
            (Kind::Word, self.word_len(rest))
        } else {
            (Kind::Symbol, self.symbol(first, second)?)
        };
        let token = Token {
            kind,
            text: &rest[..len],
            start: self.at,
        };
        if !self.in_braces() && token.is_binary_operator() {
            self.operators += 1;
            if self.operators > MAX_OPERATORS {
                return Err(self.error(format!("more than {MAX_OPERATORS} operators")));
            }
        }
        self.at += len;
        Ok(Some(token))
    }

    fn skip_blank(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
            self.at += blank;
            if !self.text[self.at..].starts_with('#') {
                return;
            }
            let comment = &self.text[self.at..];
            self.at += comment.find(['\r', '\n']).unwrap_or(comment.len());
        }
    }

    fn literal(&mut self, quote: Quote) -> Result<usize, LexError> {
        self.literals += 1;
        if self.literals > MAX_LITERALS {
            return Err(self.error(format!("more than {MAX_LITERALS} strings")));
        }
        let mut escaped = false;
        for (at, c) in self.text[self.at..].char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' if quote != Quote::Raw => escaped = true,
                '\n' if quote != Quote::Raw => break,
                c if c == quote.as_char() => return Ok(at + 1),
                _ => {}
            }
        }
        Err(self.error("the string that begins here is never closed".to_owned()))
    }

    /// A colon belongs to a name, but inside `[…]` it parts range and step, and a label has none.
    fn word_len(&self, rest: &str) -> usize {
        let colon = self.open_bracket().is_none();
        rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || colon && c == ':'))
            .unwrap_or(rest.len())
    }

    fn symbol(&mut self, first: char, second: Option<char>) -> Result<usize, LexError> {
        match (first, second) {
            ('=' | '!', Some('~')) if self.in_braces() => return Ok(2),
            ('!', Some('=')) => return Ok(2),
            ('=' | '<' | '>', Some('=')) if !self.in_braces() => return Ok(2),
            ('=', _) if self.in_braces() => {}
            ('+' | '-' | '*' | '/' | '%' | '^' | '<' | '>' | '@' | ',' | ':', _) => {}
            ('(' | '[' | '{', _) => self.open(first)?,
            (')' | ']' | '}', _) => self.close(first)?,
            _ => return Err(self.error(format!("unexpected {first:?}"))),
        }
        Ok(1)
    }

    fn open(&mut self, symbol: char) -> Result<(), LexError> {
        if let Some(outer) = self.open_bracket() {
            return Err(self.error(format!("unexpected `{symbol}` inside `{outer}`")));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(self.error(format!("brackets nest deeper than {MAX_DEPTH}")));
        }
        self.open.push((symbol, self.at));
        Ok(())
    }

    fn close(&mut self, symbol: char) -> Result<(), LexError> {
        match (self.open.pop(), symbol) {
            (Some(('(', _)), ')') | (Some(('[', _)), ']') | (Some(('{', _)), '}') => Ok(()),
            (Some((open, _)), _) => Err(self.error(format!("`{symbol}` does not close `{open}`"))),
            (None, _) => Err(self.error(format!("`{symbol}` closes nothing"))),
        }
    }

    /// The `[` or `{` that we are in; no other bracket may stand in either.
    fn open_bracket(&self) -> Option<char> {
        self.open
            .last()
            .map(|(symbol, _)| *symbol)
            .filter(|symbol| *symbol != '(')
    }

    fn in_braces(&self) -> bool {
        self.open_bracket() == Some('{')
    }

    fn error(&self, message: String) -> LexError {
        LexError { at: self.at, message }
    }
}

fn number_len(rest: &str) -> usize {
    let hex = rest.starts_with("0x") || rest.starts_with("0X");
    let mut previous = ' ';
    let mut plain = true; // only digits, dots and underscores so far
    for (at, c) in rest.char_indices() {
        let sign = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E') && plain && !hex;
        if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
            return at;
        }
        plain = plain && (c.is_ascii_digit() || matches!(c, '.' | '_' | 'e' | 'E'));
        previous = c;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        tokens(text).unwrap().iter().map(|t| t.text).collect()
    }

    #[test]
    fn tokens_are_cut_as_prometheus_does() {
        assert_eq!(
            cut("sum(rate(a:b{x=~'y'}[5m:1m])) # end"),
            [
                "sum", "(", "rate", "(", "a:b", "{", "x", "=~", "'y'", "}", "[", "5m", ":", "1m", "]", ")",
                ")"
            ]
        );
        assert_eq!(
            cut("1e-3+0x1e-3 - .5 == 1_000"),
            ["1e-3", "+", "0x1e", "-", "3", "-", ".5", "==", "1_000"]
        );
        assert_eq!(
            cut("{a!='}',b='\\'#'}"),
            ["{", "a", "!=", "'}'", ",", "b", "=", "'\\'#'", "}"]
        );
        assert_eq!(cut("a # {\r`\\` # `"), ["a", "`\\`"]);
        assert_eq!(
            cut("a offset -5m @ start()"),
            ["a", "offset", "-", "5m", "@", "start", "(", ")"]
        );
    }

    #[test]
    fn errors_say_where() {
        for (text, at) in [
            ("a)", 1),
            ("sum(a", 3),
            ("a{b=\"c}", 4),
            ("a{b=\"c\n\"}", 4),
            ("{a[5m]}", 2),
            ("(a]", 2),
            ("a ; b", 2),
            ("a =~ \"x\"", 2),
            ("é", 0),
            ("a{{", 2),
        ] {
            assert_eq!(tokens(text).unwrap_err().at, at, "{text}");
        }
    }

    #[test]
    fn bounds() {
        assert!(tokens(&format!("{}1{}", "(".repeat(100), ")".repeat(100))).is_ok());
        assert!(tokens(&format!("{}1{}", "(".repeat(101), ")".repeat(101))).is_err());
        assert!(tokens(&format!("a{}", "+a".repeat(301))).is_err());
        assert!(tokens(&format!("{}a", "-".repeat(301))).is_err());
        assert!(tokens(&"\"\",".repeat(2001)).is_err());
    }
}
