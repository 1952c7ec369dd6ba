//! The manifests of `examples/`, made to run here: pods name KWOK's node, since there is no scheduler, and what is written for a
//! scrape every 15 or 30 seconds is made faster on request.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::control_plane::NODE;
use crate::programs::repository;
use crate::testbed::Testbed;

/// The objects of one folder of manifests.
#[derive(Clone, Debug)]
pub struct Example(pub Vec<Value>);

// === impl Example ===

impl Example {
    /// Reads `examples/<name>` by kubectl, so that YAML means what it means there. The cluster has to know the kinds.
    ///
    /// # Errors
    /// The folder is not there or kubectl refuses a file.
    pub async fn read(testbed: &Testbed, name: &str) -> Result<Self> {
        Self::read_folder(testbed, &repository().join("examples").join(name)).await
    }

    /// Reads all manifests of a folder.
    ///
    /// # Errors
    /// The folder is not there or kubectl refuses a file.
    pub async fn read_folder(testbed: &Testbed, folder: &Path) -> Result<Self> {
        ensure!(folder.is_dir(), "there is no folder {}", folder.display());
        let path = folder.display().to_string();
        let text = testbed
            .kubectl(&["create", "--dry-run=client", "--output=json", "--filename", &path])
            .await?;
        // one JSON object after the other, not a List
        let objects = serde_json::Deserializer::from_str(&text)
            .into_iter::<Value>()
            .collect::<Result<Vec<_>, _>>();
        let objects = objects.with_context(|| format!("what kubectl made of {path}"))?;
        let flat = objects.into_iter().flat_map(|object| match object {
            Value::Object(mut list) if list.get("kind") == Some(&json!("List")) => list
                .get_mut("items")
                .and_then(Value::as_array_mut)
                .map(std::mem::take)
                .unwrap_or_default(),
            object => vec![object],
        });
        let mut example = Self(flat.collect());
        example.overlay();
        Ok(example)
    }

    /// Moves all namespaced objects into one namespace; Namespace objects are left out.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.0.retain(|object| object["kind"] != "Namespace");
        for object in &mut self.0 {
            if let Some(place) = object.pointer_mut("/metadata/namespace") {
                *place = json!(namespace);
            }
        }
        self
    }

    /// Replaces every range (`[2m]`) in the rules' `metricsQuery`: here series are scraped every second.
    #[must_use]
    pub fn with_range(mut self, range: &str) -> Self {
        for object in &mut self.0 {
            if let Some(Value::String(query)) = object.pointer_mut("/spec/metricsQuery") {
                *query = replace_ranges(query, range);
            }
        }
        self
    }

    /// The objects of one kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> + 'a {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// The one object of a kind.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn one<'a>(&'a self, kind: &'a str) -> Result<&'a Value> {
        let mut found = self.of_kind(kind);
        let first = found
            .next()
            .with_context(|| format!("the example has no {kind}"))?;
        ensure!(found.next().is_none(), "the example has more than one {kind}");
        Ok(first)
    }

    /// Those objects that `keep` keeps.
    #[must_use]
    pub fn filter(&self, keep: impl Fn(&Value) -> bool) -> Self {
        Self(self.0.iter().filter(|object| keep(object)).cloned().collect())
    }

    /// Applies the objects.
    ///
    /// # Errors
    /// The API server refuses one.
    pub async fn apply(&self, testbed: &Testbed) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": self.0});
        testbed.apply_anywhere(&list.to_string()).await.map(drop)
    }

    fn overlay(&mut self) {
        for object in &mut self.0 {
            if let Some(Value::Object(pod)) = object.pointer_mut("/spec/template/spec") {
                pod.insert("nodeName".to_owned(), json!(NODE));
            }
        }
    }
}

/// Every `[…]` that holds a duration and nothing else becomes `[range]`.
fn replace_ranges(query: &str, range: &str) -> String {
    let mut out = String::new();
    let mut rest = query;
    while let Some(open) = rest.find('[') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let inside = from[1..].find(']').map(|close| &from[1..=close]);
        match inside {
            Some(text) if is_duration(text) => {
                out.extend(["[", range, "]"]);
                rest = &from[text.len() + 2..];
            }
            _ => {
                out.push('[');
                rest = &from[1..];
            }
        }
    }
    out + rest
}

fn is_duration(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || "smhdwy".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ranges_are_replaced() {
        let query = "sum by (<<.GroupBy>>) (rate(<<.Series>>{a=~\"[ab]\"}[2m])) / avg_over_time(x[1h30m])";
        let want = "sum by (<<.GroupBy>>) (rate(<<.Series>>{a=~\"[ab]\"}[5s])) / avg_over_time(x[5s])";
        assert_eq!(replace_ranges(query, "5s"), want);
        assert_eq!(replace_ranges("x[", "5s"), "x[");
    }
}
