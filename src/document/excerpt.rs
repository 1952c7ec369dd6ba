//! Excerpt of a line around a place, for people.

use super::{Position, lines::Lines};

/// So many characters are kept before the place.
const BEFORE: usize = 80;
/// And so many from it on.
const BEHIND: usize = 120;

/// A line as it is written, or a part of it where it is long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// What stands before the place; begins with `…` where the line begins earlier.
    pub before: String,
    /// What stands from the place on; ends with `…` where the line goes on.
    pub behind: String,
}

// === impl Excerpt ===

impl Excerpt {
    /// The line around a place of `text`.
    pub fn at(text: &str, place: Position) -> Self {
        Self::new(text, Lines::new(text).offset(text, place))
    }

    /// The line around the byte `at` of `text`, without its line break.
    pub(super) fn new(text: &str, at: usize) -> Self {
        let (left, right) = text.split_at_checked(at).unwrap_or((text, ""));
        let mut line = left.chars().rev().take_while(|c| *c != '\n');
        let mut before: Vec<char> = line.by_ref().take(BEFORE).collect();
        if line.next().is_some() {
            before.push('…');
        }
        before.reverse();
        let mut line = right.chars().take_while(|c| *c != '\n');
        let mut behind: String = line.by_ref().take(BEHIND).collect();
        match line.next() {
            Some('\r')
                if right
                    .get(behind.len()..)
                    .is_some_and(|rest| rest.starts_with("\r\n")) => {}
            Some(_) => behind.push('…'),
            None => {}
        }
        if behind.ends_with('\r') {
            behind.pop();
        }
        Self {
            before: before.into_iter().collect(),
            behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, at: usize) -> (String, String) {
        let Excerpt { before, behind } = Excerpt::new(text, at);
        (before, behind)
    }

    #[test]
    fn a_short_line_is_whole_and_of_a_long_one_there_is_a_window() {
        let short = |before: &str, behind: &str| (before.to_owned(), behind.to_owned());
        assert_eq!(excerpt("a\nb c\r\nd", 4), short("b ", "c"));
        assert_eq!(excerpt("a", 1), short("a", ""));
        assert_eq!(excerpt("", 7), short("", ""));
        let exact = format!("{}{}\n", "ä".repeat(BEFORE), "x".repeat(BEHIND));
        assert_eq!(
            excerpt(&exact, 2 * BEFORE),
            ("ä".repeat(BEFORE), "x".repeat(BEHIND))
        );
        let long = format!("{}{}", "ä".repeat(9 * BEFORE), "x".repeat(9 * BEHIND));
        assert_eq!(
            excerpt(&long, 18 * BEFORE),
            (
                format!("…{}", "ä".repeat(BEFORE)),
                format!("{}…", "x".repeat(BEHIND))
            )
        );
    }
}
