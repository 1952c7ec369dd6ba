//! From the parser's events to nodes.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StructureStyle};

use super::{Document, Node, Scalar, Source, Style, SyntaxError, Value, Written, lenient::Patched, merge};

/// More values than this are refused: an alias of aliases would fill the memory.
pub(super) const MAX_VALUES: usize = 200_000;

/// Tags of scalars that are no text.
const TYPES: [&str; 6] = ["null", "bool", "int", "float", "timestamp", "merge"];

/// At most so many documents, empty ones left out.
pub(super) fn documents(source: &Source, most: usize) -> Result<Vec<Document>, SyntaxError> {
    let mut text = Patched::new(&source.text);
    loop {
        let mut reader = Reader {
            source,
            text: &text,
            anchors: HashMap::new(),
            open: Vec::new(),
            root: None,
            values: 0,
        };
        let error = match reader.documents(most) {
            Ok(documents) => return Ok(documents),
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

/// A mapping's value, and its entries as they are written if that differs.
type Mapping = (Value, Option<Written>);

struct Reader<'a> {
    source: &'a Source,
    /// What is parsed.
    text: &'a Patched<'a>,
    anchors: HashMap<usize, Node>,
    open: Vec<Open>,
    root: Option<Node>,
    values: usize,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    start: usize,
    flow: bool,
    content: Content,
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
    fn documents(&mut self, most: usize) -> Result<Vec<Document>, Refusal> {
        let mut documents = Vec::new();
        let mut ended = 0;
        for event in Parser::new_from_str(self.text.text()) {
            let (event, span) = event.map_err(Refusal::Parser)?;
            if !matches!(event, Event::DocumentEnd) {
                self.event(event, span)?;
                continue;
            }
            let root = self.root.take().filter(|root| !root.is_null());
            documents.extend(root.map(|root| Document {
                root,
                source: self.source.clone(),
            }));
            self.anchors.clear();
            ended += 1;
            if ended == most {
                break;
            }
        }
        Ok(documents)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let bytes = span.byte_range().unwrap_or_default();
        let bytes = self.text.original(bytes.start)..self.text.original(bytes.end);
        match event {
            Event::DocumentStart(_, Some(version)) if (version.major, version.minor) != (1, 1) => {
                let message = format!(
                    "YAML {}.{} is declared, which kubectl and prometheus-adapter refuse: they read 1.1",
                    version.major, version.minor
                );
                Err(self.error(bytes.start, message))
            }
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = Scalar {
                    text: self.ended(text.into_owned(), style, bytes.end),
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
                    span: bytes,
                    written: None,
                };
                self.close(anchor, node)
            }
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return Err(self.error(
                        bytes.start,
                        "an alias of something that is not finished".to_owned(),
                    ));
                };
                self.values += size(&node);
                self.close(0, node)
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
                let (value, written) = match open.content {
                    Content::Sequence(items) => (Value::Sequence(items), None),
                    Content::Mapping(entries, _) => self.merged(entries)?,
                };
                let span = open.start..bytes.end.max(open.start);
                self.close(open.anchor, Node { value, span, written })
            }
            _ => Ok(()),
        }
    }

    /// The text of a block that the end of the file cuts off in its last line has no line break there; the parser adds one.
    fn ended(&self, mut text: String, style: ScalarStyle, end: usize) -> String {
        let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let last = self.source.text.rsplit(['\n', '\r']).next().unwrap_or_default();
        if block
            && end >= self.source.text.len()
            && !last.trim_matches(' ').is_empty()
            && text.ends_with('\n')
        {
            text.pop();
        }
        text
    }

    /// Refuses what ends a plain text of `{}` and `[]` for yaml.v2, and then is an error.
    fn flow_text(&self, bytes: &Range<usize>) -> Result<(), SyntaxError> {
        // As it is written: a text of several lines has fewer blanks when it is read.
        let text = self.source.text.get(bytes.clone()).unwrap_or_default();
        let Some(at) = text.find('?') else { return Ok(()) };
        let message = "a ? inside {} or [] stands in quotes: without them, prometheus-adapter and kubectl do not read it";
        Err(self.error(bytes.start + at, message.to_owned()))
    }

    fn begin(&mut self, anchor: usize, start: usize, style: StructureStyle, content: Content) {
        self.open.push(Open {
            anchor,
            start,
            flow: style == StructureStyle::Flow,
            content,
        });
    }

    fn close(&mut self, anchor: usize, mut node: Node) -> Result<(), SyntaxError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(self.error(
                node.span.start,
                format!("more than {MAX_VALUES} values, aliases counted"),
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping(entries, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => {
                    if node.span.is_empty() {
                        // A value that is not written is shown where its key is.
                        node.span = key.span.clone();
                    }
                    entries.push((key, node));
                }
            },
        }
        Ok(())
    }

    /// Refuses keys that stand twice, and resolves merge keys; with those, the entries as they are written are kept.
    fn merged(&self, entries: Vec<(Node, Node)>) -> Result<Mapping, SyntaxError> {
        let mut seen = HashSet::new();
        let own = entries.iter().filter(|(key, _)| !merge::is_merge(key));
        for (key, _) in own {
            let text = key.text().unwrap_or_default();
            if !seen.insert(text) {
                return Err(self.error(
                    key.span.start,
                    format!("the key {text:?} stands twice in one mapping"),
                ));
            }
        }
        if seen.len() == entries.len() {
            return Ok((Value::Mapping(entries), None));
        }
        let error = |(node, message): merge::Fault| self.error(node.span.start, message);
        let depth = merge::depth(&entries).map_err(error)?;
        let merged = merge::flat(&entries).map_err(error)?;
        let entries = entries.into();
        Ok((Value::Mapping(merged), Some(Written { entries, depth })))
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

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar(_) => 0,
        Value::Sequence(items) => items.iter().map(size).sum(),
        Value::Mapping(entries) => entries.iter().map(|(_, value)| 1 + size(value)).sum(),
    }
}
