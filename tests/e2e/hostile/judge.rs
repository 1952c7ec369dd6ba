//! Whether an answer is one.

use anyhow::{Context as _, Result, bail, ensure};
use language::quantity::Quantity;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{
    client::Reply,
    generate::{Hostile, NODE_UNIT, SECRET, Way, World},
};

/// What is expected of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    Answers,
    IsDown,
}

/// On one request.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// In a few words, to be counted.
    Right(String),
    /// With the request and the answer.
    Wrong(String),
}

/// Knows what may be told to whom.
pub(super) struct Judge {
    units: Vec<(String, f64)>,
    /// Nothing that comes back holds one of these.
    untold: Vec<String>,
}

// === impl Judge ===

impl Judge {
    pub(super) fn new(world: &World, backend: &str) -> Self {
        let address = backend.trim_start_matches("http://").to_owned();
        let words = [
            "hostileseries_",
            "LabelMatchers",
            "/api/v1/query",
            "sum by",
            SECRET,
        ];
        Self {
            units: world
                .units()
                .map(|(name, unit)| (name.to_owned(), unit))
                .collect(),
            untold: words.into_iter().map(str::to_owned).chain([address]).collect(),
        }
    }

    pub(super) fn verdict(&self, request: &Hostile, reply: Result<Reply>, backend: Backend) -> Verdict {
        let (outcome, told) = match reply {
            // what is no HTTP may be cut off
            Err(_) if request.way == Way::Raw && !is_http(request) => {
                (Ok("cut off".to_owned()), String::new())
            }
            Err(error) => (Err(error.context("no answer")), String::new()),
            Ok(reply) => {
                let told = format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body));
                (self.check(request, &reply, backend), told)
            }
        };
        outcome.map_or_else(
            |error| {
                let request: String = request.to_string().chars().take(1200).collect();
                let told: String = told.chars().take(600).collect();
                Verdict::Wrong(format!("{error:#}\n  of {request}\n  got {told}"))
            },
            Verdict::Right,
        )
    }

    fn check(&self, request: &Hostile, reply: &Reply, backend: Backend) -> Result<String> {
        let failing = match backend {
            Backend::Answers => reply.status >= 500,
            Backend::IsDown => reply.status >= 500 && ![503, 504].contains(&reply.status),
        };
        ensure!(!failing, "it failed");
        let text = String::from_utf8_lossy(&reply.body);
        // who sends a word may be told it
        let sent = percent_decode_str(&request.target).decode_utf8_lossy();
        let told = self
            .untold
            .iter()
            .find(|word| text.contains(*word) && !sent.contains(*word));
        ensure!(told.is_none(), "it tells {told:?}");
        ensure!(
            !(reply.status >= 500 && reply.headers.contains_key("retry-after")),
            "clients would come again at once"
        );
        let kind = reply
            .headers
            .get("content-type")
            .map(|kind| kind.to_str().unwrap_or_default());
        let outcome = reply.status.to_string();
        if request.method == "HEAD" {
            ensure!(reply.body.is_empty(), "a body after HEAD");
            return Ok(outcome);
        }
        // hyper's own answer to what is no HTTP, before anything of ours sees it
        if reply.body.is_empty() && [400, 414, 431].contains(&reply.status) {
            ensure!(
                request.way == Way::Raw && !is_http(request) || reply.status != 400,
                "no reason is given"
            );
            return Ok(format!("{outcome} without a body"));
        }
        if reply.status == 304 {
            return Ok(outcome);
        }
        let kind = kind.context("no content type")?;
        let is_ours = ["/healthz", "/livez", "/readyz", "/metrics"]
            .iter()
            .any(|path| sent.starts_with(path));
        if is_ours && reply.status == 200 {
            ensure!(
                kind.starts_with("text/plain") || kind.starts_with("application/openmetrics-text"),
                "{kind}"
            );
            return Ok(outcome);
        }
        let plain = [
            "application/json",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        ];
        if reply.status == 200 && sent.starts_with("/openapi") {
            return Ok(outcome);
        }
        ensure!(plain.contains(&kind), "{kind}");
        let compressed = reply.headers.contains_key("content-encoding");
        ensure!(!compressed || reply.body.len() > 1024, "compressed, and short");
        if compressed {
            return Ok(format!("{outcome}, compressed"));
        }
        let body: Value = serde_json::from_slice(&reply.body).context("no JSON")?;
        if reply.status >= 400 {
            check_status(reply.status, &body)?;
            return Ok(outcome);
        }
        ensure!(reply.status == 200, "neither an answer nor a refusal");
        match body["kind"].as_str() {
            Some("MetricValueList" | "ExternalMetricValueList") => {
                let items = body["items"].as_array().context("no items")?;
                for item in items {
                    self.check_item(&sent, item)?;
                }
                Ok(if items.is_empty() {
                    "200 without items"
                } else {
                    "200 with items"
                }
                .to_owned())
            }
            Some("Status") => bail!("a Status that is a success"),
            _ => Ok("200 of another kind".to_owned()),
        }
    }

    /// The value is a multiple of the unit of the namespace that was asked for, and of no larger one.
    fn check_item(&self, sent: &str, item: &Value) -> Result<()> {
        let text = item["value"].as_str().context("no value")?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "the values are whole, and small enough"
        )]
        let value = Quantity::parse(text)?.to_milli().get() as f64 / 1000.0;
        let path = sent.split('?').next().unwrap_or_default();
        let namespace = path
            .split('/')
            .skip_while(|segment| *segment != "namespaces")
            .nth(1);
        let described = &item["describedObject"];
        if described["kind"] == "Node" {
            ensure!((value - NODE_UNIT).abs() < 1.0, "{item}: not the node's value");
            return Ok(());
        }
        let namespace = namespace.with_context(|| format!("{item}: a row without a namespace"))?;
        let (_, unit) = self
            .units
            .iter()
            .find(|(name, _)| name == namespace)
            .with_context(|| format!("{item}: {namespace:?} has no series"))?;
        let units = value / unit;
        ensure!(
            (1.0..1e4).contains(&units) && units.fract() == 0.0,
            "{item}: {value} is no value of {namespace}"
        );
        for told in [&described["namespace"], &item["metricLabels"]["namespace"]] {
            ensure!(
                told.is_null() || told == namespace,
                "{item}: of another namespace"
            );
        }
        if described["kind"] == "Namespace" {
            ensure!(described["name"] == namespace, "{item}: another namespace");
        }
        Ok(())
    }
}

/// A `metav1.Status` of this code. A path outside of all APIs is answered with the list of those that there are.
fn check_status(code: u16, body: &Value) -> Result<()> {
    if code == 404 && body["paths"].is_array() {
        return Ok(());
    }
    ensure!(
        body["kind"] == "Status" && body["apiVersion"] == "v1",
        "no Status: {body}"
    );
    ensure!(body["status"] == "Failure" && body["code"] == code, "{body}");
    let message = body["message"].as_str().context("no message")?;
    ensure!(
        !message.is_empty() && message.len() < 64 * 1024,
        "{} bytes of message",
        message.len()
    );
    Ok(())
}

/// Whether the head is what RFC 9112 asks for, as far as targets, methods and values can make it otherwise.
fn is_http(request: &Hostile) -> bool {
    let token = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let target =
        request.target.starts_with('/') && request.target.bytes().all(|byte| byte.is_ascii_graphic());
    target
        && request
            .target
            .bytes()
            .all(|byte| !b"\"<>\\^`{}|#".contains(&byte))
        && token(&request.method)
        && request.headers.iter().all(|(name, _)| token(name))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::hostile::generate::Who;

    fn judged(target: &str, status: u16, body: &Value) -> Verdict {
        let world = World::new(["a", "b", "c"].map(str::to_owned));
        let judge = Judge::new(&world, "http://127.0.0.1:9090");
        let request = Hostile {
            way: Way::Http1,
            who: Who::User,
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let mut headers = HeaderMap::new();
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        let reply = Reply {
            status,
            headers,
            body: Bytes::from(body.to_string()),
        };
        judge.verdict(&request, Ok(reply), Backend::Answers)
    }

    fn status(code: u16, message: &str) -> Value {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code})
    }

    fn list(value: &str, namespace: &str) -> Value {
        let described = json!({"kind": "Pod", "namespace": namespace, "name": "p-0"});
        json!({"kind": "MetricValueList", "items": [{"describedObject": described, "value": value}]})
    }

    #[test]
    fn what_is_right_is_right() {
        let path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/b/pods/p-0/m";
        for (code, body) in [
            (200, list("20k", "b")),
            (404, status(404, "no metric")),
            (400, status(400, "no selector")),
        ] {
            assert!(matches!(judged(path, code, &body), Verdict::Right(_)), "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_seen() {
        let path = "/apis/custom.metrics.k8s.io/v1beta2/namespaces/b/pods/p-0/m";
        for (code, body) in [
            // a value of `a`, one of `c`, a sum with one of `a`, another namespace's name, and none at all
            (200, list("2", "b")),
            (200, list("100M", "b")),
            (200, list("20001", "b")),
            (200, list("20k", "a")),
            (200, list("many", "b")),
            (500, status(500, "it failed")),
            (503, status(503, "it failed")),
            (404, status(400, "another code")),
            (404, status(404, "")),
            (404, json!({"error": "no Status"})),
            (404, status(404, "no answer from 127.0.0.1:9090")),
            (404, status(404, "sum by (pod) (m) is empty")),
            (401, status(401, "hostile-s3cret is nobody's")),
        ] {
            assert!(matches!(judged(path, code, &body), Verdict::Wrong(_)), "{body}");
        }
    }
}
