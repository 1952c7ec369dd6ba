//! Label keys and values: their validation, with apimachinery's messages
//! (`pkg/api/validate/content`, `NewRequirement` in `pkg/labels/selector.go`).

use super::Operator;
use super::error::{BadValue, FieldError};
use crate::dns::{SUBDOMAIN_MAX, is_dotted};

const NAME_MAX: usize = 63;

const KEY_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
    alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
    '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
    and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
    for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
    '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// Everything that is wrong with a requirement whose values are sorted.
pub(super) fn requirement_errors(key: &str, operator: Operator, values: &[String]) -> Vec<FieldError> {
    let mut errors: Vec<_> = key_error("key", key).into_iter().collect();
    let one = values.len() == 1;
    let miscount = match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if !one => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if !one => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    };
    errors.extend(miscount.map(|detail| FieldError {
        field: "values".to_owned(),
        value: BadValue::List(values.to_vec()),
        detail: detail.to_owned(),
    }));
    if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
        let bad = values
            .iter()
            .enumerate()
            .filter(|(_, value)| value.parse::<i64>().is_err());
        errors.extend(bad.map(|(index, value)| FieldError {
            field: format!("values[{index}]"),
            value: BadValue::Text(value.clone()),
            detail: "for 'Gt', 'Lt' operators, the value must be an integer".to_owned(),
        }));
    }
    errors.extend(values.iter().enumerate().filter_map(|(index, value)| {
        let detail = value_problems(value);
        (!detail.is_empty()).then(|| FieldError {
            field: format!("values[{index}][{key}]"),
            value: BadValue::Text(value.clone()),
            detail: detail.join("; "),
        })
    }));
    errors
}

/// Whether it can be the key of a label: `name` or `example.com/name` (`IsQualifiedName`).
pub fn is_label_key(key: &str) -> bool {
    key_problems(key).is_empty()
}

/// Whether it can be the value of a label (`IsValidLabelValue`).
pub fn is_label_value(value: &str) -> bool {
    value_problems(value).is_empty()
}

/// What is wrong with a label key: `name` or `example.com/name`.
pub(super) fn key_error(field: &str, key: &str) -> Option<FieldError> {
    let problems = key_problems(key);
    (!problems.is_empty()).then(|| FieldError {
        field: field.to_owned(),
        value: BadValue::Text(key.to_owned()),
        detail: problems.join("; "),
    })
}

fn key_problems(key: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let (prefix, name) = key
        .split_once('/')
        .map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if name.contains('/') {
        return vec![format!(
            "a valid label key {KEY_RULE} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        )];
    }
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            problems.push("prefix part must be non-empty".to_owned());
        } else {
            if prefix.len() > SUBDOMAIN_MAX {
                problems.push(format!("prefix part must be no more than {SUBDOMAIN_MAX} bytes"));
            }
            if !is_dotted(prefix) {
                problems.push(format!("prefix part {SUBDOMAIN_RULE}"));
            }
        }
    }
    if name.is_empty() {
        problems.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_MAX {
        problems.push(format!("name part must be no more than {NAME_MAX} bytes"));
    }
    if !is_name(name) {
        problems.push(format!("name part {KEY_RULE}"));
    }
    problems
}

fn value_problems(value: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if value.len() > NAME_MAX {
        problems.push(format!("must be no more than {NAME_MAX} bytes"));
    }
    if !value.is_empty() && !is_name(value) {
        problems.push(VALUE_RULE.to_owned());
    }
    problems
}

fn is_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.bytes().all(inner)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.ends_with(|last: char| last.is_ascii_alphanumeric())
}
