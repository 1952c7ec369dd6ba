//! Bounds that no derived type states: those of Kubernetes' own types, and of what the operator itself writes.
//!
//! A string, a list, a map or a key without a bound is memory that whoever may write one object takes from every replica.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::api::invariant::selector;

/// The longest text of a status, in characters: that of a condition's message.
const STATUS_TEXT: i64 = 32_768;
/// The longest point in time.
const TIME: i64 = 64;

/// Bounds a whole kind.
pub(super) fn add(schema: &mut JSONSchemaProps) {
    for (name, part) in schema.properties.iter_mut().flatten() {
        each(part, &mut label_selector);
        if name == "status" {
            each(part, &mut status_text);
        }
    }
}

fn each(schema: &mut JSONSchemaProps, visit: &mut impl FnMut(&mut JSONSchemaProps)) {
    visit(schema);
    for property in schema.properties.iter_mut().flat_map(BTreeMap::values_mut) {
        each(property, visit);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => each(items, visit),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            for item in items {
                each(item, visit);
            }
        }
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        each(values, visit);
    }
}

/// Keys of `matchLabels` are bounded by an [`Invariant`](crate::api::invariant::Invariant): a schema cannot.
fn label_selector(schema: &mut JSONSchemaProps) {
    let Some(properties) = &mut schema.properties else {
        return;
    };
    let count = |count: usize| i64::try_from(count).ok();
    if let Some(labels) = properties.get_mut("matchLabels") {
        labels.max_properties = count(selector::MAX_LABELS);
        if let Some(JSONSchemaPropsOrBool::Schema(value)) = &mut labels.additional_properties {
            value.max_length = count(selector::MAX_VALUE);
        }
    }
    let Some(expressions) = properties.get_mut("matchExpressions") else {
        return;
    };
    expressions.max_items = count(selector::MAX_LABELS);
    let Some(JSONSchemaPropsOrArray::Schema(expression)) = &mut expressions.items else {
        return;
    };
    for (name, field) in expression.properties.iter_mut().flatten() {
        match name.as_str() {
            "key" => field.max_length = count(selector::MAX_KEY),
            "operator" => field.max_length = count(selector::MAX_VALUE),
            "values" => {
                field.max_items = count(selector::MAX_VALUES);
                if let Some(JSONSchemaPropsOrArray::Schema(value)) = &mut field.items {
                    value.max_length = count(selector::MAX_VALUE);
                }
            }
            _ => {}
        }
    }
}

/// What the operator writes is cut to far less; this is for what somebody else writes in its place.
fn status_text(schema: &mut JSONSchemaProps) {
    let is_text = schema.type_.as_deref() == Some("string");
    if is_text && schema.max_length.is_none() && schema.enum_.is_none() {
        let is_time = schema.format.as_deref() == Some("date-time");
        schema.max_length = Some(if is_time { TIME } else { STATUS_TEXT });
    }
}
