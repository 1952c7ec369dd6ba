//! Regular expressions in Go's syntax (RE2), run by the `regex` crate.
//!
//! Rules are written by people who know Prometheus, so their patterns mean what Go's `regexp` makes of them. The two
//! dialects differ in what they take (`\Q…\E`, `a{,2}`, `a**`) and in what the same text means (`\d`, `\b`, `[a&&b]`), so
//! a pattern is read by Go's grammar and written anew in the subset that `regex` reads one way only. Both engines are
//! leftmost-first and linear in the text.
//!
//! Known differences: nesting deeper than [`MAX_DEPTH`] and programs larger than [`SIZE_LIMIT`] are refused; script names
//! of several words (`\p{Old_Italic}`) work, which Go 1.25 and 1.26 refuse by mistake; the Unicode tables are those of
//! `regex`.

mod class;
mod escape;
mod expansion;
mod failure;
mod flags;
mod property;
mod repeat;
mod translate;

use std::fmt;

use regex::{Regex, RegexBuilder};

pub use expansion::{Expansion, Reference};

/// How deeply groups and repetitions may nest. Each level is at most four in `regex`, which takes 250 of its own.
pub const MAX_DEPTH: u32 = 50;

/// The largest compiled program, in bytes.
pub const SIZE_LIMIT: usize = 2 << 20;

/// The size that is tried first: most programs are smaller.
const FIRST_LIMIT: usize = 4 << 10;
/// What a program takes besides, its caches included.
const OVERHEAD: usize = 2 << 10;

/// A compiled pattern. Two are equal if they were compiled from the same text in the same way.
#[derive(Clone)]
pub struct Re2 {
    pattern: String,
    anchored: bool,
    regex: Regex,
    /// The least power of two, of [`FIRST_LIMIT`] or more, that bounds its program.
    size: usize,
    /// The name of each group, from group 1 on.
    names: Vec<Option<String>>,
}

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Re2Error {
    /// What is wrong, in Go's words without its `error parsing regexp: `.
    pub message: String,
    /// Where, in characters from the start of the pattern.
    pub offset: usize,
}

impl Re2 {
    /// Compiles a pattern that is searched for anywhere in a text, as `regexp.MustCompile` would.
    pub fn compile(pattern: &str) -> Result<Self, Re2Error> {
        Self::build(pattern, false)
    }

    /// Compiles a pattern that has to match the whole text, with `.` matching newlines: what `=~` means to Prometheus
    /// (`^(?s:pattern)$`, `model/labels/regexp.go`).
    ///
    /// ```
    /// use promql::re2::Re2;
    ///
    /// let pattern = Re2::compile_anchored(r"5\d\d|\Qa.b\E")?;
    /// assert!(pattern.is_match("503") && pattern.is_match("a.b"));
    /// assert!(!pattern.is_match("1503") && !pattern.is_match("axb"));
    /// # Ok::<(), promql::re2::Re2Error>(())
    /// ```
    pub fn compile_anchored(pattern: &str) -> Result<Self, Re2Error> {
        Self::build(pattern, true)
    }

    fn build(pattern: &str, anchored: bool) -> Result<Self, Re2Error> {
        let mut translation = translate::translate(pattern, anchored)?;
        if anchored {
            translation.regex = format!(r"\A(?:{})\z", translation.regex);
        }
        let (regex, size) = sized(&translation.regex).map_err(|error| Re2Error {
            message: match error {
                regex::Error::CompiledTooBig(_) => format!("expression too large: `{pattern}`"),
                error => format!("expression not supported: `{pattern}`: {error}"),
            },
            offset: 0,
        })?;
        Ok(Self {
            pattern: pattern.to_owned(),
            anchored,
            regex,
            size,
            names: translation.names,
        })
    }

    /// What the compiled pattern takes of memory, in bytes, about: a pattern of ten letters may take half a megabyte.
    pub const fn weight(&self) -> usize {
        self.size + self.size / 2 + OVERHEAD
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The number of capture groups, the whole match not counted.
    pub const fn group_count(&self) -> usize {
        self.names.len()
    }

    /// Whether the pattern has the group; a reference to another one expands to nothing.
    pub fn has_group(&self, reference: &Reference) -> bool {
        match reference {
            Reference::Number(number) => *number <= self.names.len(),
            Reference::Name(name) => self.named(name).next().is_some(),
        }
    }

    /// The template filled from the leftmost match, `None` if there is none (`Regexp.ExpandString`).
    pub fn expand_match(&self, template: &Expansion, text: &str) -> Option<String> {
        let captures = self.regex.captures(text)?;
        Some(template.fill(|reference| {
            match reference {
                Reference::Number(number) => captures.get(*number).map(|group| group.as_str()),
                // Go allows a name twice and takes the first group that took part
                Reference::Name(name) => self
                    .named(name)
                    .find_map(|number| captures.get(number))
                    .map(|group| group.as_str()),
            }
        }))
    }

    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let numbered = self.names.iter().enumerate();
        numbered
            .filter(move |(_, group)| group.as_deref() == Some(name))
            .map(|(index, _)| index + 1)
    }
}

impl PartialEq for Re2 {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.anchored == other.anchored
    }
}

impl Eq for Re2 {}

impl fmt::Debug for Re2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Re2")
            .field("pattern", &self.pattern)
            .field("anchored", &self.anchored)
            .finish_non_exhaustive()
    }
}

/// A pattern that matches exactly this text, in Go and here (`regexp.QuoteMeta`).
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_meta(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

/// Whether a character has a meaning of its own in a pattern.
pub fn is_meta(letter: char) -> bool {
    r"\.+*?()|[]{}^$".contains(letter)
}

/// Whether a Prometheus matcher `=~ pattern` holds for a label value.
pub fn matches_fully(pattern: &str, text: &str) -> Result<bool, Re2Error> {
    Ok(Re2::compile_anchored(pattern)?.is_match(text))
}

/// Compiles a pattern under the least limit that does, since an expression does not say how large it is.
fn sized(pattern: &str) -> Result<(Regex, usize), regex::Error> {
    let mut limit = FIRST_LIMIT;
    loop {
        let built = RegexBuilder::new(pattern)
            .size_limit(limit)
            .dfa_size_limit(SIZE_LIMIT)
            .build();
        match built {
            Err(regex::Error::CompiledTooBig(_)) if limit < SIZE_LIMIT => limit *= 2,
            built => return built.map(|regex| (regex, limit)),
        }
    }
}

#[cfg(test)]
mod tests;
