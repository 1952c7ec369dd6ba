//! In which ways `Standard` semantics answer otherwise than prometheus-adapter: a closed list.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::answer::Answer;
use crate::cluster::Discovery;

/// The list: a name, and what it means.
pub(crate) const WAYS: [(&str, &str); 14] = [
    (
        "window",
        "an item carries the window of its query, where the other carries none",
    ),
    (
        "rounding",
        "values are rounded half up to a thousandth, not cut off",
    ),
    ("NaN", "a row that is not a number is no data, not 0"),
    (
        "overflow",
        "what milli-units cannot hold is clamped or refused, and never wraps around",
    ),
    (
        "negative",
        "an external value below zero is 0 unless the rule lets it pass",
    ),
    (
        "rows",
        "of several rows for one object the first in the order of labels counts, not the last",
    ),
    (
        "empty selector",
        "a selector that no object fits gives an empty list, not 404",
    ),
    (
        "failure",
        "what the other fails on with 5xx is answered or refused with its reason",
    ),
    ("in", "`in (x)` is equality with x, not a pattern"),
    (
        "values",
        "only what a label is to be (`=`, `in`) fills .LabelValuesByName, not what it is not to be",
    ),
    ("escaping", "names and values in a pattern match themselves only"),
    (
        "place",
        "a value stands only where it can be quoted; a query elsewhere is refused",
    ),
    (
        "required",
        "a label that the query reads and the request does not send is asked for (400)",
    ),
    (
        "refused rule",
        "a rule that could not work, or tells tenants of each other, is not taken",
    ),
];

/// How often each way was met.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<&'static str, usize>,
    unknown: Vec<String>,
    differing: usize,
}

impl Tally {
    /// Names the way of every answer that differs.
    pub(crate) fn judge(&mut self, expected: &[Answer], got: &[Answer], listed: &Discovery, refused: bool) {
        for (expected, got) in expected.iter().zip(got) {
            if expected.code == got.code && expected.items == got.items && expected.queries == got.queries {
                continue;
            }
            self.differing += 1;
            let ways = ways(expected, got, listed, refused);
            if ways.is_empty() {
                let text = |answer: &Answer| format!("{} {}", answer.code, Value::from(answer.items.clone()));
                self.unknown.push(format!(
                    "Standard: {}: {}, the other {} by {:?} and {:?}",
                    expected.path,
                    text(got),
                    text(expected),
                    got.queries,
                    expected.queries
                ));
            }
            for way in ways {
                *self.counts.entry(way).or_default() += 1;
            }
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (way, count) in other.counts {
            *self.counts.entry(way).or_default() += count;
        }
        self.unknown.extend(other.unknown);
        self.differing += other.differing;
    }

    pub(crate) fn count(&self, way: &str) -> usize {
        self.counts.get(way).copied().unwrap_or_default()
    }

    /// Answers that differ.
    pub(crate) fn differing(&self) -> usize {
        self.differing
    }

    /// Answers that differ in no listed way.
    pub(crate) fn unknown(&self) -> usize {
        self.unknown.len()
    }

    /// Them, one line each.
    pub(crate) fn unknowns(&self) -> Vec<String> {
        self.unknown.clone()
    }
}

/// The ways that together make the difference; none if something is left.
fn ways(expected: &Answer, got: &Answer, listed: &Discovery, refused: bool) -> Vec<&'static str> {
    if expected.code >= 500 {
        return vec!["failure"];
    }
    if expected.code == 404 && got.code == 200 && got.items.is_empty() {
        return vec!["empty selector"];
    }
    if expected.code >= 400 && got.code >= 400 {
        return vec!["failure"];
    }
    if got.code >= 400 {
        return refusal(expected, got, listed, refused);
    }
    if expected.code >= 400 {
        return Vec::new();
    }
    let mut all = Vec::new();
    let texts_differ = expected.queries != got.queries;
    if texts_differ {
        let Some(way) = text(&expected.path, &expected.queries, &got.queries) else {
            return Vec::new();
        };
        all.push(way);
    }
    let named = |items: &[Value]| -> BTreeMap<String, Value> {
        let identity = |item: &Value| format!("{} {}", item["object"], item["labels"]);
        items.iter().map(|item| (identity(item), item.clone())).collect()
    };
    let here = named(&got.items);
    for (identity, theirs) in named(&expected.items) {
        match here.get(&identity) {
            None if theirs["value"] == "0" => all.push("NaN"),
            None if overflowed(&theirs) => all.push("overflow"),
            None if texts_differ => {}
            None => return Vec::new(),
            Some(ours) => {
                if ours["window"] != theirs["window"] {
                    all.push("window");
                }
                if ours["value"] != theirs["value"] {
                    let Some(way) = value(&theirs, ours) else {
                        if texts_differ {
                            continue;
                        }
                        return Vec::new();
                    };
                    all.push(way);
                }
            }
        }
    }
    if here.len() > expected.items.len() && !texts_differ {
        return Vec::new();
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Why the text of the query is another.
fn text(path: &str, theirs: &[String], ours: &[String]) -> Option<&'static str> {
    let [theirs, ours] = [theirs, ours].map(|queries| queries.join("\n"));
    // one value is compared with = and not taken for a pattern
    let as_values = |text: &str| text.replace("=~\"", "=\"").replace("!~\"", "!=\"");
    if as_values(&theirs) == as_values(&ours) {
        Some("in")
    } else if as_values(&theirs) == as_values(&ours.replace("\\\\", "")) {
        Some("escaping")
    } else {
        let excludes = ["%21%3D", "%20notin%20"]
            .iter()
            .any(|operator| path.contains(operator));
        excludes.then_some("values")
    }
}

/// Why ours refuses what the other answers.
fn refusal(expected: &Answer, got: &Answer, listed: &Discovery, refused: bool) -> Vec<&'static str> {
    let nothing = |item: &Value| item["value"] == "0" || overflowed(item);
    if got.code == 404 && expected.items.iter().all(nothing) && !got.queries.is_empty() {
        return vec!["NaN"];
    }
    let metric = expected
        .path
        .split('?')
        .next()
        .unwrap_or_default()
        .rsplit('/')
        .next()
        .unwrap_or_default();
    let metric = percent_encoding::percent_decode_str(metric).decode_utf8_lossy();
    let known = |entries: &[(String, bool)]| {
        entries
            .iter()
            .any(|(name, _)| name.rsplit('/').next() == Some(&metric))
    };
    match got.code {
        404 if refused || !known(&listed.custom) && !known(&listed.external) => vec!["refused rule"],
        400 if got.queries.is_empty() => vec!["required"],
        500 if got.queries.is_empty() => vec!["place"],
        _ => Vec::new(),
    }
}

fn value(theirs: &Value, ours: &Value) -> Option<&'static str> {
    if overflowed(theirs) {
        return Some("overflow");
    }
    let (a, b) = (milli(theirs)?, milli(ours)?);
    if b - a == 1 {
        Some("rounding")
    } else if theirs["object"].is_null() && a < 0 && b == 0 {
        Some("negative")
    } else if !theirs["object"].is_null() {
        Some("rows")
    } else {
        None
    }
}

fn milli(item: &Value) -> Option<i64> {
    let quantity = language::quantity::Quantity::parse(item["value"].as_str()?).ok()?;
    Some(quantity.to_milli().get())
}

fn overflowed(item: &Value) -> bool {
    item["value"] == "-9223372036854775808m"
}
