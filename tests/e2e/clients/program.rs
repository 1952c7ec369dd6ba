//! The Go program of `tests/clients`: asked a list of calls, it says what Go's clients made of the answers.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use testbed::Testbed;

use super::scene::Scene;

/// What kube-controller-manager's clients are set to.
pub(super) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
pub(super) const JSON: &str = "application/json";

/// How the program is run.
#[derive(Clone)]
pub(super) struct Program<'a> {
    testbed: &'a Testbed,
    kubeconfig: &'a Path,
    content_type: &'a str,
    version: &'a str,
    expected: &'a str,
}

/// What a client made of one call.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    pub(super) name: String,
    pub(super) ok: bool,
    #[serde(default)]
    pub(super) result: Value,
    pub(super) error: Option<Refusal>,
    /// What went over the wire, in order.
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) requests: Vec<Request>,
    /// The `Warning` headers.
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) warnings: Vec<String>,
}

/// An error as a controller looks at it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) message: String,
    /// Which predicates of `k8s.io/apimachinery/pkg/api/errors` hold: `NotFound` for `IsNotFound`.
    pub(super) is: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    pub(super) uri: String,
    pub(super) accept: String,
    pub(super) content_type: String,
}

/// A decoded value of either API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Item {
    pub(super) kind: String,
    pub(super) api_version: String,
    pub(super) namespace: String,
    pub(super) object: String,
    pub(super) metric: String,
    pub(super) selector: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    pub(super) value: String,
    pub(super) milli: i64,
    pub(super) time: i64,
    pub(super) window: Option<i64>,
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

// === impl Program ===

impl<'a> Program<'a> {
    /// As the HPA controller's clients are set up.
    pub(super) fn new(scene: &'a Scene<'_>, kubeconfig: &'a Path) -> Self {
        Self {
            testbed: scene.testbed,
            kubeconfig,
            content_type: PROTOBUF,
            version: "",
            expected: "v1beta2",
        }
    }

    /// The version of custom metrics, where discovery is not to choose it; empty: it is.
    pub(super) fn custom_version(mut self, version: &'a str) -> Self {
        self.version = version;
        if version.is_empty() {
            self
        } else {
            self.expecting(version)
        }
    }

    /// The version of custom metrics that has to be asked for: v1beta2 unless this says otherwise.
    pub(super) fn expecting(mut self, version: &'a str) -> Self {
        self.expected = version;
        self
    }

    pub(super) fn content_type(mut self, content_type: &'a str) -> Self {
        self.content_type = content_type;
        self
    }

    /// The Accept header that such clients send.
    pub(super) fn accepts(&self) -> String {
        format!("{}, */*", self.content_type)
    }

    /// See [`Self::expecting`].
    pub(super) fn expected(&self) -> &str {
        self.expected
    }

    /// Runs the calls. Every one has an answer, and client-go has complained of nothing.
    pub(super) async fn run(&self, calls: &[Value]) -> Result<Vec<Answer>> {
        let content_type = format!("--content-type={}", self.content_type);
        let version = format!("--custom-version={}", self.version);
        let input = serde_json::to_string(calls)?;
        let said = self
            .testbed
            .run(
                "metrics-clients",
                self.kubeconfig,
                &[&content_type, &version],
                &input,
            )
            .await?;
        ensure!(said.stderr.is_empty(), "on standard error: {}", said.stderr);
        let output = said.ok("metrics-clients")?;
        let answers: Vec<Answer> = output
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| line.to_owned()))
            .collect::<Result<_>>()?;
        ensure!(
            answers.len() == calls.len(),
            "{} answers to {} calls",
            answers.len(),
            calls.len()
        );
        Ok(answers)
    }
}

// === impl Answer ===

impl Answer {
    /// The result of a call that has to succeed.
    pub(super) fn result(&self) -> Result<&Value> {
        ensure!(self.ok, "{}: {:?}", self.name, self.error);
        Ok(&self.result)
    }

    /// The values, of a list or of one object.
    pub(super) fn values(&self) -> Result<Vec<Item>> {
        let result = self.result()?;
        match result {
            Value::Array(items) => items.iter().map(|item| Ok(Item::deserialize(item)?)).collect(),
            Value::Object(_) => Ok(vec![Item::deserialize(result)?]),
            other => bail!("no value: {other}"),
        }
    }
}

// === impl Item ===

impl Item {
    /// `pod-name=1500m`, or the labels of an external value.
    pub(super) fn summary(&self) -> String {
        if self.object.is_empty() {
            let labels: Vec<String> = self
                .labels
                .iter()
                .map(|(name, value)| format!("{name}:{value}"))
                .collect();
            return format!("{}={}", labels.join(","), self.value);
        }
        format!("{}={}", self.object, self.value)
    }
}
