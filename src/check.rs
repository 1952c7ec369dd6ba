//! Files with rules, judged without a cluster: what the API server would refuse and what the operator would say, each with its
//! place in the file.
//!
//! Pure: texts in, [`Report`] out. The compiler is the controller's own ([`crate::rule::compile()`]), the fields are those of the
//! CRDs ([`crate::api::crds`]); what only a cluster knows is taken from the files (backends, CRDs, namespaces) or assumed.

mod compile;
mod metadata;
mod object;
pub mod output;
mod place;
mod schema;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, btree_map};

use self::object::Found;
use crate::{
    document::{Document, Excerpt, Position, SourceFile},
    reason::Reason,
    rule::{Assumptions, Problem, Severity},
};

/// What the files do not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The namespace of a `MetricRule` that names none.
    pub namespace: String,
    /// What advice is based on.
    pub assumptions: Assumptions,
}

/// Everything that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the files and of their lines.
    pub diagnostics: Vec<Diagnostic>,
    /// How many rules there were.
    pub rules: usize,
    /// How many backends.
    pub backends: usize,
}

/// One finding in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The index of the file.
    pub file: usize,
    /// Line and column, from 1, in characters.
    pub start: Position,
    /// Behind the last character, on the same line; `None` where it is not known what exactly is meant.
    pub end: Option<Position>,
    /// The line around the place; `None` where there is none.
    pub excerpt: Option<Excerpt>,
    /// How much it weighs.
    pub severity: Severity,
    /// `MetricRule shop/http-requests`; `None` for the file itself.
    pub object: Option<String>,
    /// Why, in which field, and what to write instead.
    pub problem: Problem,
}

/// Judges the files together: a backend, a CRD or a namespace of one is known to the rules of all.
pub fn check(files: &[SourceFile], options: &Options) -> Report {
    let mut report = Report::default();
    let mut found = Vec::new();
    let documents: Vec<(usize, Document)> = files
        .iter()
        .enumerate()
        .flat_map(|(index, file)| match Document::parse_stream(&file.text) {
            Ok(documents) => documents.into_iter().map(|document| (index, document)).collect(),
            Err(error) => {
                report
                    .diagnostics
                    .push(no_yaml(index, file, error.position, &error.message));
                Vec::new()
            }
        })
        .collect();
    for (file, document) in &documents {
        object::collect(*file, document, &mut found, &mut report.diagnostics);
    }
    report.rules = found.iter().filter(|found| found.kind.is_rule()).count();
    report.backends = found
        .iter()
        .filter(|found| found.kind == object::Kind::MetricBackend)
        .count();
    same_names(&found, files, options, &mut report.diagnostics);
    compile::judge(&found, options, &mut report.diagnostics);
    report
        .diagnostics
        .sort_by_key(|diagnostic| (diagnostic.file, diagnostic.start));
    report
}

fn no_yaml(file: usize, source: &SourceFile, start: Position, message: &str) -> Diagnostic {
    let mut problem = Problem::new(Reason::Undecodable, "", format!("this is no YAML: {message}"));
    let mut severity = Severity::Error;
    if source.text.contains("{{") {
        severity = Severity::Note;
        problem = problem.suggest("if it is a Helm template, check what `helm template` makes of it");
    }
    Diagnostic {
        file,
        start,
        end: None,
        excerpt: Some(Excerpt::at(&source.text, start)),
        severity,
        object: None,
        problem,
    }
}

/// The later of two objects of one name would overwrite the earlier.
fn same_names(
    found: &[Found<'_>],
    files: &[SourceFile],
    options: &Options,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut first = BTreeMap::new();
    for object in found.iter().filter(|object| !object.name().is_empty()) {
        match first.entry(object.title(options)) {
            btree_map::Entry::Vacant(free) => {
                free.insert(object);
            }
            btree_map::Entry::Occupied(taken) => {
                let at = taken.get().start_of("metadata.name");
                let first = taken.get().file;
                let place = match files.get(first).filter(|_| first != object.file) {
                    Some(file) => format!("in {}:{}", file.name, at.line),
                    None => format!("on line {}", at.line),
                };
                let message = format!(
                    "{} stands twice, first {place}, and this overwrites it",
                    taken.key()
                );
                let problem = Problem::new(Reason::DuplicateName, "metadata.name", message);
                diagnostics.push(object.diagnose(Severity::Warning, problem, options));
            }
        }
    }
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            assumptions: Assumptions::default(),
        }
    }
}

// === impl Report ===

impl Report {
    /// How many findings weigh as much.
    pub fn count(&self, severity: Severity) -> usize {
        let weighs = |diagnostic: &&Diagnostic| diagnostic.severity == severity;
        self.diagnostics.iter().filter(weighs).count()
    }

    /// `2 errors, 1 warning in 5 rules and 1 backend`.
    pub fn summary(&self) -> String {
        let number =
            |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let mut text = format!(
            "{}, {}",
            number(self.count(Severity::Error), "error"),
            number(self.count(Severity::Warning), "warning")
        );
        let notes = self.count(Severity::Note);
        if notes > 0 {
            text = format!("{text}, {}", number(notes, "note"));
        }
        text = format!("{text} in {}", number(self.rules, "rule"));
        if self.backends > 0 {
            text = format!("{text} and {}", number(self.backends, "backend"));
        }
        text
    }
}
