//! What came back, in a form that two servers' answers can be compared in.

use anyhow::{Context as _, Result};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// One request and its answer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Answer {
    pub(crate) path: String,
    pub(crate) code: u16,
    /// Sorted; without times and, of a refusal, none.
    pub(crate) items: Vec<Value>,
    /// The queries that it caused, letter for letter.
    #[serde(default)]
    pub(crate) queries: Vec<String>,
}

/// Asks for a path; a refusal is an answer.
pub(crate) async fn ask(client: &Client, path: &str) -> Result<Answer> {
    let (code, body) = get(client, path).await?;
    let items = body["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut items: Vec<Value> = items
        .iter()
        .map(|item| normal(&body["apiVersion"], item))
        .collect();
    items.sort_by_key(Value::to_string);
    Ok(Answer {
        path: path.to_owned(),
        code,
        items,
        queries: Vec::new(),
    })
}

/// What discovery of a group lists: names, and whether they are in namespaces. A server without the group lists nothing.
pub(crate) async fn listed(client: &Client, group: &str) -> Result<Vec<(String, bool)>> {
    let (code, body) = get(client, group).await?;
    anyhow::ensure!(code == 200 || code == 404, "{group}: {code} {body}");
    let resources = body["resources"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let entry = |entry: &Value| Some((entry["name"].as_str()?.to_owned(), entry["namespaced"].as_bool()?));
    let mut found: Vec<_> = resources.iter().filter_map(entry).collect();
    found.sort();
    Ok(found)
}

/// The status and the body, which is null where it is no JSON.
async fn get(client: &Client, path: &str) -> Result<(u16, Value)> {
    let request = http::Request::get(path).body(Body::empty())?;
    let response = client
        .send(request)
        .await
        .with_context(|| format!("GET {path}"))?;
    let code = response.status().as_u16();
    let body = response.into_body().collect_bytes().await?;
    Ok((code, serde_json::from_slice(&body).unwrap_or_default()))
}

fn normal(version: &Value, item: &Value) -> Value {
    let object = &item["describedObject"];
    json!({
        "version": version,
        "object": object.is_object().then(|| json!([object["kind"], object["namespace"], object["name"], object["apiVersion"]])),
        "metric": item.get("metricName").unwrap_or_else(|| &item["metric"]["name"]),
        "selector": item.get("selector").unwrap_or_else(|| &item["metric"]["selector"]),
        "labels": item["metricLabels"],
        "window": item.get("windowSeconds").unwrap_or_else(|| &item["window"]),
        "value": item["value"],
    })
}
