//! Files that tell a client where the API server is and who it is itself.

use std::path::{Path, PathBuf};

use anyhow::Result;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::folder::write_private;
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
/// `namespace` is the context's; `ca` the file of the CA certificate that the server is trusted by, `None` to trust any.
///
/// # Errors
/// The file cannot be written.
pub fn write(
    path: &Path,
    server: &str,
    ca: Option<&Path>,
    user: &User<'_>,
    namespace: &str,
) -> Result<PathBuf> {
    let user = match user {
        User::Certificate(pair) => json!({"client-certificate": pair.certificate, "client-key": pair.key}),
        User::Token(token) => json!({ "token": token }),
    };
    let cluster = match ca {
        Some(ca) => json!({"server": server, "certificate-authority": ca}),
        None => json!({"server": server, "insecure-skip-tls-verify": true}),
    };
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "testbed", "cluster": cluster}],
        "users": [{"name": "testbed", "user": user}],
        "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": "testbed", "namespace": namespace}}],
        "current-context": "testbed",
    });
    write_private(path, &format!("{config:#}\n"))?;
    Ok(path.to_path_buf())
}

/// A client from a kubeconfig. Its connections belong to the runtime that this is called on.
///
/// # Errors
/// The file cannot be read or is not a kubeconfig.
pub async fn client(path: &Path) -> Result<Client> {
    Ok(Client::try_from(config(path).await?)?)
}

/// A client that tells what it is answered: the usual one tries a 503 again, for a minute and more.
///
/// # Errors
/// As [`client`].
pub async fn client_without_retries(path: &Path) -> Result<Client> {
    let mut config = config(path).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

async fn config(path: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}
