//! What `seriesQuery` holds: one selector of series.

use std::collections::BTreeSet;
use std::fmt;

use promql_parser::parser::{Expr, VectorSelector};

use super::lex;
use super::matcher::{MatchOp, Matcher, NAME_LABEL};
use super::print;
use super::syntax::{Query, QueryError, check_patterns, line_and_column};
use super::tree::Tree;
use crate::language::re2::Re2;

/// A value that no series has. A pattern that matches it matches anything.
const PROBE: &str = "metricrule-probe-7f3a";

/// A selector of series without a time.
///
/// Two that say the same in another order are equal, and `Display` gives both the same text: what `/api/v1/series` is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesSelector {
    name: Option<String>,
    /// Without the name where that is given by `=`.
    matchers: BTreeSet<Matcher>,
}

impl SeriesSelector {
    /// Reads a selector: `name{…}`, `{__name__=~"…"}`, `{"utf-8 name", …}`.
    ///
    /// # Errors
    ///
    /// For text that is no query, for a pattern that is not RE2, and for a query that is more than one selector: an expression, a range, `offset`, `@`, and
    /// VictoriaMetrics' `or` between groups of matchers.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let refuse = |message: &str| QueryError {
            message: message.to_owned(),
            position: Some(line_and_column(text, intruder(text).unwrap_or_default())),
        };
        let query = Query::parse(text)?;
        check_patterns(text)?;
        match query.into_expr() {
            Expr::VectorSelector(VectorSelector {
                name,
                matchers,
                offset: None,
                at: None,
            }) => {
                if !matchers.or_matchers.is_empty() {
                    return Err(refuse(
                        "a series selector with `or` is not supported: write one rule for each alternative",
                    ));
                }
                Ok(Self::new(name, matchers.matchers.iter().map(print::matcher)))
            }
            Expr::VectorSelector(_) => Err(refuse("a series selector takes no `offset` and no `@`")),
            Expr::MatrixSelector(_) => Err(refuse("a series selector takes no range: remove the `[…]`")),
            _ => Err(refuse(
                "this is an expression; a series selector is expected, such as `http_requests_total{pod!=\"\"}`",
            )),
        }
    }

    fn new(name: Option<String>, matchers: impl IntoIterator<Item = Matcher>) -> Self {
        let mut matchers: BTreeSet<Matcher> = matchers.into_iter().collect();
        let names: Vec<Matcher> = matchers
            .iter()
            .filter(|m| m.label == NAME_LABEL && m.op == MatchOp::Equal)
            .cloned()
            .collect();
        match (name, names.as_slice()) {
            (None, [only]) if !only.value.is_empty() => {
                matchers.remove(only);
                Self {
                    name: Some(only.value.clone()),
                    matchers,
                }
            }
            (name, _) => Self { name, matchers },
        }
    }

    /// The name of the series, if the selector gives it by `=`.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The conditions besides [`name`](Self::name), sorted, each once.
    pub fn matchers(&self) -> impl Iterator<Item = &Matcher> {
        self.matchers.iter()
    }

    /// Whether some condition picks less than everything: a name, `=` with a value, or `=~` with a pattern that matches neither
    /// the empty string nor an arbitrary one.
    pub fn is_selective(&self) -> bool {
        self.name.is_some()
            || self.matchers.iter().any(|matcher| match matcher.op {
                MatchOp::Equal => !matcher.value.is_empty(),
                MatchOp::Regex => Re2::compile_anchored(&matcher.value)
                    .is_ok_and(|pattern| !pattern.is_match("") && !pattern.is_match(PROBE)),
                MatchOp::NotEqual | MatchOp::NotRegex => false,
            })
    }

    /// The selector with one more condition: how a selector is confined to a namespace.
    pub fn to_string_with(&self, matcher: &Matcher) -> String {
        let mut confined = self.clone();
        confined.matchers.insert(matcher.clone());
        confined.to_string()
    }
}

impl fmt::Display for SeriesSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let matchers: Vec<Matcher> = self.matchers.iter().cloned().collect();
        print::selector(f, self.name.as_deref(), &matchers)
    }
}

/// Where what does not belong to a selector begins: behind the one that the text begins with, or with the text itself; of
/// alternatives the first `or`.
fn intruder(text: &str) -> Option<usize> {
    let tree = Tree::parse(text).ok()?;
    let tokens = lex::tokens(text).ok()?;
    let first = tokens.first()?.start;
    let selector = tree.leading_selector().filter(|selector| selector.start == first);
    let Some(selector) = selector else {
        return Some(first);
    };
    let behind = tokens.iter().find(|token| token.start >= selector.end);
    let or = || tokens.iter().find(|token| token.is_word("or"));
    behind.or_else(or).map(|token| token.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_text() {
        for (text, canonical) in [
            ("up", "up"),
            (" up { } # x", "up"),
            ("{__name__=\"up\"}", "up"),
            ("{\"up\"}", "up"),
            ("up{b=\"2\",a=\"1\",b=\"2\"}", "up{a=\"1\",b=\"2\"}"),
            ("{b='2', __name__='up', a=`1`,}", "up{a=\"1\",b=\"2\"}"),
            (
                "{__name__=~\"^container_.*\",pod!=\"\"}",
                "{__name__=~\"^container_.*\",pod!=\"\"}",
            ),
            (
                "{\"my.metric\",\"k8s.pod\"=\"x\"}",
                "{__name__=\"my.metric\",\"k8s.pod\"=\"x\"}",
            ),
            ("{__name__=\"sum\"}", "{__name__=\"sum\"}"),
            ("node:cpu:rate5m", "node:cpu:rate5m"),
            (
                "{__name__=\"a\",__name__=\"b\"}",
                "{__name__=\"a\",__name__=\"b\"}",
            ),
        ] {
            let selector = SeriesSelector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(selector.to_string(), canonical);
            assert_eq!(SeriesSelector::parse(canonical).unwrap(), selector);
        }
    }

    #[test]
    fn only_selectors() {
        for text in [
            "",
            "rate(up[5m])",
            "up[5m]",
            "up offset 5m",
            "up @ 5",
            "up + up",
            "(up)",
            "1",
            "\"up\"",
            "up{a=\"1\" or b=\"2\"}",
            "{__name__=~\"(\"}",
            "{}",
        ] {
            assert!(SeriesSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_does_not_belong_is_where_it_begins() {
        for (text, position) in [
            ("rate(up[5m])", (1, 1)),
            (" sum(up)", (1, 2)),
            ("up{a=\"b\"}[5m]", (1, 10)),
            ("up[5m:1m]", (1, 3)),
            ("up\n offset 5m", (2, 2)),
            ("up @ 5", (1, 4)),
            ("up + up", (1, 4)),
            ("(up)", (1, 1)),
            ("up{a=\"1\" or b=\"2\"}", (1, 10)),
            ("1 + up", (1, 1)),
        ] {
            assert_eq!(
                SeriesSelector::parse(text).unwrap_err().position,
                Some(position),
                "{text}"
            );
        }
    }

    #[test]
    fn selective() {
        for text in [
            "up",
            "{__name__=~\"^container_.*\"}",
            "{job=\"x\"}",
            "{job=~\"a|b\"}",
            "{pod!=\"\",__name__=~\"http_.*\"}",
            "{job=~\"metricrule\"}",
            "{job=~\"[[:upper:]].*\"}",
            r#"{job=~"\\Qx.\\E.*"}"#,
        ] {
            assert!(SeriesSelector::parse(text).unwrap().is_selective(), "{text}");
        }
        for text in [
            "{pod!=\"\"}",
            "{__name__=~\".+\"}",
            "{__name__=~\".*\"}",
            "{__name__=~\"(?s).{3,}\",pod!=\"\"}",
            "{__name__=~\"a?\",b!=\"\"}",
            "{__name__=~\"[a-z].*\"}",
            "{job!~\"x\",pod!=\"\"}",
            "{job=\"\",pod!=\"\"}",
        ] {
            assert!(!SeriesSelector::parse(text).unwrap().is_selective(), "{text}");
        }
    }

    #[test]
    fn with_a_namespace() {
        let selector = SeriesSelector::parse("{__name__=~\"a.*\",pod!=\"\"}").unwrap();
        assert_eq!(
            selector.to_string_with(&Matcher::equal("namespace", "shop")),
            "{__name__=~\"a.*\",namespace=\"shop\",pod!=\"\"}"
        );
        let own = SeriesSelector::parse("up{namespace=\"other\"}").unwrap();
        assert_eq!(
            own.to_string_with(&Matcher::equal("namespace", "shop")),
            "up{namespace=\"other\",namespace=\"shop\"}"
        );
    }
}
