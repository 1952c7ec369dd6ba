//! `resources.template`: which label names a resource, and which resource a label names.
//!
//! prometheus-adapter renders the template with `(?P<group>.+?)` and `(?P<resource>.+?)` and reads labels with the
//! regular expression that comes out (`pkg/naming/resource_converter.go`). Here the template's own text is no expression,
//! a label of the core group is read back too, and where a label can be read in several ways all of them are given.

use promql::re2::Re2;

use super::ast::{Node, Pipeline, Term};
use super::{Data, Fields, Position, RenderError, Template, TemplateError};
use crate::span::{Origin, Span, raw_text};

/// The longest template in bytes, and the longest label that is read.
const MAX_LENGTH: usize = 512;

/// Stand for the group and the resource; no label may contain them.
const GROUP: &str = "\u{E000}";
const RESOURCE: &str = "\u{E001}";

/// A parsed `resources.template`.
#[derive(Debug, Clone)]
pub struct ResourceTemplate {
    template: Template,
    uses_group: bool,
    /// With a group if the template uses it, then without one.
    patterns: Vec<Vec<Piece>>,
    /// Whether each label that a pattern matches is one that the template gives.
    exact: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group,
    Resource,
}

/// A reading of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMatch {
    /// The group with `.` and `-` as `_`; empty for the core group; `None` if the template says nothing of the group,
    /// so that any may be meant.
    pub group: Option<String>,
    /// The singular name of the resource, never empty.
    pub resource: String,
}

/// Why a template gives no label for a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// The template failed.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// What came out is no label name (`[a-zA-Z_][a-zA-Z0-9_]*`); it may be empty.
    #[error("resources.template gives {0:?}, which is not a valid label name")]
    NotALabel(String),
}

impl ResourceTemplate {
    /// Parses the template. It must put out `.Resource` unchanged, with and without a group; besides that only what may
    /// stand in a label name.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let start = Position { line: 1, column: 1 };
        let refuse = |message: String| {
            Err(TemplateError {
                position: start,
                message,
            })
        };
        if text.len() > MAX_LENGTH {
            return refuse(format!("the template is longer than {MAX_LENGTH} bytes"));
        }
        let template = Template::parse(text, Fields::Resource)?;
        let uses_group = template.references().field("Group").is_some();
        let mut patterns = Vec::new();
        let groups: &[&str] = if uses_group { &[GROUP, ""] } else { &[""] };
        for group in groups {
            let data = Data::Resource {
                group: (*group).to_owned(),
                resource: RESOURCE.to_owned(),
            };
            let spans = template.render(&data).map_err(
                |RenderError {
                     position, message, ..
                 }| TemplateError { position, message },
            )?;
            match pieces(&spans) {
                Ok(pieces) => patterns.push(pieces),
                Err(message) => return refuse(message),
            }
        }
        let exact = template.nodes.iter().all(is_plain);
        Ok(Self {
            template,
            uses_group,
            patterns,
            exact,
        })
    }

    /// The text as it was parsed.
    pub fn text(&self) -> &str {
        self.template.text()
    }

    /// The label for a resource: `group` as it may stand in a label (`.` and `-` as `_`), empty for the core group;
    /// `resource` in the singular.
    pub fn label_for(&self, group: &str, resource: &str) -> Result<String, LabelError> {
        let data = Data::Resource {
            group: group.to_owned(),
            resource: resource.to_owned(),
        };
        let label = raw_text(&self.template.render(&data)?);
        let mut chars = label.chars();
        let is_label =
            chars.next().is_some_and(|c| c == '_' || c.is_ascii_alphabetic()) && chars.all(is_label_char);
        if is_label {
            Ok(label)
        } else {
            Err(LabelError::NotALabel(label))
        }
    }

    /// The expression by which prometheus-adapter reads labels, with the groups `resource` and perhaps `group`
    /// (`newLabelGroupResExtractor`, `pkg/naming/lbl_res.go`). `None` where the template takes its fields apart, so that no
    /// expression comes out.
    pub fn adapter_pattern(&self) -> Option<Re2> {
        let data = Data::Resource {
            group: "(?P<group>.+?)".to_owned(),
            resource: "(?P<resource>.+?)".to_owned(),
        };
        let text = raw_text(&self.template.render(&data).ok()?);
        Re2::compile(&format!("^{text}$")).ok()
    }

    /// Whether the template names the group.
    pub fn uses_group(&self) -> bool {
        self.uses_group
    }

    /// What a label names: the first of [`readings`](Self::readings), which is prometheus-adapter's.
    pub fn match_label(&self, label: &str) -> Option<LabelMatch> {
        self.readings(label).into_iter().next()
    }

    /// Every way to read a label: those with a group first, shorter groups before longer ones.
    ///
    /// A group may contain `_`, so `networking_k8s_io_ingress` alone does not tell where it ends; the caller knows which
    /// resources exist. For each reading [`label_for`](Self::label_for) gives the label back. None for a label over 512
    /// bytes. A template with conditions on the *value* of a field may give labels that are not read back.
    pub fn readings(&self, label: &str) -> Vec<LabelMatch> {
        let mut readings = Vec::new();
        if label.len() > MAX_LENGTH {
            return readings;
        }
        for pattern in &self.patterns {
            let mut found = Vec::new();
            read(pattern, label, Bound::default(), &mut found);
            for Bound { group, resource } in found {
                let Some(resource) = resource else { continue };
                let group = group.unwrap_or_default();
                if !self.exact && self.label_for(group, resource).as_deref() != Ok(label) {
                    continue;
                }
                let group = self.uses_group.then(|| group.to_owned());
                readings.push(LabelMatch {
                    group,
                    resource: resource.to_owned(),
                });
            }
        }
        readings
    }
}

/// Whether a node only puts out text or one field.
fn is_plain(node: &Node) -> bool {
    match node {
        Node::Text { .. } => true,
        Node::Action(Pipeline {
            binding: None,
            head,
            stages,
            ..
        }) => stages.is_empty() && matches!(head.term, Term::Access { .. } | Term::Text(_)),
        _ => false,
    }
}

fn pieces(spans: &[Span]) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    for span in spans {
        let raw = span.raw();
        pieces.push(match (span.origin, raw.as_ref()) {
            (Origin::Text, text) if text.chars().all(is_label_char) => Piece::Text(text.to_owned()),
            (Origin::Text, _) => {
                return Err("the text around the fields must be valid in a label name".to_owned());
            }
            (_, GROUP) => Piece::Group,
            (_, RESOURCE) => Piece::Resource,
            _ => return Err("the template must print the fields unchanged".to_owned()),
        });
    }
    if pieces.contains(&Piece::Resource) {
        return Ok(pieces);
    }
    Err("the template must print .Resource, with and without a group".to_owned())
}

#[derive(Clone, Copy, Default)]
struct Bound<'l> {
    group: Option<&'l str>,
    resource: Option<&'l str>,
}

/// Collects every way to divide `rest` among the pieces; a field that occurs again must be the same again.
fn read<'l>(pieces: &[Piece], rest: &'l str, bound: Bound<'l>, found: &mut Vec<Bound<'l>>) {
    let Some((piece, pieces)) = pieces.split_first() else {
        if rest.is_empty() {
            found.push(bound);
        }
        return;
    };
    let known = match piece {
        Piece::Text(text) => Some(text.as_str()),
        Piece::Group => bound.group,
        Piece::Resource => bound.resource,
    };
    if let Some(known) = known {
        if let Some(rest) = rest.strip_prefix(known) {
            read(pieces, rest, bound, found);
        }
        return;
    }
    // The last piece takes all that is left.
    let first_end = if pieces.is_empty() { rest.len() } else { 1 };
    for end in first_end..=rest.len() {
        let Some((value, rest)) = rest.split_at_checked(end) else {
            continue;
        };
        if value.is_empty() {
            continue;
        }
        let bound = match piece {
            Piece::Group => Bound {
                group: Some(value),
                ..bound
            },
            _ => Bound {
                resource: Some(value),
                ..bound
            },
        };
        read(pieces, rest, bound, found);
    }
}

fn is_label_char(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests;
