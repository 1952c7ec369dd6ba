//! Which series a selector selects.

use std::collections::BTreeMap;

use promql::{MatchOp, SeriesSelector, re2::matches_fully};

/// A series: `__name__` and labels.
pub(crate) type Labels = BTreeMap<String, String>;

/// Whether a selector selects a series. A label that is not there is empty.
pub(crate) fn selects(selector: &SeriesSelector, series: &Labels) -> bool {
    let value = |label: &str| series.get(label).map_or("", String::as_str);
    selector.name().is_none_or(|name| value("__name__") == name)
        && selector.matchers().all(|matcher| {
            let value = value(&matcher.label);
            match matcher.op {
                MatchOp::Equal => value == matcher.value,
                MatchOp::NotEqual => value != matcher.value,
                MatchOp::Regex => matches_fully(&matcher.value, value) == Ok(true),
                MatchOp::NotRegex => matches_fully(&matcher.value, value) == Ok(false),
            }
        })
}
