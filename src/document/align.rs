//! Alignment of a scalar's decoded text with its written form: from a character back to where it was written.
//!
//! Decoding drops and folds white space and resolves escapes; it never reorders. So both texts are walked side by side: what
//! is no white space must be met again, white space may have been folded away.

use super::{Scalar, Style};

/// The offset in `raw` (the scalar as written: with its quotes, without a block's header) of the character at `offset` of the decoded
/// text; behind the last character, where that one ends.
pub(super) fn offset(raw: &str, scalar: &Scalar, offset: usize) -> usize {
    let begin = Mark {
        decoded: 0,
        raw: content_start(scalar.style),
    };
    walk(raw, scalar, begin, offset, |_| {})
}

/// Both texts side by side, with marks every few bytes, for many offsets of a long scalar.
#[derive(Debug)]
pub(super) struct Aligned {
    marks: Vec<Mark>,
}

/// Two offsets that belong together.
#[derive(Clone, Copy, Debug)]
struct Mark {
    decoded: usize,
    raw: usize,
}

/// White space of the raw text that was looked at already: a long run of it is not looked through for every character.
#[derive(Default)]
struct Run {
    end: usize,
    /// Behind its last line break; 0 without one.
    behind_break: usize,
}

/// So many bytes of the decoded text lie between two marks, or a character more.
const STEP: usize = 1024;

/// From `mark` on; calls `met` with each pair of offsets.
fn walk(raw: &str, scalar: &Scalar, mark: Mark, offset: usize, mut met: impl FnMut(Mark)) -> usize {
    let mut at = mark.raw;
    let mut run = Run::default();
    let rest = scalar.text.get(mark.decoded..).unwrap_or_default();
    for (index, wanted) in rest.char_indices() {
        let decoded = mark.decoded + index;
        met(Mark { decoded, raw: at });
        let found = next(raw, at, wanted, scalar.style, &mut run);
        if decoded >= offset {
            return found.start;
        }
        at = found.end;
    }
    at
}

// === impl Aligned ===

impl Aligned {
    pub(super) fn new(raw: &str, scalar: &Scalar) -> Self {
        let mut marks: Vec<Mark> = Vec::with_capacity(scalar.text.len() / STEP + 1);
        let begin = Mark {
            decoded: 0,
            raw: content_start(scalar.style),
        };
        walk(raw, scalar, begin, usize::MAX, |mark| {
            if marks
                .last()
                .is_none_or(|last| mark.decoded >= last.decoded + STEP)
            {
                marks.push(mark);
            }
        });
        Self { marks }
    }

    /// The most bytes between two marks.
    #[cfg(test)]
    pub(super) fn widest(&self) -> usize {
        let steps = self.marks.windows(2).map(|two| two[1].decoded - two[0].decoded);
        steps.max().unwrap_or_default()
    }

    /// See [`offset`].
    pub(super) fn offset(&self, raw: &str, scalar: &Scalar, offset: usize) -> usize {
        let behind = self.marks.partition_point(|mark| mark.decoded <= offset);
        let mark = behind.checked_sub(1).and_then(|index| self.marks.get(index));
        let mark = mark.copied().unwrap_or_else(|| Mark {
            decoded: 0,
            raw: content_start(scalar.style),
        });
        walk(raw, scalar, mark, offset, |_| {})
    }
}

// === impl Run ===

impl Run {
    /// The white space of `raw` from `at` on: its end, and behind its last line break.
    fn at(&mut self, raw: &str, at: usize) -> (usize, usize) {
        if at >= self.end {
            let rest = raw.get(at..).unwrap_or_default();
            let blanks = rest.trim_start();
            self.end = raw.len() - blanks.len();
            let breaks = raw.get(at..self.end).unwrap_or_default().rfind('\n');
            self.behind_break = breaks.map_or(0, |end| at + end + 1);
        }
        (self.end, self.behind_break)
    }
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

fn next(raw: &str, from: usize, wanted: char, style: Style, run: &mut Run) -> Found {
    if wanted.is_whitespace()
        && let Some(found) = whitespace(raw, from, wanted, style, run)
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
fn whitespace(raw: &str, from: usize, wanted: char, style: Style, run: &mut Run) -> Option<Found> {
    let rest = raw.get(from..)?;
    let first = rest.chars().next()?;
    if wanted == '\n' && matches!(style, Style::Literal | Style::Folded) {
        // Trailing blanks of a line are content; the break itself may follow a carriage return.
        let end = rest.find(|c: char| c == '\n' || !c.is_whitespace())?;
        return rest.get(end..)?.starts_with('\n').then_some(Found {
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
    let (end, behind_break) = run.at(raw, from);
    let folded = match wanted {
        '\n' => behind_break,
        _ => end,
    };
    Some(Found {
        start: from,
        end: folded.max(from),
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
