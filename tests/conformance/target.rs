//! The server under test and what it is known to hold.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::ask::{Client, Identity};

/// The group-versions of the metrics APIs.
pub(crate) const V1BETA1: &str = "custom.metrics.k8s.io/v1beta1";
pub(crate) const V1BETA2: &str = "custom.metrics.k8s.io/v1beta2";
pub(crate) const EXTERNAL: &str = "external.metrics.k8s.io/v1beta1";
/// Both versions of custom metrics.
pub(crate) const CUSTOM: [&str; 2] = [V1BETA1, V1BETA2];

/// A server that `url` points are asked of.
#[derive(Clone)]
pub(crate) struct Target {
    /// May do everything (`system:masters`).
    pub(crate) admin: Client,
    /// What there is to be found.
    pub(crate) data: Data,
}

/// The series behind the server: one metric of pods in three namespaces whose values have nothing in common, so that a leak
/// shows in an aggregate too; and one metric each of other kinds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Data {
    /// The names of the metrics.
    pub(crate) metrics: Names,
    /// Three namespaces.
    pub(crate) namespaces: [Namespace; 3],
    /// A node, and the value of its metric.
    pub(crate) node: Object,
}

/// The metric of each kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Names {
    /// Of pods; its one series for each pod has the label `verb="GET"`.
    pub(crate) pods: String,
    /// Of deployments.apps.
    pub(crate) deployments: String,
    /// Of ingresses.networking.k8s.io.
    pub(crate) ingresses: String,
    /// Of namespaces.
    pub(crate) namespaces: String,
    /// Of nodes.
    pub(crate) nodes: String,
    /// External, the same name in each namespace.
    pub(crate) external: String,
}

/// What one namespace holds. Values are quantities as they have to be printed.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    /// The value of the namespace's own metric.
    pub(crate) value: String,
    /// Pods labelled `app=web`, by name.
    pub(crate) web: BTreeMap<String, String>,
    /// Pods labelled `app=db`, by name.
    pub(crate) db: BTreeMap<String, String>,
    pub(crate) deployment: Object,
    pub(crate) ingress: Object,
    /// At least two series, in the order of their labels.
    pub(crate) external: Vec<Series>,
}

/// An object and its value.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// An external series.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Series {
    /// With exactly one of the labels `foo=bar` and `foo=baz`.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: String,
}

// === impl Target ===

impl Target {
    /// The server that the environment names, if it names one: `CONFORMANCE_URL`, `_CA`, `_CERT`, `_KEY` or `_TOKEN_FILE`,
    /// `_SERVER_NAME`, `_DATA`.
    pub(crate) fn from_env() -> Result<Option<Self>> {
        let variable = |name: &str| {
            std::env::var(format!("CONFORMANCE_{name}"))
                .ok()
                .filter(|value| !value.is_empty())
        };
        let need = |name: &str| variable(name).with_context(|| format!("CONFORMANCE_{name} is not set"));
        let Some(url) = variable("URL") else {
            return Ok(None);
        };
        let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("reading {path}"));
        let authority = url
            .strip_prefix("https://")
            .context("the URL has to start with https://")?;
        let authority = authority.trim_end_matches('/');
        let (host, _) = authority.rsplit_once(':').context("the URL has to have a port")?;
        let server_name = variable("SERVER_NAME").unwrap_or_else(|| host.trim_matches(['[', ']']).to_owned());
        let address = authority
            .to_socket_addrs()?
            .next()
            .context("the URL's host has no address")?;
        let client = Client::new(address, &server_name, &read(&need("CA")?)?)?;
        let admin = match variable("TOKEN_FILE") {
            Some(path) => client.with_token(read(&path)?.trim()),
            None => client.with_identity(Identity::from_pem(&read(&need("CERT")?)?, &read(&need("KEY")?)?)?),
        };
        let data = match variable("DATA") {
            Some(path) => Data::read(Path::new(&path))?,
            None => Data::default_lab()?,
        };
        Ok(Some(Self { admin, data }))
    }

    /// The path of a metric of one object of the first namespace, or of all with `*`.
    pub(crate) fn pods(&self, version: &str, name: &str) -> String {
        self.pods_in(0, version, name)
    }

    /// The same for the namespace with this position.
    pub(crate) fn pods_in(&self, namespace: usize, version: &str, name: &str) -> String {
        let metric = &self.data.metrics.pods;
        format!(
            "/apis/{version}/namespaces/{}/pods/{name}/{metric}",
            self.data.namespaces[namespace].name
        )
    }

    /// The path of the external metric in the first namespace.
    pub(crate) fn external(&self) -> String {
        let metric = &self.data.metrics.external;
        format!(
            "/apis/{EXTERNAL}/namespaces/{}/{metric}",
            self.data.namespaces[0].name
        )
    }
}

// === impl Data ===

impl Data {
    /// Of a JSON file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{}: not the data of the suite", path.display()))
    }

    /// What the lab sets up.
    pub(crate) fn default_lab() -> Result<Self> {
        Ok(serde_json::from_str(include_str!("data.json"))?)
    }

    /// The first namespace.
    pub(crate) fn first(&self) -> &Namespace {
        &self.namespaces[0]
    }
}

// === impl Namespace ===

impl Namespace {
    /// All its pods and their values, by name.
    pub(crate) fn pods(&self) -> BTreeMap<&str, &str> {
        self.web
            .iter()
            .chain(&self.db)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// One pod and its value.
    pub(crate) fn pod(&self) -> (&str, &str) {
        self.web
            .first_key_value()
            .map_or(("", ""), |(name, value)| (name, value))
    }
}
