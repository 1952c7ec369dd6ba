//! Text that remembers where it came from.

use std::borrow::Cow;

/// Where a stretch of a template's output came from. It decides how the stretch may be placed into a query.
///
/// The order is that of suspicion: whatever is computed from several inputs has the greatest of their origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// The author's own text: the template itself, its literals, and numbers and truth values.
    Text,
    /// A metric or label name: `.Series`, `.GroupBy`, the keys of `.LabelValuesByName`, `.Group`, `.Resource`.
    Name,
    /// `.LabelMatchers`: matchers that were built and escaped before the template saw them.
    Matchers,
    /// A value of `.LabelValuesByName`, or `.Namespace`: outside data.
    Values,
}

/// A stretch of output of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Where the text came from.
    pub origin: Origin,
    /// The text. More than one part only for [`Origin::Values`]: the alternatives of one label, which the template
    /// saw joined by `|`.
    pub parts: Vec<String>,
}

impl Span {
    /// A span of one part.
    pub fn new(origin: Origin, text: impl Into<String>) -> Self {
        Self {
            origin,
            parts: vec![text.into()],
        }
    }

    /// The text as the template saw it: the parts joined by `|`.
    pub fn raw(&self) -> Cow<'_, str> {
        match self.parts.as_slice() {
            [] => Cow::Borrowed(""),
            [only] => Cow::Borrowed(only),
            several => Cow::Owned(several.join("|")),
        }
    }

    /// The length of [`raw`](Self::raw) in bytes.
    pub fn raw_len(&self) -> usize {
        self.parts.iter().map(String::len).sum::<usize>() + self.parts.len().saturating_sub(1)
    }
}

/// The whole text of some spans, as plain substitution would give it.
pub fn raw_text(spans: &[Span]) -> String {
    spans.iter().map(Span::raw).collect()
}
