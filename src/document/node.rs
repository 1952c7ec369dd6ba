//! Values of a document. Clones share what they hold: an alias costs nothing but its place in the list.

use std::{
    borrow::Borrow,
    collections::HashMap,
    fmt,
    hash::{Hash, Hasher},
    ops::{Deref, Range},
    sync::{Arc, OnceLock},
};

use super::path;

/// The keys of a mapping with more entries are not looked through for each that is asked for.
const SCANNED: usize = 32;

/// A value with its place in the source.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Bytes of the source: with quotes, without the header of a block.
    pub(super) span: Span,
}

/// A range of bytes, which no file of ours exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

/// The three kinds of YAML values.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text, a number, a truth value or nothing: as written, see [`Node::text`] and [`Node::to_json`].
    Scalar(Scalar),
    /// In order.
    Sequence(Arc<Vec<Node>>),
    /// In order; merge keys (`<<`) are resolved as yaml.v2 does, no key stands twice.
    Mapping(Arc<Mapping>),
}

/// What a mapping holds.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub(super) entries: Vec<(Node, Node)>,
    /// Where it has merge keys, the entries as they are written.
    pub(super) written: Option<Written>,
    /// Of a large one where in `entries` a key is, made when the first is looked for.
    index: OnceLock<HashMap<Text, usize>>,
}

/// Entries before merge keys are resolved.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) entries: Vec<(Node, Node)>,
    /// How many mappings are merged one into the other.
    pub(super) depth: usize,
}

/// A scalar after escapes and folding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scalar {
    /// The decoded text.
    pub text: Text,
    /// How it was written.
    pub style: Style,
    /// Whether it can be anything but text: a plain one without a tag, and one with the tag of another type.
    pub typed: bool,
}

/// A text, or a part of one that others share.
#[derive(Clone)]
pub struct Text {
    buffer: Arc<str>,
    part: Span,
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

// === impl Node ===

impl Node {
    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The key's own node; for findings about a key.
    pub fn key(&self, key: &str) -> Option<&Self> {
        self.entry(key).map(|(name, _)| name)
    }

    fn entry(&self, key: &str) -> Option<&(Self, Self)> {
        match &self.value {
            Value::Mapping(mapping) => mapping.entry(key),
            _ => None,
        }
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Mapping(mapping) => &mapping.entries,
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
        match &self.value {
            Value::Scalar(scalar) => scalar.to_json(),
            Value::Sequence(items) => items.iter().map(Self::to_json).collect(),
            Value::Mapping(_) => {
                let entries = self.entries().iter();
                entries
                    .map(|(key, value)| (key.text().unwrap_or_default().to_owned(), value.to_json()))
                    .collect()
            }
        }
    }

    /// How many values there are from it on, however often one is shared.
    pub(crate) fn size(&self) -> usize {
        1 + match &self.value {
            Value::Scalar(_) => 0,
            Value::Sequence(items) => items.iter().map(Self::size).sum(),
            Value::Mapping(mapping) => mapping.entries.iter().map(|(_, value)| 1 + value.size()).sum(),
        }
    }

    /// The entries of a mapping as they are written, before merge keys are resolved.
    pub(super) fn written(&self) -> &[(Self, Self)] {
        match &self.value {
            Value::Mapping(mapping) => match &mapping.written {
                Some(written) => &written.entries,
                None => &mapping.entries,
            },
            _ => &[],
        }
    }

    /// How many mappings are merged one into the other in this one.
    pub(super) fn depth(&self) -> usize {
        match &self.value {
            Value::Mapping(mapping) => mapping.written.as_ref().map_or(0, |written| written.depth),
            _ => 0,
        }
    }

    pub(super) fn child_mut(&mut self, segment: &path::Segment<'_>) -> Option<&mut Self> {
        let (path::Segment::Field(name) | path::Segment::Item(name)) = segment;
        match &mut self.value {
            Value::Sequence(items) => Arc::make_mut(items).get_mut(name.parse::<usize>().ok()?),
            Value::Mapping(mapping) => {
                let found = Arc::make_mut(mapping)
                    .entries
                    .iter_mut()
                    .find(|(key, _)| key.text() == Some(name));
                found.map(|(_, value)| value)
            }
            Value::Scalar(_) => None,
        }
    }

    pub(super) fn rename_key(&mut self, segment: &path::Segment<'_>, to: &str) {
        let (path::Segment::Field(name) | path::Segment::Item(name)) = segment;
        let Value::Mapping(mapping) = &mut self.value else {
            return;
        };
        let mapping = Arc::make_mut(mapping);
        mapping.index = OnceLock::new();
        let key = mapping
            .entries
            .iter_mut()
            .find(|(key, _)| key.text() == Some(name));
        if let Some((
            Self {
                value: Value::Scalar(scalar),
                ..
            },
            _,
        )) = key
        {
            scalar.text = to.into();
        }
    }

    pub(super) fn child(&self, segment: &path::Segment<'_>) -> Option<&Self> {
        match segment {
            path::Segment::Field(name) => self.get(name),
            path::Segment::Item(text) => match &self.value {
                Value::Sequence(items) => items.get(text.parse::<usize>().ok()?),
                _ => self.get(text),
            },
        }
    }
}

// === impl Value ===

impl Value {
    pub(super) fn sequence(mut items: Vec<Node>) -> Self {
        items.shrink_to_fit();
        Self::Sequence(Arc::new(items))
    }

    pub(super) fn mapping(mut entries: Vec<(Node, Node)>, written: Option<Written>) -> Self {
        entries.shrink_to_fit();
        Self::Mapping(Arc::new(Mapping {
            entries,
            written,
            index: OnceLock::new(),
        }))
    }
}

// === impl Mapping ===

impl Mapping {
    fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        if self.entries.len() <= SCANNED {
            return self.entries.iter().find(|(name, _)| name.text() == Some(key));
        }
        let index = self.index.get_or_init(|| {
            let mut index = HashMap::with_capacity(self.entries.len());
            for (place, (name, _)) in self.entries.iter().enumerate() {
                if let Value::Scalar(scalar) = &name.value {
                    index.entry(scalar.text.clone()).or_insert(place);
                }
            }
            index
        });
        self.entries.get(*index.get(key)?)
    }
}

// === impl Span ===

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        let byte = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: byte(start),
            end: byte(end),
        }
    }

    pub(super) const fn start(self) -> usize {
        self.start as usize
    }

    pub(super) const fn end(self) -> usize {
        self.end as usize
    }

    pub(super) const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    pub(super) const fn range(self) -> Range<usize> {
        self.start()..self.end()
    }
}

// === impl Text ===

impl Text {
    /// A part of a text, by its bytes; nothing where there is none of that kind.
    pub(super) fn of(buffer: &Arc<str>, part: Span) -> Self {
        let part = match buffer.get(part.range()) {
            Some(_) => part,
            None => Span::new(0, 0),
        };
        Self {
            buffer: buffer.clone(),
            part,
        }
    }

    /// It by itself.
    pub(super) fn whole(&self) -> Arc<str> {
        if self.part.range() == (0..self.buffer.len()) {
            self.buffer.clone()
        } else {
            (**self).into()
        }
    }

    /// As it is.
    pub fn as_str(&self) -> &str {
        self.buffer.get(self.part.range()).unwrap_or_default()
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self {
            buffer: text.into(),
            part: Span::new(0, text.len()),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}
