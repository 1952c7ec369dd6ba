//! Label selector's bounds: those of labels, since longer keys and values select nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{Violation, check_length};

/// The most labels and expressions.
pub(crate) const MAX_LABELS: usize = 32;
/// The most values of an expression.
pub(crate) const MAX_VALUES: usize = 256;
/// The longest key: prefix, slash, name.
pub(crate) const MAX_KEY: usize = 317;
/// The longest value, and the longest operator.
pub(crate) const MAX_VALUE: usize = 63;

/// What is too long or too much in `selector`, but for the keys of `matchLabels`: CEL says those.
pub(crate) fn check(selector: &LabelSelector, path: &str, found: &mut Vec<Violation>) {
    let mut count = |count: usize, max: usize, path: String| {
        if count > max {
            found.push(Violation {
                path,
                message: format!("at most {max}"),
            });
        }
    };
    let labels = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.iter().flatten();
    count(labels.clone().count(), MAX_LABELS, format!("{path}.matchLabels"));
    count(
        expressions.clone().count(),
        MAX_LABELS,
        format!("{path}.matchExpressions"),
    );
    for (index, expression) in expressions.clone().enumerate() {
        let values = expression.values.as_deref().unwrap_or_default();
        count(
            values.len(),
            MAX_VALUES,
            format!("{path}.matchExpressions[{index}].values"),
        );
    }
    for (_, value) in labels {
        check_length(value, MAX_VALUE, format!("{path}.matchLabels"), found);
    }
    for (index, expression) in expressions.enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        check_length(&expression.key, MAX_KEY, format!("{path}.key"), found);
        check_length(&expression.operator, MAX_VALUE, format!("{path}.operator"), found);
        for value in expression.values.iter().flatten() {
            check_length(value, MAX_VALUE, format!("{path}.values"), found);
        }
    }
}

/// Whether no key of `matchLabels` is longer than a label's can be.
pub(crate) fn has_short_keys(selector: Option<&LabelSelector>) -> bool {
    let labels = selector.and_then(|selector| selector.match_labels.as_ref());
    labels.is_none_or(|labels| labels.keys().all(|key| key.chars().count() <= MAX_KEY))
}
