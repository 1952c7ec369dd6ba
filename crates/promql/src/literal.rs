//! String literals: from a value to its text and back.
//!
//! The rules are those of Prometheus (`util/strutil/quote.go`, `promql/parser/lex.go`): Go's escapes in `"` and `'`, none in
//! backticks, no newline outside backticks, and U+FFFD only as an escape, since Prometheus' lexer takes it for broken UTF-8.

use std::fmt::Write as _;

/// The quote that a literal begins and ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    /// `"`
    Double,
    /// `'`
    Single,
    /// A backtick: nothing is escaped in such a literal.
    Raw,
}

// === impl Quote ===

impl Quote {
    /// The quote that this character is.
    pub fn from_char(c: char) -> Option<Self> {
        match c {
            '"' => Some(Self::Double),
            '\'' => Some(Self::Single),
            '`' => Some(Self::Raw),
            _ => None,
        }
    }

    /// The character.
    pub fn as_char(self) -> char {
        match self {
            Self::Double => '"',
            Self::Single => '\'',
            Self::Raw => '`',
        }
    }
}

/// `value` as a literal in double quotes.
///
/// ```
/// use promql::literal::quoted;
///
/// assert_eq!(quoted("say \"hi\"\n"), r#""say \"hi\"\n""#);
/// ```
pub fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 2);
    out.push('"');
    escape_into(&mut out, value, '"');
    out.push('"');
    out
}

/// Appends `value` as it stands inside a literal of this quote.
///
/// # Errors
///
/// For a value that no text there has: one with a backtick or U+FFFD in a literal in backticks.
pub fn write_inside(out: &mut String, value: &str, quote: Quote) -> Result<(), &'static str> {
    match quote {
        Quote::Double | Quote::Single => escape_into(out, value, quote.as_char()),
        Quote::Raw if value.contains('`') => {
            return Err("a value with a backtick cannot stand in a literal in backticks");
        }
        Quote::Raw if value.contains('\u{fffd}') => {
            return Err("a value with U+FFFD cannot stand in a literal in backticks");
        }
        Quote::Raw => out.push_str(value),
    }
    Ok(())
}

fn escape_into(out: &mut String, value: &str, quote: char) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            // Always four digits, so that no digit after it can be taken for its own. Controls end below U+00A0.
            c if c.is_control() || c == '\u{fffd}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c)); // writing to a String does not fail
            }
            c => out.push(c),
        }
    }
}

/// The value of a literal, given the text between its quotes.
///
/// # Errors
///
/// For an escape that Prometheus does not know, and for a value that is not UTF-8 (`"\xff"`), which Prometheus takes.
pub fn unquote(body: &str, quote: Quote) -> Result<String, &'static str> {
    if quote == Quote::Raw {
        return Ok(body.to_owned());
    }
    let mut bytes = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => unescape(&mut chars, quote, &mut bytes)?,
            '\n' => return Err("a line ends inside a string"),
            c => push(&mut bytes, c),
        }
    }
    String::from_utf8(bytes).map_err(|_| "the string is not UTF-8 once its escapes are read")
}

fn unescape(chars: &mut std::str::Chars<'_>, quote: Quote, bytes: &mut Vec<u8>) -> Result<(), &'static str> {
    const UNKNOWN: &str = "unknown escape in a string";
    let c = chars.next().ok_or(UNKNOWN)?;
    let simple = match c {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        c if c == quote.as_char() => c as u8,
        'x' => return byte(digits(chars, 0, 2, 16)?, bytes),
        'u' => return rune(digits(chars, 0, 4, 16)?, bytes),
        'U' => return rune(digits(chars, 0, 8, 16)?, bytes),
        '0'..='7' => return byte(digits(chars, c.to_digit(8).unwrap_or(0), 2, 8)?, bytes),
        _ => return Err(UNKNOWN),
    };
    bytes.push(simple);
    Ok(())
}

fn digits(
    chars: &mut std::str::Chars<'_>,
    first: u32,
    count: usize,
    radix: u32,
) -> Result<u32, &'static str> {
    let mut value = first;
    for _ in 0..count {
        let digit = chars
            .next()
            .and_then(|c| c.to_digit(radix))
            .ok_or("unfinished escape in a string")?;
        value = value
            .checked_mul(radix)
            .and_then(|v| v.checked_add(digit))
            .ok_or("escape out of range in a string")?;
    }
    Ok(value)
}

fn byte(value: u32, bytes: &mut Vec<u8>) -> Result<(), &'static str> {
    bytes.push(u8::try_from(value).map_err(|_| "escape out of range in a string")?);
    Ok(())
}

fn rune(value: u32, bytes: &mut Vec<u8>) -> Result<(), &'static str> {
    push(
        bytes,
        char::from_u32(value).ok_or("escape out of range in a string")?,
    );
    Ok(())
}

fn push(bytes: &mut Vec<u8>, c: char) {
    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_those_of_prometheus() {
        assert_eq!(quoted("a\"b\\c\n\r\t'`"), r#""a\"b\\c\n\r\t'`""#);
        assert_eq!(
            quoted("\0\u{7f}\u{85}\u{fffd}é"),
            r#""\u0000\u007f\u0085\ufffdé""#
        );
        for (body, value) in [
            (r"\a\b\f\n\r\t\v\\", "\x07\x08\x0c\n\r\t\x0b\\"),
            (r#"\""#, "\""),
            (r"\x41\101\u0041\U00000041", "AAAA"),
            (r"\xc3\xa9", "é"),
            (r"\303\251", "é"),
        ] {
            assert_eq!(unquote(body, Quote::Double).as_deref(), Ok(value), "{body}");
        }
        for body in [
            r"\'",
            r"\.",
            r"\x4",
            r"\u12",
            r"\ud800",
            r"\400",
            r"\8",
            r"\xff",
            "\n",
            r"\U00110000",
        ] {
            assert!(unquote(body, Quote::Double).is_err(), "{body}");
        }
        assert_eq!(unquote(r"\d+", Quote::Raw).as_deref(), Ok(r"\d+"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in any::<String>()) {
            for quote in [Quote::Double, Quote::Single, Quote::Raw] {
                let mut text = String::new();
                if write_inside(&mut text, &value, quote).is_ok() {
                    prop_assert_eq!(unquote(&text, quote), Ok(value.clone()));
                } else {
                    let unwritable = value.contains(['`', '\u{fffd}']);
                    prop_assert!(quote == Quote::Raw && unwritable);
                }
            }
        }
    }
}
