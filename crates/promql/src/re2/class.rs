//! Character classes: brackets, `\d` and its like, `\p{…}`.

use std::fmt::Write as _;

use super::escape::escape;
use super::failure::Failure;
use super::property;

const POSIX: &str = "alnum alpha ascii blank cntrl digit graph lower print punct space upper word xdigit";

/// A class that holds no character.
pub(super) const NOTHING: &str = r"[^\x{0}-\x{10FFFF}]";

/// Items for the inside of brackets, each of which `regex` reads in one way only.
#[derive(Default)]
struct Items(String);

/// The class at the start of `text` (a `[`) for the `regex` crate, and its length.
pub(super) fn bracketed(text: &str) -> Result<(String, usize), Failure> {
    let mut at = 1;
    let negated = text[at..].starts_with('^');
    at += usize::from(negated);
    let mut items = Items::default();
    let start = at;
    while at == start || !text[at..].starts_with(']') {
        let rest = &text[at..];
        if rest.is_empty() {
            return Err(Failure::new("missing closing ]", text.len()));
        }
        if let Some(length) = posix(rest).map_err(|failure| failure.at(at))? {
            items.0.push_str(&rest[..length]);
            at += length;
            continue;
        }
        if let Some((item, length)) = escaped(rest).map_err(|failure| failure.at(at))? {
            items.0.push_str(&item);
            at += length;
            continue;
        }
        let first = at;
        let (low, length) = member(rest).map_err(|failure| failure.at(at))?;
        at += length;
        let mut high = low;
        // a dash before the closing bracket is itself
        let mut next = text[at..].chars();
        if next.next() == Some('-') && next.next().is_some_and(|letter| letter != ']') {
            at += 1;
            let length;
            (high, length) = member(&text[at..]).map_err(|failure| failure.at(at))?;
            at += length;
        }
        if high < low {
            return Err(Failure::new("invalid character class range", at - first).at(first));
        }
        items.range(low, high);
    }
    Ok((items.close(negated), at + 1))
}

/// The class that the escape at the start of `text` stands for, as an item inside of brackets, and its length; `None` if
/// it stands for something else.
pub(super) fn escaped(text: &str) -> Result<Option<(String, usize)>, Failure> {
    let mut letters = text.chars();
    let (Some('\\'), Some(letter)) = (letters.next(), letters.next()) else {
        return Ok(None);
    };
    let item = match letter {
        'd' => "0-9",
        'D' => "[^0-9]",
        's' => r"\t\n\x{C}\r\x{20}",
        'S' => r"[^\t\n\x{C}\r\x{20}]",
        'w' => "0-9A-Za-z_",
        'W' => "[^0-9A-Za-z_]",
        'p' | 'P' => return property_class(text, letter == 'P').map(Some),
        _ => return Ok(None),
    };
    Ok(Some((item.to_owned(), 2)))
}

/// An item as a class of its own.
pub(super) fn standalone(item: &str) -> String {
    if item.is_empty() {
        NOTHING.to_owned()
    } else {
        format!("[{item}]")
    }
}

fn property_class(text: &str, negated: bool) -> Result<(String, usize), Failure> {
    const CODE: &str = "invalid character class range";
    let (name, length) = if text[2..].starts_with('{') {
        let end = text.find('}').ok_or_else(|| Failure::new(CODE, text.len()))?;
        (&text[3..end], end + 1)
    } else {
        let length = 2 + text[2..].chars().next().map_or(0, char::len_utf8);
        (&text[2..length], length)
    };
    let (name, caret) = name.strip_prefix('^').map_or((name, false), |name| (name, true));
    let item = property::item(name, negated != caret).ok_or_else(|| Failure::new(CODE, length))?;
    Ok((item, length))
}

/// The length of the `[:name:]` at the start of `text`, if there is one. Go looks for the end in the whole rest of the
/// pattern.
fn posix(text: &str) -> Result<Option<usize>, Failure> {
    let Some(body) = text.strip_prefix("[:") else {
        return Ok(None);
    };
    let Some(end) = body.find(":]") else {
        return Ok(None);
    };
    let name = &body[..end];
    let name = name.strip_prefix('^').unwrap_or(name);
    let length = end + 4;
    if POSIX.split(' ').any(|known| known == name) {
        Ok(Some(length))
    } else {
        Err(Failure::new("invalid character class range", length))
    }
}

/// The character at the start of `text`, which may be escaped, and its length.
fn member(text: &str) -> Result<(u32, usize), Failure> {
    match text.chars().next() {
        Some(letter) if letter != '\\' => Ok((u32::from(letter), letter.len_utf8())),
        _ => escape(text),
    }
}

impl Items {
    fn range(&mut self, low: u32, high: u32) {
        // surrogates are legal in Go's patterns and in no text: the range loses them
        let low = if (0xd800..=0xdfff).contains(&low) {
            0xe000
        } else {
            low
        };
        let high = if (0xd800..=0xdfff).contains(&high) {
            0xd7ff
        } else {
            high
        };
        if low <= high {
            // writing to a String cannot fail
            let _ = write!(self.0, r"\x{{{low:X}}}-\x{{{high:X}}}");
        }
    }

    fn close(self, negated: bool) -> String {
        match (self.0.as_str(), negated) {
            ("", false) => NOTHING.to_owned(),
            ("", true) => r"[\x{0}-\x{10FFFF}]".to_owned(),
            (items, false) => format!("[{items}]"),
            (items, true) => format!("[^{items}]"),
        }
    }
}
