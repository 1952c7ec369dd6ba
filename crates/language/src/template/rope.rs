//! Strings of the evaluator: spans in a row.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;

use crate::span::{Origin, Span, raw_text};

/// A string whose stretches keep their origin. Comparisons, keys and truth read the raw text.
///
/// Spans without text are left out, and neighbouring spans of [`Origin::Text`] are one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rope {
    spans: Vec<Span>,
    len: usize,
}

impl Rope {
    pub(super) fn new(origin: Origin, text: impl Into<String>) -> Self {
        let mut rope = Self::default();
        rope.push(Span::new(origin, text));
        rope
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::new(Origin::Text, text)
    }

    /// Several names, separated by the author's own text.
    pub(super) fn names(names: &[String], separator: &str) -> Self {
        let mut rope = Self::default();
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                rope.push_text(separator);
            }
            rope.push(Span::new(Origin::Name, name.as_str()));
        }
        rope
    }

    /// The alternatives of one label.
    pub(super) fn values(values: &[String]) -> Self {
        let mut rope = Self::default();
        rope.push(Span {
            origin: Origin::Values,
            parts: values.to_vec(),
        });
        rope
    }

    /// Length of the raw text in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// How many spans there are.
    pub(super) fn spans(&self) -> usize {
        self.spans.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn raw(&self) -> Cow<'_, str> {
        match self.spans.as_slice() {
            [only] => only.raw(),
            spans => Cow::Owned(raw_text(spans)),
        }
    }

    /// The order of the raw texts, which are not put together for it: a long string is compared with many short ones.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.spans.iter().flat_map(|span| {
            span.parts
                .iter()
                .enumerate()
                .flat_map(|(i, part)| (i > 0).then_some(b'|').into_iter().chain(part.bytes()))
        })
    }

    /// The most suspicious origin of its spans.
    pub(super) fn origin(&self) -> Origin {
        self.spans
            .iter()
            .map(|span| span.origin)
            .max()
            .unwrap_or(Origin::Text)
    }

    pub(super) fn push(&mut self, span: Span) {
        let len = span.raw_len();
        if len == 0 {
            return;
        }
        self.len += len;
        if span.origin == Origin::Text
            && let Some(Span {
                origin: Origin::Text,
                parts,
            }) = self.spans.last_mut()
            && let Some(last) = parts.last_mut()
        {
            last.push_str(&span.raw());
            return;
        }
        self.spans.push(span);
    }

    pub(super) fn push_text(&mut self, text: &str) {
        self.push(Span::new(Origin::Text, text));
    }

    pub(super) fn append(&mut self, other: Self) {
        for span in other.spans {
            self.push(span);
        }
    }

    /// A stretch of the raw text. A span that is cut becomes one part; a whole one keeps its parts.
    ///
    /// `range` must lie on character boundaries of the raw text.
    pub(super) fn slice(&self, range: Range<usize>) -> Self {
        let mut rope = Self::default();
        let mut start = 0;
        for span in &self.spans {
            let end = start + span.raw_len();
            let (from, to) = (range.start.max(start), range.end.min(end));
            if (from, to) == (start, end) {
                rope.push(span.clone());
            } else if from < to {
                let raw = span.raw();
                rope.push(Span::new(
                    span.origin,
                    raw.get(from - start..to - start).unwrap_or_default(),
                ));
            }
            start = end;
        }
        rope
    }

    /// The byte at `index` of the raw text, with the origin of its span.
    pub(super) fn byte(&self, index: usize) -> Option<(u8, Origin)> {
        let mut start = 0;
        for span in &self.spans {
            let end = start + span.raw_len();
            if index < end {
                return span
                    .raw()
                    .as_bytes()
                    .get(index - start)
                    .map(|byte| (*byte, span.origin));
            }
            start = end;
        }
        None
    }

    pub(super) fn into_spans(self) -> Vec<Span> {
        self.spans
    }
}
