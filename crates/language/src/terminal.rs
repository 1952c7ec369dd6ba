//! Foreign text on a terminal and in a job's log: one line, of a bounded length, that moves no cursor, hides nothing and gives no
//! command to a runner.
//!
//! Files, objects, series and other servers choose their texts themselves. What writes lines for people takes those texts
//! through [`shown`], piece by piece, and writes the line breaks itself; what writes JSON for programs ends with [`json`].

use std::fmt::{self, Write as _};

/// A text longer than this is cut, unless [`Shown::at_most`] says otherwise; in characters.
pub const MOST: usize = 2000;

/// A foreign text as a terminal may have it; [`fmt::Display`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    text: &'a str,
    most: usize,
    /// Whether it may stand at the beginning of a line.
    first: bool,
}

/// The text with everything that a terminal or a runner would act on as `\u{…}`: C0, DEL and C1, line breaks of any kind,
/// characters that change the direction of text or are not seen, a `:` at the beginning (`::error …` is a command of GitHub
/// Actions), the `##[` and `##name[` of others. At most [`MOST`] characters of it, and then how many more there are.
pub const fn shown(text: &str) -> Shown<'_> {
    Shown {
        text,
        most: MOST,
        first: true,
    }
}

/// JSON without raw control characters and characters that are not seen: `serde_json` escapes those of ASCII alone.
pub fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_active(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a terminal would act on the character, or show nothing where it stands.
pub fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Whether a text of several lines would give a command to a runner that reads it line by line: what [`shown`] writes out of
/// one line.
pub fn has_command(text: &str) -> bool {
    let begins = |line: &str| line.trim_start().starts_with("::");
    let hidden = |(at, _): (usize, &str)| text.get(at + 1..).is_some_and(begins_command);
    text.split(['\n', '\r']).any(begins) || text.match_indices('#').any(hidden)
}

/// Whether what follows a `#` makes it the beginning of a runner's command: `#[`, `#vso[`.
fn begins_command(behind: &str) -> bool {
    let Some(name) = behind.strip_prefix('#') else {
        return false;
    };
    name.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .starts_with('[')
}

// === impl Shown ===

impl<'a> Shown<'a> {
    /// The same with another bound, in characters.
    #[must_use]
    pub const fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// The same behind something of ours on its line, where a `:` at its beginning is none of the line's.
    #[must_use]
    pub const fn behind(self) -> Self {
        Self { first: false, ..self }
    }

    /// How many characters write the first `count` characters of the text.
    pub fn width_of(&self, count: usize) -> usize {
        let written = self.chars().take(count.min(self.most));
        written
            .map(|(c, active)| if active { c.escape_unicode().count() } else { 1 })
            .sum()
    }

    /// Its characters, and whether each is written out.
    fn chars(&self) -> impl Iterator<Item = (char, bool)> + use<'a> {
        let Self { text, first, .. } = *self;
        let mut begun = !first;
        text.char_indices().map(move |(at, c)| {
            let behind = text.get(at + c.len_utf8()..).unwrap_or_default();
            let active = is_active(c) || !begun && c == ':' || c == '#' && begins_command(behind);
            // A runner passes over blanks at the beginning of a line.
            begun |= !c.is_whitespace();
            (c, active)
        })
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.chars();
        for (c, active) in chars.by_ref().take(self.most) {
            if active {
                write!(f, "{}", c.escape_unicode())?;
            } else {
                f.write_char(c)?;
            }
        }
        match chars.count() {
            0 => Ok(()),
            more => write!(f, "… ({more} more characters)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_written_out() {
        for (text, want) in [
            ("plain ä 漢 😀 \"a\\b\"", "plain ä 漢 😀 \"a\\b\""),
            ("shop\x1b[8m/a\x07\x7f", "shop\\u{1b}[8m/a\\u{7}\\u{7f}"),
            ("a\r\n::error::b\tc", "a\\u{d}\\u{a}::error::b\\u{9}c"),
            ("a\u{9b}2J\u{85}\u{2028}", "a\\u{9b}2J\\u{85}\\u{2028}"),
            (
                "a\u{202e}b\u{2066}\u{200b}\u{feff}",
                "a\\u{202e}b\\u{2066}\\u{200b}\\u{feff}",
            ),
            ("a\u{e0041}", "a\\u{e0041}"),
            ("::error::x", "\\u{3a}:error::x"),
            ("  ::x", "  \\u{3a}:x"),
            (":", "\\u{3a}"),
            ("a::b", "a::b"),
            ("x ##[group]y", "x \\u{23}#[group]y"),
            ("###vso[task.x]", "#\\u{23}#vso[task.x]"),
            ("## a comment [1]", "## a comment [1]"),
            ("", ""),
        ] {
            assert_eq!(shown(text).to_string(), want);
        }
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let long = "ä".repeat(MOST + 7);
        let want = format!("{}… (7 more characters)", "ä".repeat(MOST));
        assert_eq!(shown(&long).to_string(), want);
        assert_eq!(shown(":\tb").behind().to_string(), ":\\u{9}b");
        assert_eq!(shown("a\tb").width_of(2), 6);
        assert_eq!(shown("abc").at_most(3).to_string(), "abc");
        assert_eq!(shown("abcd").at_most(3).to_string(), "abc… (1 more characters)");
    }

    #[test]
    fn json_says_the_same_without_raw_control_characters() {
        let text = "a\u{7f}\u{9b}\u{202e}\u{e0041}ä\n\x1b";
        let written = json(&format!("{:#}\n", serde_json::json!({ "k": text })));
        assert!(!written.chars().any(|c| c != '\n' && is_active(c)), "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read["k"], text);
    }

    proptest! {
        #[test]
        fn nothing_foreign_moves_a_cursor_or_begins_a_line(text in any::<String>(), most in 0..40_usize) {
            let line = shown(&text).at_most(most).to_string();
            prop_assert!(!line.chars().any(is_active), "{line:?}");
            prop_assert!(!line.trim_start().starts_with(':'), "{line:?}");
            prop_assert!(!line.contains("##["), "{line:?}");
            prop_assert!(line.chars().count() <= 10 * most + 40, "{line:?}");
        }
    }
}
