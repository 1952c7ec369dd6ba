//! YAML that remembers where everything stands, so that a finding about a value can be shown in the file that the author
//! wrote: through plain, quoted, `|` and `>` scalars, and through YAML inside a scalar of YAML (a `ConfigMap`).

mod align;
mod excerpt;
mod lenient;
mod lines;
mod merge;
mod node;
mod path;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::sync::{Arc, OnceLock};

use self::{align::Aligned, lines::Lines};
pub use self::{
    excerpt::Excerpt,
    node::{Mapping, Node, Scalar, Style, Text, Value},
    write::to_yaml,
};
pub use language::template::Position;

/// More values than this aliases and merge keys do not add to a document, unless it holds many by itself: an alias of aliases
/// would fill the memory, and take for ever to look at.
const MAX_ADDED: usize = 200_000;

/// A text and what to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As the user named it; findings begin with it.
    pub name: String,
    /// YAML or JSON.
    pub text: String,
}

/// One document of a stream.
#[derive(Clone, Debug)]
pub struct Document {
    /// The whole of it.
    pub root: Node,
    source: Source,
}

/// A text, and where it stands if that is inside another document.
#[derive(Clone, Debug)]
struct Source {
    text: Arc<str>,
    lines: Lines,
    within: Option<Arc<Within>>,
}

/// The scalar that holds a nested document.
#[derive(Debug)]
struct Within {
    source: Source,
    scalar: Node,
    /// From bytes of the scalar's text to those of the source; made with the first place that is asked for.
    aligned: OnceLock<Aligned>,
}

/// Text that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SyntaxError {
    /// In the outermost text.
    pub position: Position,
    /// The cause.
    pub message: String,
}

// === impl Document ===

impl Document {
    /// The documents of a stream, empty ones left out.
    ///
    /// # Errors
    ///
    /// What is no YAML, a key that stands twice in a mapping, an alias without an anchor, a document of more than 3,000,000
    /// values, and one whose aliases and merge keys add more than 200,000 values or 8 MiB of text, and more than eight times what
    /// is written.
    pub fn parse_stream(text: &str) -> Result<Vec<Self>, SyntaxError> {
        let mut documents = Vec::new();
        Self::parse_each(text, |document| documents.push(document))?;
        Ok(documents)
    }

    /// The same, one after the other: of what is not kept, nothing stays in memory. What was read before an error has been handed
    /// out already.
    ///
    /// # Errors
    ///
    /// As [`Self::parse_stream`].
    pub fn parse_each(text: &str, take: impl FnMut(Self)) -> Result<(), SyntaxError> {
        read::documents(&Source::new(text.into(), None), usize::MAX, take)
    }

    /// The first document of a stream, whatever follows it; `None` where it is empty.
    ///
    /// # Errors
    ///
    /// As [`Self::parse_stream`], for the first document.
    pub fn parse_first(text: &str) -> Result<Option<Self>, SyntaxError> {
        let mut first = None;
        read::documents(&Source::new(text.into(), None), 1, |document| {
            first = Some(document);
        })?;
        Ok(first)
    }

    /// The documents in the text of the scalar `node` of this document; their places are those in this one.
    ///
    /// # Errors
    ///
    /// As [`Self::parse_stream`].
    pub fn parse_nested(&self, node: &Node) -> Result<Vec<Self>, SyntaxError> {
        let Value::Scalar(scalar) = &node.value else {
            return Ok(Vec::new());
        };
        let within = Within {
            source: self.source.clone(),
            scalar: node.clone(),
            aligned: OnceLock::new(),
        };
        let source = Source::new(scalar.text.whole(), Some(Arc::new(within)));
        let mut documents = Vec::new();
        read::documents(&source, usize::MAX, |document| documents.push(document))?;
        Ok(documents)
    }

    /// As a reader has it that fills structures instead of mappings: what is merged with `<<` is filled field by field below as
    /// well, so that `{<<: *base, name: {as: x}}` keeps the base's `name.matches`. The mappings below the keys `maps` are none
    /// of those: their keys are added, and one that is there already is an error.
    ///
    /// # Errors
    ///
    /// A key that comes twice in one of `maps`, and more values than [`Self::parse_stream`] takes.
    pub fn structured(&self, maps: &[&str]) -> Result<Self, SyntaxError> {
        merge::structured(self, maps)
    }

    /// A node of this document as one by itself, such as an item of a `List`; its places are those in this one.
    #[must_use]
    pub fn part(&self, node: &Node) -> Self {
        Self {
            root: node.clone(),
            source: self.source.clone(),
        }
    }

    /// This document with another name for the key at `path`, which keeps its place.
    #[must_use]
    pub fn with_key(&self, path: &str, name: &str) -> Self {
        let mut renamed = self.clone();
        let segments: Vec<path::Segment<'_>> = path::segments(path).collect();
        if let Some((last, above)) = segments.split_last() {
            let parent = above
                .iter()
                .try_fold(&mut renamed.root, |node, segment| node.child_mut(segment));
            if let Some(parent) = parent {
                parent.rename_key(last, name);
            }
        }
        renamed
    }

    /// Where `node` begins in the outermost text.
    pub fn start(&self, node: &Node) -> Position {
        self.source.outer(node.span.start())
    }

    /// Where `node` ends in the outermost text, behind its last character.
    pub fn end(&self, node: &Node) -> Position {
        self.source.outer(node.span.end())
    }

    /// Where the character at `position` of the decoded text of the scalar `node` stands in the outermost text; where `node`
    /// begins if it is no scalar. Behind the last character it is where that one ends.
    pub fn inside(&self, node: &Node, position: Position) -> Position {
        match &node.value {
            Value::Scalar(scalar) => {
                let offset = offset_of(&scalar.text, position);
                self.source.outer(self.source.offset_in(node, scalar, offset))
            }
            _ => self.start(node),
        }
    }

    /// The line of the outermost text around a place in it.
    pub fn excerpt(&self, at: Position) -> Excerpt {
        let outermost = self.source.outermost();
        Excerpt::new(&outermost.text, outermost.lines.offset(&outermost.text, at))
    }

    /// Where a field stands that a problem names: its value (`spec.metricsQuery`, `spec.seriesFilters[1].is`) and inside its text
    /// `position`, or what [`Self::named`] says. A field that is not there has the place of the nearest mapping around it.
    pub fn locate(&self, path: &str, position: Option<Position>) -> Position {
        let (node, whole) = self.nearest(path);
        match position {
            Some(position) if whole => self.inside(node, position),
            _ => self.start(self.named(path).unwrap_or(node)),
        }
    }

    /// The key of an entry whose name is the author's own, such as the label in `spec.resources.overrides[pod]`: what is wrong with
    /// the entry as a whole is seen there. `None` for all other paths, and where there is no such entry.
    pub fn named(&self, path: &str) -> Option<&Node> {
        let mut found = (&self.root, None);
        for segment in path::segments(path) {
            let child = found.0.child(&segment)?;
            let key = match segment {
                path::Segment::Item(name) => found.0.key(name),
                path::Segment::Field(_) => None,
            };
            found = (child, key);
        }
        found.1
    }

    /// The value of a field; `None` where it is not there.
    pub fn get(&self, path: &str) -> Option<&Node> {
        let (node, whole) = self.nearest(path);
        whole.then_some(node)
    }

    /// The value of a field, or of the nearest one around it; whether it is the field itself.
    pub fn nearest(&self, path: &str) -> (&Node, bool) {
        let mut node = &self.root;
        for segment in path::segments(path) {
            match node.child(&segment) {
                Some(child) => node = child,
                None => return (node, false),
            }
        }
        (node, true)
    }
}

// === impl Source ===

impl Source {
    fn new(text: Arc<str>, within: Option<Arc<Within>>) -> Self {
        Self {
            lines: Lines::new(&text),
            text,
            within,
        }
    }

    /// The place of a byte of this text in the outermost one.
    fn outer(&self, offset: usize) -> Position {
        match &self.within {
            None => self.lines.position(&self.text, offset),
            Some(within) => {
                let (source, node) = (&within.source, &within.scalar);
                let Value::Scalar(scalar) = &node.value else {
                    return source.outer(node.span.start());
                };
                let raw = source.raw(node);
                let aligned = within.aligned.get_or_init(|| Aligned::new(raw, scalar));
                source.outer(node.span.start() + aligned.offset(raw, scalar, offset))
            }
        }
    }

    fn outermost(&self) -> &Self {
        let mut source = self;
        while let Some(within) = &source.within {
            source = &within.source;
        }
        source
    }

    /// From a byte of a scalar's decoded text to the byte of this text that it was written with.
    fn offset_in(&self, node: &Node, scalar: &Scalar, offset: usize) -> usize {
        node.span.start() + align::offset(self.raw(node), scalar, offset)
    }

    /// A value as it is written.
    fn raw(&self, node: &Node) -> &str {
        self.text.get(node.span.range()).unwrap_or_default()
    }
}

fn offset_of(text: &str, position: Position) -> usize {
    let skipped = usize::try_from(position.line)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let start: usize = text.split_inclusive('\n').take(skipped).map(str::len).sum();
    let line = text.get(start..).unwrap_or_default();
    let column = usize::try_from(position.column)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    start
        + line
            .char_indices()
            .nth(column)
            .map_or(line.len(), |(offset, _)| offset)
}
