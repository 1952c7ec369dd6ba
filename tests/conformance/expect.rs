//! What a reply has to be.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::ask::Reply;

/// The media type of every JSON reply, without a charset.
pub(crate) const JSON: &str = "application/json";

impl Reply {
    /// Any JSON reply with this code.
    pub(crate) fn json(&self, code: u16) -> Result<Value> {
        if self.status != code {
            return self.fail(&format!("want {code}"));
        }
        if self.header("content-type") != JSON {
            return self.fail("the content type is not application/json");
        }
        serde_json::from_slice(&self.body)
            .with_context(|| format!("{}: no JSON: {}", self.asked, self.text()))
    }

    /// The items of a metric list of this API version, which is complete.
    pub(crate) fn list(&self, api_version: &str) -> Result<Vec<Value>> {
        let kind = if api_version.starts_with("external.") {
            "ExternalMetricValueList"
        } else {
            "MetricValueList"
        };
        let body = self.json(200)?;
        if body["kind"] != kind || body["apiVersion"] != api_version || body["metadata"] != json!({}) {
            return self.fail(&format!("want a {kind} of {api_version} with empty metadata"));
        }
        match body["items"].as_array() {
            Some(items) => Ok(items.clone()),
            None => self.fail("want items"),
        }
    }

    /// The one item of a metric list.
    pub(crate) fn item(&self, api_version: &str) -> Result<Value> {
        match <[Value; 1]>::try_from(self.list(api_version)?) {
            Ok([item]) => Ok(item),
            Err(_) => self.fail("want one item"),
        }
    }

    /// A failure as `metav1.Status`, with this code and reason; `""` for none.
    pub(crate) fn failure(&self, code: u16, reason: &str) -> Result<Failure> {
        let body = self.json(code)?;
        let fits = body["kind"] == "Status"
            && body["apiVersion"] == "v1"
            && body["metadata"] == json!({})
            && body["status"] == "Failure"
            && body["code"] == code
            && body["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
            && body["reason"].as_str().unwrap_or_default() == reason;
        if !fits {
            return self.fail(&format!("want a Status {code} {reason}"));
        }
        Ok(Failure {
            message: body["message"].as_str().unwrap_or_default().to_owned(),
            details: body.get("details").cloned(),
        })
    }
}

/// What a Status says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) message: String,
    /// `None` where the key is absent.
    pub(crate) details: Option<Value>,
}

/// The names that the items describe, in their order.
pub(crate) fn names(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["describedObject"]["name"].as_str().unwrap_or("?"))
        .collect()
}

/// The values of the items, in their order.
pub(crate) fn values(items: &[Value]) -> Vec<&str> {
    items
        .iter()
        .map(|item| item["value"].as_str().unwrap_or("?"))
        .collect()
}

/// That two values are the same.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(is: &T, want: &T, what: &str) -> Result<()> {
    ensure!(is == want, "{what}: is {is:?}, want {want:?}");
    Ok(())
}
