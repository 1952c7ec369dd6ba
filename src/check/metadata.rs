//! Names, namespaces, labels and annotations, as the API server judges them whatever the kind.

use language::{
    dns::{is_label, is_subdomain},
    selector::{is_label_key, is_label_value},
};

use super::{
    object::{Found, short},
    place,
    schema::Finding,
};
use crate::{document::Node, reason::Reason, rule::Problem};

/// What of `metadata` is refused beyond its types.
pub(super) fn check(object: &Found<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(name(object));
    let namespace = object.text("metadata.namespace").unwrap_or_default();
    if !namespace.is_empty() && !is_label(namespace) {
        let message = format!(
            "{namespace:?} is not a valid namespace: use at most 63 lower-case letters, digits and `-`, with a \
             letter or digit at both ends"
        );
        found.extend(at_field(object, "metadata.namespace", message));
    }
    for (field, has_values) in [("labels", true), ("annotations", false)] {
        let path = format!("metadata.{field}");
        let entries = object.get(&path).map(Node::entries).unwrap_or_default();
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            // Of annotations the API server judges the key in lower case.
            let judged = if has_values {
                name.to_owned()
            } else {
                name.to_lowercase()
            };
            let mut say = |node: &Node, message: String| {
                let problem = Problem::new(Reason::InvalidSpec, format!("{path}[{}]", short(name)), message);
                found.push((problem, place::of_node(&object.document, node)));
            };
            if !is_label_key(&judged) {
                say(
                    key,
                    format!(
                        "{name:?} is not a valid key: use a name of at most 63 letters, digits, `-`, `_` and `.`, \
                         optionally after a DNS name and `/`"
                    ),
                );
            }
            let text = value.text().filter(|_| !value.is_null()).unwrap_or_default();
            if has_values && !is_label_value(text) {
                say(
                    value,
                    format!(
                        "{text:?} is not a valid value of a label: use at most 63 letters, digits, `-`, `_` and `.`, \
                         with a letter or digit at both ends"
                    ),
                );
            }
        }
    }
    found
}

fn name(object: &Found<'_>) -> Option<Finding> {
    let path = "metadata.name";
    let name = object.text(path).unwrap_or_default();
    if !name.is_empty() {
        let message = format!(
            "{name:?} is not a valid name: use lower-case letters, digits, `-` and `.`, with a letter or digit at both ends"
        );
        return at_field(object, path, message).filter(|_| !is_subdomain(name));
    }
    let generated = object.text("metadata.generateName").unwrap_or_default();
    if !generated.is_empty() {
        return None;
    }
    at_field(object, path, format!("a {} needs a name", object.kind.as_str()))
}

/// `None` where the schema has refused the field.
fn at_field(object: &Found<'_>, path: &str, message: String) -> Option<Finding> {
    let problem = Problem::new(Reason::InvalidSpec, path, message);
    if object.is_refused(&problem) {
        return None;
    }
    let place = object.place_of(path);
    Some((problem, place))
}
