//! Series sets: what a selector matches, reduced while it is read to what metrics are derived from. That is the name of a
//! series and which labels it has; with a thousand pods there are a thousand series of each.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{Labels, NAME_LABEL};

/// The longest name of a series or of a label that is kept, in bytes: no metric may be named longer than half of it.
const MAX_NAME: usize = 1024;
/// The most labels of a series.
const MAX_LABELS: usize = 256;
/// About what an entry of a map or a set takes beside its text.
const ENTRY: usize = 96;

/// The series that a selector matches, by name and by which labels they have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesSet {
    groups: Vec<SeriesGroup>,
    total: usize,
    unusable: usize,
}

/// Series that have their name and the names of their labels in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesGroup {
    name: Arc<str>,
    labels: Shape,
    count: usize,
    examples: Vec<Labels>,
}

/// Names of labels, ordered.
type Shape = Arc<[Arc<str>]>;

/// Series that would not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the names of the series and of their labels take too much memory")]
pub struct Full;

/// Takes series one by one and keeps what is needed of them.
///
/// Of more series than `max` those are kept that come first in the order of their names and of their labels' names: the
/// same on every replica, in whatever order a backend lists them.
#[derive(Debug)]
pub struct Collector {
    max: Option<usize>,
    examples: usize,
    room: usize,
    groups: BTreeMap<Arc<str>, BTreeMap<Shape, Gathered>>,
    /// How many series the groups stand for.
    grouped: usize,
    names: HashSet<Arc<str>>,
    shapes: HashSet<Shape>,
    total: usize,
    unusable: usize,
    bytes: usize,
    /// Those of examples, which may take half of the room.
    shown: usize,
    /// The series that is being read.
    reading: Reading,
}

#[derive(Debug, Default)]
struct Gathered {
    count: usize,
    examples: Vec<Labels>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Reading {
    name: String,
    labels: Vec<Arc<str>>,
    values: Vec<(Arc<str>, Box<str>)>,
    unusable: bool,
}

// === impl SeriesSet ===

impl SeriesSet {
    /// The groups, in the order of their names and of the names of their labels. With a bound on the series the last ones
    /// may be missing.
    pub fn groups(&self) -> impl Iterator<Item = &SeriesGroup> {
        self.groups.iter()
    }

    /// How many series the selector matched, those of no group included.
    pub const fn len(&self) -> usize {
        self.total
    }

    /// Whether the selector matched nothing.
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// How many series are in no group because their name, or that of a label, is too long for any metric, or because
    /// they have too many labels.
    pub const fn unusable(&self) -> usize {
        self.unusable
    }
}

/// Without a bound, with every series as an example; a series that comes twice counts once.
impl FromIterator<Labels> for SeriesSet {
    fn from_iter<I: IntoIterator<Item = Labels>>(series: I) -> Self {
        let mut series: Vec<_> = series.into_iter().collect();
        series.sort_unstable();
        series.dedup();
        let mut collector = Collector::new(None, usize::MAX, usize::MAX);
        for labels in &series {
            for (name, value) in labels.iter() {
                collector.label(name, value);
            }
            // There is room without end.
            let _ = collector.end();
        }
        collector.finish()
    }
}

// === impl SeriesGroup ===

impl SeriesGroup {
    /// The name of its series.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The names of the labels that have a value, ordered; `__name__` is one of them.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|label| &**label)
    }

    /// Whether its series have the label.
    pub fn has(&self, label: &str) -> bool {
        self.labels.binary_search_by(|name| (**name).cmp(label)).is_ok()
    }

    /// How many series it stands for; never 0.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Some of its series in full, as many as were asked for.
    pub fn examples(&self) -> &[Labels] {
        &self.examples
    }
}

// === impl Collector ===

impl Collector {
    /// Keeps what the first `max` series need, in at most about `room` bytes, with up to `examples` series of each group in
    /// full, in at most half of the room.
    pub fn new(max: Option<usize>, examples: usize, room: usize) -> Self {
        Self {
            max,
            examples,
            room,
            groups: BTreeMap::new(),
            grouped: 0,
            names: HashSet::new(),
            shapes: HashSet::new(),
            total: 0,
            unusable: 0,
            bytes: 0,
            shown: 0,
            reading: Reading::default(),
        }
    }

    /// A label of the series that is being read; an empty value counts as absent, as in Prometheus.
    pub fn label(&mut self, name: &str, value: &str) {
        if value.is_empty() || self.reading.unusable {
            return;
        }
        let is_name = name == NAME_LABEL;
        let too_long = name.len() > MAX_NAME || (is_name && value.len() > MAX_NAME);
        if too_long || self.reading.labels.len() >= MAX_LABELS {
            self.reading.unusable = true;
            return;
        }
        if is_name {
            self.reading.name.clear();
            self.reading.name.push_str(value);
        }
        let name = self.intern(name);
        if self.examples > 0 {
            self.reading.values.push((name.clone(), value.into()));
        }
        self.reading.labels.push(name);
    }

    /// The end of the series that is being read.
    ///
    /// # Errors
    ///
    /// [`Full`]: there is no room for what it adds.
    pub fn end(&mut self) -> Result<(), Full> {
        self.total += 1;
        let mut reading = std::mem::take(&mut self.reading);
        if reading.unusable {
            self.unusable += 1;
        } else {
            reading.labels.sort_unstable();
            reading.labels.dedup();
            self.count(&mut reading);
            self.drop_beyond();
        }
        reading.unusable = false;
        reading.name.clear();
        reading.labels.clear();
        reading.values.clear();
        self.reading = reading;
        if self.bytes > self.room { Err(Full) } else { Ok(()) }
    }

    /// How many series have been read.
    pub const fn total(&self) -> usize {
        self.total
    }

    /// About how many bytes are kept.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// All that was read.
    pub fn finish(self) -> SeriesSet {
        let groups = self.groups.into_iter().flat_map(|(name, shapes)| {
            shapes.into_iter().map(move |(labels, gathered)| SeriesGroup {
                name: name.clone(),
                labels,
                count: gathered.count,
                examples: gathered.examples,
            })
        });
        SeriesSet {
            groups: groups.collect(),
            total: self.total,
            unusable: self.unusable,
        }
    }

    fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.bytes += name.len() + ENTRY;
        self.names.insert(name.clone());
        name
    }

    fn count(&mut self, reading: &mut Reading) {
        let known = self
            .groups
            .get_mut(reading.name.as_str())
            .and_then(|shapes| shapes.get_mut(reading.labels.as_slice()));
        if let Some(group) = known {
            group.count += 1;
            self.grouped += 1;
            let shown = group.show(&mut reading.values, self.examples, self.room / 2 - self.shown);
            self.shown += shown;
            self.bytes += shown;
            return;
        }
        // What would come after all that counts never comes to count: there only come more before it.
        let beyond = self.max.is_some_and(|max| self.grouped >= max)
            && self.last().is_some_and(|(name, labels)| {
                (&**name, &**labels) < (reading.name.as_str(), reading.labels.as_slice())
            });
        if beyond {
            return;
        }
        let shape = if let Some(known) = self.shapes.get(reading.labels.as_slice()) {
            known.clone()
        } else {
            let shape: Shape = reading.labels.as_slice().into();
            self.bytes += size_of_val(&*shape) + ENTRY;
            self.shapes.insert(shape.clone());
            shape
        };
        let mut group = Gathered {
            count: 1,
            examples: Vec::new(),
            bytes: reading.name.len() + 2 * ENTRY,
        };
        self.shown += group.show(&mut reading.values, self.examples, self.room / 2 - self.shown);
        self.bytes += group.bytes;
        self.grouped += 1;
        self.groups
            .entry(reading.name.as_str().into())
            .or_default()
            .insert(shape, group);
    }

    fn last(&self) -> Option<(&Arc<str>, &Shape)> {
        let (name, shapes) = self.groups.last_key_value()?;
        Some((name, shapes.last_key_value()?.0))
    }

    /// Drops the last groups for as long as the others stand for `max` series.
    fn drop_beyond(&mut self) {
        let Some(max) = self.max else { return };
        while let Some(mut name) = self.groups.last_entry() {
            let Some(shape) = name.get_mut().last_entry() else {
                name.remove();
                continue;
            };
            let rest = self.grouped - shape.get().count;
            if rest < max {
                return;
            }
            self.grouped = rest;
            let gone = shape.remove();
            self.bytes = self.bytes.saturating_sub(gone.bytes);
            let shown: usize = gone.examples.iter().map(Labels::weight).sum();
            self.shown = self.shown.saturating_sub(shown);
            if name.get().is_empty() {
                name.remove();
            }
        }
    }
}

// === impl Gathered ===

impl Gathered {
    /// Keeps a series as an example, where one more is wanted and fits; gives its bytes.
    fn show(&mut self, values: &mut Vec<(Arc<str>, Box<str>)>, most: usize, room: usize) -> usize {
        if self.examples.len() >= most {
            return 0;
        }
        let example: Labels = values.drain(..).collect();
        let bytes = example.weight();
        if bytes > room {
            return 0;
        }
        self.examples.push(example);
        self.bytes += bytes;
        bytes
    }
}

#[cfg(test)]
mod tests;
