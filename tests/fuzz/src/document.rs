use metricrule::document::{Document, Node, Position};

use crate::input;

/// Values that are looked at one character after the other: that costs their square.
const WALKED: usize = 256;

/// A file of YAML.
///
/// Every place lies inside the text, also of what is wrong; the characters of a scalar stand in the order in which they were
/// written, and a letter is found where the text has it.
pub fn document(data: &[u8]) {
    let Some(text) = input::text(data) else { return };
    let documents = match Document::parse_stream(text) {
        Ok(documents) => documents,
        Err(error) => {
            assert!(!error.message.is_empty());
            inside(text, error.position);
            return;
        }
    };
    for document in &documents {
        let _ = document.root.to_json();
        node(text, document, &document.root, 64);
    }
}

fn node(text: &str, document: &Document, value: &Node, depth: usize) {
    inside(text, document.start(value));
    if depth == 0 {
        return;
    }
    for item in value.items() {
        node(text, document, item, depth - 1);
    }
    for (key, value) in value.entries() {
        node(text, document, key, 0);
        node(text, document, value, depth - 1);
    }
    let Some(scalar) = value.text().filter(|scalar| scalar.len() <= WALKED) else {
        return;
    };
    let (mut line, mut column) = (1, 1);
    let mut last = document.start(value);
    for c in scalar.chars() {
        let at = document.inside(value, Position { line, column });
        inside(text, at);
        assert!(at >= last, "{c:?} at {at} comes after {last}");
        if c.is_alphabetic() {
            let source = text
                .split('\n')
                .nth(at.line as usize - 1)
                .and_then(|line| line.chars().nth(at.column as usize - 1));
            assert!(
                source == Some(c) || source == Some('\\'),
                "{c:?} at {at} is {source:?}"
            );
        }
        last = at;
        (line, column) = if c == '\n' {
            (line + 1, 1)
        } else {
            (line, column + 1)
        };
    }
    if let Ok(nested) = document.parse_nested(value) {
        for inner in &nested {
            inside(text, inner.start(&inner.root));
        }
    }
}

fn inside(text: &str, at: Position) {
    let line = text.split('\n').nth(at.line as usize - 1);
    let line = line.unwrap_or_else(|| panic!("{at} is behind the last line"));
    assert!(
        at.column as usize <= line.chars().count() + 1,
        "{at} is behind {line:?}"
    );
}
