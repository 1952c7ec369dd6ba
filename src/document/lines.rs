//! Lines and columns of a text: a place is found from a mark near it, however long the lines are.

use std::sync::Arc;

use super::Position;

/// So many bytes lie between two marks.
const STEP: usize = 1024;

/// Lines and columns at every [`STEP`] bytes of a text. Columns count characters.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    marks: Arc<[Position]>,
}

/// A walk from byte to byte.
struct Walk {
    at: Position,
}

// === impl Lines ===

impl Lines {
    pub(super) fn new(text: &str) -> Self {
        let mut walk = Walk {
            at: Position { line: 1, column: 1 },
        };
        let mut marks = Vec::with_capacity(text.len() / STEP + 1);
        for chunk in text.as_bytes().chunks(STEP) {
            marks.push(walk.at);
            for byte in chunk {
                walk.pass(*byte);
            }
        }
        if marks.is_empty() {
            marks.push(walk.at);
        }
        Self { marks: marks.into() }
    }

    /// The place of a byte of the text, at most that behind its last character.
    pub(super) fn position(&self, text: &str, offset: usize) -> Position {
        let offset = offset.min(text.len());
        let index = (offset / STEP).min(self.marks.len().saturating_sub(1));
        let Some(at) = self.marks.get(index).copied() else {
            return Position { line: 1, column: 1 };
        };
        let mut walk = Walk { at };
        let passed = text.as_bytes().get(index * STEP..offset).unwrap_or_default();
        for byte in passed {
            walk.pass(*byte);
        }
        walk.at
    }

    /// The byte at a place; of a column behind the end of its line, that end.
    pub(super) fn offset(&self, text: &str, place: Position) -> usize {
        let behind = self.marks.partition_point(|mark| *mark <= place);
        let index = behind.saturating_sub(1);
        let Some(at) = self.marks.get(index).copied() else {
            return 0;
        };
        let mut walk = Walk { at };
        let start = index * STEP;
        let rest = text.as_bytes().get(start..).unwrap_or_default();
        for (passed, byte) in rest.iter().enumerate() {
            let boundary = text.is_char_boundary(start + passed);
            if boundary && walk.at >= place || walk.at.line == place.line && *byte == b'\n' {
                return start + passed;
            }
            walk.pass(*byte);
        }
        text.len()
    }
}

// === impl Walk ===

impl Walk {
    const fn pass(&mut self, byte: u8) {
        if byte == b'\n' {
            self.at.line = self.at.line.saturating_add(1);
            self.at.column = 1;
        } else if byte & 0xc0 != 0x80 {
            self.at.column = self.at.column.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As it is defined, from the beginning.
    fn counted(text: &str, offset: usize) -> Position {
        let before = &text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        Position {
            line: u32::try_from(line).unwrap(),
            column: u32::try_from(column).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn a_place_is_that_which_is_counted_from_the_beginning(
            parts in prop::collection::vec(("[a-cä漢\n]{0,40}", 0..200_usize), 0..12)
        ) {
            let text: String = parts.iter().map(|(part, times)| part.repeat(*times)).collect();
            let lines = Lines::new(&text);
            for (offset, _) in text.char_indices().step_by(97).chain([(text.len(), ' ')]) {
                let place = lines.position(&text, offset);
                prop_assert_eq!(place, counted(&text, offset));
                prop_assert_eq!(lines.offset(&text, place), offset);
            }
        }
    }

    #[test]
    fn what_is_behind_a_line_is_its_end() {
        let lines = Lines::new("ab\nc");
        let place = |line, column| Position { line, column };
        assert_eq!(lines.offset("ab\nc", place(1, 9)), 2);
        assert_eq!(lines.offset("ab\nc", place(2, 9)), 4);
        assert_eq!(lines.offset("ab\nc", place(7, 1)), 4);
        assert_eq!(lines.position("ab\nc", 99), place(2, 2));
        assert_eq!(Lines::new("").position("", 0), place(1, 1));
    }
}
