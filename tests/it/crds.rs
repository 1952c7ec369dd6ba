//! The CRDs beside those of the first release: what was accepted is accepted, but for a list of exceptions with reasons.
//!
//! An object that is stored and breaks a new bound stays editable elsewhere: the API server checks what an update changes
//! (ratcheting).

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::repository;

/// The CRDs of commit ca3d639.
const FORMER: &str = "tests/fixtures/crds-v0";
const KINDS: [&str; 3] = ["metricrules", "clustermetricrules", "metricbackends"];

/// A difference that takes something away.
#[derive(Debug, PartialEq, Eq)]
struct Loss {
    /// `metricrules.spec.resources.overrides`
    path: String,
    /// The keyword of the schema.
    keyword: &'static str,
}

/// Differences that are meant: the end or the beginning of a path, the keyword, why.
const MEANT: &[(&str, &str, &str)] = &[
    (
        ".status.",
        "maxLength",
        "the operator alone writes the status, and cuts its texts to 1024 characters",
    ),
    (
        ".resources",
        "x-kubernetes-validations",
        "a label name of a megabyte was memory in every replica: at most 256 characters",
    ),
    (
        ".prometheus",
        "x-kubernetes-validations",
        "names of headers and parameters had no bound: at most 256 characters",
    ),
    (
        "clustermetricrules.spec",
        "x-kubernetes-validations",
        "keys of matchLabels had no bound: at most 317 characters, as a label's key has",
    ),
    (
        ".allowedNamespaces",
        "x-kubernetes-validations",
        "keys of matchLabels had no bound: at most 317 characters, as a label's key has",
    ),
    (
        "elector.matchLabels",
        "maxProperties",
        "a selector had no bound: at most 32 labels",
    ),
    (
        "elector.matchLabels[]",
        "maxLength",
        "a label's value has at most 63 characters, so a longer one selects nothing",
    ),
    (
        "elector.matchExpressions",
        "maxItems",
        "a selector had no bound: at most 32 expressions",
    ),
    (
        "elector.matchExpressions[]",
        "maxLength",
        "a longer key or operator selects nothing",
    ),
    (
        ".values",
        "maxItems",
        "an expression had no bound: at most 256 values",
    ),
    (
        ".values[]",
        "maxLength",
        "a label's value has at most 63 characters, so a longer one selects nothing",
    ),
    (
        "metricbackends.spec.limits",
        "default",
        "a default that bites: 50 queries per second made a round of 2,000 HPAs take 39 s",
    ),
];

fn crd(folder: &str, plural: &str) -> Result<Value> {
    let path = format!("{folder}/{plural}.yaml");
    serde_saphyr::from_str(&repository::read(&path)?).context(path)
}

fn version(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]
}

/// What `new` refuses or lacks that `old` had.
fn losses(path: &str, old: &Value, new: &Value, found: &mut Vec<Loss>) {
    let mut lost = |keyword: &'static str| {
        found.push(Loss {
            path: path.to_owned(),
            keyword,
        });
    };
    // The same, or it means something else.
    for keyword in [
        "type",
        "format",
        "pattern",
        "default",
        "x-kubernetes-map-type",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-int-or-string",
        "nullable",
    ] {
        if old.get(keyword) != new.get(keyword) {
            lost(keyword);
        }
    }
    for keyword in ["maxLength", "maxItems", "maxProperties", "maximum"] {
        let narrower = match (old[keyword].as_f64(), new[keyword].as_f64()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(old), Some(new)) => new < old,
        };
        if narrower {
            lost(keyword);
        }
    }
    for keyword in ["minLength", "minItems", "minProperties", "minimum"] {
        let narrower = match (old[keyword].as_f64(), new[keyword].as_f64()) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(old), Some(new)) => new > old,
        };
        if narrower {
            lost(keyword);
        }
    }
    let values = |schema: &Value, keyword: &str| schema[keyword].as_array().cloned().unwrap_or_default();
    let (before, now) = (values(old, "enum"), values(new, "enum"));
    if (before.is_empty() && !now.is_empty()) || (!now.is_empty() && before.iter().any(|v| !now.contains(v)))
    {
        lost("enum");
    }
    let before = values(old, "required");
    if values(new, "required").iter().any(|name| !before.contains(name)) {
        lost("required");
    }
    let rules = |schema: &Value| -> Vec<Value> {
        values(schema, "x-kubernetes-validations")
            .iter()
            .map(|rule| rule["rule"].clone())
            .collect()
    };
    let before = rules(old);
    // A rule that holds wherever a field of today is left out refuses nothing that could be written before.
    let of_new_field = |rule: &Value| {
        let fields = new["properties"].as_object().into_iter().flatten();
        let mut added = fields.filter(|(name, _)| old["properties"].get(name.as_str()).is_none());
        added.any(|(name, _)| {
            let absent = format!("!has(self.{name})");
            let text = rule.as_str().unwrap_or_default();
            text.split("||").any(|part| part.trim() == absent)
        })
    };
    if rules(new)
        .iter()
        .any(|rule| !before.contains(rule) && !of_new_field(rule))
    {
        lost("x-kubernetes-validations");
    }
    for (name, property) in old["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        match new["properties"].get(name) {
            Some(now) => losses(&path, property, now, found),
            None => found.push(Loss {
                path,
                keyword: "properties",
            }),
        }
    }
    for nested in ["items", "additionalProperties"] {
        match (old.get(nested), new.get(nested)) {
            (Some(old), Some(new)) => losses(&format!("{path}[]"), old, new, found),
            (Some(_), None) | (None, Some(_)) => found.push(Loss {
                path: path.to_owned(),
                keyword: "items",
            }),
            (None, None) => {}
        }
    }
}

fn is_meant(loss: &Loss) -> bool {
    MEANT.iter().any(|(place, keyword, _)| {
        let at_it = if place.ends_with('.') || place.ends_with("[]") {
            loss.path.contains(place)
        } else {
            loss.path.ends_with(place) || loss.path.starts_with(&format!("{place}."))
        };
        at_it && *keyword == loss.keyword
    })
}

#[test]
fn the_crds_differ_from_those_of_the_first_release_by_addition_only() -> Result<()> {
    for plural in KINDS {
        let (old, new) = (crd(FORMER, plural)?, crd("crds", plural)?);
        for field in ["group", "scope", "names"] {
            ensure!(
                old["spec"][field] == new["spec"][field],
                "{plural}: {field} changed"
            );
        }
        let (old, new) = (version(&old), version(&new));
        for field in ["name", "subresources", "served", "storage"] {
            ensure!(old[field] == new[field], "{plural}: {field} changed");
        }
        let columns = |version: &Value| {
            version["additionalPrinterColumns"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        };
        let present = columns(new);
        for column in columns(old) {
            ensure!(
                present
                    .iter()
                    .any(|now| now["name"] == column["name"] && now["jsonPath"] == column["jsonPath"]),
                "{plural}: the column {} is gone",
                column["name"]
            );
        }
        let mut found = Vec::new();
        let schema = |version: &Value| version["schema"]["openAPIV3Schema"].clone();
        losses(plural, &schema(old), &schema(new), &mut found);
        found.retain(|loss| !is_meant(loss));
        ensure!(found.is_empty(), "{plural} refuses what it took: {found:#?}");
    }
    Ok(())
}

#[test]
fn each_way_to_take_something_away_is_seen() -> Result<()> {
    let old: Value = serde_saphyr::from_str(
        "{type: object, required: [a], x-kubernetes-validations: [{rule: x}], properties: {\
           a: {type: string, maxLength: 9, minLength: 1, enum: [x, y], default: x}, b: {type: integer, maximum: 5},\
           c: {type: array, maxItems: 3, items: {type: string}}, d: {type: object, additionalProperties: {type: string}}}}",
    )?;
    let mut found = Vec::new();
    losses("k", &old, &old, &mut found);
    ensure!(found.is_empty(), "{found:?}");
    for (pointer, value, path, keyword) in [
        ("/properties/a/maxLength", Value::from(8), "k.a", "maxLength"),
        ("/properties/a/minLength", Value::from(2), "k.a", "minLength"),
        ("/properties/a/enum", serde_json::json!(["x"]), "k.a", "enum"),
        ("/properties/a/default", Value::from("y"), "k.a", "default"),
        ("/properties/b/type", Value::from("number"), "k.b", "type"),
        ("/properties/b/maximum", Value::from(4), "k.b", "maximum"),
        ("/properties/c/maxItems", Value::from(2), "k.c", "maxItems"),
        (
            "/properties/c/items/type",
            Value::from("integer"),
            "k.c[]",
            "type",
        ),
        (
            "/properties/d/additionalProperties/type",
            Value::from("integer"),
            "k.d[]",
            "type",
        ),
        ("/required", serde_json::json!(["a", "b"]), "k", "required"),
        (
            "/x-kubernetes-validations",
            serde_json::json!([{"rule": "x"}, {"rule": "y"}]),
            "k",
            "x-kubernetes-validations",
        ),
    ] {
        let mut new = old.clone();
        *new.pointer_mut(pointer).context(pointer)? = value;
        let mut found = Vec::new();
        losses("k", &old, &new, &mut found);
        if found
            != [Loss {
                path: path.to_owned(),
                keyword,
            }]
        {
            bail!("{pointer}: {found:?}");
        }
    }
    let mut new = old.clone();
    new["properties"]
        .as_object_mut()
        .context("properties")?
        .remove("b");
    new["properties"]["c"]["items"]["maxLength"] = 5.into();
    let mut found = Vec::new();
    losses("k", &old, &new, &mut found);
    ensure!(found.len() == 2, "{found:?}");
    Ok(())
}
