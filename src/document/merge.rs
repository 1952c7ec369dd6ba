//! Merge keys (`<<`), as yaml.v2 takes them (`decode.go`): entries are filled in as they are written, so that what comes later
//! wins, be it merged or not.

use std::{collections::HashMap, mem, sync::Arc};

use super::{Document, MAX_ADDED, Node, SyntaxError, Value};

/// More mappings than this are not merged one into the other.
const MAX_DEPTH: usize = 64;

/// A node, and what is wrong with it.
pub(super) type Fault = (Node, String);
type Entries = Vec<(Node, Node)>;

pub(super) fn is_merge(key: &Node) -> bool {
    matches!(&key.value, Value::Scalar(scalar) if scalar.typed && scalar.text.as_str() == "<<")
}

/// The entries of a mapping as kubectl has them: one level deep.
pub(super) fn flat(written: &[(Node, Node)]) -> Result<Entries, Fault> {
    let mut all = Filled::default();
    for (key, value) in written {
        if is_merge(key) {
            let merged = sources(value)?.into_iter().flat_map(Node::entries);
            merged.for_each(|(key, value)| all.set(key, value.clone()));
        } else {
            all.set(key, value.clone());
        }
    }
    Ok(all.entries)
}

/// How many entries the merge keys of a mapping fill in, and where the last of them stands.
pub(super) fn filled_in(entries: &[(Node, Node)]) -> Result<(usize, usize), Fault> {
    let (mut count, mut at) = (0, 0);
    for (key, value) in entries.iter().filter(|(key, _)| is_merge(key)) {
        count += sources(value)?
            .iter()
            .map(|node| 2 * node.entries().len())
            .sum::<usize>();
        at = key.span.start();
    }
    Ok((count, at))
}

/// See [`Document::structured`].
pub(super) fn structured(document: &Document, maps: &[&str]) -> Result<Document, SyntaxError> {
    if !has_merges(&document.root) {
        return Ok(document.clone());
    }
    let mut filler = Filler {
        maps,
        left: document.root.size().saturating_add(MAX_ADDED),
    };
    let root = filler.value(&document.root, false);
    let root = root.map_err(|(node, message)| SyntaxError {
        position: document.start(&node),
        message,
    })?;
    Ok(Document {
        root,
        source: document.source.clone(),
    })
}

/// How many mappings are merged one into the other.
pub(super) fn depth(entries: &[(Node, Node)]) -> Result<usize, Fault> {
    let mut depth = 1;
    for (_, value) in entries.iter().filter(|(key, _)| is_merge(key)) {
        for source in sources(value)? {
            depth = depth.max(1 + source.depth());
        }
        if depth > MAX_DEPTH {
            return Err((
                value.clone(),
                format!("more than {MAX_DEPTH} mappings are merged into each other"),
            ));
        }
    }
    Ok(depth)
}

/// Whether a merge key stands anywhere in it.
fn has_merges(node: &Node) -> bool {
    let below = |node: &Node| {
        let entries = node.entries().iter();
        node.items().iter().any(has_merges) || entries.map(|(_, value)| value).any(has_merges)
    };
    node.depth() > 0 || below(node)
}

/// What is merged, the first of several last: it wins.
fn sources(value: &Node) -> Result<Vec<&Node>, Fault> {
    let sources: Vec<&Node> = match &value.value {
        Value::Sequence(items) => items.iter().rev().collect(),
        _ => vec![value],
    };
    match sources
        .iter()
        .find(|node| !matches!(node.value, Value::Mapping(_)))
    {
        Some(node) => Err((
            (*node).clone(),
            format!("<< needs a mapping or a list of mappings, not a {}", node.kind()),
        )),
        None => Ok(sources),
    }
}

/// A mapping that is being filled, in the order of its keys' first coming.
#[derive(Default)]
struct Filled {
    entries: Entries,
    /// Where in `entries` a key is: a scan for each would take a large mapping forever.
    places: HashMap<String, usize>,
}

struct Filler<'a> {
    maps: &'a [&'a str],
    /// So many values may still be filled in.
    left: usize,
}

// === impl Filled ===

impl Filled {
    fn of(entries: Entries) -> Self {
        let mut filled = Self::default();
        for (key, value) in entries {
            filled.set(&key, value);
        }
        filled
    }

    fn get_mut(&mut self, key: &Node) -> Option<&mut Node> {
        let place = self.places.get(key.text().unwrap_or_default())?;
        self.entries.get_mut(*place).map(|(_, value)| value)
    }

    fn set(&mut self, key: &Node, value: Node) {
        if let Some(old) = self.get_mut(key) {
            *old = value;
            return;
        }
        let name = key.text().unwrap_or_default().to_owned();
        self.places.insert(name, self.entries.len());
        self.entries.push((key.clone(), value));
    }
}

// === impl Filler ===

impl Filler<'_> {
    /// A value into a field that holds nothing yet.
    fn value(&mut self, node: &Node, map: bool) -> Result<Node, Fault> {
        let value = match &node.value {
            Value::Scalar(_) => node.value.clone(),
            Value::Sequence(items) => {
                let items = items.iter().map(|item| self.value(item, false));
                Value::sequence(items.collect::<Result<_, _>>()?)
            }
            Value::Mapping(_) => {
                let mut all = Filled::default();
                self.fill(&mut all, node, map)?;
                Value::mapping(all.entries, None)
            }
        };
        Ok(Node {
            value,
            span: node.span,
        })
    }

    fn fill(&mut self, all: &mut Filled, node: &Node, map: bool) -> Result<(), Fault> {
        for (key, value) in node.written() {
            self.left = match self.left.checked_sub(1) {
                Some(left) => left,
                None => {
                    return Err((
                        key.clone(),
                        format!("the merge keys add more than {MAX_ADDED} values"),
                    ));
                }
            };
            if is_merge(key) {
                for source in sources(value)? {
                    self.fill(all, source, map)?;
                }
                continue;
            }
            let map_below = key.text().is_some_and(|key| self.maps.contains(&key));
            match all.get_mut(key) {
                None => {
                    let value = self.value(value, map_below && !map)?;
                    all.set(key, value);
                }
                Some(_) if map => {
                    let name = key.text().unwrap_or_default();
                    return Err((
                        key.clone(),
                        format!("{name:?} already exists: a merged mapping also contains it"),
                    ));
                }
                Some(old) => match (&mut old.value, &value.value) {
                    (Value::Mapping(mapping), Value::Mapping(_)) => {
                        let entries = mem::take(&mut Arc::make_mut(mapping).entries);
                        let mut below = Filled::of(entries);
                        self.fill(&mut below, value, map_below)?;
                        old.value = Value::mapping(below.entries, None);
                    }
                    _ => *old = self.value(value, map_below)?,
                },
            }
        }
        Ok(())
    }
}
