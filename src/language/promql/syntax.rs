//! Reads a query: [`Query::parse`].

use std::fmt;
use std::panic::catch_unwind;
use std::sync::LazyLock;

use promql_parser::label::{MatchOp as ParserOp, Matcher as ParserMatcher};
use promql_parser::parser::{self, Expr, VectorSelector};
use promql_parser::util::parse_str_radix;
use regex::Regex;

use super::lex::{self, Kind, Token};
use super::literal::{quoted, unquote};
use super::print::Printed;
use super::{diagnose, walk};
use crate::language::re2::Re2;

/// The longest query that is read, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// How many patterns of one query are judged; compiling each takes time.
pub const MAX_PATTERNS: usize = 64;

/// A query that parses. Its `Display` is PromQL with the same meaning, without comments.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    expr: Expr,
}

/// A text is no query, or one beyond the bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// The cause.
    pub message: String,
    /// Line and column of the cause, both from 1, the column in characters.
    pub position: Option<(usize, usize)>,
}

impl QueryError {
    /// Whether it is a selector that every series passes, which Prometheus refuses.
    pub fn is_match_all(&self) -> bool {
        self.message.contains("at least one non-empty matcher")
    }
}

impl Query {
    /// Reads a query. Never panics, on whatever text, and needs a bounded stack.
    ///
    /// Patterns are not judged (see [`check_patterns`]): they are RE2, whose rules are not those of Rust's `regex`.
    ///
    /// # Errors
    ///
    /// For a text that is not PromQL as of Prometheus 3.8, or that has more than [`MAX_BYTES`] bytes, 100 nested brackets,
    /// 300 operators or 2000 strings.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        if text.len() > MAX_BYTES {
            return Err(QueryError {
                message: format!("longer than {MAX_BYTES} bytes"),
                position: None,
            });
        }
        let tokens = lex::tokens(text).map_err(|error| at(text, error.at, error.message))?;
        let Some(first) = tokens.first() else {
            return Err(at(text, 0, "the query is empty".to_owned()));
        };
        let plain = Plain::write(&tokens).map_err(|(place, message)| at(text, place, message))?;
        let mut expr = parse_plain(&plain.text).map_err(|message| {
            let fault = diagnose::fault(&tokens, &message);
            at(
                text,
                fault.at.unwrap_or(first.start),
                fault.message.unwrap_or(message),
            )
        })?;
        plain
            .restore(&mut expr)
            .map_err(|message| at(text, first.start, message.to_owned()))?;
        Ok(Self { expr })
    }

    /// The tree. Of a matcher with a pattern only `value` holds it; the compiled regex in `op` stands for nothing.
    pub(super) fn expr(&self) -> &Expr {
        &self.expr
    }

    pub(super) fn expr_mut(&mut self) -> &mut Expr {
        &mut self.expr
    }

    pub(super) fn into_expr(self) -> Expr {
        self.expr
    }

    /// The selectors of the query, in the order of its text.
    pub(super) fn selectors(&self) -> Vec<&VectorSelector> {
        let mut found = Vec::new();
        walk::each_selector(&self.expr, &mut |selector| found.push(selector));
        found
    }
}

/// Judges the patterns of `=~` and `!~` in a query, the first [`MAX_PATTERNS`] of them: whether they are RE2.
///
/// # Errors
///
/// For text that is cut into no tokens, and at the first pattern that is not RE2.
pub fn check_patterns(text: &str) -> Result<(), QueryError> {
    let tokens = lex::tokens(text).map_err(|error| at(text, error.at, error.message))?;
    let operands = tokens
        .windows(2)
        .filter(|pair| is_pattern_operator(&pair[0]))
        .map(|pair| pair[1]);
    for token in operands.take(MAX_PATTERNS) {
        let Kind::Literal(quote) = token.kind else {
            continue;
        };
        let pattern =
            unquote(token.body(), quote).map_err(|message| at(text, token.start, message.to_owned()))?;
        Re2::compile_anchored(&pattern)
            .map_err(|error| at(text, token.start, format!("`{pattern}` is no pattern: {error}")))?;
    }
    Ok(())
}

fn is_pattern_operator(token: &Token<'_>) -> bool {
    token.is_symbol("=~") || token.is_symbol("!~")
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printed(&self.expr).fmt(f)
    }
}

/// A parser's matcher for a pattern, with the same `op` for every pattern, so that trees can be compared by `value`.
pub(super) fn pattern_op(negated: bool) -> ParserOp {
    #[expect(clippy::expect_used, reason = "the empty pattern is valid")]
    static ANY: LazyLock<Regex> = LazyLock::new(|| Regex::new("").expect("valid"));
    if negated {
        ParserOp::NotRe(ANY.clone())
    } else {
        ParserOp::Re(ANY.clone())
    }
}

/// Runs promql-parser over text that `Plain` wrote.
fn parse_plain(text: &str) -> Result<Expr, String> {
    // `Plain::write` keeps away what is known to panic; should there be more, a query must not end the process.
    catch_unwind(|| parser::parse(text)).unwrap_or_else(|_| Err("the parser failed on this query".to_owned()))
}

fn at(text: &str, place: usize, message: String) -> QueryError {
    QueryError {
        message,
        position: Some(line_and_column(text, place)),
    }
}

/// Both from 1, the column in characters, of the byte at `place`.
pub(super) fn line_and_column(text: &str, place: usize) -> (usize, usize) {
    let before = text.get(..place).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    (line, column)
}

/// A query rewritten for promql-parser: every literal in double quotes, and every pattern replaced by its number.
///
/// The parser reads escapes in backticks and `\xff` otherwise than Prometheus does, and it compiles each pattern as a Rust
/// regex, which both refuses valid RE2 and lets a short text cost seconds.
struct Plain {
    text: String,
    patterns: Vec<String>,
}

impl Plain {
    fn write(tokens: &[Token<'_>]) -> Result<Self, (usize, String)> {
        let mut plain = Self {
            text: String::new(),
            patterns: Vec::new(),
        };
        let mut previous: Option<&Token<'_>> = None;
        // Whether a duration may come next: after `offset` and its sign, and anywhere in brackets.
        let (mut offset, mut brackets) = (false, false);
        for token in tokens {
            match token.kind {
                Kind::Literal(quote) => {
                    let value =
                        unquote(token.body(), quote).map_err(|message| (token.start, message.to_owned()))?;
                    if previous.is_some_and(is_pattern_operator) {
                        plain.text.push_str(&quoted(&plain.patterns.len().to_string()));
                        plain.patterns.push(value);
                    } else {
                        plain.text.push_str(&quoted(&value));
                    }
                }
                Kind::Number | Kind::Word if offset || brackets => {
                    plain
                        .text
                        .push_str(&duration(token.text).map_err(|message| (token.start, message))?);
                }
                Kind::Number => plain
                    .text
                    .push_str(&number(token.text).map_err(|message| (token.start, message))?),
                Kind::Word | Kind::Symbol => plain.text.push_str(token.text),
            }
            plain.text.push(' ');
            offset = token.is_word("offset") || offset && (token.is_symbol("+") || token.is_symbol("-"));
            brackets = token.is_symbol("[") || brackets && !token.is_symbol("]");
            previous = Some(token);
        }
        Ok(plain)
    }

    /// Puts the patterns back.
    fn restore(&self, expr: &mut Expr) -> Result<(), &'static str> {
        let mut restored = Ok(());
        let mut restore = |matcher: &mut ParserMatcher| {
            let negated = match matcher.op {
                ParserOp::Equal | ParserOp::NotEqual => return,
                ParserOp::Re(_) => false,
                ParserOp::NotRe(_) => true,
            };
            match matcher
                .value
                .parse::<usize>()
                .ok()
                .and_then(|index| self.patterns.get(index))
            {
                Some(pattern) => {
                    matcher.value.clone_from(pattern);
                    matcher.op = pattern_op(negated);
                }
                None => restored = Err("a pattern was lost while reading the query"),
            }
        };
        walk::each_selector_mut(expr, &mut |selector| {
            selector.matchers.matchers.iter_mut().for_each(&mut restore);
            selector
                .matchers
                .or_matchers
                .iter_mut()
                .flatten()
                .for_each(&mut restore);
        });
        restored
    }
}

/// A number or duration without the `_` that Prometheus allows between digits.
fn number(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        at > 0 && bytes[at - 1].is_ascii_digit() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    if text.match_indices('_').all(|(at, _)| between_digits(at)) {
        Ok(text.replace('_', ""))
    } else {
        Err(format!("`{text}` is no number"))
    }
}

/// A duration, or seconds, within what promql-parser can compute with: it panics beyond, and takes a number of more than 32
/// bits before a unit for zero.
fn duration(text: &str) -> Result<String, String> {
    const MAX_SECONDS: f64 = 1e10;
    if text.eq_ignore_ascii_case("inf") || text.eq_ignore_ascii_case("nan") {
        return Err(format!("`{text}` is no duration"));
    }
    // A word is no duration, which is for the parser to say: its reader of numbers panics on one that holds an `x`.
    if !text.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(text.to_owned());
    }
    let plain = number(text)?;
    let hexadecimal = plain
        .get(..2)
        .is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"));
    if plain.contains(['x', 'X']) && !hexadecimal {
        return Err(format!("`{text}` is no duration"));
    }
    let too_long = match parse_str_radix(&plain) {
        Ok(seconds) => !(0.0..=MAX_SECONDS).contains(&seconds),
        Err(_) => plain
            .split(|c: char| !c.is_ascii_digit())
            .any(|digits| digits.len() > 9),
    };
    if too_long {
        Err(format!("the duration `{text}` is out of range"))
    } else {
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> QueryError {
        Query::parse(text).expect_err(text)
    }

    #[test]
    fn positions() {
        for (text, position, message) in [
            ("", (1, 1), "empty"),
            ("# only\n# comments", (1, 1), "empty"),
            ("sum(a", (1, 4), "never closed"),
            ("sum(a))", (1, 7), "closes nothing"),
            ("a{b=\"c}", (1, 5), "never closed"),
            ("sum(\n  rate(a[5m]) +\n)", (3, 1), "expected an expression"),
            ("sum(a)\n  by (b) c", (2, 10), "expected an operator"),
            ("a{b}", (1, 4), "expected `=`"),
            ("a{b=c}", (1, 5), "expected a string"),
            ("a{b=\"c\" d=\"e\"}", (1, 9), "expected `,` or `}`"),
            ("rate(a[])", (1, 8), "expected a duration"),
            ("rate(a[5m]) offset", (1, 19), "expected a duration"),
            ("a @ b", (1, 5), "expected a timestamp"),
            ("é", (1, 1), "unexpected"),
            ("\"é\" + ;", (1, 7), "unexpected"),
            ("1 + nope(a)", (1, 5), "unknown function"),
            ("sum(rate(a)) ", (1, 5), "got instant vector"),
            (
                "rate(a[5m]) + sum(rate(b))",
                (1, 19),
                "expected type range vector",
            ),
            ("1 + inf{a=\"b\"}", (1, 8), "expected an operator"),
            ("a{or=\"b\"}", (1, 3), "other than `or`"),
            ("a{b=\"\\q\"}", (1, 5), "escape"),
            ("a offset inf", (1, 10), "no duration"),
            ("a offset -1e30", (1, 11), "out of range"),
            ("rate(a[1e400])", (1, 8), "out of range"),
            ("rate(a[99999999999m])", (1, 8), "out of range"),
            ("1__0", (1, 1), "no number"),
            ("a ==", (1, 5), "expected an expression"),
            ("by (a) b", (1, 8), "expected an operator"),
            ("sum by a (b)", (1, 8), "expected `(`"),
        ] {
            let found = error(text);
            assert_eq!(found.position, Some(position), "{text}: {}", found.message);
            assert!(found.message.contains(message), "{text}: {}", found.message);
        }
    }

    #[test]
    fn patterns_are_re2() {
        for text in ["a{b=\"(\"}", "a{b=~\"x|y\",c!~`\\Q.\\E`}", "a", "a{b=~\"é\"} # ("] {
            assert_eq!(check_patterns(text), Ok(()));
        }
        for (text, position) in [
            ("a{b=~\"(\"}", (1, 6)),
            ("a +\n b{c!~ '(?=x)'}", (2, 8)),
            ("a{b=~`\\`}", (1, 6)),
        ] {
            assert_eq!(
                check_patterns(text).unwrap_err().position,
                Some(position),
                "{text}"
            );
        }
    }

    #[test]
    fn prints_what_it_read() {
        for (text, printed) in [
            ("sum  by()(x)", "sum by () (x)"),
            ("sum(x) without (a, \"b.c\")", "sum without (a, \"b.c\") (x)"),
            ("a / ignoring() b", "a / ignoring () b"),
            ("a*on(x)group_left(y)b", "a * on (x) group_left (y) b"),
            ("a > bool 1", "a > bool 1"),
            ("a @ -100.5", "a @ -100.500"),
            ("a @ end() offset -1h30m", "a @ end() offset -1h30m"),
            ("a offset 0", "a"),
            ("-a^2", "-a ^ 2"),
            ("(-1)^2", "(-1) ^ 2"),
            (
                "max_over_time(rate(a[5m])[1h:] @ 5)",
                "max_over_time(rate(a[5m])[1h:] @ 5.000)",
            ),
            (
                "{\"my.metric\", 'lab.el'!~`\\d+`}",
                "{__name__=\"my.metric\",\"lab.el\"!~\"\\\\d+\"}",
            ),
            ("sum{a='b'}", "{__name__=\"sum\",a=\"b\"}"),
            ("a{b=~\"(?=x)\"}", "a{b=~\"(?=x)\"}"),
            ("1_000 + 0x1F - .5e1 + Inf", "1000 + 31 - 5 + Inf"),
            ("a + fill (2) b", "a + fill_left (2) fill_right (2) b"),
            ("quantile(0.9, a) # no\n", "quantile(0.9, a)"),
            ("a{b=\"x\" or c=\"y\"}", "a{b=\"x\" or c=\"y\"}"),
            ("a{}", "a"),
        ] {
            let query = Query::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(query.to_string(), printed);
        }
    }

    /// The deepest tree that the bounds let through, on half of the stack that a worker thread has.
    #[test]
    fn the_deepest_query_needs_little_stack() {
        let run = || {
            let chain = "+a".repeat(lex::MAX_OPERATORS - 1);
            let deep = format!(
                "{}a{chain}{}",
                "sum(".repeat(lex::MAX_DEPTH),
                ")".repeat(lex::MAX_DEPTH)
            );
            let right =
                format!("{}a{}", "(".repeat(lex::MAX_DEPTH), ")".repeat(lex::MAX_DEPTH)) + &"^a".repeat(290);
            let unary = format!("{}a", "-".repeat(lex::MAX_OPERATORS));
            for text in [deep, right, unary] {
                let query = Query::parse(&text).unwrap();
                assert_eq!(Query::parse(&query.to_string()).unwrap(), query.clone());
            }
        };
        std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(run)
            .unwrap()
            .join()
            .unwrap();
    }

    #[test]
    fn a_word_with_an_x_where_a_duration_belongs_is_refused() {
        for text in [
            "[bool0x]",
            "a[bool0x]",
            "a[1x]",
            "a offset x",
            "a offset 1x",
            "a[0x]",
            "a offset -x0",
        ] {
            error(text);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = Query::parse(&text);
        }

        #[test]
        fn no_pile_of_tokens_panics(tokens in proptest::collection::vec(proptest::sample::select(&[
            "a", "sum", "rate", "by", "offset", "@", "start", "(", ")", "[", "]", "{", "}", "5m", "1e99", "inf", "nan", "-", "+",
            "=", "=~", "!~", "==", "and", "or", "\"x\"", "`\\`", "'", ",", ":", "#", "\n", "é", "bool", "on", "group_left", "fill",
            "label_replace", "0x", "1_", "_", "!", ".", "topk", "unless", "ignoring",
        ][..]), 0..24)) {
            let text = tokens.join(" ");
            if let Ok(query) = Query::parse(&text) {
                let printed = query.to_string();
                prop_assert!(Query::parse(&printed).is_ok(), "{text} printed as {printed}");
            }
            let _ = Query::parse(&tokens.concat());
        }
    }
}
