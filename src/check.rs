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

use std::{
    borrow::Borrow,
    collections::{BTreeMap, btree_map},
};

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
    /// How many of the files could not be read.
    pub unread: usize,
    /// How many of each severity are not among them: of one file there are too many.
    unshown: BTreeMap<Severity, usize>,
    /// How many findings of a file there are until now, and not among them.
    of_files: BTreeMap<usize, (usize, usize)>,
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

/// More findings than this of one file are counted, and not shown.
const MAX_OF_FILE: usize = 1000;
/// And of all files.
const MAX_FINDINGS: usize = 20_000;
/// What the objects of all files may need in memory: their texts, and [`OF_VALUE`] for each value.
const MAX_KEPT: usize = 192 << 20;
const OF_VALUE: usize = 96;

/// Judges the files together: a backend, a CRD or a namespace of one is known to the rules of all. Of each file only the objects
/// of those kinds are kept.
pub fn check<F: Borrow<SourceFile>>(files: impl IntoIterator<Item = F>, options: &Options) -> Report {
    check_within(MAX_KEPT, files, options)
}

fn check_within<F: Borrow<SourceFile>>(
    most: usize,
    files: impl IntoIterator<Item = F>,
    options: &Options,
) -> Report {
    let mut report = Report::default();
    let mut found: Vec<Found<'static>> = Vec::new();
    let (mut names, mut kept): (Vec<String>, usize) = (Vec::new(), 0);
    for file in files {
        let file: &SourceFile = file.borrow();
        let index = names.len();
        names.push(file.name.clone());
        if kept > most {
            continue;
        }
        let (mut own, mut said) = (Vec::new(), Vec::new());
        let mut values = 0;
        let read = Document::parse_each(&file.text, |document| {
            let before = own.len();
            if kept + OF_VALUE * values <= most {
                object::collect(index, &document, &mut own, &mut said);
            }
            let new = own.get(before..).unwrap_or_default().iter();
            values += new.map(|object| object.node().size()).sum::<usize>();
        });
        if let Err(error) = read {
            report.add(no_yaml(index, file, error.position, &error.message));
            continue;
        }
        if !own.is_empty() {
            kept += file.text.len() + OF_VALUE * values;
        }
        for said in said {
            report.add(said);
        }
        found.append(&mut own);
        if kept > most {
            report.add(too_much(index, most));
        }
    }
    report.rules = found.iter().filter(|found| found.kind.is_rule()).count();
    report.backends = found
        .iter()
        .filter(|found| found.kind == object::Kind::MetricBackend)
        .count();
    same_names(&found, &names, options, &mut report);
    compile::judge(&found, options, &mut report);
    report.finish();
    report
}

/// Where the objects of the files are too many to be judged together.
fn too_much(file: usize, most: usize) -> Diagnostic {
    let message = format!(
        "the rules, backends, CRDs and namespaces up to this file need more than {} MiB of memory, so this file and \
         those after it were not fully checked; check fewer files at once",
        most >> 20
    );
    Diagnostic {
        file,
        start: Position { line: 1, column: 1 },
        end: None,
        excerpt: None,
        severity: Severity::Error,
        object: None,
        problem: Problem::new(Reason::Undecodable, "", message),
    }
}

fn no_yaml(file: usize, source: &SourceFile, start: Position, message: &str) -> Diagnostic {
    let mut problem = Problem::new(
        Reason::Undecodable,
        "",
        format!("this is not valid YAML: {message}"),
    );
    let mut severity = Severity::Error;
    if source.text.contains("{{") {
        severity = Severity::Note;
        problem = problem.suggest("if it is a Helm template, check the output of `helm template`");
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
fn same_names(found: &[Found<'_>], files: &[String], options: &Options, report: &mut Report) {
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
                    Some(name) => format!("in {name}:{}", at.line),
                    None => format!("on line {}", at.line),
                };
                let message = format!(
                    "{} is defined twice, first {place}, and this one overwrites it",
                    object::short(taken.key())
                );
                let problem = Problem::new(Reason::DuplicateName, "metadata.name", message);
                report.add(object.diagnose(Severity::Warning, problem, options));
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
        let unshown = self.unshown.get(&severity).copied().unwrap_or_default();
        self.diagnostics.iter().filter(weighs).count() + unshown
    }

    /// A file that cannot be read is an error in it: whoever looks at the findings alone must not take it for a good one.
    pub fn add_unread(&mut self, file: usize, why: &str) {
        self.unread += 1;
        self.diagnostics.push(Diagnostic {
            file,
            start: Position { line: 1, column: 1 },
            end: None,
            excerpt: None,
            severity: Severity::Error,
            object: None,
            problem: Problem::new(
                Reason::Undecodable,
                "",
                format!("this file cannot be read: {why}"),
            ),
        });
    }

    fn add(&mut self, found: Diagnostic) {
        let (shown, unshown) = self.of_files.entry(found.file).or_default();
        if *shown < MAX_OF_FILE && self.diagnostics.len() < MAX_FINDINGS {
            *shown += 1;
            self.diagnostics.push(found);
        } else {
            *unshown += 1;
            *self.unshown.entry(found.severity).or_default() += 1;
        }
    }

    /// Puts the findings into their order, and says where there are more.
    fn finish(&mut self) {
        for (file, (_, unshown)) in std::mem::take(&mut self.of_files) {
            if unshown == 0 {
                continue;
            }
            let of_file = self.diagnostics.iter().filter(|found| found.file == file);
            let last = of_file.map(|found| found.start).max();
            let message = format!("{unshown} more findings in this file are not shown: fix these first");
            self.diagnostics.push(Diagnostic {
                file,
                start: last.unwrap_or(Position { line: 1, column: 1 }),
                end: None,
                excerpt: None,
                severity: Severity::Note,
                object: None,
                problem: Problem::new(Reason::Truncated, "", message),
            });
        }
        self.diagnostics
            .sort_by_key(|diagnostic| (diagnostic.file, diagnostic.start));
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
