//! Manifests: the objects that a file holds, each by itself or as an item of a list, read in one way by every command.

use kube::Resource;
use serde::de::DeserializeOwned;

use crate::document::{Document, Node};

/// An object in a document.
#[derive(Clone, Copy, Debug)]
pub struct Manifest<'a> {
    /// Its `apiVersion`, or that of its list; empty where there is none.
    pub api_version: &'a str,
    /// Its `kind`, or the one that its list is of; empty where there is none.
    pub kind: &'a str,
    within: &'a Document,
    node: &'a Node,
}

/// Gives every object of `document` to `take`: the document itself, or where it is a list its items and those of lists among them.
///
/// The items of a list of one kind (`MetricRuleList`, which the API server answers with) leave `apiVersion` and `kind` out, and
/// have those of the list. The items of a `List`, and of what says no kind at all, say their own.
pub fn each(document: &Document, take: &mut dyn FnMut(Manifest<'_>)) {
    let whole = Manifest {
        api_version: "",
        kind: "",
        within: document,
        node: &document.root,
    };
    whole.each(&document.root, take);
}

/// The object at `node` as its type. The status is left out, for it is not the author's.
///
/// # Errors
///
/// What the type does not take, in serde's words.
pub fn decode<K>(node: &Node) -> Result<K, serde_json::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let mut object = node.to_json();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
        // An item of a list may lack both.
        fields.entry("apiVersion").or_insert(K::api_version(&()).into());
        fields.entry("kind").or_insert(K::kind(&()).into());
    }
    serde_json::from_value(object)
}

// === impl Manifest ===

impl<'a> Manifest<'a> {
    /// The API group: the part of `apiVersion` before the `/`.
    pub fn group(&self) -> &'a str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The object as a document of its own; its places are those in the file.
    pub fn document(&self) -> Document {
        self.within.part(self.node)
    }

    /// `self` says what an object at `node` has where it does not say it itself.
    fn each(self, node: &'a Node, take: &mut dyn FnMut(Manifest<'_>)) {
        let text = |key: &str| {
            let text = node.get(key).and_then(Node::text);
            text.filter(|text| !text.is_empty())
        };
        let object = Self {
            api_version: text("apiVersion").unwrap_or(self.api_version),
            kind: text("kind").unwrap_or(self.kind),
            node,
            ..self
        };
        let of = match (object.api_version, object.kind) {
            ("", "") => Some(""),
            (_, kind) => kind.strip_suffix("List"),
        };
        let Some((items, kind)) = node.get("items").zip(of) else {
            return take(object);
        };
        let api_version = if kind.is_empty() { "" } else { object.api_version };
        let of_list = Self {
            api_version,
            kind,
            ..object
        };
        for item in items.items() {
            of_list.each(item, take);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, String, String)> {
        let mut found = Vec::new();
        for document in Document::parse_stream(text).unwrap() {
            each(&document, &mut |object| {
                let document = object.document();
                let name = document.get("metadata.name").and_then(Node::text);
                found.push((
                    object.api_version.to_owned(),
                    object.kind.to_owned(),
                    name.unwrap_or_default().to_owned(),
                ));
            });
        }
        found
    }

    #[test]
    fn items_have_the_kind_of_their_list_where_they_say_none() {
        for (text, expected) in [
            (
                "{apiVersion: a/v1, kind: Rule, metadata: {name: x}}",
                ("a/v1", "Rule", "x"),
            ),
            (
                "{apiVersion: a/v1, kind: RuleList, items: [{metadata: {name: x}}]}",
                ("a/v1", "Rule", "x"),
            ),
            (
                "{apiVersion: a/v1, kind: RuleList, items: [{apiVersion: b/v1, kind: Other, metadata: {name: x}}]}",
                ("b/v1", "Other", "x"),
            ),
            // A `List` is of no kind, and its `v1` is nobody else's.
            (
                "{apiVersion: v1, kind: List, items: [{kind: Rule, metadata: {name: x}}]}",
                ("", "Rule", "x"),
            ),
            (
                "{apiVersion: v1, kind: List, items: [{apiVersion: a/v1, kind: RuleList, items: [{metadata: {name: x}}]}]}",
                ("a/v1", "Rule", "x"),
            ),
            (
                "{items: [{apiVersion: a/v1, kind: Rule, metadata: {name: x}}]}",
                ("a/v1", "Rule", "x"),
            ),
            ("{apiVersion: a/v1, kind: RuleList}", ("a/v1", "RuleList", "")),
        ] {
            let (api_version, kind, name) = expected;
            let expected = (api_version.to_owned(), kind.to_owned(), name.to_owned());
            assert_eq!(found(text), [expected], "{text}");
        }
        assert_eq!(found("{apiVersion: a/v1, kind: RuleList, items: []}"), []);
    }
}
