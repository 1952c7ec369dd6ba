//! Template language: the part of Go's text/template that prometheus-adapter's configurations use, with the delimiters `<<` and `>>`:
//! fields, `index printf print len eq ne lt le gt ge and or not`, pipelines, parentheses, `if`, `range`, `with`,
//! variables, trim markers, comments. Syntax and meaning are Go's (<https://pkg.go.dev/text/template>); the output is
//! not a string but spans that know where they came from (see [`crate::span`]).
//!
//! Stricter than Go: what can be known to fail when it is rendered is refused when it is parsed, even in a branch that
//! is never taken (an unknown field, a wrong number of arguments, `eq` of a string and a number, a `printf` verb that
//! does not suit its argument). Go writes `%!d(string=x)` into the output for a bad verb; here that is an error.
//! Complex and hexadecimal floating-point numbers are refused, as are strings that are not UTF-8.

mod ast;
mod check;
mod eval;
mod format;
mod functions;
mod lexer;
mod literal;
mod number;
mod parse;
mod references;
pub mod resource;
mod rope;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt;

use self::ast::{Node, Offset};
use self::eval::Rendered;
pub use self::references::{FieldReference, KeyReference, References};
pub use self::resource::{LabelError, LabelMatch, ResourceTemplate};
use super::span::Span;

/// The longest template that is parsed, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;
/// The longest text that a template may put out or hold in a variable, in bytes.
pub const MAX_OUTPUT: usize = 1 << 20;
/// How many steps (nodes, operands, iterations, and 256 bytes of text copied) a rendering may take.
pub const MAX_STEPS: usize = 100_000;

/// A place in a template's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl Position {
    fn of(text: &str, offset: Offset) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            line: count(before.matches('\n').count() + 1),
            column: count(before.get(line_start..).unwrap_or_default().chars().count() + 1),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A template that does not parse, or that can be seen to fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct TemplateError {
    /// Where the offending part begins.
    pub position: Position,
    /// What is wrong, without the position.
    pub message: String,
}

/// A template that failed on some data. The message holds none of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{position}: {message}")]
pub struct RenderError {
    /// Where the part that failed begins.
    pub position: Position,
    /// What is wrong, without the position.
    pub message: String,
    /// Whether the output or the work is more than is allowed; with less data the template may succeed.
    pub is_bound: bool,
}

/// An error with its place as an offset.
#[derive(Debug)]
struct Fault {
    at: Offset,
    message: String,
    is_bound: bool,
}

impl Fault {
    fn new(at: Offset, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            is_bound: false,
        }
    }

    fn bound(at: Offset, message: impl Into<String>) -> Self {
        Self {
            is_bound: true,
            ..Self::new(at, message)
        }
    }
}

/// Which data a template is written for, and so which fields it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fields {
    /// `metricsQuery`, `presence`: `.Series .LabelMatchers .LabelValuesByName .GroupBy .GroupBySlice`.
    Query,
    /// `resources.template`: `.Group .Resource`.
    Resource,
    /// The tenant of a backend: `.Namespace`.
    Tenant,
}

impl Fields {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Query => &[
                "Series",
                "LabelMatchers",
                "LabelValuesByName",
                "GroupBy",
                "GroupBySlice",
            ],
            Self::Resource => &["Group", "Resource"],
            Self::Tenant => &["Namespace"],
        }
    }
}

/// What a template is rendered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// For [`Fields::Query`].
    Query(QueryData),
    /// For [`Fields::Resource`].
    Resource {
        /// The API group as it may stand in a label name, empty for the core group.
        group: String,
        /// The singular name of the resource.
        resource: String,
    },
    /// For [`Fields::Tenant`].
    Tenant {
        /// The namespace of the request.
        namespace: String,
    },
}

/// The data of a query template. Go's field names are in the comments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryData {
    /// `.Series`: the name of the series; empty in a static rule.
    pub series: String,
    /// `.LabelMatchers`: `PromQL` matchers, joined by commas; may be empty.
    pub label_matchers: String,
    /// `.LabelValuesByName`: the values that the request allows for a label. The template sees them joined by `|`.
    pub label_values_by_name: BTreeMap<String, Vec<String>>,
    /// `.GroupBySlice`, and joined by commas `.GroupBy`: label names.
    pub group_by: Vec<String>,
}

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    nodes: Vec<Node>,
    references: References,
}

impl Template {
    /// Parses and checks a template that is to be rendered with the data that `fields` names.
    ///
    /// Refuses more than [`MAX_TEXT`] bytes, 64 levels of nesting or 10,000 parts.
    pub fn parse(text: &str, fields: Fields) -> Result<Self, TemplateError> {
        let parsed = if text.len() > MAX_TEXT {
            Err(Fault::new(
                0,
                format!("the template is longer than {MAX_TEXT} bytes"),
            ))
        } else {
            parse::parse(text).and_then(|nodes| Ok((check::check(text, &nodes, fields)?, nodes)))
        };
        match parsed {
            Ok((references, nodes)) => Ok(Self {
                text: text.to_owned(),
                nodes,
                references,
            }),
            Err(Fault { at, message, .. }) => Err(TemplateError {
                position: Position::of(text, at),
                message,
            }),
        }
    }

    /// Whether the text is a template by its syntax, so that Go parses it, whatever comes of rendering it.
    pub fn is_template(text: &str) -> bool {
        text.len() <= MAX_TEXT && parse::parse(text).is_ok()
    }

    /// The text as it was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What of its data the template uses.
    pub fn references(&self) -> &References {
        &self.references
    }

    /// Puts the data in. Neighbouring spans of the author's text are one; there are no empty spans.
    ///
    /// Fails where Go fails (an index out of range, `len` of nothing), if the data are of another kind than the
    /// template was parsed for and it uses them, and at [`MAX_OUTPUT`] and [`MAX_STEPS`].
    pub fn render(&self, data: &Data) -> Result<Vec<Span>, RenderError> {
        Ok(self.evaluate(data)?.spans)
    }

    /// As [`render`](Self::render), with the place of the text or the action (after its `<<`) that wrote each span.
    pub fn render_located(&self, data: &Data) -> Result<Vec<(Span, Position)>, RenderError> {
        let Rendered { spans, places } = self.evaluate(data)?;
        let positions = places.into_iter().map(|at| Position::of(&self.text, at));
        Ok(spans.into_iter().zip(positions).collect())
    }

    fn evaluate(&self, data: &Data) -> Result<Rendered, RenderError> {
        eval::render(&self.nodes, data).map_err(|fault| RenderError {
            position: Position::of(&self.text, fault.at),
            message: fault.message,
            is_bound: fault.is_bound,
        })
    }
}
