//! Reader of documents: from the parser's events to nodes.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::{
    Document, MAX_ADDED, Node, Scalar, Source, Style, SyntaxError, Text, Value,
    lenient::Patched,
    merge,
    node::{Span as Bytes, Written},
};

/// More values than this are not written in one document: some 25,000 objects of a `List`.
const MAX_WRITTEN: usize = 3_000_000;
/// More bytes of text than this aliases do not add to a document, unless it holds many by itself.
const MAX_ADDED_BYTES: usize = 8 << 20;
/// So many times what is written may be added in any case.
const SHARE: usize = 8;

/// Tags of scalars that are no text.
const TYPES: [&str; 6] = ["null", "bool", "int", "float", "timestamp", "merge"];

/// Hands out at most so many documents, empty ones left out.
pub(super) fn documents(
    source: &Source,
    most: usize,
    mut take: impl FnMut(Document),
) -> Result<(), SyntaxError> {
    let mut text = Patched::new(&source.text);
    // Those that were handed out before a place was worked around.
    let mut taken = 0;
    loop {
        let mut reader = Reader {
            source,
            text: &text,
            anchors: HashMap::new(),
            open: Vec::new(),
            root: None,
            written: Weight::default(),
            all: Weight::default(),
        };
        let mut number = 0;
        let outcome = reader.documents(most, |document| {
            number += 1;
            if number > taken {
                taken = number;
                take(document);
            }
        });
        let error = match outcome {
            Ok(()) => return Ok(()),
            Err(Refusal::Ours(error)) => return Err(error),
            Err(Refusal::Parser(error)) => error,
        };
        let (offset, message) = (reader.offset(&error), error.info());
        if !text.patch(&error) {
            return Err(SyntaxError {
                position: source.outer(offset),
                message,
            });
        }
    }
}

/// Why a text is not read.
enum Refusal {
    /// The parser says so; there may be a way around.
    Parser(ScanError),
    Ours(SyntaxError),
}

struct Reader<'a> {
    source: &'a Source,
    /// What is parsed.
    text: &'a Patched<'a>,
    anchors: HashMap<usize, (Node, Weight)>,
    open: Vec<Open>,
    root: Option<Node>,
    /// Of this document, without what aliases and merge keys add.
    written: Weight,
    /// And with it.
    all: Weight,
}

/// How much there is of something.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    values: usize,
    bytes: usize,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    start: usize,
    flow: bool,
    content: Content,
    /// What it holds until now, and it itself.
    weight: Weight,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>, Option<Node>),
}

// === impl Reader ===

impl From<SyntaxError> for Refusal {
    fn from(error: SyntaxError) -> Self {
        Self::Ours(error)
    }
}

impl Reader<'_> {
    fn documents(&mut self, most: usize, mut take: impl FnMut(Document)) -> Result<(), Refusal> {
        let mut ended = 0;
        for event in Parser::new_from_str(self.text.text()) {
            let (event, span) = event.map_err(Refusal::Parser)?;
            if !matches!(event, Event::DocumentEnd) {
                self.event(event, span)?;
                continue;
            }
            if let Some(root) = self.root.take().filter(|root| !root.is_null()) {
                take(Document {
                    root,
                    source: self.source.clone(),
                });
            }
            self.anchors.clear();
            (self.written, self.all) = Default::default();
            ended += 1;
            if ended == most {
                break;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let bytes = span.byte_range().unwrap_or_default();
        let bytes = self.text.original(bytes.start)..self.text.original(bytes.end);
        match event {
            Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                let message = format!(
                    "the document declares YAML {}.{}, but kubectl and prometheus-adapter read only 1.1",
                    version.major, version.minor
                );
                Err(self.error(bytes.start, message))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let text = self.ended(&text, style, bytes.end);
                let weight = Weight {
                    values: 1,
                    bytes: text.len(),
                };
                let scalar = Scalar {
                    text: self.text_at(text, style, &bytes),
                    style: match style {
                        ScalarStyle::Plain => Style::Plain,
                        ScalarStyle::SingleQuoted => Style::SingleQuoted,
                        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                        ScalarStyle::Literal => Style::Literal,
                        ScalarStyle::Folded => Style::Folded,
                    },
                    typed: tag.map_or(style == ScalarStyle::Plain, |tag| TYPES.contains(&tag.suffix())),
                };
                if style == ScalarStyle::Plain && self.open.last().is_some_and(|open| open.flow) {
                    self.flow_text(&bytes)?;
                }
                let node = Node {
                    value: Value::Scalar(scalar),
                    span: Bytes::new(bytes.start, bytes.end),
                };
                self.write(weight, bytes.start)?;
                self.close(anchor, node, weight);
                Ok(())
            }
            Event::Alias(id) => {
                let Some((node, weight)) = self.anchors.get(&id).cloned() else {
                    return Err(self.error(
                        bytes.start,
                        "an alias refers to a value that contains it".to_owned(),
                    ));
                };
                self.written.values += 1;
                self.add(weight, bytes.start)?;
                self.close(0, node, weight);
                Ok(())
            }
            Event::SequenceStart(style, anchor, _) => {
                self.begin(anchor, bytes.start, style, Content::Sequence(Vec::new()));
                Ok(())
            }
            Event::MappingStart(style, anchor, _) => {
                self.begin(anchor, bytes.start, style, Content::Mapping(Vec::new(), None));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let mut weight = open.weight;
                let value = match open.content {
                    Content::Sequence(items) => Value::sequence(items),
                    Content::Mapping(entries, _) => self.merged(entries)?,
                };
                if let Value::Mapping(mapping) = &value
                    && mapping.written.is_some()
                {
                    weight = weigh(&value);
                }
                let one = Weight { values: 1, bytes: 0 };
                self.write(one, open.start)?;
                let span = Bytes::new(open.start, bytes.end.max(open.start));
                self.close(open.anchor, Node { value, span }, weight);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The text of a block that the end of the file cuts off in its last line has no line break there; the parser adds one.
    fn ended<'t>(&self, text: &'t str, style: ScalarStyle, end: usize) -> &'t str {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if !block || end < self.source.text.len() {
            return text;
        }
        let last = self.source.text.rsplit(['\n', '\r']).next().unwrap_or_default();
        if last.trim_matches(' ').is_empty() {
            return text;
        }
        text.strip_suffix('\n').unwrap_or(text)
    }

    /// A text as the source has it, where it does.
    fn text_at(&self, text: &str, style: ScalarStyle, bytes: &Range<usize>) -> Text {
        let quotes = usize::from(matches!(
            style,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted
        ));
        let start = bytes.start.saturating_add(quotes);
        let end = start.saturating_add(text.len());
        if self.source.text.get(start..end) == Some(text) {
            return Text::of(&self.source.text, Bytes::new(start, end));
        }
        text.into()
    }

    /// Refuses what ends a plain text of `{}` and `[]` for yaml.v2, and then is an error.
    fn flow_text(&self, bytes: &Range<usize>) -> Result<(), SyntaxError> {
        // As it is written: a text of several lines has fewer blanks when it is read.
        let text = self.source.text.get(bytes.clone()).unwrap_or_default();
        let Some(at) = text.find('?') else { return Ok(()) };
        let message =
            "a ? inside {} or [] needs quotes: prometheus-adapter and kubectl do not read it without them";
        Err(self.error(bytes.start + at, message.to_owned()))
    }

    fn begin(&mut self, anchor: usize, start: usize, style: StructureStyle, content: Content) {
        self.open.push(Open {
            anchor,
            start,
            flow: style == StructureStyle::Flow,
            content,
            weight: Weight { values: 1, bytes: 0 },
        });
    }

    /// Counts what is written.
    fn write(&mut self, weight: Weight, at: usize) -> Result<(), SyntaxError> {
        self.written.values += weight.values;
        self.written.bytes += weight.bytes;
        self.all.values += weight.values;
        self.all.bytes += weight.bytes;
        if self.written.values > MAX_WRITTEN {
            return Err(self.error(at, format!("more than {MAX_WRITTEN} values in one document")));
        }
        Ok(())
    }

    /// Counts what is not.
    fn add(&mut self, weight: Weight, at: usize) -> Result<(), SyntaxError> {
        self.all.values = self.all.values.saturating_add(weight.values);
        self.all.bytes = self.all.bytes.saturating_add(weight.bytes);
        let is_more = |all: usize, written: usize, most: usize| {
            all.saturating_sub(written) > most.saturating_add(SHARE.saturating_mul(written))
        };
        if is_more(self.all.values, self.written.values, MAX_ADDED) {
            let message = format!(
                "the aliases and merge keys up to here add more than {MAX_ADDED} values, and more than {SHARE} times \
                 the written ones: use fewer of them"
            );
            return Err(self.error(at, message));
        }
        if is_more(self.all.bytes, self.written.bytes, MAX_ADDED_BYTES) {
            let message = format!(
                "the aliases up to here add more than {} MiB of text, and more than {SHARE} times the written text: \
                 use fewer of them",
                MAX_ADDED_BYTES >> 20
            );
            return Err(self.error(at, message));
        }
        Ok(())
    }

    fn close(&mut self, anchor: usize, mut node: Node, weight: Weight) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        let around = self.open.last_mut().map(|open| {
            open.weight.values = open.weight.values.saturating_add(weight.values);
            open.weight.bytes = open.weight.bytes.saturating_add(weight.bytes);
            &mut open.content
        });
        match around {
            None => self.root = Some(node),
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping(entries, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => {
                    if node.span.is_empty() {
                        // A value that is not written is shown where its key is.
                        node.span = key.span;
                    }
                    entries.push((key, node));
                }
            },
        }
    }

    /// Refuses keys that stand twice, and resolves merge keys; with those, the entries as they are written are kept.
    fn merged(&mut self, entries: Vec<(Node, Node)>) -> Result<Value, SyntaxError> {
        let mut seen = HashSet::new();
        let own = entries.iter().filter(|(key, _)| !merge::is_merge(key));
        for (key, _) in own {
            let text = key.text().unwrap_or_default();
            if !seen.insert(text) {
                return Err(self.error(
                    key.span.start(),
                    format!("the key {text:?} appears twice in one mapping"),
                ));
            }
        }
        if seen.len() == entries.len() {
            return Ok(Value::mapping(entries, None));
        }
        let error = |(node, message): merge::Fault| self.error(node.span.start(), message);
        let depth = merge::depth(&entries).map_err(error)?;
        let (count, at) = merge::filled_in(&entries).map_err(error)?;
        let added = Weight {
            values: count,
            bytes: 0,
        };
        self.add(added, at)?;
        let error = |(node, message): merge::Fault| self.error(node.span.start(), message);
        let merged = merge::flat(&entries).map_err(error)?;
        Ok(Value::mapping(merged, Some(Written { entries, depth })))
    }

    /// Where the parser stopped, in the source.
    fn offset(&self, error: &ScanError) -> usize {
        let offset = self.text.original(self.text.offset(error));
        if error.info().contains("tab") {
            return self.tab_near(offset).unwrap_or(offset);
        }
        offset
    }

    /// The first tab that a line is indented with, from that of `offset` on; the parser says where the value before it begins, or what
    /// is behind it.
    fn tab_near(&self, offset: usize) -> Option<usize> {
        let mut at = self
            .source
            .text
            .get(..offset)?
            .rfind('\n')
            .map_or(0, |end| end + 1);
        for line in self.source.text.get(at..)?.split_inclusive('\n') {
            let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
            if let Some(tab) = line.get(..indent)?.find('\t') {
                return Some(at + tab);
            }
            at += line.len();
        }
        None
    }

    fn error(&self, offset: usize, message: String) -> SyntaxError {
        SyntaxError {
            position: self.source.outer(offset),
            message,
        }
    }
}

/// What a value comes to once its merge keys are resolved.
fn weigh(value: &Value) -> Weight {
    let mut weight = Weight { values: 1, bytes: 0 };
    let mut add = |node: &Node| {
        let below = weigh(&node.value);
        weight.values = weight.values.saturating_add(below.values);
        weight.bytes = weight.bytes.saturating_add(below.bytes);
    };
    match value {
        Value::Scalar(scalar) => weight.bytes = scalar.text.len(),
        Value::Sequence(items) => items.iter().for_each(add),
        Value::Mapping(mapping) => mapping.entries.iter().for_each(|(key, value)| {
            add(key);
            add(value);
        }),
    }
    weight
}
