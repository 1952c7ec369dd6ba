//! Literals, after the rules of Go's strconv: Unquote, `UnquoteChar`, `ParseInt` with base 0, `ParseFloat`.

use super::ast::Term;

/// `"…"` with its quotes. Bytes that are not UTF-8 in the end are refused: a query cannot hold them.
pub(super) fn quoted(literal: &str) -> Result<String, String> {
    let body = literal
        .get(1..literal.len().saturating_sub(1))
        .unwrap_or_default();
    let mut bytes = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let (piece, after) = unescape(rest, '"')?;
        match piece {
            Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(byte) => bytes.push(byte),
        }
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| "the string is not valid UTF-8".to_owned())
}

/// `` `…` `` with its quotes; Go leaves carriage returns out.
pub(super) fn raw_quoted(literal: &str) -> String {
    literal.trim_matches('`').replace('\r', "")
}

/// `'…'` with its quotes: the number of the character.
pub(super) fn character(literal: &str) -> Result<i64, String> {
    let malformed = || format!("malformed character constant: {literal}");
    let body = literal.get(1..).unwrap_or_default();
    let (piece, rest) = unescape(body, '\'')?;
    if rest != "'" {
        return Err(malformed());
    }
    Ok(match piece {
        Piece::Char(c) => i64::from(u32::from(c)),
        Piece::Byte(byte) => i64::from(byte),
    })
}

enum Piece {
    Char(char),
    /// From `\x` or an octal escape: a byte, not a character.
    Byte(u8),
}

fn unescape(text: &str, quote: char) -> Result<(Piece, &str), String> {
    let invalid = || "invalid syntax in a quoted literal".to_owned();
    let mut chars = text.chars();
    let first = chars.next().ok_or_else(invalid)?;
    if first == quote || first == '\n' {
        return Err(invalid());
    }
    if first != '\\' {
        return Ok((Piece::Char(first), chars.as_str()));
    }
    let escape = chars.next().ok_or_else(invalid)?;
    let after = chars.as_str();
    let digits = |text: &str, radix: u32, count: usize| -> Result<u32, String> {
        let digits = text.get(..count).ok_or_else(invalid)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return Err(invalid());
        }
        u32::from_str_radix(digits, radix).map_err(|_| invalid())
    };
    let skip = |count: usize| after.get(count..).unwrap_or_default();
    let piece = match escape {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        c if c == quote => c,
        'x' => {
            let byte = u8::try_from(digits(after, 16, 2)?).map_err(|_| invalid())?;
            return Ok((Piece::Byte(byte), skip(2)));
        }
        'u' | 'U' => {
            let count = if escape == 'u' { 4 } else { 8 };
            let c = char::from_u32(digits(after, 16, count)?).ok_or_else(invalid)?;
            return Ok((Piece::Char(c), skip(count)));
        }
        '0'..='7' => {
            let from_escape = text.get(1..).unwrap_or_default();
            let byte = u8::try_from(digits(from_escape, 8, 3)?).map_err(|_| invalid())?;
            return Ok((Piece::Byte(byte), skip(2)));
        }
        _ => return Err(invalid()),
    };
    Ok((Piece::Char(piece), after))
}

/// A number: a whole one if it can be read as such, else a decimal fraction.
pub(super) fn number(literal: &str) -> Result<Term, String> {
    let illegal = || format!("illegal number syntax: {literal:?}");
    let (negative, digits) = match literal.strip_prefix(['+', '-']) {
        Some(digits) => (literal.starts_with('-'), digits),
        None => (false, literal),
    };
    if !underscores_separate(digits) {
        return Err(illegal());
    }
    let plain = digits.replace('_', "").to_ascii_lowercase();
    let prefixed = |prefix: &str| plain.strip_prefix(prefix);
    let (radix, whole) = if let Some(hex) = prefixed("0x") {
        (16, hex)
    } else if let Some(octal) = prefixed("0o") {
        (8, octal)
    } else if let Some(binary) = prefixed("0b") {
        (2, binary)
    } else if let Some(octal) = prefixed("0").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
        (8, octal)
    } else {
        (10, plain.as_str())
    };
    if !whole.is_empty() && whole.chars().all(|c| c.is_digit(radix)) {
        let signed = if negative {
            format!("-{whole}")
        } else {
            whole.to_owned()
        };
        return i64::from_str_radix(&signed, radix)
            .map(Term::Int)
            .map_err(|_| format!("integer overflow: {literal:?}"));
    }
    if radix == 16 {
        return Err(format!("hexadecimal fractions are not supported: {literal:?}"));
    }
    // A whole number that is none in its base, such as 08, is not taken for a fraction.
    if !plain.contains(['.', 'e']) || !plain.contains(|c: char| c.is_ascii_digit()) {
        return Err(illegal());
    }
    let value: f64 = plain.parse().map_err(|_| illegal())?;
    if !value.is_finite() {
        return Err(illegal());
    }
    Ok(Term::Float(if negative { -value } else { value }))
}

/// An underscore stands between digits, or between a base prefix and a digit.
fn underscores_separate(digits: &str) -> bool {
    if !digits.contains('_') {
        return true;
    }
    let lower = digits.to_ascii_lowercase();
    let hex = lower.starts_with("0x");
    let body = ["0x", "0o", "0b"]
        .iter()
        .find_map(|prefix| lower.strip_prefix(prefix));
    let mut digit_before = body.is_some();
    let mut chars = body.unwrap_or(&lower).chars().peekable();
    while let Some(c) = chars.next() {
        let is_digit = |c: char| {
            if hex {
                c.is_ascii_hexdigit()
            } else {
                c.is_ascii_digit()
            }
        };
        if c == '_' && !(digit_before && chars.peek().copied().is_some_and(is_digit)) {
            return false;
        }
        digit_before = is_digit(c);
    }
    true
}
