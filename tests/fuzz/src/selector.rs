use language::selector::{MAX_LENGTH, Operator, Requirement, Selector};

use crate::input;

/// A label selector.
///
/// Its print reads back as the same; keys and values are what Kubernetes takes; as a `metav1.LabelSelector` it picks the same
/// labels; what is wrong is said in a bounded text.
pub fn selector(data: &[u8]) {
    let Some(text) = input::text(data) else { return };
    let selector = match Selector::parse(text) {
        Ok(selector) => selector,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty());
            assert!(
                message.len() <= 16 * text.len() + 8 * 1024,
                "{} bytes are answered with {}",
                text.len(),
                message.len()
            );
            return;
        }
    };
    assert!(text.len() <= MAX_LENGTH);
    let keys: Vec<&String> = selector
        .requirements
        .iter()
        .map(|requirement| &requirement.key)
        .collect();
    assert!(keys.is_sorted(), "{keys:?}");
    selector.requirements.iter().for_each(check);

    let canonical = selector.to_string();
    assert_eq!(selector.is_empty(), canonical.is_empty());
    // the spaces of `a in (b)` may not have been in the text
    if canonical.len() <= MAX_LENGTH {
        let again = Selector::parse(&canonical);
        assert_eq!(again.as_ref(), Ok(&selector), "{canonical}");
        assert_eq!(again.map(|selector| selector.to_string()), Ok(canonical));
    }
    let compares = |requirement: &Requirement| {
        matches!(requirement.operator, Operator::GreaterThan | Operator::LessThan)
    };
    let parts = selector.to_label_selector_parts();
    assert_eq!(parts.is_err(), selector.requirements.iter().any(compares));
    if let Ok(parts) = parts {
        let object = Selector::from_label_selector_parts(&parts).expect("its own parts");
        same_choice(&selector, &object);
    }
}

fn check(requirement: &Requirement) {
    let Requirement {
        key,
        operator,
        values,
    } = requirement;
    let (prefix, name) = key.split_once('/').unwrap_or(("", key));
    assert!(is_name(name) && !name.is_empty(), "{key:?}");
    assert!(
        key.starts_with(prefix) && is_subdomain(prefix, key.contains('/')),
        "{key:?}"
    );
    assert!(values.iter().all(|value| is_name(value)), "{values:?}");
    assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
    let number = match operator {
        Operator::Exists | Operator::DoesNotExist => values.is_empty(),
        Operator::In | Operator::NotIn => !values.is_empty(),
        Operator::GreaterThan | Operator::LessThan => values.len() == 1 && values[0].parse::<i64>().is_ok(),
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => values.len() == 1,
    };
    assert!(number, "{requirement:?}");
    // every operator but those that compare says something about the labels that it names
    let chosen: Vec<bool> = values
        .iter()
        .map(|value| requirement.matches(Some(value)))
        .collect();
    match operator {
        Operator::Equals | Operator::DoubleEquals | Operator::In => {
            assert!(chosen.iter().all(|chosen| *chosen) && !requirement.matches(None));
        }
        Operator::NotEquals | Operator::NotIn => {
            assert!(!chosen.iter().any(|chosen| *chosen) && requirement.matches(None));
        }
        Operator::Exists => assert!(requirement.matches(Some("")) && !requirement.matches(None)),
        Operator::DoesNotExist => assert!(!requirement.matches(Some("")) && requirement.matches(None)),
        Operator::GreaterThan | Operator::LessThan => assert!(!chosen[0] && !requirement.matches(None)),
    }
}

/// Both pick the same of the sets of labels that the first one speaks of: all of one value, or none.
fn same_choice(one: &Selector, other: &Selector) {
    let values = one
        .requirements
        .iter()
        .flat_map(|requirement| &requirement.values);
    let values = values.map(|value| Some(value.as_str())).chain([None, Some("-")]);
    for value in values.take(16) {
        assert_eq!(
            one.matches(|_| value),
            other.matches(|_| value),
            "{one}, {other}, {value:?}"
        );
    }
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`, or nothing.
fn is_name(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

fn is_subdomain(text: &str, wanted: bool) -> bool {
    text.is_empty() != wanted
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}
