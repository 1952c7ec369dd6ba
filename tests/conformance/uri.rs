//! Query strings.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A path with parameters, their values percent-encoded.
pub(crate) fn with(path: &str, parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
        .collect();
    format!("{path}?{}", pairs.join("&"))
}
