use promql::{Dialect, Expr, parse_with};
use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Span {
    Span::new(Origin::Text, text)
}

fn values(parts: &[&str]) -> Span {
    Span {
        origin: Origin::Values,
        parts: parts.iter().map(ToString::to_string).collect(),
    }
}

/// A template in which `«…»` are values parted by `¦`, `‹…›` a name and `⟨…⟩` matchers.
fn spans(template: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find(['«', '‹', '⟨']) {
        spans.push(text(&rest[..at]));
        let (open, close) = [('«', '»'), ('‹', '›'), ('⟨', '⟩')]
            .into_iter()
            .find(|(o, _)| rest[at..].starts_with(*o))
            .unwrap();
        let (inner, after) = rest[at + open.len_utf8()..].split_once(close).unwrap();
        spans.push(match open {
            '«' => values(&inner.split('¦').collect::<Vec<_>>()),
            '‹' => Span::new(Origin::Name, inner),
            _ => Span::new(Origin::Matchers, inner),
        });
        rest = after;
    }
    spans.push(text(rest));
    spans
}

#[test]
fn each_is_written_for_where_it_stands() {
    for (template, placed) in [
        (
            "sum by (‹pod›) (rate(‹a:b›{⟨pod=\"x\"⟩}[2m]))",
            r#"sum by (pod) (rate(a:b{pod="x"}[2m]))"#,
        ),
        ("sum by (‹pod,node›) (a)", "sum by (pod,node) (a)"),
        ("sum by (‹›) (a{⟨⟩})", "sum by () (a{})"),
        ("{\"‹my.metric›\",⟨a=\"b\"⟩}", r#"{"my.metric",a="b"}"#),
        ("a{b=\"«x»\"}", r#"a{b="x"}"#),
        ("a{b=\"«x\"y\\»\"}", r#"a{b="x\"y\\"}"#),
        ("a{b='«x'y\"\n»'}", r#"a{b='x\'y"\n'}"#),
        ("a{b=`«x'\"»`}", "a{b=`x'\"`}"),
        ("a # c\r\n + b{c=\"«x»\"}", "a # c\r\n + b{c=\"x\"}"),
        ("a{b=~`x\\\\«\\»`}", "a{b=~`x\\\\\\\\`}"),
        ("a{b!=\"«x.y»\"}", r#"a{b!="x.y"}"#),
        ("a{b=~\"«x.y»\"}", r#"a{b=~"x\\.y"}"#),
        ("a{b!~ # c\n `«x.y¦z|»`}", "a{b!~ # c\n `x\\.y|z\\|`}"),
        ("a{b=~\"«x¦y»\"}", r#"a{b=~"x|y"}"#),
        ("a{b=~\"^«x¦y»$\"}", r#"a{b=~"^(?:x|y)$"}"#),
        ("a{b=~\"«x¦y»-.*\"}", r#"a{b=~"(?:x|y)-.*"}"#),
        ("a{b=~\"«x¦y»«z¦w»\"}", r#"a{b=~"(?:x|y)(?:z|w)"}"#),
        ("a{b=~\"«xy»+\"}", r#"a{b=~"(?:xy)+"}"#),
        ("a{b=~\"(«x¦y»)\"}", r#"a{b=~"((?:x|y))"}"#),
        ("a{b=~\"[a-z]{2}\\\\d(?i:«x»)\"}", r#"a{b=~"[a-z]{2}\\d(?i:x)"}"#),
        ("a{b=~\"[[:alpha:]\\\\]]«.»\"}", r#"a{b=~"[[:alpha:]\\]]\\."}"#),
        (
            "a{b=~\"\\\\p{Greek}\\\\x41\\\\Q[\\\\E«.»\"}",
            r#"a{b=~"\\p{Greek}\\x41\\Q[\\E\\."}"#,
        ),
        (
            "label_replace(a{b=\"c\",d=\"e\"}, \"«d»\", \"$1-«$1»\", \"s\", \"«.»\")",
            r#"label_replace(a{b="c",d="e"}, "d", "$1-$$1", "s", "\\.")"#,
        ),
        (
            "label_replace(a, (\"d\"), (\"${1}«$»\"), \"s\", (\".\"))",
            r#"label_replace(a, ("d"), ("${1}$$"), "s", ("."))"#,
        ),
        ("count_values(\"«a.b»\", a)", r#"count_values("a.b", a)"#),
        ("sum by (\"«a.b»\") (a)", r#"sum by ("a.b") (a)"#),
        (
            "label_match(a, \"b\", \"«plain-value»\")",
            r#"label_match(a, "b", "plain-value")"#,
        ),
        ("a # it's «»\n", ""),
        ("a{⟨b=\"}\"⟩,c=\"«}»\"}", r#"a{b="}",c="}"}"#),
        ("\"«x»\"", r#""x""#),
        ("a{b=\"⟨c=\"d\"⟩\"}", r#"a{b="c=\"d\""}"#),
        ("a{b=\"\\x41«1»\"}", r#"a{b="\x411"}"#),
        ("a{b=\"\\\\«1»\"}", r#"a{b="\\1"}"#),
    ] {
        match escape(&spans(template)) {
            Ok(query) => assert_eq!(query, placed),
            Err(error) => assert_eq!(placed, "", "{template}: {error}"),
        }
    }
}

#[test]
fn what_cannot_be_placed() {
    for (template, cause) in [
        ("a{b=«x»}", "only inside a string"),
        ("sum by («x») (a)", "only inside a string"),
        ("a > «5»", "only inside a string"),
        ("a # \"«x»\"", "comment"),
        ("a # \"\n«x»", "only inside a string"),
        ("a{b=\"«x¦y»\"}", "several values need"),
        ("a{b!=\"«x¦y»\"}", "several values need"),
        ("count_values(\"«x¦y»\", a)", "several values need"),
        ("a{b=`«x`y»`}", "backtick"),
        ("a{b=\"\\«n»\"}", "unfinished escape"),
        ("a{b=\"\\x4«1»\"}", "unfinished escape"),
        ("a{b=\"\\u004«1»\"}", "unfinished escape"),
        ("a{b=\"\\10«1»\"}", "unfinished escape"),
        ("a{b=~\"\\\\«.»\"}", "before the value"),
        ("a{b=~\"\\x5c«.»\"}", "before the value"),
        ("a{b=~\"\\134«.»\"}", "before the value"),
        ("a{b=~`\\«.»`}", "before the value"),
        ("a{b=~\"[«a-z»]\"}", "before the value"),
        ("a{b=~\"[]«a-z»]\"}", "before the value"),
        ("a{b=~\"[^[:alpha:]«x»]\"}", "before the value"),
        ("a{b=~\"x{«2»}\"}", "before the value"),
        ("a{b=~\"(?«i»)\"}", "before the value"),
        ("a{b=~\"(?P<«i»>x)\"}", "before the value"),
        ("a{b=~\"\\\\p«L»\"}", "before the value"),
        ("a{b=~\"\\\\p{«L»}\"}", "before the value"),
        ("a{b=~\"\\\\x4«1»\"}", "before the value"),
        ("a{b=~\"\\\\Qx«\\E.*»\"}", "before the value"),
        (
            "label_replace(a, \"d\", \"$1«0»\", \"s\", \"(.*)\")",
            "before the value",
        ),
        (
            "label_replace(a, \"d\", \"$«1»\", \"s\", \"(.*)\")",
            "before the value",
        ),
        (
            "label_replace(a, \"d\", \"${«1»}\", \"s\", \"(.*)\")",
            "before the value",
        ),
        ("label_match(a, \"b\", \"«.*»\")", "whose meaning is not known"),
        ("foo((\"«$1»\"))", "whose meaning is not known"),
        ("a ⟨b=\"c\"⟩", "inside `{…}`"),
        ("a{⟨b=\"c\"}, d{⟩}", "the matchers would"),
        ("a{⟨b=\"c⟩}", "the matchers would"),
        ("a{⟨}⟩}", "the matchers would"),
        ("‹my.metric›", "stand unquoted"),
        ("sum by (‹a,b c›) (d)", "stand unquoted"),
        ("sum by (‹a,›) (d)", "stand unquoted"),
        ("a\\\"«x»\"", "backslash"),
        ("a{b=`«x\\»`}", "backslash"),
        ("a{b=`x\\`,c=\"«x»\"}", "servers read differently"),
        ("a # c\r + b{c=\"«x»\"}", "servers read differently"),
        ("a\\\"‹x›\"", "backslash"),
    ] {
        let error = escape(&spans(template)).expect_err(template);
        assert!(error.message.contains(cause), "{template}: {error}");
        assert_eq!(error.span % 2, 1, "{template}");
    }
}

fn read(query: &str) -> Expr {
    parse_with(query, Dialect::SENT).unwrap_or_else(|e| panic!("{query}: {e}"))
}

/// A tree with the same text in all of its strings.
fn skeleton(query: &str) -> Expr {
    let mut expr = read(query);
    expr.each_mut(&mut |node| {
        if let Expr::String(literal) = node {
            literal.value.clear();
        }
        if let Some(selector) = node.selector_mut() {
            selector
                .matchers
                .iter_mut()
                .for_each(|held| held.matcher.value.clear());
        }
    });
    expr
}

fn strings(query: &str) -> Vec<String> {
    let mut found = Vec::new();
    read(query).each(&mut |node| match node {
        Expr::String(literal) => found.push(literal.value.clone()),
        Expr::Vector(selector) => {
            found.extend(selector.matchers.iter().map(|held| held.matcher.value.clone()));
        }
        _ => {}
    });
    found
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(
            &[
                "\"", "'", "`", "\\", "\\\"", "\\'", "\n", "\r", "\t", "\0", "{", "}", "(", ")", "[", "]",
                "|", ",", "=", "=~", "!~", "#", " or ", "\"} or {", "$", "$1", "${1}", ".", ".*", "^", "\\E",
                "\\Q", "(?i)", "é", "\u{fffd}", "\u{85}", "\u{2028}", "x", "\\x41", "info(",
            ][..]
        )
        .prop_map(ToOwned::to_owned),
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

const TEMPLATES: [&str; 9] = [
    "sum(a{b=\"«»\",c='«»'}) / sum(d{e!=\"x«»y\"} or f{g='«»'})",
    "a{b=\"\\\\«»\\\"\",c='\\'«»\\\\'}",
    "a{b=~\"«»\",c!~'pre-«»-post'}",
    "a{b=~\"«»+(«»)\"}",
    "a{b=`«»`,c=~`x\\.«»`}",
    "label_replace(a{b=\"«»\"}, \"d\", \"$1 «»$1\", \"s\", \"(.*)«»\")",
    "count_values(\"«»\", a{b=\"«»\"}) # «\n",
    "{\"m«»\",\"c\"=\"«»\"}",
    "sum by (b) (a{b=\"«»\" # \"'`\n,c=\"«»\"})",
];

fn filled(template: &str, parts: &[String]) -> Result<String, EscapeError> {
    let mut spans: Vec<Span> = Vec::new();
    for (index, piece) in template.split("«»").enumerate() {
        if index > 0 {
            spans.push(Span {
                origin: Origin::Values,
                parts: parts.to_vec(),
            });
        }
        spans.push(text(piece));
    }
    escape(&spans)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_value_changes_nothing_but_strings(value in hostile(), template in prop::sample::select(&TEMPLATES[..])) {
        match filled(template, std::slice::from_ref(&value)) {
            Ok(query) => {
                let innocent = filled(template, &["x".to_owned()]).unwrap();
                prop_assert_eq!(skeleton(&query), skeleton(&innocent), "{}", query);
            }
            Err(error) => {
                let unwritable = template.contains('`') && value.contains(['`', '\\', '\u{fffd}']);
                prop_assert!(unwritable, "{template} {value:?}: {error}");
            }
        }
    }

    #[test]
    fn an_equality_says_exactly_the_value(value in hostile()) {
        let query = filled("a{b=\"«»\",c='«»'} + a{b!=\"«»\"}", std::slice::from_ref(&value)).unwrap();
        prop_assert_eq!(strings(&query), vec![value; 3]);
    }

    /// RE2 and Rust's regex agree on what is escaped here.
    #[test]
    fn a_pattern_matches_exactly_the_values(parts in prop::collection::vec(hostile(), 1..4), other in hostile()) {
        for template in ["a{b=~\"«»\"}", "a{b=~'«»'}", "a{b=~\"(?:)«»\"}"] {
            let query = filled(template, &parts).unwrap();
            let pattern = regex::Regex::new(&format!("^(?s:{})$", strings(&query)[0])).unwrap();
            for part in &parts {
                prop_assert!(pattern.is_match(part), "{query}");
            }
            prop_assert_eq!(pattern.is_match(&other), parts.contains(&other), "{}", query);
        }
    }

    #[test]
    fn no_spans_panic(pieces in prop::collection::vec((0..4_usize, hostile()), 0..8)) {
        let origins = [Origin::Text, Origin::Name, Origin::Matchers, Origin::Values];
        let spans: Vec<Span> = pieces.into_iter().map(|(origin, piece)| Span::new(origins[origin], piece)).collect();
        let _ = escape(&spans);
    }
}
