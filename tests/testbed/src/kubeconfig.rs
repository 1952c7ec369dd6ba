//! Files that tell a client where the API server is and who it is itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::pki::Pair;

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum User<'a> {
    /// By a client certificate.
    Certificate(&'a Pair),
    /// By a bearer token.
    Token(&'a str),
}

/// Writes a kubeconfig with one context. It is JSON, which is YAML.
///
/// `namespace` is the context's; `ca` the file of the cluster's CA certificate.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, server: &str, ca: &Path, user: &User<'_>, namespace: &str) -> Result<PathBuf> {
    let user = match user {
        User::Certificate(pair) => json!({"client-certificate": pair.certificate, "client-key": pair.key}),
        User::Token(token) => json!({ "token": token }),
    };
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": {"server": server, "certificate-authority": ca}}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed", "namespace": namespace}}],
        "current-context": "testbed",
    });
    std::fs::write(path, format!("{config:#}\n")).with_context(|| format!("writing {}", path.display()))?;
    Ok(path.to_path_buf())
}

/// A client from a kubeconfig. Its connections belong to the runtime that this is called on.
///
/// # Errors
/// The file cannot be read or is not a kubeconfig.
pub async fn client(path: &Path) -> Result<Client> {
    let config = Kubeconfig::read_from(path)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}
