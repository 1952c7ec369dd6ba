//! prometheus-adapter's configuration, wherever it is kept: as the file itself, in its `ConfigMap`, in the values of its chart
//! or of a chart around that, with its flags in a `Deployment`.

mod advise;
mod chart;
mod config;
mod convert;
mod flags;
mod name;
mod recognise;
mod release;
mod split;
#[cfg(test)]
mod tests;
mod workload;

use std::{borrow::Borrow, rc::Rc};

use super::{Import, Note, Place, Severity};
use crate::{
    api::rule_spec::Semantics,
    document::{Document, Node, Position, SourceFile},
    reason::Reason,
};

pub use self::release::{ReleaseError, release_text};

/// How rules are written.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `spec.semantics` of every rule.
    pub semantics: Semantics,
    /// `spec.refresh` of every rule; `None` leaves it to the default of the semantics.
    pub refresh: Option<String>,
    /// Whether a rule that names one namespace becomes a `MetricRule` of it, where it can be confined to it.
    pub split: bool,
}

/// A part of a document, by the path of the document's fields.
#[derive(Clone, Debug)]
struct Part {
    file: Rc<str>,
    document: Rc<Document>,
    /// `rules[3]`, `spec.values.rules`; empty for the whole.
    path: String,
}

/// Reads all files and makes resources of what they hold. Rules are numbered over all files, in their order; the last one
/// has the highest priority, since with prometheus-adapter the later rule wins.
pub fn import<F: Borrow<SourceFile>>(files: impl IntoIterator<Item = F>, options: &Options) -> Import {
    let mut outcome = Import::default();
    let mut found = recognise::Found::default();
    for file in files {
        recognise::file(file.borrow(), &mut found, &mut outcome);
    }
    let mut import = Import::default();
    import
        .objects
        .extend(flags::backend(&found.flags, &mut outcome.notes));
    let has_backend = !import.objects.is_empty();
    convert::rules(&found.rules, options, &mut import);
    if !has_backend && let Some(rule) = found.rules.first() {
        let message = "the input contains no flags of prometheus-adapter, so no MetricBackend was created and the \
                       rules use the default one. Also import the Deployment or the chart's values, or write a \
                       MetricBackend with the address of --prometheus-url";
        let place = Place {
            file: rule.part.file.to_string(),
            position: None,
        };
        import
            .notes
            .push(Note::new(Severity::Info, place, Reason::BackendNotFound, message));
    }
    outcome.notes.append(&mut import.notes);
    // First what is to be known, then what became of each.
    outcome
        .notes
        .sort_by_key(|note| note.severity == Severity::Info && note.reason == Reason::Imported);
    outcome.objects.splice(0..0, import.objects);
    outcome
}

// === impl Part ===

impl Part {
    fn whole(file: &Rc<str>, document: Document) -> Self {
        Self {
            file: file.clone(),
            document: Rc::new(document),
            path: String::new(),
        }
    }

    /// A field below it: `name`, `[3]`.
    fn below(&self, field: &str) -> Self {
        Self {
            path: join(&self.path, field),
            ..self.clone()
        }
    }

    fn node(&self) -> Option<&Node> {
        self.document.get(&self.path)
    }

    fn get(&self, field: &str) -> Option<&Node> {
        self.document.get(&join(&self.path, field))
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.get(field).filter(|node| !node.is_null())?.text()
    }

    /// Where a field below it stands, and inside its text `position`.
    fn place(&self, field: &str, position: Option<Position>) -> Place {
        Place {
            file: self.file.to_string(),
            position: Some(self.document.locate(&join(&self.path, field), position)),
        }
    }

    fn place_of(&self, node: &Node) -> Place {
        Place {
            file: self.file.to_string(),
            position: Some(self.document.start(node)),
        }
    }
}

fn join(path: &str, field: &str) -> String {
    match (path.is_empty(), field.is_empty() || field.starts_with('[')) {
        (true, _) => field.to_owned(),
        (false, true) => format!("{path}{field}"),
        (false, false) => format!("{path}.{field}"),
    }
}
