//! Schema check of an object against its CRD, as the API server does it.

use std::{
    collections::{BTreeMap, HashSet},
    sync::LazyLock,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use promql::re2::Re2;
use serde_json::Value as Json;

use super::{object::short, place};
use crate::{
    api::{crds, duration::PATTERN},
    document::{Document, Node, Position},
    reason::Reason,
    rule::Problem,
};

/// A problem with its place in the file.
pub(super) type Finding = (Problem, (Position, Option<Position>));

/// What a schema says of an object.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What it refuses. `Undecodable` is what the operator's own types could not read either, `InvalidSpec` the rest.
    pub(super) found: Vec<Finding>,
    /// Fields whose names are misspelt, by their path as written, and the names that were meant. Judged as what was meant, so
    /// that a misspelling is one finding and not also a field that is missing.
    pub(super) misspelt: Vec<(String, String)>,
}

/// The schema of a kind's objects; `None` for a kind that is not ours.
pub(super) fn of_kind(kind: &str) -> Option<&'static JSONSchemaProps> {
    /// By kind; deriving them takes longer than checking many rules.
    static OBJECTS: LazyLock<BTreeMap<String, JSONSchemaProps>> = LazyLock::new(|| {
        let object = |crd: CustomResourceDefinition| {
            let version = crd.spec.versions.into_iter().next()?;
            let mut schema = version.schema?.open_api_v3_schema?;
            let fields = schema.properties.get_or_insert_default();
            for name in ["apiVersion", "kind"] {
                fields.insert(name.to_owned(), of_type("string"));
            }
            fields.insert("metadata".to_owned(), metadata());
            // Written by the operator, and no matter of the author's.
            fields.insert("status".to_owned(), JSONSchemaProps::default());
            Some((crd.spec.names.kind, schema))
        };
        crds::documents().into_iter().filter_map(object).collect()
    });
    OBJECTS.get(kind)
}

/// `metav1.ObjectMeta`: what an author writes with its types, the rest by name.
fn metadata() -> JSONSchemaProps {
    let nullable = |schema: JSONSchemaProps| JSONSchemaProps {
        nullable: Some(true),
        ..schema
    };
    let text = || nullable(of_type("string"));
    let texts = || {
        nullable(JSONSchemaProps {
            additional_properties: Some(JSONSchemaPropsOrBool::Schema(Box::new(of_type("string")))),
            ..of_type("object")
        })
    };
    let typed = [
        ("annotations", texts()),
        ("generateName", text()),
        ("labels", texts()),
        ("name", text()),
        ("namespace", text()),
    ];
    let others = [
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let others = others.map(|name| (name, JSONSchemaProps::default()));
    let fields = typed.into_iter().chain(others);
    nullable(JSONSchemaProps {
        properties: Some(fields.map(|(name, schema)| (name.to_owned(), schema)).collect()),
        ..of_type("object")
    })
}

fn of_type(name: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some(name.to_owned()),
        ..JSONSchemaProps::default()
    }
}

/// Judges an object by the schema of its kind.
pub(super) fn check(document: &Document, object: &Node, schema: &JSONSchemaProps) -> Outcome {
    let mut walk = Walk {
        document,
        outcome: Outcome::default(),
    };
    walk.value(object, schema, "", true);
    walk.outcome
}

struct Walk<'a> {
    document: &'a Document,
    outcome: Outcome,
}

// === impl Walk ===

impl Walk<'_> {
    fn say(&mut self, node: &Node, problem: Problem) {
        let place = place::of_node(self.document, node);
        self.outcome.found.push((problem, place));
    }

    fn value(&mut self, node: &Node, schema: &JSONSchemaProps, path: &str, required: bool) {
        if node.is_null() && (schema.default.is_some() || schema.nullable == Some(true)) {
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
                format!("expected {}, but this is {given}", article(wanted)),
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
            let of_helm = node.entries().iter().any(|(key, _)| key.text().is_none());
            let problem = match problem.suggestion {
                // `{{ … }}` is YAML: a mapping whose key is a mapping.
                None if of_helm => {
                    problem.suggest("if it is a Helm template, check the output of `helm template`")
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
        let (mut strangers, mut meant) = (Vec::new(), Vec::new());
        for (key, value) in node.entries() {
            let name = key.text().unwrap_or_default();
            if let Some(field) = known.and_then(|known| known.get(name)) {
                let required = required.iter().any(|required| required == name);
                self.value(value, field, &join(path, name), required);
            } else if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
                self.value(value, values, &format!("{path}[{}]", short(name)), true);
            } else if let Some(known) = known
                && schema.x_kubernetes_preserve_unknown_fields != Some(true)
            {
                strangers.push((key, value, known));
            }
        }
        let present: HashSet<&str> = node.entries().iter().filter_map(|(key, _)| key.text()).collect();
        let absent = |name: &&str| !present.contains(name);
        let missing: Vec<&str> = required.iter().map(String::as_str).filter(absent).collect();
        for (key, value, known) in &strangers {
            let name = key.text().unwrap_or_default();
            let names = || known.keys().map(String::as_str);
            let near = place::closest(name, names())
                .or_else(|| place::longer(name, names().filter(absent)))
                // One that is not known where one is missing.
                .or_else(|| (strangers.len() == 1 && missing.len() == 1).then(|| missing[0]));
            self.unknown(key, path, known, near);
            let Some(near) = near.filter(|near| absent(near) && !meant.contains(near)) else {
                continue;
            };
            meant.push(near);
            if let Some(field) = known.get(near)
                && wrong_type(&value.to_json(), field).is_none()
            {
                self.outcome.misspelt.push((join(path, name), near.to_owned()));
                self.value(value, field, &join(path, near), true);
            }
        }
        for name in required.iter().filter(|name| absent(&name.as_str())) {
            // With a default it is never missing.
            if !meant.contains(&name.as_str())
                && known
                    .and_then(|known| known.get(name))
                    .is_some_and(|field| field.default.is_none())
            {
                let whose = if path.is_empty() {
                    "this".to_owned()
                } else {
                    format!("`{path}`")
                };
                let problem = Problem::new(
                    Reason::Undecodable,
                    join(path, name),
                    format!("{whose} needs the field `{name}`"),
                );
                let place = (self.document.start(node), None);
                self.outcome.found.push((problem, place));
            }
        }
    }

    /// The API server refuses fields that there are not, or drops them; which of the two is the client's to say.
    fn unknown(
        &mut self,
        key: &Node,
        path: &str,
        known: &BTreeMap<String, JSONSchemaProps>,
        near: Option<&str>,
    ) {
        let name = key.text().unwrap_or_default();
        let problem = Problem::new(
            Reason::InvalidSpec,
            join(path, name),
            format!("unknown field {name:?}"),
        );
        let problem = match near {
            Some(near) => problem.suggest(format!("write `{near}`")),
            None if path.starts_with("spec") => {
                let known: Vec<String> = known.keys().map(|key| format!("`{key}`")).collect();
                problem.suggest(format!("`{path}` has {}", known.join(", ")))
            }
            None => problem,
        };
        self.say(key, problem);
    }

    fn bounds(&mut self, node: &Node, json: &Json, schema: &JSONSchemaProps, path: &str) {
        let mut invalid = |reason: Reason, message: String, suggestion: Option<String>| {
            let mut problem = Problem::new(reason, path, message);
            problem.suggestion = suggestion;
            let place = place::of_node(self.document, node);
            self.outcome.found.push((problem, place));
        };
        if let Some(allowed) = &schema.enum_ {
            let allowed: Vec<String> = allowed.iter().map(|value| text_of(&value.0)).collect();
            let given = text_of(json);
            if !allowed.contains(&given) {
                let near = place::closest(&given, allowed.iter().map(String::as_str));
                invalid(
                    Reason::Undecodable,
                    format!("{given:?} is not one of {}", allowed.join(", ")),
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
                        "{count} {what}, but at most {} are allowed",
                        most.unwrap_or_default()
                    ),
                    None,
                );
            }
            if is_less(count, least) {
                let least = least.unwrap_or_default();
                let message = match count {
                    0 => "this must not be empty".to_owned(),
                    _ => format!("{count} {what}, but at least {least} are required"),
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

fn join(path: &str, name: &str) -> String {
    let name = short(name);
    match path {
        "" => name.into_owned(),
        path => format!("{path}.{name}"),
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
        (Some(least), _) => Some((
            reason,
            format!("{number} is too low: it must be at least {least}"),
        )),
        (None, Some(most)) => Some((reason, format!("{number} is too high: it must be at most {most}"))),
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
