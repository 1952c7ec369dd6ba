//! Texts that Prometheus takes and this crate refuses, each with its reason.

use promql::{ParseError, ParseErrorKind, Version};

/// The reason why this refusal of a text that Prometheus takes is wanted; `None` where it is not.
pub(crate) fn reason(error: &ParseError, bytes: bool, version: Version) -> Option<&'static str> {
    if bytes {
        return Some("a string is not UTF-8: values are text here");
    }
    match error.kind {
        ParseErrorKind::Bound => Some("the text is beyond a bound: a tree has a bounded depth"),
        ParseErrorKind::Pattern if error.message.contains("too large") || error.message.contains("nest") => {
            Some("a pattern is too large or too deep: a program has a bounded size")
        }
        _ if error.message.contains("out of range for a duration") => Some(
            "a duration is not a number, or it is the last of Go's: their conversion depends on the machine",
        ),
        _ if error.message.contains("timestamp is out of range") => {
            Some("a timestamp is beyond milliseconds in 64 bits: their conversion depends on the machine")
        }
        _ if version == Version::V3_5 && error.message.contains("may not stand inside `[`") => {
            Some("3.5 takes any letter between brackets for a colon: `a[1 h]` is `a[1:]` to it")
        }
        _ => None,
    }
}
