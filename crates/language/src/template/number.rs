//! Numbers and quoted text as Go's fmt and strconv write them.

use crate::quote::is_printed;

/// Flags, width and precision of a verb.
#[expect(clippy::struct_excessive_bools, reason = "one for each flag that Go has")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spec {
    /// Pad on the right.
    pub(super) minus: bool,
    pub(super) sign: Sign,
    /// A space between bytes in hexadecimal, whatever the sign.
    pub(super) spaced: bool,
    /// Pad with zeros, after the sign.
    pub(super) zero: bool,
    /// Another form: `0x` before hexadecimal digits, back quotes where they are possible.
    pub(super) sharp: bool,
    /// In characters.
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
}

/// What stands before a number; a later variant wins over an earlier.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    /// A minus if it is negative.
    #[default]
    Negative,
    /// A minus or a space.
    Space,
    /// A minus or a plus.
    Always,
}

impl Spec {
    /// The sign, the base's prefix, then the digits, with zeros before the digits up to the width if the flag says so. The width is
    /// that of sign and digits: Go does not count the prefix.
    fn signed(self, negative: bool, prefix: &str, digits: &str, zeros: bool) -> String {
        let sign = match self.sign {
            _ if negative => "-",
            Sign::Negative => "",
            Sign::Space => " ",
            Sign::Always => "+",
        };
        let wanted = if zeros && self.zero && !self.minus {
            self.width.unwrap_or(0)
        } else {
            0
        };
        let zeros = wanted.saturating_sub(sign.len() + digits.len());
        format!("{sign}{prefix}{}{digits}", "0".repeat(zeros))
    }
}

/// `%d`, `%b`, `%o`, `%O`, `%x`, `%X`.
pub(super) fn whole(value: i64, verb: char, spec: Spec) -> String {
    let magnitude = value.unsigned_abs();
    let digits = match verb {
        'b' => format!("{magnitude:b}"),
        'o' | 'O' => format!("{magnitude:o}"),
        'x' => format!("{magnitude:x}"),
        'X' => format!("{magnitude:X}"),
        _ => magnitude.to_string(),
    };
    // where the width is filled with zeros they count as digits
    let sign = usize::from(value < 0 || spec.sign != Sign::Negative);
    let least = match spec.precision {
        Some(0) if value == 0 => return String::new(),
        Some(least) => least,
        None if spec.zero && !spec.minus => spec.width.unwrap_or(0).saturating_sub(sign),
        None => 0,
    };
    let digits = format!("{}{digits}", "0".repeat(least.saturating_sub(digits.len())));
    let prefix = match verb {
        'O' => "0o",
        'b' if spec.sharp => "0b",
        'x' if spec.sharp => "0x",
        'X' if spec.sharp => "0X",
        _ => "",
    };
    let octal = if spec.sharp && matches!(verb, 'o' | 'O') && !digits.starts_with('0') {
        "0"
    } else {
        ""
    };
    spec.signed(value < 0, &format!("{prefix}{octal}"), &digits, false)
}

/// `%v`, `%e`, `%E`, `%f`, `%F`, `%g`, `%G` of a finite number.
pub(super) fn float(value: f64, verb: char, spec: Spec) -> String {
    let magnitude = value.abs();
    let digits = match verb {
        'f' | 'F' => format!("{magnitude:.*}", spec.precision.unwrap_or(6)),
        'e' | 'E' => {
            let (digits, exponent) = scientific(magnitude, Some(spec.precision.unwrap_or(6)));
            with_exponent(&digits, exponent)
        }
        _ => general(magnitude, spec.precision),
    };
    let digits = if verb.is_ascii_uppercase() {
        digits.to_ascii_uppercase()
    } else {
        digits
    };
    spec.signed(value.is_sign_negative(), "", &digits, true)
}

/// The digits without a point and the exponent of the first; the fewest digits that are exact, or so many after the
/// first.
fn scientific(magnitude: f64, after_first: Option<usize>) -> (String, i32) {
    let text = match after_first {
        Some(count) => format!("{magnitude:.count$e}"),
        None => format!("{magnitude:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// Go writes at least two digits of the exponent, and its sign.
fn with_exponent(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
}

fn general(magnitude: f64, precision: Option<usize>) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let (digits, exponent) = scientific(magnitude, precision.map(|precision| precision - 1));
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let limit = precision.map_or(6, |precision| i32::try_from(precision).unwrap_or(i32::MAX));
    let Ok(point) = usize::try_from(exponent + 1) else {
        if exponent < -4 {
            return with_exponent(digits, exponent);
        }
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    if exponent >= limit {
        return with_exponent(digits, exponent);
    }
    match digits.split_at_checked(point) {
        Some((whole, "")) => whole.to_owned(),
        Some(("", fraction)) => format!("0.{fraction}"),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None => format!("{digits}{}", "0".repeat(point - digits.len())),
    }
}

/// `%x` and `%X` of a string: its bytes, as many as the precision says.
pub(super) fn hexadecimal(text: &str, verb: char, spec: Spec) -> String {
    let prefix = match verb {
        'X' if spec.sharp => "0X",
        _ if spec.sharp => "0x",
        _ => "",
    };
    let spaced = spec.sign == Sign::Space || spec.spaced;
    let mut out = String::new();
    for (index, byte) in text
        .bytes()
        .take(spec.precision.unwrap_or(usize::MAX))
        .enumerate()
    {
        if index > 0 && spaced {
            out.push(' ');
        }
        if index == 0 || spaced {
            out.push_str(prefix);
        }
        for nibble in [byte >> 4, byte & 15] {
            let digit = char::from_digit(u32::from(nibble), 16).unwrap_or_default();
            out.push(if verb == 'X' {
                digit.to_ascii_uppercase()
            } else {
                digit
            });
        }
    }
    out
}

/// `%U`: at least four digits.
pub(super) fn code_point(value: i64, spec: Spec) -> String {
    let least = spec.precision.unwrap_or(0).max(4);
    let mut out = format!("U+{value:0least$X}");
    let letter = u32::try_from(value).ok().and_then(char::from_u32);
    if let Some(letter) = letter.filter(|letter| spec.sharp && is_printed(*letter)) {
        out.push_str(" '");
        out.push(letter);
        out.push('\'');
    }
    out
}

/// `%c`: the character of a number; U+FFFD if there is none.
pub(super) fn character(value: i64) -> char {
    u32::try_from(value)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}
