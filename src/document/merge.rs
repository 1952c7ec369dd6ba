//! Merge keys (`<<`), as yaml.v2 takes them (`decode.go`): entries are filled in as they are written, so that what comes later
//! wins, be it merged or not.

use std::{collections::HashMap, mem};

use super::{Document, Node, SyntaxError, Value, read::MAX_VALUES};

/// More mappings than this are not merged one into the other.
const MAX_DEPTH: usize = 64;

/// A node, and what is wrong with it.
pub(super) type Fault = (Node, String);
type Entries = Vec<(Node, Node)>;

pub(super) fn is_merge(key: &Node) -> bool {
    matches!(&key.value, Value::Scalar(scalar) if scalar.typed && scalar.text == "<<")
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

/// See [`Document::structured`].
pub(super) fn structured(document: &Document, maps: &[&str]) -> Result<Document, SyntaxError> {
    let mut filler = Filler {
        maps,
        left: MAX_VALUES,
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
            depth = depth.max(1 + source.written.as_ref().map_or(0, |written| written.depth));
        }
        if depth > MAX_DEPTH {
            return Err((
                value.clone(),
                format!("more than {MAX_DEPTH} mappings are merged one into the other"),
            ));
        }
    }
    Ok(depth)
}

fn written(node: &Node) -> &[(Node, Node)] {
    node.written
        .as_ref()
        .map_or_else(|| node.entries(), |written| &written.entries)
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
            format!("<< takes a mapping or a list of mappings, not a {}", node.kind()),
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
                Value::Sequence(items.collect::<Result<_, _>>()?)
            }
            Value::Mapping(_) => {
                let mut all = Filled::default();
                self.fill(&mut all, node, map)?;
                Value::Mapping(all.entries)
            }
        };
        Ok(Node {
            value,
            span: node.span.clone(),
            written: None,
        })
    }

    fn fill(&mut self, all: &mut Filled, node: &Node, map: bool) -> Result<(), Fault> {
        for (key, value) in written(node) {
            self.left = match self.left.checked_sub(1) {
                Some(left) => left,
                None => {
                    return Err((
                        key.clone(),
                        format!("more than {MAX_VALUES} values, merged ones counted"),
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
                        format!("{name:?} is there already: what is merged holds it as well"),
                    ));
                }
                Some(old) => match (&mut old.value, &value.value) {
                    (Value::Mapping(old), Value::Mapping(_)) => {
                        let mut below = Filled::of(mem::take(old));
                        self.fill(&mut below, value, map_below)?;
                        *old = below.entries;
                    }
                    _ => *old = self.value(value, map_below)?,
                },
            }
        }
        Ok(())
    }
}
