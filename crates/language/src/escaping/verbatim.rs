//! Plain substitution: values as they are, which still may not reach beyond the place they are put in.
//!
//! prometheus-adapter executes its template into a buffer and sends the buffer (`pkg/naming/metrics_query.go`). The same text
//! comes out here, whatever the author's own text means; only a value that would leave its string, its comment or its word is
//! refused.

use promql::Matcher;

use super::scan::{Scanner, State};
use super::{EscapeError, UNSURE};
use crate::quote::quote;
use crate::span::{Origin, Span};

/// The text that prometheus-adapter has for a matcher: the label as it is, the value as Go's `%q` writes it
/// (`pkg/client/helpers.go`). It means the same as the `Display` form.
pub fn adapter_text(matcher: &Matcher) -> String {
    let Matcher { label, op, value } = matcher;
    format!("{label}{}{}", op.as_str(), quote(value))
}

/// The template's output as plain substitution gives it. `is_promql`: whether the author's text is; in any other text quotes
/// may mean anything, and values of the characters that Kubernetes allows in a label's value may stand anywhere.
///
/// # Errors
///
/// For a value that ends the string or the comment in which it stands, or that stands for more than one word outside of them.
pub fn substitute(spans: &[Span], is_promql: bool) -> Result<String, EscapeError> {
    let mut scanner = Scanner::default();
    let mut out = String::new();
    for (index, span) in spans.iter().enumerate() {
        let text = span.raw();
        let plain = !is_promql && is_plain(span.origin, &text);
        if span.origin == Origin::Text || plain {
            text.chars().for_each(|c| scanner.feed(c));
        } else {
            put(&mut scanner, span.origin, &text).map_err(|message| EscapeError {
                message: message.to_owned(),
                span: index,
            })?;
        }
        out.push_str(&text);
    }
    Ok(out)
}

fn put(scanner: &mut Scanner, origin: Origin, text: &str) -> Result<(), &'static str> {
    match &scanner.state {
        _ if text.is_empty() => Ok(()),
        State::Literal(_) => inside_literal(scanner, text),
        State::Comment | State::CommentReturn if text.contains(['\n', '\r']) => {
            Err("a value may not end the comment that it stands in")
        }
        State::Code if origin == Origin::Name => {
            // Prometheus 3 lists `my-metric` too, which means a difference where it stands unquoted; that is sent as well.
            if !text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "_:.-,".contains(c))
            {
                return Err("it is not a name that may stand unquoted");
            }
            text.chars().for_each(|c| scanner.feed(c));
            Ok(())
        }
        State::Code if scanner.braces || origin == Origin::Matchers => as_matchers(scanner, text),
        State::Code if is_word(text) => {
            text.chars().for_each(|c| scanner.feed(c));
            Ok(())
        }
        State::Code => Err("outside of a string a value may be no more than one word or number"),
        State::Unsure if !text.chars().all(is_harmless) => Err(UNSURE),
        State::Comment | State::CommentReturn | State::Unsure => {
            text.chars().for_each(|c| scanner.feed(c));
            Ok(())
        }
    }
}

/// The literal must be open after each character, and the last one must not escape what the author wrote behind it.
fn inside_literal(scanner: &mut Scanner, text: &str) -> Result<(), &'static str> {
    for c in text.chars() {
        let State::Literal(literal) = &scanner.state else {
            return Err("a value may not end the string that it stands in");
        };
        // No string but one in backticks goes beyond its line; in backticks servers disagree on what a backslash does.
        let raw = literal.is_raw();
        if (raw && c == '\\') || (!raw && matches!(c, '\n' | '\r')) {
            return Err("a value may not end the string that it stands in");
        }
        scanner.feed(c);
    }
    match &scanner.state {
        State::Literal(literal) if !literal.in_escape() => Ok(()),
        _ => Err("a value may not end the string that it stands in"),
    }
}

/// Whole matchers, or parts of one: whatever they are, they narrow the selector that they stand in and cannot close it.
fn as_matchers(scanner: &mut Scanner, text: &str) -> Result<(), &'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_:.-=~!,\"'`".contains(c);
    for c in text.chars() {
        if matches!(scanner.state, State::Code) && !allowed(c) {
            return Err("a value may not leave the selector that it stands in");
        }
        scanner.feed(c);
    }
    match scanner.state {
        State::Code => Ok(()),
        _ => Err("a value may not leave a string open"),
    }
}

/// A name, a number or a duration, or what is none and an error for every parser (`a.b`, `500|503`); never two operands, as
/// `a-b` would be.
fn is_word(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || "_:.|".contains(c))
}

/// Text that no language reads as more than words, and matchers of such.
fn is_plain(origin: Origin, text: &str) -> bool {
    let of_value = |c: char| c.is_ascii_alphanumeric() || "_:.-|".contains(c);
    let of_matcher = |c: char| of_value(c) || "=~!,\"".contains(c);
    match origin {
        Origin::Matchers => text.chars().all(of_matcher),
        Origin::Text | Origin::Name | Origin::Values => text.chars().all(of_value),
    }
}

/// What no query language gives a meaning that reaches beyond a word, be it in a string or not.
fn is_harmless(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_:.-|=~!,\" ".contains(c)
}

#[cfg(test)]
mod tests {
    use promql::{MatchOp, SeriesSelector};
    use proptest::prelude::*;

    use super::*;

    fn spans(parts: &[(Origin, &str)]) -> Vec<Span> {
        parts
            .iter()
            .map(|(origin, text)| Span::new(*origin, *text))
            .collect()
    }

    const TEXT: Origin = Origin::Text;
    const NAME: Origin = Origin::Name;
    const MATCHERS: Origin = Origin::Matchers;
    const VALUES: Origin = Origin::Values;

    #[test]
    fn the_adapters_text_has_gos_quotes() {
        for (value, text) in [
            ("5..", r#"code!~"5..""#),
            ("a\"b\\c\n\0é\u{ad}", r#"code!~"a\"b\\c\n\x00é\u00ad""#),
        ] {
            assert_eq!(
                adapter_text(&Matcher::new("code", MatchOp::NotRegex, value)),
                text
            );
        }
    }

    #[test]
    fn plain_substitution() {
        for parts in [
            &[
                (TEXT, "sum("),
                (NAME, "up"),
                (TEXT, "{"),
                (MATCHERS, r#"a="b",c=~"d|e""#),
                (TEXT, "})"),
            ][..],
            &[
                (TEXT, "x{a=\"1\","),
                (MATCHERS, r#"a="\"}\\""#),
                (TEXT, ",b=\"2\"}"),
            ],
            &[(TEXT, "x{,a=\"b\"}"), (MATCHERS, "")],
            &[(TEXT, "x{a=~\""), (VALUES, "a|b.*"), (TEXT, "\"}")],
            &[(TEXT, "x{a=~'"), (VALUES, r"\d+"), (TEXT, "'}")],
            &[(TEXT, "x{a=~`"), (VALUES, "a.b"), (TEXT, "`}")],
            &[(TEXT, "x{a=\""), (VALUES, "it's"), (TEXT, "\"}")],
            &[
                (TEXT, "topk("),
                (VALUES, "3"),
                (TEXT, ", x["),
                (VALUES, "5m"),
                (TEXT, "])"),
            ],
            &[
                (VALUES, "some_name"),
                (TEXT, "{"),
                (VALUES, r#"pod=~"web.*""#),
                (TEXT, "}"),
            ],
            &[
                (TEXT, "SELECT * FROM \""),
                (NAME, "up"),
                (TEXT, "\" WHERE "),
                (MATCHERS, r#"a="b""#),
            ],
            &[
                (TEXT, "sum("),
                (NAME, "my-metric"),
                (TEXT, ") by ("),
                (NAME, "a,b"),
                (TEXT, ")"),
            ],
            &[(TEXT, "up # of "), (VALUES, "shop"), (TEXT, "\n")],
            &[(TEXT, r"a\b "), (VALUES, "web-0.x"), (MATCHERS, r#"a="b""#)],
            &[(TEXT, "\"a\\"), (TEXT, "\"b"), (VALUES, "c"), (TEXT, "\"")],
        ] {
            let spans = spans(parts);
            let want: String = parts.iter().map(|(_, text)| *text).collect();
            assert_eq!(substitute(&spans, true).as_deref(), Ok(want.as_str()));
        }
    }

    #[test]
    fn plain_values_stand_anywhere_in_what_is_no_promql() {
        for parts in [
            &[
                (TEXT, "https://x/?q="),
                (NAME, "my.metric"),
                (TEXT, "&p="),
                (VALUES, "web-0|web-1"),
            ][..],
            &[
                (TEXT, "{\"query\": \"x{"),
                (MATCHERS, "a=\"b\",c=~\"d|e-f\""),
                (TEXT, "}\"}"),
            ],
        ] {
            let spans = spans(parts);
            let want: String = parts.iter().map(|(_, text)| *text).collect();
            assert_eq!(substitute(&spans, false).as_deref(), Ok(want.as_str()));
            assert!(substitute(&spans, true).is_err());
        }
        for text in ["a\"b", "a b", "a\nb"] {
            let spans = spans(&[(TEXT, "https://x/?q="), (VALUES, text)]);
            assert!(substitute(&spans, false).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_value_in_a_string_is_one_matcher(
            value in r#"[a-z"'`\\{},=~ \n\pL-]{0,12}"#,
            quote in prop::sample::select(vec!["\"", "'", "`"]),
        ) {
            let before = format!("x{{a={quote}");
            let after = format!("{quote},b=\"c\"}}");
            let spans = spans(&[(TEXT, &before), (VALUES, &value), (TEXT, &after)]);
            if let Ok(text) = substitute(&spans, true)
                && let Ok(selector) = SeriesSelector::parse(&text)
            {
                let labels: Vec<&str> = selector.matchers().map(|matcher| matcher.label.as_str()).collect();
                let matchers: Vec<&str> = labels.into_iter().filter(|label| *label != "__name__").collect();
                prop_assert_eq!(matchers, ["a", "b"]);
            }
        }
    }

    #[test]
    fn no_value_gets_out() {
        for parts in [
            &[(TEXT, "x{a=\""), (VALUES, "\"} or secret{b=\""), (TEXT, "\"}")][..],
            &[(TEXT, "x{a=\""), (VALUES, "b\\"), (TEXT, "\"}")],
            &[(TEXT, "x{a=\""), (VALUES, "b\nc"), (TEXT, "\"}")],
            &[(TEXT, "x{a='"), (VALUES, "it's"), (TEXT, "'}")],
            &[(TEXT, "x{a=`"), (VALUES, "b`"), (TEXT, "`}")],
            &[(TEXT, "x{a=`"), (VALUES, "b\\"), (TEXT, "`}")],
            &[(TEXT, "x{a='"), (MATCHERS, "a=\"it's\""), (TEXT, "'}")],
            &[(VALUES, "secret-x"), (TEXT, "{}")],
            &[(VALUES, "up or secret"), (TEXT, "{}")],
            &[(NAME, "x} or {y"), (TEXT, "{}")],
            &[(TEXT, "x{"), (VALUES, "a=\"b\"} or y{c=\"d\""), (TEXT, "}")],
            &[(TEXT, "x{"), (VALUES, "a=\"b\" or c=\"d\""), (TEXT, "}")],
            &[(TEXT, "x{"), (VALUES, "a=\"b"), (TEXT, "}")],
            &[(TEXT, "up # "), (VALUES, "x\nsecret"), (TEXT, "\n")],
            &[(TEXT, r"a\b "), (VALUES, "x{y}"), (TEXT, "")],
        ] {
            let spans = spans(parts);
            assert!(
                substitute(&spans, true).is_err(),
                "{:?}",
                substitute(&spans, true)
            );
        }
    }
}
