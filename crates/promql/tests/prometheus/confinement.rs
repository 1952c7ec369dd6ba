//! Confined queries as Prometheus' own parser sees them.

use promql::{Dialect, Matcher, Version, confine, parse_with};
use serde_json::{Value, json};

use crate::oracle::Oracle;

/// What came of a list of texts.
#[derive(Default)]
pub(crate) struct Seen {
    /// Queries that were confined.
    pub(crate) queries: usize,
    /// Selectors that Prometheus finds in them, each with the matcher.
    pub(crate) selectors: usize,
    /// What is not as it should be.
    pub(crate) wrong: Vec<String>,
}

/// Confines each text that can be, and looks for the matcher in every selector that Prometheus reads.
pub(crate) fn look(oracle: &Oracle, texts: &[String], version: Version) -> Seen {
    let matcher = Matcher::equal("namespace", "shop");
    let mut seen = Seen::default();
    let mut confined = Vec::new();
    for text in texts {
        let Ok(query) = confine(text, &matcher) else {
            continue;
        };
        // Patterns are left to the server, and not every version has everything.
        if parse_with(query.text(), Dialect::of(version)).is_ok() {
            confined.push((query.expr().selectors().len(), query.into_text()));
        }
    }
    let prints: Vec<String> = confined.iter().map(|(_, text)| text.clone()).collect();
    for ((ours, text), verdict) in confined.iter().zip(oracle.ask(&prints)) {
        seen.queries += 1;
        let Some(tree) = verdict.tree else {
            let why = verdict.error.unwrap_or_default();
            seen.wrong.push(format!("{text:?} is refused: {why}"));
            continue;
        };
        let mut theirs = Vec::new();
        selectors(&tree, &mut theirs);
        let held = theirs
            .iter()
            .filter(|matchers| matchers.contains(&json!(["namespace", "=", "shop"])));
        if held.count() != theirs.len() || theirs.len() != *ours {
            seen.wrong.push(format!("{text:?} is not confined: {tree}"));
        }
        seen.selectors += theirs.len();
    }
    seen
}

/// The matchers of each selector: of `["vector", name, matchers, at, offset, extended]` wherever it stands in the tree.
fn selectors<'a>(tree: &'a Value, found: &mut Vec<&'a Vec<Value>>) {
    let Value::Array(node) = tree else { return };
    if let [kind, Value::String(_), Value::Array(matchers), _, _, _] = &node[..]
        && kind == "vector"
    {
        found.push(matchers);
        return;
    }
    for child in node {
        selectors(child, found);
    }
}
