//! Kubernetes quantities: exact decimal arithmetic and the canonical text form.
//!
//! [`Milli`] is what a metrics API answers with; [`Quantity`] is what a user or another server writes.
//! The rules are those of `k8s.io/apimachinery/pkg/api/resource`, which is also the oracle of the tests. Differences,
//! all on purpose:
//!
//! - a number needs a digit: Go reads `k`, `-` and `.` as 0;
//! - an exponent beyond `i32` is refused: Go wraps it;
//! - above 10^18 the mantissa keeps its zeros: Go drops them and prints `1000E` as `1`;
//! - the text is always canonical: Go repeats `+5`, `00012`, `5.` and `1E3` as they were written;
//! - [`Quantity::to_milli`] saturates: Go overflows silently.

mod milli;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use milli::{Milli, NotFinite, Rounded};

/// The longest text that is read as a quantity, in bytes.
pub const MAX_LENGTH: usize = 256;

/// The finest unit: 10^-9. What is smaller is rounded away from zero.
const NANO: i64 = -9;

/// The largest magnitude of a binary quantity, in nano-units; decimal ones have no such cap.
const BINARY_MAX_NANO: u128 = (i64::MAX as u128) * 1_000_000_000;

/// How a quantity is written, remembered from the text it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `1500m`, `12M`: powers of 1000.
    DecimalSi,
    /// `12e6`: the exponent in digits, a multiple of three.
    DecimalExponent,
    /// `512Mi`: powers of 1024. Only whole numbers of magnitude 1024 and more are written so.
    BinarySi,
}

/// An exact decimal number with the format it is written in.
///
/// `Display` is the canonical form: no decimal point, the largest suffix that loses nothing.
///
/// Equality is that of number *and* format: `1e3` and `1k` are not equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quantity {
    negative: bool,
    /// Decimal digits (0–9) without leading or trailing zeros; empty for zero.
    digits: Vec<u8>,
    /// The number is `digits × 10^exponent`.
    exponent: i64,
    format: Format,
}

/// Why a text is not a quantity. The first two read as Go's do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// The text does not have the shape of a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The suffix is not a known one, or the exponent does not fit.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// The text is longer than [`MAX_LENGTH`].
    #[error("quantities must be no more than {MAX_LENGTH} bytes")]
    TooLong,
}

enum Unit {
    Decimal(i64),
    Exponent(i64),
    Binary(u32),
}

impl Quantity {
    /// Reads `1500m`, `0.5Gi`, `1e3`, `.5`, `-2`; no surrounding space.
    ///
    /// ```
    /// use language::quantity::Quantity;
    ///
    /// assert_eq!(Quantity::parse("1500m")?.to_string(), "1500m");
    /// assert_eq!(Quantity::parse("2048Ki")?.to_string(), "2Mi");
    /// # Ok::<(), language::quantity::QuantityError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        if text.len() > MAX_LENGTH {
            return Err(QuantityError::TooLong);
        }
        let negative = text.starts_with('-');
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        if whole.is_empty() && fraction.is_empty() || !has_suffix_shape(suffix) {
            return Err(QuantityError::Format);
        }
        let unit = Unit::parse(suffix).ok_or(QuantityError::Suffix)?;

        let digits = whole
            .bytes()
            .chain(fraction.bytes())
            .map(|byte| byte - b'0')
            .collect();
        let mut quantity = Self {
            negative,
            digits,
            exponent: 0,
            format: Format::DecimalSi,
        };
        quantity.exponent -= i64::try_from(fraction.len()).unwrap_or(0);
        match unit {
            Unit::Decimal(exponent) => quantity.exponent += exponent,
            Unit::Exponent(exponent) => {
                quantity.exponent += exponent;
                quantity.format = Format::DecimalExponent;
            }
            Unit::Binary(power) => {
                quantity.digits = multiply(&quantity.digits, 1 << power);
                quantity.format = Format::BinarySi;
            }
        }
        quantity.trim();
        quantity.round_up_to(NANO);
        quantity.cap_binary();
        Ok(quantity)
    }

    /// The number in milli-units, rounded away from zero and clamped to [`Milli::MIN`]..=[`Milli::MAX`].
    pub fn to_milli(&self) -> Milli {
        let mut whole = self.clone();
        whole.round_up_to(-3);
        let magnitude = whole
            .scaled(-3)
            .and_then(|magnitude| i64::try_from(magnitude).ok())
            .unwrap_or(i64::MAX);
        Milli::new(if self.negative { -magnitude } else { magnitude })
    }

    /// The format the canonical form uses.
    pub const fn format(&self) -> Format {
        self.format
    }

    /// The magnitude in units of `10^exponent`, if that is a whole number below 2^128.
    fn scaled(&self, exponent: i64) -> Option<u128> {
        let power = u32::try_from(self.exponent - exponent).ok();
        if self.digits.is_empty() {
            return Some(0);
        }
        let number = self.digits.iter().try_fold(0_u128, |number, digit| {
            number.checked_mul(10)?.checked_add(u128::from(*digit))
        })?;
        number.checked_mul(10_u128.checked_pow(power?)?)
    }

    fn round_up_to(&mut self, exponent: i64) {
        if self.digits.is_empty() || self.exponent >= exponent {
            return;
        }
        let dropped = usize::try_from(exponent - self.exponent).unwrap_or(usize::MAX);
        // there are no trailing zeros, so what is dropped is never all zero
        self.digits.truncate(self.digits.len().saturating_sub(dropped));
        self.exponent = exponent;
        if let Some(last) = self.digits.iter().rposition(|digit| *digit < 9) {
            self.digits[last] += 1;
            self.digits[last + 1..].fill(0);
        } else {
            self.digits.fill(0);
            self.digits.insert(0, 1);
        }
        self.trim();
    }

    /// Caps a binary number at 2^63−1, and writes it decimally where powers of 1024 would lose digits.
    fn cap_binary(&mut self) {
        if self.format != Format::BinarySi {
            return;
        }
        if self.scaled(NANO).is_none_or(|nano| nano > BINARY_MAX_NANO) {
            self.digits = i64::MAX.to_string().bytes().map(|byte| byte - b'0').collect();
            self.exponent = 0;
        }
        if self.scaled(0).is_none_or(|whole| whole < 1024) {
            self.format = Format::DecimalSi;
        }
    }

    fn trim(&mut self) {
        let zeros = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..zeros);
        while self.digits.last() == Some(&0) {
            self.digits.pop();
            self.exponent += 1;
        }
        if self.digits.is_empty() {
            self.negative = false;
            self.exponent = 0;
            self.format = Format::DecimalSi;
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.digits.is_empty() {
            return f.write_str("0");
        }
        let mut text = String::with_capacity(self.digits.len() + 8);
        if self.negative {
            text.push('-');
        }
        if let (Format::BinarySi, Some(mut whole)) = (self.format, self.scaled(0)) {
            let mut suffix = "";
            for larger in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
                if !whole.is_multiple_of(1024) {
                    break;
                }
                whole /= 1024;
                suffix = larger;
            }
            text.push_str(&whole.to_string());
            text.push_str(suffix);
            return f.write_str(&text);
        }
        let mut exponent = self.exponent - self.exponent.rem_euclid(3);
        if self.format != Format::DecimalExponent {
            exponent = exponent.min(18);
        }
        text.extend(self.digits.iter().map(|digit| char::from(b'0' + digit)));
        text.extend((exponent..self.exponent).map(|_| '0'));
        match self.format {
            Format::DecimalExponent if exponent == 0 => {}
            Format::DecimalExponent => {
                text.push('e');
                text.push_str(&exponent.to_string());
            }
            Format::DecimalSi | Format::BinarySi => text.push_str(si_suffix(exponent)),
        }
        f.write_str(&text)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Takes a string, trimmed, or a bare number, as the API server does for int-or-string fields.
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity, as a string or a number")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                Quantity::parse(text.trim()).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Quantity, E> {
                self.visit_str(&number.to_string())
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl Unit {
    fn parse(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "n" => Self::Decimal(-9),
            "u" => Self::Decimal(-6),
            "m" => Self::Decimal(-3),
            "" => Self::Decimal(0),
            "k" => Self::Decimal(3),
            "M" => Self::Decimal(6),
            "G" => Self::Decimal(9),
            "T" => Self::Decimal(12),
            "P" => Self::Decimal(15),
            "E" => Self::Decimal(18),
            "Ki" => Self::Binary(10),
            "Mi" => Self::Binary(20),
            "Gi" => Self::Binary(30),
            "Ti" => Self::Binary(40),
            "Pi" => Self::Binary(50),
            "Ei" => Self::Binary(60),
            _ => Self::Exponent(suffix.strip_prefix(['e', 'E'])?.parse::<i32>().ok()?.into()),
        })
    }
}

/// The suffix of `10^exponent`, a multiple of three between −9 and 18.
const fn si_suffix(exponent: i64) -> &'static str {
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// Letters of the known suffixes, then a sign, then digits; each may be missing.
fn has_suffix_shape(suffix: &str) -> bool {
    let exponent = suffix.trim_start_matches(|letter| "eEinumkKMGTP".contains(letter));
    let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// Schoolbook multiplication of decimal digits; `factor` is at most 2^60.
fn multiply(digits: &[u8], factor: u64) -> Vec<u8> {
    let mut product = Vec::with_capacity(digits.len() + 20);
    let mut carry = 0_u64;
    for digit in digits.iter().rev() {
        // at most 9×2^60 and a carry below 2^60: no overflow
        carry += u64::from(*digit) * factor;
        product.push(last_digit(carry));
        carry /= 10;
    }
    while carry > 0 {
        product.push(last_digit(carry));
        carry /= 10;
    }
    product.reverse();
    product
}

fn last_digit(number: u64) -> u8 {
    u8::try_from(number % 10).unwrap_or(0)
}

#[cfg(test)]
mod tests;
