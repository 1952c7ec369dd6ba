//! An object against the schema of its CRD, as the API server reads it.

use std::{collections::BTreeMap, sync::LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value as Json;

use super::place;
use crate::{
    api::{crds, duration::PATTERN},
    document::{Document, Node, Position},
    language::re2::Re2,
    reason::Reason,
    rule::Problem,
};

/// A problem with its place in the file.
pub(super) type Finding = (Problem, (Position, Option<Position>));

/// The schema of a kind's `spec`; `None` for one that is not ours.
pub(super) fn of_kind(kind: &str) -> Option<&'static JSONSchemaProps> {
    /// By kind; deriving them takes longer than checking many rules.
    static SPECS: LazyLock<BTreeMap<String, JSONSchemaProps>> = LazyLock::new(|| {
        let spec = |crd: CustomResourceDefinition| {
            let version = crd.spec.versions.into_iter().next()?;
            let schema = version.schema?.open_api_v3_schema?;
            Some((crd.spec.names.kind, schema.properties?.remove("spec")?))
        };
        crds::documents().into_iter().filter_map(spec).collect()
    });
    SPECS.get(kind)
}

/// What of `spec` the schema refuses. `Undecodable` is what the operator's own types could not read either, `InvalidSpec` the rest.
pub(super) fn check(document: &Document, spec: &Node, schema: &JSONSchemaProps) -> Vec<Finding> {
    let mut walk = Walk {
        document,
        found: Vec::new(),
    };
    walk.value(spec, schema, "spec", true);
    walk.found
}

struct Walk<'a> {
    document: &'a Document,
    found: Vec<Finding>,
}

// === impl Walk ===

impl Walk<'_> {
    fn say(&mut self, node: &Node, problem: Problem) {
        self.found.push((problem, place::of_node(self.document, node)));
    }

    fn value(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str, required: bool) {
        if node.is_null() && schema.default.is_some() {
            return;
        }
        let json = node.to_json();
        if let Some(wanted) = wrong_type(&json, schema) {
            let reason = if json.is_null() && !required {
                Reason::InvalidSpec
            } else {
                Reason::Undecodable
            };
            let given = match &json {
                Json::Null => "nothing".to_owned(),
                Json::Object(_) | Json::Array(_) => format!("a {}", node.kind()),
                _ => format!("the {} `{}`", node.kind(), node.text().unwrap_or_default()),
            };
            let problem = Problem::new(
                reason,
                path,
                format!("{} is wanted here, and this is {given}", article(wanted)),
            );
            let problem = match node.text() {
                Some(text) if wanted == "string" && json.is_number() && is_duration(schema) => {
                    problem.suggest(format!("write a duration such as `{text}s`"))
                }
                Some(text) if wanted == "string" && !json.is_null() => {
                    problem.suggest(format!("put it in quotes: `\"{text}\"`"))
                }
                _ => problem,
            };
            return self.say(node, problem);
        }
        self.bounds(node, &json, schema, path);
        match schema.type_.as_deref() {
            Some("object") => self.mapping(node, schema, path),
            Some("array") => {
                if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
                    for (index, item) in node.items().iter().enumerate() {
                        self.value(item, items, &format!("{path}[{index}]"), true);
                    }
                }
            }
            _ => {}
        }
    }

    fn mapping(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str) {
        let known = schema.properties.as_ref();
        let required = schema.required.as_deref().unwrap_or_default();
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            if let Some(field) = known.and_then(|known| known.get(name)) {
                let required = required.iter().any(|required| required == name);
                self.value(value, field, &format!("{path}.{name}"), required);
            } else if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
                self.value(value, values, &format!("{path}[{name}]"), true);
            } else if let Some(known) = known
                && schema.x_kubernetes_preserve_unknown_fields != Some(true)
            {
                let problem = Problem::new(
                    Reason::InvalidSpec,
                    format!("{path}.{name}"),
                    format!("unknown field {name:?}"),
                );
                let problem = match place::closest(name, known.keys().map(String::as_str)) {
                    Some(near) => problem.suggest(format!("write `{near}`")),
                    None => problem.suggest(format!(
                        "`{path}` has {}",
                        known
                            .keys()
                            .map(|key| format!("`{key}`"))
                            .collect::<Vec<_>>()
                            .join(", ")
                    )),
                };
                self.say(key, problem);
            }
        }
        for name in required.iter().filter(|name| node.get(name).is_none()) {
            // With a default it is never missing.
            if known
                .and_then(|known| known.get(name))
                .is_some_and(|field| field.default.is_none())
            {
                let problem = Problem::new(
                    Reason::Undecodable,
                    format!("{path}.{name}"),
                    format!("`{path}` needs the field `{name}`"),
                );
                self.found.push((problem, (self.document.start(node), None)));
            }
        }
    }

    fn bounds(&mut self, node: &Node, json: &Json, schema: &JSONSchemaProps, path: &str) {
        let mut invalid = |reason: Reason, message: String, suggestion: Option<String>| {
            let mut problem = Problem::new(reason, path, message);
            problem.suggestion = suggestion;
            self.found.push((problem, place::of_node(self.document, node)));
        };
        if let Some(allowed) = &schema.enum_ {
            let allowed: Vec<String> = allowed.iter().map(|value| text_of(&value.0)).collect();
            let given = text_of(json);
            if !allowed.contains(&given) {
                let near = place::closest(&given, allowed.iter().map(String::as_str));
                invalid(
                    Reason::Undecodable,
                    format!("{given:?} is none of {}", allowed.join(", ")),
                    near.map(|near| format!("write `{near}`")),
                );
            }
        }
        let is_more = |count: usize, most: Option<i64>| {
            most.is_some_and(|most| i64::try_from(count).is_ok_and(|count| count > most))
        };
        let is_less = |count: usize, least: Option<i64>| {
            least.is_some_and(|least| i64::try_from(count).is_ok_and(|count| count < least))
        };
        let mut count = |count: usize, least: Option<i64>, most: Option<i64>, what: &str| {
            if is_more(count, most) {
                invalid(
                    Reason::InvalidSpec,
                    format!(
                        "{count} {what}, and at most {} are allowed",
                        most.unwrap_or_default()
                    ),
                    None,
                );
            }
            if is_less(count, least) {
                let least = least.unwrap_or_default();
                let message = match count {
                    0 => "this must not be empty".to_owned(),
                    _ => format!("{count} {what}, and at least {least} are needed"),
                };
                invalid(Reason::InvalidSpec, message, None);
            }
        };
        match json {
            Json::String(text) => count(
                text.chars().count(),
                schema.min_length,
                schema.max_length,
                "characters",
            ),
            Json::Array(items) => count(items.len(), schema.min_items, schema.max_items, "items"),
            Json::Object(entries) => count(
                entries.len(),
                schema.min_properties,
                schema.max_properties,
                "entries",
            ),
            Json::Number(number) => {
                if let Some((reason, message)) = out_of_range(number.as_f64().unwrap_or_default(), schema) {
                    invalid(reason, message, None);
                }
            }
            Json::Null | Json::Bool(_) => {}
        }
        if let (Json::String(text), Some(pattern)) = (json, &schema.pattern)
            && Re2::compile(pattern).is_ok_and(|compiled| !compiled.is_match(text))
        {
            let hint = is_duration(schema).then(|| "write a duration such as `90s` or `2m`".to_owned());
            invalid(
                Reason::InvalidSpec,
                format!("{text:?} does not match `{pattern}`"),
                hint,
            );
        }
    }
}

/// Whether the pattern is that of a duration (GEP-2257).
fn is_duration(schema: &JSONSchemaProps) -> bool {
    schema.pattern.as_deref() == Some(PATTERN)
}

fn out_of_range(number: f64, schema: &JSONSchemaProps) -> Option<(Reason, String)> {
    // A whole number below 0 or above 32 bits fits no field of ours.
    let reason = if number < 0.0 || number > f64::from(u32::MAX) {
        Reason::Undecodable
    } else {
        Reason::InvalidSpec
    };
    let low = schema.minimum.filter(|least| number < *least);
    let high = schema.maximum.filter(|most| number > *most);
    match (low, high) {
        (Some(least), _) => Some((reason, format!("{number} is too low: at least {least}"))),
        (None, Some(most)) => Some((reason, format!("{number} is too high: at most {most}"))),
        (None, None) => None,
    }
}

/// The type that is wanted, where `json` is not of it.
fn wrong_type<'a>(json: &Json, schema: &'a JSONSchemaProps) -> Option<&'a str> {
    if schema.x_kubernetes_int_or_string == Some(true) {
        return (!json.is_string() && !json.is_i64() && !json.is_u64()).then_some("integer or string");
    }
    let wanted = schema.type_.as_deref()?;
    let right = match wanted {
        "object" => json.is_object(),
        "array" => json.is_array(),
        "string" => json.is_string(),
        "boolean" => json.is_boolean(),
        "integer" => {
            json.is_i64() || json.is_u64() || json.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        "number" => json.is_number(),
        _ => true,
    };
    (!right).then_some(wanted)
}

fn article(wanted: &str) -> String {
    match wanted {
        "object" => "a mapping".to_owned(),
        "array" => "a list".to_owned(),
        "boolean" => "`true` or `false`".to_owned(),
        "integer" => "a whole number".to_owned(),
        "string" => "text".to_owned(),
        other => format!("a {other}"),
    }
}

fn text_of(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), str::to_owned)
}
