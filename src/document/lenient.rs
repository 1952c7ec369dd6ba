//! Leniency of yaml.v2, which reads texts that the parser here refuses. The parser gets a text with a few more characters, which
//! change no value; offsets refer to the original text.

use granit_parser::{ErrorKind, ScanError};

/// Deeper than any mapping: what begins a line inside quotes is folded away.
const INDENT: &str = "                                                                ";
/// More places than this are not patched.
const MOST: usize = 200;
/// The text is read again up to the next such place: so many bytes of it, and as many as it has, and no more.
const MOST_BYTES: usize = 16 << 20;

/// A text that the parser takes.
pub(super) struct Patched<'a> {
    source: &'a str,
    text: String,
    /// In `text`: where something was put in, and how many bytes; in order.
    patches: Vec<(usize, usize)>,
    /// How many bytes were read until now.
    read: usize,
}

// === impl Patched ===

impl<'a> Patched<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            text: String::new(),
            patches: Vec::new(),
            read: 0,
        }
    }

    /// What is to be parsed.
    pub(super) fn text(&self) -> &str {
        if self.patches.is_empty() {
            self.source
        } else {
            &self.text
        }
    }

    /// The byte of [`Self::text`] that an error is about.
    pub(super) fn offset(&self, error: &ScanError) -> usize {
        let marker = error.marker();
        marker.byte_offset().unwrap_or_else(|| {
            let mut chars = self.text().char_indices();
            chars
                .nth(marker.index())
                .map_or_else(|| self.text().len(), |(offset, _)| offset)
        })
    }

    /// From a byte of [`Self::text`] to the source's.
    pub(super) fn original(&self, offset: usize) -> usize {
        let before = self.patches.iter().take_while(|(at, _)| *at < offset);
        before.fold(offset, |offset_in_source, (at, count)| {
            offset_in_source - (*count).min(offset - at)
        })
    }

    /// Works around an error; `false` if there is no way, or none is left.
    pub(super) fn patch(&mut self, error: &ScanError) -> bool {
        let at = self.offset(error);
        self.read = self.read.saturating_add(at);
        if self.read > self.source.len().saturating_add(MOST_BYTES) {
            return false;
        }
        let found = match error.kind() {
            // A line of a quoted scalar that is not indented more than what is around it.
            ErrorKind::InvalidQuotedScalarIndent => Some((at, INDENT)),
            // `|# text`, `"x"# text`
            ErrorKind::CommentNotSeparated
                if self.text().get(at..).is_some_and(|rest| rest.starts_with('#')) =>
            {
                Some((at, " "))
            }
            // `\'` in double quotes
            ErrorKind::UnknownQuotedScalarEscape => self.escaped_quote(at).map(|at| (at, "x27")),
            _ => None,
        };
        let Some((at, what)) = found.filter(|_| self.patches.len() < MOST) else {
            return false;
        };
        let Some((before, behind)) = self.text().split_at_checked(at) else {
            return false;
        };
        // The escape replaces the quote that it is for.
        let replaced = usize::from(what == "x27");
        let behind = behind.get(replaced..).unwrap_or_default();
        let text = format!("{before}{what}{behind}");
        let count = what.len() - replaced;
        for (place, _) in self.patches.iter_mut().filter(|(place, _)| *place >= at) {
            *place += count;
        }
        self.patches.push((at, count));
        self.patches.sort_unstable();
        self.text = text;
        true
    }

    /// The first `'` behind a backslash in the double-quoted scalar at or before `at`.
    fn escaped_quote(&self, at: usize) -> Option<usize> {
        let rest = self.text().get(at..)?;
        let mut chars = rest.char_indices();
        while let Some((_, c)) = chars.next() {
            if c == '\\' {
                let (index, escaped) = chars.next()?;
                if escaped == '\'' {
                    return Some(at + index);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use granit_parser::Parser;

    use super::*;

    #[test]
    fn a_long_text_is_not_read_again_for_each_of_many_places() {
        let source = "a:\n  b: 'x(\n y)'\n";
        let error = Parser::new_from_str(source).find_map(Result::err).unwrap();
        assert!(Patched::new(source).patch(&error));
        let mut patched = Patched::new(source);
        patched.read = MOST_BYTES + source.len();
        assert!(!patched.patch(&error), "it was read often enough");
    }
}
