//! Whether two servers answer the same in `PrometheusAdapter` semantics.

use serde_json::Value;

use crate::answer::Answer;

/// What the other adapter makes of NaN and infinity in external answers, and of numbers that milli-units cannot hold.
const OVERFLOW: &str = "-9223372036854775808m";

/// One line for each request that is answered otherwise.
pub(crate) fn differences(expected: &[Answer], got: &[Answer]) -> Vec<String> {
    let pairs = expected.iter().zip(got);
    pairs
        .filter_map(|(expected, got)| {
            difference(expected, got).map(|what| format!("{}: {what}", expected.path))
        })
        .collect()
}

fn difference(expected: &Answer, got: &Answer) -> Option<String> {
    // what it fails on, and the code of one refusal or another, nobody is asked to repeat
    if expected.code >= 500 || expected.code >= 400 && got.code >= 400 {
        return None;
    }
    if expected.code != got.code {
        return Some(format!("{}, expected {}", got.code, expected.code));
    }
    if expected.queries != got.queries {
        return Some(format!("sent {:?}, expected {:?}", got.queries, expected.queries));
    }
    let (expected, got) = comparable(expected, got);
    let text = |items: &[&Value]| {
        items
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    (expected != got).then(|| format!("{}, expected {}", text(&got), text(&expected)))
}

/// The items of both but for those that the other adapter overflowed on.
fn comparable<'a>(expected: &'a Answer, got: &'a Answer) -> (Vec<&'a Value>, Vec<&'a Value>) {
    let identity = |item: &Value| (item["object"].to_string(), item["labels"].to_string());
    let wild: Vec<_> = expected
        .items
        .iter()
        .filter(|item| item["value"] == OVERFLOW)
        .map(identity)
        .collect();
    let sound = |items: &'a [Value]| {
        items
            .iter()
            .filter(|item| !wild.contains(&identity(item)))
            .collect()
    };
    (sound(&expected.items), sound(&got.items))
}
