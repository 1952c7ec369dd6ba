use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::{
    Expression, ExpressionOperator, LabelSelectorParts, MAX_LENGTH, Operator, Requirement, Selector,
    SelectorError, UnsupportedOperator,
};

/// What Go makes of the same inputs, see `tests/oracles/selector`.
#[derive(Deserialize)]
struct Fixture {
    sets: Vec<BTreeMap<String, String>>,
    valid: Vec<(String, String, u32, Option<LabelSelector>)>,
    invalid: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LabelSelector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<LabelSelectorRequirement>,
}

#[derive(Deserialize)]
struct LabelSelectorRequirement {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

fn fixture() -> Fixture {
    crate::fixture::read("selector.json")
}

fn parse(text: &str) -> Selector {
    Selector::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn parses_prints_and_matches_as_go() {
    let Fixture { sets, valid, .. } = fixture();
    for (text, canonical, bits, _) in valid {
        let selector = parse(&text);
        assert_eq!(selector.to_string(), canonical, "{text:?}");
        for (index, set) in sets.iter().enumerate() {
            let expected = bits & 1 << index != 0;
            assert_eq!(
                selector.matches(|key| set.get(key).map(String::as_str)),
                expected,
                "{text:?} on {set:?}"
            );
        }
    }
}

#[test]
fn refuses_in_the_words_of_go() {
    for (text, error) in fixture().invalid {
        assert_eq!(Selector::parse(&text).unwrap_err().to_string(), error, "{text:?}");
    }
}

#[test]
fn echoes_label_selectors_as_go() {
    let mut compared = 0;
    for (text, _, _, expected) in fixture().valid {
        let selector = parse(&text);
        let Some(expected) = expected else {
            // Go gives up on these three
            let operators = [Operator::NotEquals, Operator::GreaterThan, Operator::LessThan];
            assert!(
                selector
                    .requirements
                    .iter()
                    .any(|requirement| operators.contains(&requirement.operator)),
                "{text:?}"
            );
            continue;
        };
        let parts = selector.to_label_selector_parts().unwrap();
        if has_contradiction(&selector) {
            continue;
        }
        assert_eq!(parts.match_labels, expected.match_labels, "{text:?}");
        let expressions = expected
            .match_expressions
            .into_iter()
            .map(|expression| Expression {
                key: expression.key,
                operator: expression.operator.parse().unwrap(),
                values: expression.values,
            });
        assert_eq!(
            parts.match_expressions,
            expressions.collect::<Vec<_>>(),
            "{text:?}"
        );
        compared += 1;
    }
    assert!(compared > 200, "{compared}");
}

/// Two values demanded of one key, of which Go forgets one.
fn has_contradiction(selector: &Selector) -> bool {
    let equal =
        |requirement: &Requirement| matches!(requirement.operator, Operator::Equals | Operator::DoubleEquals);
    let demands = || {
        selector
            .requirements
            .iter()
            .filter(|requirement| equal(requirement))
    };
    demands().any(|left| demands().any(|right| left.key == right.key && left.values != right.values))
}

#[test]
fn echoes_what_go_cannot() {
    let parts = parse("b!=x,a=1,a=2,a=1").to_label_selector_parts().unwrap();
    assert_eq!(
        parts.match_labels,
        BTreeMap::from([("a".to_owned(), "1".to_owned())])
    );
    let expression = |key: &str, operator, value: &str| Expression {
        key: key.to_owned(),
        operator,
        values: vec![value.to_owned()],
    };
    assert_eq!(
        parts.match_expressions,
        [
            expression("a", ExpressionOperator::In, "2"),
            expression("b", ExpressionOperator::NotIn, "x")
        ]
    );
    let error = parse("a,b>1").to_label_selector_parts().unwrap_err();
    assert_eq!(error, UnsupportedOperator(Operator::GreaterThan));
    assert_eq!(error.to_string(), "\"gt\" isn't supported in label selectors");
}

#[test]
fn reads_label_selectors() {
    let parts = LabelSelectorParts {
        match_labels: BTreeMap::from([("team".to_owned(), "a".to_owned())]),
        match_expressions: vec![Expression {
            key: "env".to_owned(),
            operator: ExpressionOperator::NotIn,
            values: vec!["test".to_owned(), "dev".to_owned()],
        }],
    };
    let selector = Selector::from_label_selector_parts(&parts).unwrap();
    assert_eq!(selector.to_string(), "env notin (dev,test),team=a");
    assert!(
        Selector::from_label_selector_parts(&LabelSelectorParts::default())
            .unwrap()
            .is_empty()
    );

    let broken = Expression {
        key: "a/b/c".to_owned(),
        operator: ExpressionOperator::In,
        values: Vec::new(),
    };
    let parts = LabelSelectorParts {
        match_expressions: vec![broken],
        ..LabelSelectorParts::default()
    };
    let error = Selector::from_label_selector_parts(&parts)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("[key: Invalid value: \"a/b/c\": a valid label key must"),
        "{error}"
    );
    assert!(
        error.ends_with(
            ", values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty]"
        ),
        "{error}"
    );
    let error = "gt".parse::<ExpressionOperator>().unwrap_err().to_string();
    assert_eq!(error, "\"gt\" is not a valid label selector operator");
}

#[test]
fn everything_matches_everything() {
    assert_eq!(parse(""), Selector::everything());
    assert!(Selector::everything().is_empty());
    assert!(Selector::everything().matches(|_| None));
    assert_eq!(Selector::everything().to_string(), "");
    assert!(!parse("a").is_empty());
}

#[test]
fn bounds_its_input() {
    assert_eq!(
        Selector::parse(&" ".repeat(MAX_LENGTH)),
        Ok(Selector::everything())
    );
    assert_eq!(
        Selector::parse(&" ".repeat(MAX_LENGTH + 1)),
        Err(SelectorError::TooLong)
    );
    let many = "a,".repeat(MAX_LENGTH / 2 - 1) + "a";
    assert_eq!(parse(&many).requirements.len(), MAX_LENGTH / 2);
}

proptest! {
    #[test]
    fn canonical_text_is_read_back(text in "[ab](=|==|!=| in \\(|>|<)?[a-c5,) ]{0,6}(,[!]?[ab])?") {
        if let Ok(selector) = Selector::parse(&text) {
            let canonical = selector.to_string();
            prop_assert_eq!(Selector::parse(&canonical), Ok(selector));
        }
    }

    #[test]
    fn never_panics(text in "[a-c5=!<>(), \\x00é]{0,12}|.{0,16}") {
        let _ = Selector::parse(&text).map_err(|error| error.to_string());
    }

    #[test]
    fn an_echo_selects_the_same(
        text in "[ab](=|==|!=| in \\([a-c],| notin \\()[a-c]?\\)?(,[!]?[ab])?(,[ab]=[a-c])?",
        labels in proptest::collection::btree_map("[ab]", "[a-c]", 0..3),
    ) {
        if let Ok(selector) = Selector::parse(&text) {
            let parts = selector.to_label_selector_parts().unwrap();
            let again = Selector::from_label_selector_parts(&parts).unwrap();
            let lookup = |key: &str| labels.get(key).map(String::as_str);
            prop_assert_eq!(selector.matches(lookup), again.matches(lookup));
        }
    }
}

#[test]
fn a_text_about_many_bad_values_is_short() {
    let values: Vec<String> = (0..2000).map(|value| format!("@{value}")).collect();
    let error = Selector::parse(&format!("a in ({})", values.join(",")))
        .unwrap_err()
        .to_string();
    assert!(error.len() < 4096, "{} bytes", error.len());
    assert!(error.ends_with(", and 1992 more]"), "{error}");
}
