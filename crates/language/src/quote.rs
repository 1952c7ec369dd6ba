//! Strings as Go prints them.

use std::{fmt::Write as _, sync::LazyLock};

use regex::Regex;

/// What Go's `strconv.IsPrint` keeps as it is: letters, marks, numbers, punctuation, symbols and the space.
#[expect(clippy::expect_used, reason = "a constant pattern")]
static PRINTABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$").expect("a constant pattern"));

/// The text in double quotes, as Go's `%q` (`strconv.Quote`) writes it.
///
/// ```
/// assert_eq!(language::quote::quote("a\"b\u{7f}"), r#""a\"b\x7f""#);
/// ```
pub fn quote(text: &str) -> String {
    between(text, '"', false)
}

/// As [`quote`] with everything but ASCII escaped: Go's `%+q` (`strconv.QuoteToASCII`).
pub fn quote_to_ascii(text: &str) -> String {
    between(text, '"', true)
}

/// The character in single quotes, as Go's `%q` (`strconv.QuoteRune`) writes it.
pub fn quote_char(letter: char) -> String {
    between(letter.encode_utf8(&mut [0; 4]), '\'', false)
}

/// As [`quote_char`] with everything but ASCII escaped: Go's `%+q` (`strconv.QuoteRuneToASCII`).
pub fn quote_char_to_ascii(letter: char) -> String {
    between(letter.encode_utf8(&mut [0; 4]), '\'', true)
}

/// Whether `%q` leaves the character as it is (`strconv.IsPrint`).
pub fn is_printed(letter: char) -> bool {
    PRINTABLE.is_match(letter.encode_utf8(&mut [0; 4]))
}

fn between(text: &str, delimiter: char, to_ascii: bool) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push(delimiter);
    for letter in text.chars() {
        escape(&mut quoted, letter, delimiter, to_ascii);
    }
    quoted.push(delimiter);
    quoted
}

fn escape(quoted: &mut String, letter: char, delimiter: char, to_ascii: bool) {
    match letter {
        _ if letter == delimiter || letter == '\\' => quoted.extend(['\\', letter]),
        '\x07' => quoted.push_str("\\a"),
        '\x08' => quoted.push_str("\\b"),
        '\x0c' => quoted.push_str("\\f"),
        '\n' => quoted.push_str("\\n"),
        '\r' => quoted.push_str("\\r"),
        '\t' => quoted.push_str("\\t"),
        '\x0b' => quoted.push_str("\\v"),
        _ if (letter.is_ascii() || !to_ascii) && is_printed(letter) => {
            quoted.push(letter);
        }
        _ => {
            let code = u32::from(letter);
            // writing to a String cannot fail
            let _ = match code {
                0..=0x7f => write!(quoted, "\\x{code:02x}"),
                0x80..=0xffff => write!(quoted, "\\u{code:04x}"),
                _ => write!(quoted, "\\U{code:08x}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_does_not_print_is_escaped() {
        let cases = [
            ("plain", r#""plain""#),
            ("", r#""""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\n\t\u{7}\u{b}", r#""\n\t\a\v""#),
            ("\0\u{7f}", r#""\x00\x7f""#),
            ("\u{80}\u{a0}\u{200b}", r#""\u0080\u00a0\u200b""#),
            ("\u{e000}\u{10ffff}", r#""\ue000\U0010ffff""#),
            ("ü é 日本", "\"ü é 日本\""),
        ];
        for (text, quoted) in cases {
            assert_eq!(quote(text), quoted);
        }
        let characters = [
            ('a', "'a'"),
            ('\'', r"'\''"),
            ('"', "'\"'"),
            ('\n', r"'\n'"),
            ('\u{fffd}', "'\u{fffd}'"),
        ];
        for (letter, quoted) in characters {
            assert_eq!(quote_char(letter), quoted);
        }
        assert_eq!(quote_to_ascii("aé\"\u{1f600}"), r#""a\u00e9\"\U0001f600""#);
        assert_eq!(quote_char_to_ascii('\u{fffd}'), r"'\ufffd'");
    }
}
