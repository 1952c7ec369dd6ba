//! From the parser's events to nodes.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{Document, Node, Scalar, Source, Style, SyntaxError, Value};

/// More values than this are refused: an alias of aliases would fill the memory.
const MAX_VALUES: usize = 200_000;

pub(super) fn documents(source: &Source) -> Result<Vec<Document>, SyntaxError> {
    let mut reader = Reader {
        source,
        anchors: HashMap::new(),
        open: Vec::new(),
        root: None,
        values: 0,
    };
    let mut documents = Vec::new();
    for event in Parser::new_from_str(&source.text) {
        let (event, span) = event.map_err(|error| reader.scan_error(&error))?;
        if matches!(event, Event::DocumentEnd) {
            let root = reader.root.take().filter(|root| !root.is_null());
            documents.extend(root.map(|root| Document {
                root,
                source: source.clone(),
            }));
            reader.anchors.clear();
            continue;
        }
        reader.event(event, span)?;
    }
    Ok(documents)
}

struct Reader<'a> {
    source: &'a Source,
    anchors: HashMap<usize, Node>,
    open: Vec<Open>,
    root: Option<Node>,
    values: usize,
}

/// A collection whose end has not come yet.
struct Open {
    anchor: usize,
    start: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>, Option<Node>),
}

// === impl Reader ===

impl Reader<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let bytes = span.byte_range().unwrap_or_default();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let text_tag = tag.is_some_and(|tag| tag.core_suffix() == Some("str"));
                let style = match style {
                    ScalarStyle::Plain if text_tag => Style::Literal,
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::SingleQuoted,
                    ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                let scalar = Scalar {
                    text: text.into_owned(),
                    style,
                };
                let node = Node {
                    value: Value::Scalar(scalar),
                    span: bytes,
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
            Event::SequenceStart(_, anchor, _) => {
                self.begin(anchor, bytes.start, Content::Sequence(Vec::new()));
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(anchor, bytes.start, Content::Mapping(Vec::new(), None));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let value = match open.content {
                    Content::Sequence(items) => Value::Sequence(items),
                    Content::Mapping(entries, _) => Value::Mapping(self.merged(entries)?),
                };
                let span = open.start..bytes.end.max(open.start);
                self.close(open.anchor, Node { value, span })
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, start: usize, content: Content) {
        self.open.push(Open {
            anchor,
            start,
            content,
        });
    }

    fn close(&mut self, anchor: usize, node: Node) -> Result<(), SyntaxError> {
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
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    /// Resolves merge keys and refuses keys that stand twice.
    fn merged(&self, entries: Vec<(Node, Node)>) -> Result<Vec<(Node, Node)>, SyntaxError> {
        let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| is_merge(key));
        let mut seen = std::collections::HashSet::new();
        for (key, _) in &own {
            let text = key.text().unwrap_or_default();
            if !seen.insert(text.to_owned()) {
                return Err(self.error(
                    key.span.start,
                    format!("the key {text:?} stands twice in one mapping"),
                ));
            }
        }
        for (_, value) in merges {
            let sources = match value.value {
                Value::Sequence(items) => items,
                _ => vec![value],
            };
            for (key, value) in sources.iter().flat_map(Node::entries) {
                if seen.insert(key.text().unwrap_or_default().to_owned()) {
                    own.push((key.clone(), value.clone()));
                }
            }
        }
        Ok(own)
    }

    fn scan_error(&self, error: &ScanError) -> SyntaxError {
        let marker = error.marker();
        let offset = marker.byte_offset().unwrap_or_else(|| {
            let mut chars = self.source.text.char_indices();
            chars
                .nth(marker.index())
                .map_or(self.source.text.len(), |(offset, _)| offset)
        });
        self.error(offset, error.info())
    }

    fn error(&self, offset: usize, message: String) -> SyntaxError {
        SyntaxError {
            position: self.source.outer(offset),
            message,
        }
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.value, Value::Scalar(scalar) if scalar.style == Style::Plain && scalar.text == "<<")
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Scalar(_) => 0,
        Value::Sequence(items) => items.iter().map(size).sum(),
        Value::Mapping(entries) => entries.iter().map(|(_, value)| 1 + size(value)).sum(),
    }
}
