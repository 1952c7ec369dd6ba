//! Values of expressions.

use std::collections::BTreeMap;

use super::Data;
use super::rope::Rope;
use crate::span::{Origin, Span};

/// A value; lists and maps are borrowed from the data.
///
/// Whole numbers know where they came from because `printf "%c"` turns them back into text.
#[derive(Debug, Clone)]
pub(super) enum Value<'d> {
    /// Go's zero `reflect.Value`: `nil`, or the field of a map that has no such key.
    Nothing,
    Bool(bool),
    Int(i64, Origin),
    /// A byte of a string; compares with whole numbers.
    Byte(u8, Origin),
    Float(f64),
    Text(Rope),
    Names(&'d [String]),
    Map(&'d BTreeMap<String, Vec<String>>),
    /// The template's data as a whole.
    Root,
}

/// The type of a value, as far as it can be told from the template alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nothing,
    Bool,
    Whole,
    Float,
    Text,
    Names,
    Map,
    Root,
    /// Only the data or the way through the template tells.
    Any,
}

impl Kind {
    /// With its article.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nil",
            Self::Bool => "a bool",
            Self::Whole => "a whole number",
            Self::Float => "a fraction",
            Self::Text => "a string",
            Self::Names => "a list",
            Self::Map => "a map",
            Self::Root => "the template's data",
            Self::Any => "a value",
        }
    }
}

impl Value<'_> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Nothing => Kind::Nothing,
            Self::Bool(_) => Kind::Bool,
            Self::Int(..) | Self::Byte(..) => Kind::Whole,
            Self::Float(_) => Kind::Float,
            Self::Text(_) => Kind::Text,
            Self::Names(_) => Kind::Names,
            Self::Map(_) => Kind::Map,
            Self::Root => Kind::Root,
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        self.kind().name()
    }

    /// Go's truth: not the zero value, not empty.
    pub(super) fn truth(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Bool(value) => *value,
            Self::Int(value, _) => *value != 0,
            Self::Byte(value, _) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(rope) => !rope.is_empty(),
            Self::Names(names) => !names.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Root => true,
        }
    }

    /// The value as a whole number, if it is one.
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            Self::Int(value, _) => Some(*value),
            Self::Byte(value, _) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// Bytes of text that a copy of the value copies.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(rope) => rope.len(),
            _ => 0,
        }
    }
}

/// The kind of a field, if there is one of this name.
pub(super) fn field_kind(name: &str) -> Kind {
    match name {
        "LabelValuesByName" => Kind::Map,
        "GroupBySlice" => Kind::Names,
        _ => Kind::Text,
    }
}

/// A field of the template's data; `None` if these data have no such field.
pub(super) fn field<'d>(data: &'d Data, name: &str) -> Option<Value<'d>> {
    let rope = |origin, text: &String| Value::Text(Rope::new(origin, text.as_str()));
    Some(match (data, name) {
        (Data::Query(query), "Series") => rope(Origin::Name, &query.series),
        (Data::Query(query), "LabelMatchers") => rope(Origin::Matchers, &query.label_matchers),
        (Data::Query(query), "LabelValuesByName") => Value::Map(&query.label_values_by_name),
        (Data::Query(query), "GroupBy") => Value::Text(Rope::names(&query.group_by, ",")),
        (Data::Query(query), "GroupBySlice") => Value::Names(&query.group_by),
        (Data::Resource { group, .. }, "Group") => rope(Origin::Name, group),
        (Data::Resource { resource, .. }, "Resource") => rope(Origin::Name, resource),
        (Data::Tenant { namespace }, "Namespace") => {
            let mut text = Rope::default();
            text.push(Span::new(Origin::Values, namespace.as_str()));
            Value::Text(text)
        }
        _ => return None,
    })
}
