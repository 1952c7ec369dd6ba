//! Objects in a file that are ours to judge, and those that say something about them.

use std::borrow::Cow;

use super::{Diagnostic, Options, place};
use crate::{
    api::GROUP,
    document::{Document, Node, Position},
    manifest,
    reason::Reason,
    rule::{Problem, Severity},
};

const API_VERSION: &str = "metricrule.dev/v1alpha1";

/// The kinds that a check knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    MetricRule,
    ClusterMetricRule,
    MetricBackend,
    /// It names kinds that rules can be about.
    CustomResourceDefinition,
    /// Its labels decide what backends and rules select.
    Namespace,
}

/// An object in a file.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    pub(super) kind: Kind,
    pub(super) file: usize,
    /// The object by itself, also where it was an item of a list.
    pub(super) document: Document,
    /// What its schema says of it, once that was asked.
    pub(super) form: Option<&'a Form>,
}

/// The longest name, or path of a field, that a finding repeats: more than Kubernetes takes, and no more for each of many
/// findings about one object; in bytes.
const MAX_NAME: usize = 512;
/// The longest message.
const MAX_MESSAGE: usize = 4096;

/// What the schema of its kind says of an object.
#[derive(Debug, Default)]
pub(super) struct Form {
    /// The paths of the fields that were refused.
    pub(super) refused: Vec<String>,
    /// Whether the operator's own types cannot read it.
    pub(super) unreadable: bool,
    /// The document with the names that were meant, where some are misspelt.
    pub(super) document: Option<Document>,
}

/// Adds the objects of a document, and what is wrong with those whose kind cannot be told.
pub(super) fn collect(
    file: usize,
    document: &Document,
    found: &mut Vec<Found<'static>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    manifest::each(document, &mut |manifest| {
        let object = |kind| Found {
            kind,
            file,
            document: manifest.document(),
            form: None,
        };
        match recognize(manifest.api_version, manifest.kind) {
            Ok(None) => {}
            Ok(Some(kind)) => found.push(object(kind)),
            Err(problem) => diagnostics.push(Diagnostic {
                object: None,
                ..object(Kind::Namespace).diagnose(Severity::Error, problem, &Options::default())
            }),
        }
    });
}

/// A name or a path as findings repeat it.
pub(super) fn short(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_NAME {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(cut(name.to_owned(), MAX_NAME))
    }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

/// `None` for what is none of our business.
fn recognize(api_version: &str, kind: &str) -> Result<Option<Kind>, Problem> {
    let ours = Kind::of(kind).filter(|kind| kind.is_ours());
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if group != GROUP {
        if ours.is_some() && (api_version.is_empty() || strsim::normalized_levenshtein(group, GROUP) > 0.7) {
            let problem = if api_version.is_empty() {
                Problem::new(
                    Reason::Undecodable,
                    "apiVersion",
                    format!("a {kind} needs an apiVersion"),
                )
            } else {
                let message = format!("no group {group:?} has a {kind}");
                Problem::new(Reason::Undecodable, "apiVersion", message)
            };
            return Err(problem.suggest(format!("write `apiVersion: {API_VERSION}`")));
        }
        let other = match (group, kind) {
            ("apiextensions.k8s.io", "CustomResourceDefinition") | ("", "Namespace") => Kind::of(kind),
            _ => None,
        };
        return Ok(other);
    }
    if version != "v1alpha1" {
        let message = format!("{GROUP} has no version {version:?}");
        return Err(Problem::new(Reason::Undecodable, "apiVersion", message)
            .suggest(format!("write `{API_VERSION}`")));
    }
    let Some(ours) = ours else {
        let message = match kind {
            "" => format!("an object of {GROUP} needs a `kind`"),
            _ => format!("{GROUP} has no kind {kind:?}"),
        };
        let problem = Problem::new(Reason::Undecodable, "kind", message);
        let kinds = ["MetricRule", "ClusterMetricRule", "MetricBackend"];
        return Err(match place::closest(kind, kinds) {
            Some(near) => problem.suggest(format!("write `{near}`")),
            None => problem.suggest("write `MetricRule`, `ClusterMetricRule` or `MetricBackend`"),
        });
    };
    Ok(Some(ours))
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 5] = [
        Self::MetricRule,
        Self::ClusterMetricRule,
        Self::MetricBackend,
        Self::CustomResourceDefinition,
        Self::Namespace,
    ];

    fn of(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == kind)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::MetricRule => "MetricRule",
            Self::ClusterMetricRule => "ClusterMetricRule",
            Self::MetricBackend => "MetricBackend",
            Self::CustomResourceDefinition => "CustomResourceDefinition",
            Self::Namespace => "Namespace",
        }
    }

    pub(super) const fn is_rule(self) -> bool {
        matches!(self, Self::MetricRule | Self::ClusterMetricRule)
    }

    pub(super) const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::MetricRule | Self::ClusterMetricRule | Self::MetricBackend
        )
    }
}

// === impl Found ===

impl<'a> Found<'a> {
    /// The object as its schema understands it.
    pub(super) fn in_form<'b>(&self, form: &'b Form) -> Found<'b>
    where
        'a: 'b,
    {
        Found {
            kind: self.kind,
            file: self.file,
            document: form.document.as_ref().unwrap_or(&self.document).clone(),
            form: Some(form),
        }
    }

    /// The object itself.
    pub(super) const fn node(&self) -> &Node {
        &self.document.root
    }

    /// Whether the schema has refused the field of a problem, one around it or, if the problem is what is missing, one right in it.
    pub(super) fn is_refused(&self, problem: &Problem) -> bool {
        let path = problem.path.as_str();
        let begins = |rest: &str| rest.starts_with(['.', '[']);
        // One step further, and no more.
        let in_it = |rest: &str| begins(rest) && rest.rfind(['.', '[']) == Some(0);
        let refused = self.form.map(|form| form.refused.as_slice()).unwrap_or_default();
        refused.iter().any(|refused| {
            let around = problem.reason == Reason::InvalidSpec && path != "spec";
            path == refused
                || path.strip_prefix(refused.as_str()).is_some_and(begins)
                || around && refused.strip_prefix(path).is_some_and(in_it)
        })
    }

    /// Where a field's value stands, or what is around it if it is missing.
    pub(super) fn place_of(&self, path: &str) -> (Position, Option<Position>) {
        place::of_problem(&self.document, path, None)
    }

    /// The value of a field, by its path inside the object.
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.document.get(path)
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.get(path).and_then(Node::text)
    }

    pub(super) fn name(&self) -> &str {
        self.text("metadata.name").unwrap_or_default()
    }

    pub(super) fn namespace<'b>(&'b self, options: &'b Options) -> &'b str {
        let written = self.text("metadata.namespace").filter(|text| !text.is_empty());
        written.unwrap_or(&options.namespace)
    }

    /// `MetricRule shop/http-requests`, `MetricBackend default`.
    pub(super) fn title(&self, options: &Options) -> String {
        self.titled(options, str::to_owned)
    }

    /// The same with names of a length that a finding may have.
    fn short_title(&self, options: &Options) -> String {
        self.titled(options, |name| short(name).into_owned())
    }

    fn titled(&self, options: &Options, write: impl Fn(&str) -> String) -> String {
        let (kind, name) = (self.kind.as_str(), write(self.name()));
        match self.kind {
            _ if name.is_empty() => kind.to_owned(),
            Kind::MetricRule => format!("{kind} {}/{name}", write(self.namespace(options))),
            _ => format!("{kind} {name}"),
        }
    }

    /// Where a field's value begins.
    pub(super) fn start_of(&self, path: &str) -> Position {
        self.document.locate(path, None)
    }

    /// A problem with its place in the file.
    pub(super) fn diagnose(&self, severity: Severity, problem: Problem, options: &Options) -> Diagnostic {
        let (start, end) = place::of_problem(&self.document, &problem.path, problem.position);
        self.diagnose_at(severity, problem, (start, end), options)
    }

    /// The same, about a key or a value that was found while looking through the object.
    pub(super) fn diagnose_at(
        &self,
        severity: Severity,
        problem: Problem,
        (start, end): (Position, Option<Position>),
        options: &Options,
    ) -> Diagnostic {
        Diagnostic {
            file: self.file,
            start,
            end,
            excerpt: Some(self.document.excerpt(start)),
            severity,
            object: Some(self.short_title(options)),
            problem: Problem {
                path: short(&problem.path).into_owned(),
                message: cut(problem.message, MAX_MESSAGE),
                suggestion: problem.suggestion.map(|text| cut(text, MAX_MESSAGE)),
                ..problem
            },
        }
    }
}
