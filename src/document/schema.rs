//! Schema of plain scalars: the types of YAML 1.1 as Go's yaml.v2 resolves them, which kubectl and prometheus-adapter read
//! with (`resolve.go` of gopkg.in/yaml.v2).

use serde_json::{Number, Value as Json};

use super::Scalar;

// === impl Scalar ===

impl Scalar {
    pub(super) fn is_null(&self) -> bool {
        self.typed && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.to_json() {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            _ => "text",
        }
    }

    pub(super) fn to_json(&self) -> Json {
        if self.is_null() {
            return Json::Null;
        }
        if !self.typed {
            return Json::String(self.text.to_string());
        }
        match self.text.as_str() {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "true" | "True" | "TRUE" => {
                Json::Bool(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "false" | "False" | "FALSE" => {
                Json::Bool(false)
            }
            text => number(text).map_or_else(|| Json::String(self.text.to_string()), Json::Number),
        }
    }
}

fn number(text: &str) -> Option<Number> {
    // What does not begin like a number is none, whatever follows (`_0`).
    if text.starts_with('_') {
        return None;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let digits = plain.trim_start_matches(['+', '-']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || plain.len() > digits.len() + 1 {
        return None;
    }
    integer(&plain, digits).or_else(|| float(text))
}

fn integer(plain: &str, digits: &str) -> Option<Number> {
    let (radix, digits) = if let Some(rest) = digits.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = digits.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = digits.strip_prefix("0o") {
        (8, rest)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (8, digits)
    } else {
        (10, digits)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if plain.starts_with('-') { -value } else { value };
    Number::from_i128(value)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        ),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let good = all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent));
    good.then(|| text.parse::<f64>().ok().and_then(Number::from_f64))
        .flatten()
}
