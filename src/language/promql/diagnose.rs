//! Finds where a query goes wrong, since promql-parser does not say.
//!
//! A second look at the tokens, by the grammar's shape alone, finds the first one that cannot stand where it does. What has
//! the right shape and is refused all the same (types, unknown functions) is placed by the name in the parser's message.

use std::panic::catch_unwind;

use promql_parser::parser;

use super::lex::{Kind, Token};
use super::literal::quoted;

/// What is wrong, and where in bytes, as far as it was found.
#[derive(Debug, Default)]
pub(super) struct Fault {
    pub(super) at: Option<usize>,
    pub(super) message: Option<String>,
}

/// The cause of a refusal whose `message` is the parser's.
pub(super) fn fault(tokens: &[Token<'_>], message: &str) -> Fault {
    let mut reader = Reader { tokens, at: 0 };
    if let Err(expected) = reader.query() {
        let found = match tokens.get(reader.at) {
            Some(token) => format!("`{}`", shortened(token.text)),
            None => "the end".to_owned(),
        };
        let message = format!("expected {expected}, found {found}");
        return Fault {
            at: Some(reader.place()),
            message: Some(message),
        };
    }
    Fault {
        at: named_call(tokens, message),
        message: typed(message),
    }
}

/// The parser's message with the names of types that the documentation of PromQL uses.
fn typed(message: &str) -> Option<String> {
    let named = message
        .replace("type matrix", "type range vector")
        .replace("type vector", "type instant vector")
        .replace("got matrix", "got range vector")
        .replace("got vector", "got instant vector");
    (named != message).then_some(named)
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 32 {
        text.to_owned()
    } else {
        text.chars().take(32).chain(['…']).collect()
    }
}

/// The longest call that is parsed alone, in bytes.
const MAX_ALONE: usize = 4 << 10;

/// The call of the function that the message names in single quotes; of several, the first that fails alone.
fn named_call(tokens: &[Token<'_>], message: &str) -> Option<usize> {
    let name = message.split('\'').nth(1)?;
    let is_call = |at: usize| tokens[at].text == name && tokens.get(at + 1).is_some_and(|t| t.is_symbol("("));
    let calls: Vec<usize> = (0..tokens.len()).filter(|at| is_call(*at)).collect();
    if calls.len() > 1 {
        // Innermost and leftmost first; a bounded number, since each is parsed anew.
        for at in calls.iter().rev().take(32) {
            let alone = call_text(&tokens[*at..]);
            if alone.len() <= MAX_ALONE
                && catch_unwind(|| parser::parse(&alone)).is_ok_and(|parsed| parsed.is_err())
            {
                return Some(tokens[*at].start);
            }
        }
    }
    calls.first().map(|at| tokens[*at].start)
}

/// The text of a call, up to the parenthesis that closes it, with nothing in its strings.
fn call_text(tokens: &[Token<'_>]) -> String {
    let mut depth = 0_usize;
    let mut text = String::new();
    for token in tokens {
        match token.kind {
            Kind::Literal(_) => text.push_str(&quoted("x")),
            _ => text.push_str(token.text),
        }
        text.push(' ');
        if token.is_symbol("(") {
            depth += 1;
        } else if token.is_symbol(")") {
            depth -= 1;
            if depth == 0 {
                break;
            }
        }
    }
    text
}

/// What the grammar has. Not the list of `confine`, which holds what was looked at before it was let through.
pub(super) const AGGREGATIONS: [&str; 14] = [
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "max",
    "min",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "limitk",
    "limit_ratio",
];

/// A recogniser of the grammar's shape. Brackets are balanced and bounded, so its recursion is too.
struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
}

/// What was expected instead of the token at hand.
type Shape = Result<(), &'static str>;

impl Reader<'_> {
    fn query(&mut self) -> Shape {
        self.expression()?;
        if self.peek().is_some() {
            Err("an operator or the end")
        } else {
            Ok(())
        }
    }

    fn expression(&mut self) -> Shape {
        loop {
            while self.symbol("+") || self.symbol("-") {}
            self.operand()?;
            self.suffixes()?;
            if !self.peek().is_some_and(Token::is_binary_operator) {
                return Ok(());
            }
            self.at += 1;
            self.modifiers()?;
        }
    }

    fn operand(&mut self) -> Shape {
        let Some(token) = self.peek() else {
            return Err("an expression");
        };
        match token.kind {
            Kind::Number | Kind::Literal(_) => self.at += 1,
            Kind::Word if token.is_word("inf") || token.is_word("nan") => self.at += 1,
            Kind::Symbol if token.is_symbol("{") => self.braces()?,
            Kind::Symbol if token.is_symbol("(") => {
                self.at += 1;
                self.expression()?;
                self.expect(")", "an operator or `)`")?;
            }
            Kind::Symbol => return Err("an expression"),
            Kind::Word => {
                let aggregation = AGGREGATIONS.iter().any(|word| token.is_word(word));
                self.at += 1;
                if aggregation && self.grouping()? {
                    self.arguments()?;
                } else if self.peek().is_some_and(|t| t.is_symbol("(")) {
                    self.arguments()?;
                    if aggregation {
                        self.grouping()?;
                    }
                } else if self.peek().is_some_and(|t| t.is_symbol("{")) {
                    self.braces()?;
                }
            }
        }
        Ok(())
    }

    fn suffixes(&mut self) -> Shape {
        loop {
            if self.symbol("[") {
                self.duration()?;
                if self.symbol(":") && !self.peek().is_some_and(|t| t.is_symbol("]")) {
                    self.duration()?;
                }
                self.expect("]", "`:` or `]`")?;
            } else if self.word("offset") {
                let _ = self.symbol("+") || self.symbol("-");
                self.duration()?;
            } else if self.symbol("@") {
                let _ = self.symbol("+") || self.symbol("-");
                if self.word("start") || self.word("end") {
                    self.expect("(", "`(`")?;
                    self.expect(")", "`)`")?;
                } else {
                    self.duration().map_err(|_| "a timestamp, `start()` or `end()`")?;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn modifiers(&mut self) -> Shape {
        let _ = self.word("bool");
        if self.word("on") || self.word("ignoring") {
            self.labels()?;
            if (self.word("group_left") || self.word("group_right"))
                && self.peek().is_some_and(|t| t.is_symbol("("))
            {
                // Labels, or a right side that begins with a parenthesis: promql-parser takes the former.
                self.labels()?;
            }
        }
        while ["fill", "fill_left", "fill_right"].iter().any(|word| {
            self.peek().is_some_and(|t| t.is_word(word))
                && self.tokens.get(self.at + 1).is_some_and(|t| t.is_symbol("("))
        }) {
            self.at += 2;
            let _ = self.symbol("+") || self.symbol("-");
            self.duration().map_err(|_| "a number")?;
            self.expect(")", "`)`")?;
        }
        Ok(())
    }

    fn grouping(&mut self) -> Result<bool, &'static str> {
        let found = self.word("by") || self.word("without");
        if found {
            self.labels()?;
        }
        Ok(found)
    }

    fn labels(&mut self) -> Shape {
        self.expect("(", "`(`")?;
        while !self.symbol(")") {
            match self.peek().map(|t| t.kind) {
                Some(Kind::Word | Kind::Literal(_)) => self.at += 1,
                _ => return Err("a label name or `)`"),
            }
            if !self.symbol(",") && !self.peek().is_some_and(|t| t.is_symbol(")")) {
                return Err("`,` or `)`");
            }
        }
        Ok(())
    }

    fn arguments(&mut self) -> Shape {
        self.expect("(", "`(`")?;
        if self.symbol(")") {
            return Ok(());
        }
        loop {
            self.expression()?;
            if !self.symbol(",") {
                return self.expect(")", "an operator, `,` or `)`");
            }
        }
    }

    fn braces(&mut self) -> Shape {
        self.expect("{", "`{`")?;
        while !self.symbol("}") {
            let quoted = match self.peek().map(|t| t.kind) {
                // VictoriaMetrics' word between alternatives, and so no label.
                Some(Kind::Word) if self.peek().is_some_and(|t| t.is_word("or")) => {
                    return Err("a label name other than `or`");
                }
                Some(Kind::Word) => false,
                Some(Kind::Literal(_)) => true,
                _ => return Err("a label name or `}`"),
            };
            self.at += 1;
            if ["=", "!=", "=~", "!~"].iter().any(|op| self.symbol(op)) {
                match self.peek().map(|t| t.kind) {
                    Some(Kind::Literal(_)) => self.at += 1,
                    _ => return Err("a string in quotes"),
                }
            } else if !quoted {
                return Err("`=`, `!=`, `=~` or `!~`");
            }
            if !self.symbol(",") && !self.word("or") && !self.peek().is_some_and(|t| t.is_symbol("}")) {
                return Err("`,` or `}`");
            }
        }
        Ok(())
    }

    fn duration(&mut self) -> Shape {
        let infinite = self.peek().is_some_and(|t| t.is_word("inf") || t.is_word("nan"));
        if !infinite && self.peek().map(|t| t.kind) != Some(Kind::Number) {
            return Err("a duration");
        }
        self.at += 1;
        Ok(())
    }

    fn expect(&mut self, symbol: &str, expected: &'static str) -> Shape {
        if self.symbol(symbol) {
            Ok(())
        } else {
            Err(expected)
        }
    }

    /// Steps over this symbol if it comes next.
    fn symbol(&mut self, symbol: &str) -> bool {
        let found = self.peek().is_some_and(|t| t.is_symbol(symbol));
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|t| t.is_word(word));
        self.at += usize::from(found);
        found
    }

    fn peek(&self) -> Option<&Token<'_>> {
        self.tokens.get(self.at)
    }

    /// Where the token at hand begins, or where the last one ends.
    fn place(&self) -> usize {
        match (self.peek(), self.tokens.last()) {
            (Some(token), _) => token.start,
            (None, Some(last)) => last.start + last.text.len(),
            (None, None) => 0,
        }
    }
}
