//! Series selector: a selector of series by itself, as `/api/v1/series` takes it.

use std::collections::BTreeSet;
use std::fmt;

use crate::ast::{Expr, Time, VectorSelector};
use crate::dialect::Dialect;
use crate::error::ParseError;
use crate::matcher::{MatchOp, Matcher, NAME_LABEL, is_keyword};
use crate::parser::parse_with;
use crate::printer;
use crate::re2::Re2;
use crate::span::Span;

/// A value that no series has. A pattern that matches it matches anything.
const PROBE: &str = "value-of-no-series-7f3a";

/// A selector of series without a time.
///
/// Two that say the same in another order are equal, and `Display` gives both the same text.
///
/// ```
/// use promql::SeriesSelector;
///
/// let selector: SeriesSelector = "{pod!='', __name__='up', job=`api`}".parse()?;
/// assert_eq!(selector.name(), Some("up"));
/// assert_eq!(selector.to_string(), r#"up{job="api",pod!=""}"#);
/// # Ok::<(), promql::ParseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesSelector {
    name: Option<String>,
    /// Without the name where that is given by `=`.
    matchers: BTreeSet<Matcher>,
}

// === impl SeriesSelector ===

impl SeriesSelector {
    /// Reads a selector: `name{…}`, `{__name__=~"…"}`, `{"utf-8 name", …}`.
    ///
    /// # Errors
    ///
    /// For a text that is not valid PromQL, for a pattern that is not valid RE2, and for a query that is more than one selector: an
    /// expression, a range, `offset` and `@`. The place is where that begins. A selector whose patterns pick every series is none
    /// of these: see [`is_selective`](Self::is_selective).
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let expr = parse_with(text, Dialect::SENT)?;
        expr.check_patterns()?;
        let message = match &expr {
            Expr::Vector(selector) if selector.time == Time::default() => return Ok(Self::new(selector)),
            Expr::Vector(_) => "a series selector cannot have `offset` or `@`",
            Expr::Matrix(_) => "a series selector cannot have a range: remove the `[…]`",
            _ => {
                "this is an expression; a series selector is expected, such as `http_requests_total{pod!=\"\"}`"
            }
        };
        Err(ParseError::new(intruder(&expr), message))
    }

    fn new(selector: &VectorSelector) -> Self {
        let mut matchers: BTreeSet<Matcher> = selector.matchers.iter().map(|m| m.matcher.clone()).collect();
        let name = selector.name.as_ref().map(|name| name.text.clone());
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

impl std::str::FromStr for SeriesSelector {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for SeriesSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        printer::named(f, self.name(), self.matchers.iter(), |name| !is_keyword(name))
    }
}

/// Where what does not belong to a selector begins: behind the one that the text begins with, or with the text itself.
fn intruder(expr: &Expr) -> Span {
    match expr {
        Expr::Vector(selector) => {
            let Time { at, offset, .. } = &selector.time;
            let at = at.map(|at| at.place.span());
            let offset = offset.as_ref().map(|offset| offset.place.span());
            let extended = Span::new(selector.span().end + 1, selector.place.span().end);
            at.into_iter().chain(offset).min().unwrap_or(extended)
        }
        Expr::Matrix(matrix) => matrix.window.span(),
        Expr::Subquery(subquery) if is_plain(&subquery.inner) => subquery.window.span(),
        Expr::Subquery(subquery) => intruder(&subquery.inner),
        Expr::Binary(binary) if is_plain(&binary.left) => binary.sign.span(),
        Expr::Binary(binary) => intruder(&binary.left),
        _ => expr.span(),
    }
}

fn is_plain(expr: &Expr) -> bool {
    matches!(expr, Expr::Vector(selector) if selector.time == Time::default())
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
            ("up{or=\"1\"}", "up{\"or\"=\"1\"}"),
            ("up offset 0s", "up"),
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
            ("rate(up[5m])", "1:1"),
            (" sum(up)", "1:2"),
            ("up{a=\"b\"}[5m]", "1:10"),
            ("up[5m:1m]", "1:3"),
            ("up\n offset 5m", "2:2"),
            ("up @ 5", "1:4"),
            ("up + up", "1:4"),
            ("(up)", "1:1"),
            ("up{a=\"1\" or b=\"2\"}", "1:10"),
            ("1 + up", "1:1"),
            ("up + up * 2 - 1", "1:4"),
            ("rate(up[5m]) + 1", "1:1"),
            ("up @ 5 offset 5m", "1:4"),
            ("up anchored", "1:4"),
        ] {
            let error = SeriesSelector::parse(text).unwrap_err();
            assert_eq!(error.location(text).to_string(), position, "{text}");
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
