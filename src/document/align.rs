//! From a character of a scalar's decoded text back to where it was written.
//!
//! Decoding drops and folds white space and resolves escapes; it never reorders. So both texts are walked side by side: what
//! is no white space must be met again, white space may have been folded away.

use super::{Scalar, Style};

/// The offset in `raw` (the scalar as written: with its quotes, without a block's header) of the character at `offset` of the decoded
/// text; behind the last character, where that one ends.
pub(super) fn offset(raw: &str, scalar: &Scalar, offset: usize) -> usize {
    let mut at = content_start(scalar.style);
    let mut end = at;
    for (index, wanted) in scalar.text.char_indices() {
        let found = next(raw, at, wanted, scalar.style);
        if index >= offset {
            return found.start;
        }
        at = found.end;
        end = found.end;
    }
    end
}

/// Where a decoded character stands in the raw text.
struct Found {
    start: usize,
    end: usize,
}

const fn content_start(style: Style) -> usize {
    match style {
        Style::SingleQuoted | Style::DoubleQuoted => 1,
        // A block's header is not part of its span.
        Style::Plain | Style::Literal | Style::Folded => 0,
    }
}

fn next(raw: &str, from: usize, wanted: char, style: Style) -> Found {
    let rest = raw.get(from..).unwrap_or_default();
    if wanted.is_whitespace()
        && let Some(found) = whitespace(rest, from, wanted, style)
    {
        return found;
    }
    // White space that decoding dropped: indentation, line breaks.
    let mut at = from;
    loop {
        let rest = raw.get(at..).unwrap_or_default();
        if style == Style::DoubleQuoted
            && let Some(after) = rest.strip_prefix("\\\n").or_else(|| rest.strip_prefix("\\\r\n"))
        {
            at = raw.len() - after.len();
            continue;
        }
        match rest.chars().next() {
            Some(c) if c.is_whitespace() && c != wanted => at += c.len_utf8(),
            // Leading breaks of a block may lie before what was given as written.
            Some(_) if wanted.is_whitespace() => return Found { start: at, end: at },
            Some(c) => {
                return Found {
                    start: at,
                    end: at + length(rest, c, style),
                };
            }
            None => return Found { start: at, end: at },
        }
    }
}

/// White space of the decoded text: written as such or as an escape, or folded out of line breaks.
fn whitespace(rest: &str, from: usize, wanted: char, style: Style) -> Option<Found> {
    let first = rest.chars().next()?;
    if wanted == '\n' && matches!(style, Style::Literal | Style::Folded) {
        // Trailing blanks of a line are content; the break itself may follow a carriage return.
        let end = rest.find('\n')?;
        let blank = rest.get(..end)?.chars().all(char::is_whitespace);
        return blank.then_some(Found {
            start: from + end,
            end: from + end + 1,
        });
    }
    if first == wanted {
        return Some(Found {
            start: from,
            end: from + first.len_utf8(),
        });
    }
    if first == '\\'
        && style == Style::DoubleQuoted
        && !rest.starts_with("\\\n")
        && !rest.starts_with("\\\r\n")
    {
        return Some(Found {
            start: from,
            end: from + length(rest, first, style),
        });
    }
    // Folded: one blank for a break and the blanks around it.
    let blanks: usize = rest
        .chars()
        .take_while(|c| c.is_whitespace())
        .map(char::len_utf8)
        .sum();
    let folded = match wanted {
        '\n' => rest.get(..blanks)?.rfind('\n').map_or(0, |end| end + 1),
        _ => blanks,
    };
    Some(Found {
        start: from,
        end: from + folded,
    })
}

/// How many bytes write the next character of `rest`, which is `first`.
fn length(rest: &str, first: char, style: Style) -> usize {
    match (style, first) {
        (Style::SingleQuoted, '\'') => 2,
        (Style::DoubleQuoted, '\\') => match rest.get(1..).and_then(|rest| rest.chars().next()) {
            Some('x') => 4,
            Some('u') => 6,
            Some('U') => 10,
            Some(c) => 1 + c.len_utf8(),
            None => 1,
        },
        _ => first.len_utf8(),
    }
}
