//! Parameters of the query string.

use std::{num::IntErrorKind, time::Duration};

use percent_encoding::percent_decode;

use super::RouteError;
use language::{duration, selector::Selector};

/// More parameters than any client sends.
const MAX: usize = 64;

/// Decoded parameters, in the order sent; the first of a name counts, as in k8s.io/apiserver.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

// === impl Params ===

impl Params {
    /// `+` is a space; pairs that do not decode are left out, as Go's `URL.Query` does.
    pub(super) fn parse(query: &str) -> Self {
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.contains(';'))
            .take(MAX);
        Self(
            pairs
                .filter_map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((decode(name)?, decode(value)?))
                })
                .collect(),
        )
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Only absence, `false` and `0` are false (`Convert_Slice_string_To_bool` of apimachinery).
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| !value.eq_ignore_ascii_case("false") && value != "0")
    }

    /// `pretty` as Go's `strconv.ParseBool` reads it; what is no truth value counts as false.
    pub(super) fn pretty(&self) -> Option<bool> {
        let value = self.get("pretty").filter(|value| !value.is_empty())?;
        Some(matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    /// A selector; its text goes to the client as the parser gave it.
    pub(super) fn selector(&self, name: &str) -> Result<Selector, RouteError> {
        Selector::parse(self.get(name).unwrap_or_default())
            .map_err(|error| RouteError::invalid_selector(error.to_string()))
    }

    /// `timeout` as Go's `time.ParseDuration` reads it; zero and below mean that none is asked for.
    pub(super) fn timeout(&self) -> Result<Option<Duration>, RouteError> {
        let Some(text) = self.get("timeout").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let seconds = duration::seconds(text).map_err(|problem| {
            let message = format!("invalid timeout specified in the request URL - time: {problem} {text:?}");
            RouteError::bad_request(message)
        })?;
        Ok(Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|timeout| !timeout.is_zero()))
    }

    /// The list options that must at least be numbers.
    pub(super) fn check_numbers(&self) -> Result<(), RouteError> {
        for name in ["limit", "timeoutSeconds"] {
            let Some(text) = self.get(name).filter(|text| !text.is_empty()) else {
                continue;
            };
            let problem = match text.parse::<i64>() {
                Ok(_) => continue,
                Err(error) => match error.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                    _ => "invalid syntax",
                },
            };
            return Err(RouteError::bad_request(format!(
                "strconv.ParseInt: parsing {text:?}: {problem}"
            )));
        }
        Ok(())
    }

    /// `fieldSelector` of a request for the object `name` (`*` equals no name): where there is one, one of its terms has to
    /// demand exactly that name.
    pub(super) fn check_fields(&self, name: &str) -> Result<(), RouteError> {
        let terms = self.get("fieldSelector").unwrap_or_default().split(',');
        let mut any = false;
        let mut exact = None;
        for term in terms.filter(|term| !term.is_empty()) {
            let differs = term.split_once("!=").map(|(field, value)| (field, value, false));
            let equals = || term.split_once("==").or_else(|| term.split_once('='));
            let found = differs.or_else(|| equals().map(|(field, value)| (field, value, true)));
            let Some((field, value, equal)) = found else {
                let message = format!("invalid selector: '{term}'; can't understand '{term}'");
                return Err(RouteError::bad_request(message));
            };
            match field {
                "metadata.name" if equal => exact = exact.or(Some(value)),
                "metadata.name" | "metadata.namespace" => {}
                other => {
                    return Err(RouteError::bad_request(format!(
                        "{other:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    )));
                }
            }
            any = true;
        }
        if any && (exact != Some(name) || name == "*") {
            let message = "fieldSelector metadata.name doesn't match requested name";
            return Err(RouteError::bad_request(message));
        }
        Ok(())
    }
}

fn decode(text: &str) -> Option<String> {
    let text = text.replace('+', " ");
    if !is_percent_encoded(&text) {
        return None;
    }
    String::from_utf8(percent_decode(text.as_bytes()).collect()).ok()
}

/// Whether every `%` begins two hexadecimal digits.
pub(super) fn is_percent_encoded(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        if byte == b'%' && !(hex(bytes.next()) && hex(bytes.next())) {
            return false;
        }
    }
    true
}
