//! Label matchers, and which names may stand unquoted.

use std::fmt;

use crate::dialect::Dialect;
use crate::lexer::Keyword;
use crate::literal::quoted;
use crate::re2;

/// The label that holds a series' name.
pub const NAME_LABEL: &str = "__name__";

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

// === impl MatchOp ===

impl MatchOp {
    /// The operator's text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on one label. Its `Display` is PromQL, with the value quoted, and the label too where it is not a plain name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Matcher {
    /// The label's name; any UTF-8 (a plain one is understood by every server, another by Prometheus from 3.0 on).
    pub label: String,
    /// How the label's value is compared with `value`.
    pub op: MatchOp,
    /// The raw value: text for `=` and `!=`, an RE2 pattern for `=~` and `!~`.
    pub value: String,
}

// === impl Matcher ===

impl Matcher {
    /// A matcher of any kind; a pattern is taken as it is.
    pub fn new(label: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            op,
            value: value.into(),
        }
    }

    /// `label="value"`.
    pub fn equal(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(label, MatchOp::Equal, value)
    }

    /// The matcher of exactly these values: `=` for one, `=~` with each value RE2-escaped for several. Of no values it is the
    /// matcher of the empty value, which is what a series without the label has.
    ///
    /// ```
    /// use promql::Matcher;
    ///
    /// assert_eq!(Matcher::one_of("pod", &["web-0"]).to_string(), r#"pod="web-0""#);
    /// assert_eq!(Matcher::one_of("host", &["a.b", "c"]).to_string(), r#"host=~"a\\.b|c""#);
    /// ```
    pub fn one_of<S: AsRef<str>>(label: impl Into<String>, values: &[S]) -> Self {
        match values {
            [] => Self::equal(label, ""),
            [value] => Self::equal(label, value.as_ref()),
            values => {
                let quoted: Vec<String> = values.iter().map(|v| re2::quote(v.as_ref())).collect();
                Self::new(label, MatchOp::Regex, quoted.join("|"))
            }
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = quoted(&self.value);
        // VictoriaMetrics takes a bare `or` for the start of an alternative.
        if is_label_name(&self.label) && !self.label.eq_ignore_ascii_case("or") {
            write!(f, "{}{}{value}", self.label, self.op.as_str())
        } else {
            write!(f, "{}{}{value}", quoted(&self.label), self.op.as_str())
        }
    }
}

/// Whether `name` may stand unquoted as a label: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_label_name(name: &str) -> bool {
    !name.contains(':') && is_metric_name(name)
}

/// Whether `name` may stand unquoted as a series' name: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_metric_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.starts_with(|c: char| word(c) && !c.is_ascii_digit()) && name.chars().all(word)
}

/// Words of `MetricsQL`, and numbers, which the lexer does not count among its keywords.
const MORE_WORDS: [&str; 10] = [
    "default",
    "if",
    "ifnot",
    "inf",
    "nan",
    "with",
    "limit",
    "keep_metric_names",
    "prefix",
    "union",
];

/// Whether some server's grammar takes a name for more, so that it is safer inside braces; in upper or lower case.
pub fn is_keyword(name: &str) -> bool {
    let more = MORE_WORDS.iter().any(|word| word.eq_ignore_ascii_case(name));
    more || Keyword::of(name, Dialect::default(), true).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_print_as_promql() {
        for (matcher, text) in [
            (Matcher::equal("namespace", "shop"), r#"namespace="shop""#),
            (
                Matcher::equal("a", "x\"} or {b=\"y\\\n"),
                r#"a="x\"} or {b=\"y\\\n""#,
            ),
            (Matcher::new("code", MatchOp::NotRegex, "5.."), r#"code!~"5..""#),
            (Matcher::new("code", MatchOp::NotEqual, ""), r#"code!="""#),
            (Matcher::equal("k8s.pod", "é"), r#""k8s.pod"="é""#),
            (Matcher::equal("or", "x"), r#""or"="x""#),
            (Matcher::equal("a\"b", "x"), r#""a\"b"="x""#),
            (Matcher::one_of("pod", &["a.b"]), r#"pod="a.b""#),
            (Matcher::one_of("pod", &["a.b", "c|d"]), r#"pod=~"a\\.b|c\\|d""#),
            (Matcher::one_of::<&str>("pod", &[]), r#"pod="""#),
        ] {
            assert_eq!(matcher.to_string(), text);
        }
    }

    #[test]
    fn names() {
        for name in ["a", "_", "a1_B", "__name__"] {
            assert!(is_label_name(name) && is_metric_name(name), "{name}");
        }
        for name in [":", "a:b", ":a"] {
            assert!(!is_label_name(name) && is_metric_name(name), "{name}");
        }
        for name in ["", "1a", "a.b", "a b", "é", "a\n", "a\"", "a{"] {
            assert!(!is_label_name(name) && !is_metric_name(name), "{name}");
        }
        assert!(is_keyword("OR") && is_keyword("Sum") && !is_keyword("order"));
        assert!(
            is_keyword("max_of"),
            "the lexer knows it, and the list of names did not"
        );
    }
}
