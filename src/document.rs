//! YAML that remembers where everything stands, so that a finding about a value can be shown in the file that the author
//! wrote: through plain, quoted, `|` and `>` scalars, and through YAML inside a scalar of YAML (a `ConfigMap`).

mod align;
mod excerpt;
mod lenient;
mod lines;
mod merge;
mod path;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod write;

use std::{ops::Range, sync::Arc};

use self::lines::Lines;
pub use self::{excerpt::Excerpt, write::to_yaml};
pub use crate::language::template::Position;

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
}

/// A value with its place in the source.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Bytes of the source: with quotes, without the header of a block.
    span: Range<usize>,
    /// Of a mapping with merge keys, the entries as they are written.
    written: Option<Written>,
}

/// Entries before merge keys are resolved.
#[derive(Clone, Debug)]
struct Written {
    entries: Arc<[(Node, Node)]>,
    /// How many mappings are merged one into the other.
    depth: usize,
}

/// The three kinds of YAML values.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text, a number, a truth value or nothing: as written, see [`Node::text`] and [`Node::to_json`].
    Scalar(Scalar),
    /// In order.
    Sequence(Vec<Node>),
    /// In order; merge keys (`<<`) are resolved as yaml.v2 does, no key stands twice.
    Mapping(Vec<(Node, Node)>),
}

/// A scalar after escapes and folding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The decoded text.
    pub text: String,
    /// How it was written.
    pub style: Style,
    /// Whether it can be anything but text: a plain one without a tag, and one with the tag of another type.
    pub typed: bool,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'…'`
    SingleQuoted,
    /// `"…"`
    DoubleQuoted,
    /// `|`
    Literal,
    /// `>`
    Folded,
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
    /// What is no YAML, a key that stands twice in a mapping, an alias without an anchor, and more than 200,000 values
    /// (aliases counted as often as they are used).
    pub fn parse_stream(text: &str) -> Result<Vec<Self>, SyntaxError> {
        read::documents(&Source::new(text, None), usize::MAX)
    }

    /// The first document of a stream, whatever follows it; `None` where it is empty.
    ///
    /// # Errors
    ///
    /// As [`Self::parse_stream`], for the first document.
    pub fn parse_first(text: &str) -> Result<Option<Self>, SyntaxError> {
        Ok(read::documents(&Source::new(text, None), 1)?.pop())
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
        };
        let source = Source::new(&scalar.text, Some(Arc::new(within)));
        read::documents(&source, usize::MAX)
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
        self.source.outer(node.span.start)
    }

    /// Where `node` ends in the outermost text, behind its last character.
    pub fn end(&self, node: &Node) -> Position {
        self.source.outer(node.span.end)
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

// === impl Node ===

impl Node {
    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let found = self.entries().iter().find(|(name, _)| name.text() == Some(key));
        found.map(|(_, value)| value)
    }

    /// The key's own node; for findings about a key.
    pub fn key(&self, key: &str) -> Option<&Self> {
        let found = self.entries().iter().find(|(name, _)| name.text() == Some(key));
        found.map(|(name, _)| name)
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a sequence; none for anything else.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// The decoded text of a scalar, whatever it would be read as: what a field of type string gets.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether it is a plain `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// `mapping`, `list`, `text`, `number`, `boolean` or `null`: for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Mapping(_) => "mapping",
            Value::Sequence(_) => "list",
            Value::Scalar(scalar) => scalar.kind(),
        }
    }

    /// As kubectl reads it (`sigs.k8s.io/yaml`: YAML 1.1, so a plain `yes` is true and `0777` octal).
    pub fn to_json(&self) -> serde_json::Value {
        schema::to_json(self)
    }

    fn child_mut(&mut self, segment: &path::Segment<'_>) -> Option<&mut Self> {
        let (path::Segment::Field(name) | path::Segment::Item(name)) = segment;
        match &mut self.value {
            Value::Sequence(items) => items.get_mut(name.parse::<usize>().ok()?),
            Value::Mapping(entries) => {
                let found = entries.iter_mut().find(|(key, _)| key.text() == Some(name));
                found.map(|(_, value)| value)
            }
            Value::Scalar(_) => None,
        }
    }

    fn rename_key(&mut self, segment: &path::Segment<'_>, to: &str) {
        let (path::Segment::Field(name) | path::Segment::Item(name)) = segment;
        let Value::Mapping(entries) = &mut self.value else {
            return;
        };
        let key = entries.iter_mut().find(|(key, _)| key.text() == Some(name));
        if let Some((
            Self {
                value: Value::Scalar(scalar),
                ..
            },
            _,
        )) = key
        {
            to.clone_into(&mut scalar.text);
        }
    }

    fn child(&self, segment: &path::Segment<'_>) -> Option<&Self> {
        match segment {
            path::Segment::Field(name) => self.get(name),
            path::Segment::Item(text) => match &self.value {
                Value::Sequence(items) => items.get(text.parse::<usize>().ok()?),
                _ => self.get(text),
            },
        }
    }
}

// === impl Source ===

impl Source {
    fn new(text: &str, within: Option<Arc<Within>>) -> Self {
        Self {
            text: text.into(),
            lines: Lines::new(text),
            within,
        }
    }

    /// The place of a byte of this text in the outermost one.
    fn outer(&self, offset: usize) -> Position {
        match &self.within {
            None => self.lines.position(&self.text, offset),
            Some(within) => {
                let Value::Scalar(scalar) = &within.scalar.value else {
                    return within.source.outer(within.scalar.span.start);
                };
                let offset = within.source.offset_in(&within.scalar, scalar, offset);
                within.source.outer(offset)
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
        let raw = self.text.get(node.span.clone()).unwrap_or_default();
        node.span.start + align::offset(raw, scalar, offset)
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
