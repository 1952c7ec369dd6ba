use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::{Expansion, MAX_DEPTH, Re2, Reference, is_meta, matches_fully, quote};

/// What Go makes of the same inputs, see `tests/oracles/re2`.
#[derive(Deserialize)]
struct Fixture {
    texts: Vec<String>,
    valid: Vec<(String, usize, BTreeMap<usize, Vec<i64>>)>,
    invalid: Vec<(String, String)>,
    expand: Vec<[String; 4]>,
    anchored: Vec<(String, Option<Vec<usize>>)>,
    quote: Vec<[String; 2]>,
}

fn fixture() -> Fixture {
    crate::fixture::read("re2.json")
}

fn compile(pattern: &str) -> Re2 {
    Re2::compile(pattern).unwrap_or_else(|error| panic!("{pattern:?}: {error}"))
}

/// `FindStringSubmatchIndex`: start and end of each group in bytes, −1 for one that took no part.
fn submatches(re: &Re2, text: &str) -> Option<Vec<i64>> {
    let captures = re.regex.captures(text)?;
    let ends = (0..=re.group_count()).flat_map(|group| {
        captures.get(group).map_or([-1, -1], |group| {
            [group.start(), group.end()].map(|end| i64::try_from(end).unwrap())
        })
    });
    Some(ends.collect())
}

#[test]
fn finds_what_go_finds() {
    let Fixture { texts, valid, .. } = fixture();
    let mut wrong = Vec::new();
    for (pattern, groups, matches) in valid {
        let re = match Re2::compile(&pattern) {
            Ok(re) => re,
            Err(error) => {
                wrong.push(format!("{pattern:?}: {error}"));
                continue;
            }
        };
        assert_eq!(re.group_count(), groups, "{pattern:?}");
        for (index, text) in texts.iter().enumerate() {
            let found = submatches(&re, text);
            if found.as_ref() != matches.get(&index) {
                wrong.push(format!(
                    "{pattern:?} on {text:?}: {found:?}, Go {:?}",
                    matches.get(&index)
                ));
            }
            assert_eq!(re.is_match(text), found.is_some());
        }
    }
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), wrong);
}

#[test]
fn refuses_what_go_refuses() {
    let mut wrong = Vec::new();
    for (pattern, expected) in fixture().invalid {
        match Re2::compile(&pattern) {
            Ok(re) => wrong.push(format!(
                "{pattern:?} is {:?} here, Go: {expected}",
                re.regex.as_str()
            )),
            Err(error) => {
                let own = format!("error parsing regexp: {}", error.message);
                if own != expected {
                    wrong.push(format!("{pattern:?}: {own}, Go: {expected}"));
                }
                assert!(error.offset <= pattern.chars().count());
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), wrong);
}

#[test]
fn expands_as_go() {
    for [pattern, text, template, expected] in fixture().expand {
        let expanded = compile(&pattern).expand_match(&Expansion::parse(&template), &text);
        assert_eq!(
            expanded,
            Some(expected),
            "{pattern:?} on {text:?} by {template:?}"
        );
    }
    assert_eq!(compile("x").expand_match(&Expansion::parse("y"), "z"), None);
}

#[test]
fn anchors_as_prometheus() {
    let Fixture { texts, anchored, .. } = fixture();
    for (pattern, matched) in anchored {
        let matched = matched.unwrap_or_default();
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(
                matches_fully(&pattern, text),
                Ok(matched.contains(&index)),
                "{pattern:?} on {text:?}"
            );
        }
    }
    // Prometheus parses the pattern before it wraps it
    assert!(matches_fully("a)|(b", "a").is_err());
}

#[test]
fn quotes_as_go() {
    for [text, quoted] in fixture().quote {
        assert_eq!(quote(&text), quoted);
    }
}

#[test]
fn says_where() {
    for (pattern, offset) in [
        ("é**", 1),
        ("éé[b-a]", 3),
        ("a(é", 1),
        ("aé)", 2),
        ("é\\q", 1),
        ("é\\", 2),
        ("é[\\q]", 2),
        ("é{1001}", 1),
        ("ab(?x)", 2),
        ("a[[:foo:]]", 2),
        ("a[b", 1),
        ("(é{600}){2}", 8),
        ("é(?P<é>a)", 1),
        ("aé\\pé", 2),
    ] {
        assert_eq!(Re2::compile(pattern).unwrap_err().offset, offset, "{pattern}");
    }
}

#[test]
fn takes_scripts_of_several_words() {
    assert!(compile(r"^\p{Old_Italic}$").is_match("\u{10300}"));
    assert!(compile(r"^\p{Linear_B}\P{SignWriting}$").is_match("\u{10000}a"));
}

#[test]
fn knows_every_property() {
    for name in super::property::names() {
        compile(&format!(r"\p{{{name}}}\P{{{name}}}[\p{{{name}}}]"));
    }
}

#[test]
fn bounds_depth_and_size() {
    let depth = usize::try_from(MAX_DEPTH).unwrap();
    let nested =
        |depth: usize, open: &str, close: &str| format!("{}a{}", open.repeat(depth), close.repeat(depth));
    for (open, close) in [("(", ")"), ("(?:", ")"), ("(?i:", ")"), ("(|", ")")] {
        compile(&nested(depth, open, close));
        let error = Re2::compile(&nested(depth + 1, open, close)).unwrap_err();
        assert!(
            error.message.starts_with("expression nests too deeply: `("),
            "{error}"
        );
    }
    compile(&nested(depth / 2, "(", ")+"));
    assert!(Re2::compile(&nested(depth / 2 + 1, "(", ")+")).is_err());
    compile(&format!("a{}", "*(?i)".repeat(depth / 2)));
    assert!(Re2::compile(&format!("a{}", "*(?i)".repeat(depth + 1))).is_err());

    compile(r"(?i)[^/]{1,253}\.[a-z]{2,1000}");
    let error = Re2::compile(r"\pL{1000}").unwrap_err();
    assert_eq!(error.message, r"expression too large: `\pL{1000}`");
}

#[test]
fn lists_references() {
    let expansion = Expansion::parse("${1}_x $1_y $$ ${name} $0");
    let name = |name: &str| Reference::Name(name.to_owned());
    let references = [
        Reference::Number(1),
        name("1_y"),
        name("name"),
        Reference::Number(0),
    ];
    assert!(expansion.references().eq(&references));
    assert_eq!(expansion.as_literal(), None);
    assert_eq!(Expansion::parse("a$$b$").as_literal(), Some("a$b$"));
    assert_eq!(Expansion::parse("").as_literal(), Some(""));

    let re = compile("(?P<name>a)");
    let known: Vec<_> = references
        .iter()
        .map(|reference| re.has_group(reference))
        .collect();
    assert_eq!(known, [true, false, true, true]);
    assert!(!re.has_group(&Reference::Number(2)));
}

#[test]
fn is_equal_by_source() {
    assert_eq!(compile("a.b"), compile("a.b"));
    assert_ne!(compile("a.b"), compile("a.c"));
    assert_ne!(compile("a"), Re2::compile_anchored("a").unwrap());
}

proptest! {
    #[test]
    fn a_quoted_text_matches_itself_alone(text in ".{0,12}", other in ".{0,12}") {
        prop_assert!(matches_fully(&quote(&text), &text).unwrap());
        prop_assert_eq!(matches_fully(&quote(&text), &other).unwrap(), text == other);
        let literal = format!("\\Q{}\\E", text.replace('\\', ""));
        prop_assert!(matches_fully(&literal, &text.replace('\\', "")).unwrap());
    }

    /// What the translator lets through, `regex` must take, unless it is too large.
    #[test]
    fn a_translated_pattern_compiles(pattern in "([a-cé.^$|(){}*+?\\[\\]\\\\:,0-3QEpPdDwWbBLimsU<>&~-]|\\(\\?|\\[:alpha:\\]){0,14}") {
        for compile in [Re2::compile, Re2::compile_anchored] {
            if let Err(error) = compile(&pattern) {
                prop_assert!(!error.message.starts_with("expression not supported"), "{}", error);
                prop_assert!(error.offset <= pattern.chars().count());
            }
        }
    }

    /// On letters, stars, bars and groups both dialects agree, so the translation has to agree with the original.
    #[test]
    fn common_syntax_keeps_its_meaning(pattern in "((a|b|c|\\[ab\\]|\\[\\^a\\]|\\.)(\\*|\\+|\\?|\\*\\?)?\\|?){0,6}", text in "[a-d]{0,6}") {
        let original = regex::Regex::new(&pattern).unwrap();
        let expected = original.find(&text).map(|found| found.as_str().to_owned());
        prop_assert_eq!(compile(&pattern).expand_match(&Expansion::parse("$0"), &text), expected);
    }

    #[test]
    fn a_template_without_dollars_is_itself(text in "[^$]{0,12}") {
        let expansion = Expansion::parse(&text);
        prop_assert_eq!(expansion.as_literal(), Some(text.as_str()));
    }

    #[test]
    fn never_panics(pattern in ".{0,24}", template in "[$a-c{}0-2é]{0,8}") {
        if let Ok(re) = Re2::compile(&pattern) {
            let _ = re.expand_match(&Expansion::parse(&template), &pattern);
        }
    }
}

#[test]
fn what_is_quoted_is_that_of_go() {
    // regexp.QuoteMeta escapes these and nothing else.
    let special: String = (0..128_u8).map(char::from).filter(|c| is_meta(*c)).collect();
    assert_eq!(special, "$()*+.?[\\]^{|}");
}
