//! Configuration of prometheus-adapter in a live cluster.

use clap::Args;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt};

use super::super::cluster::{ClusterArgs, connect, object};
use crate::{
    app,
    document::{self, SourceFile},
    import::adapter::release_text,
    kubernetes::rights::{Right, ask, list},
};

/// The objects to read.
#[derive(Debug, Args)]
pub(super) struct FromArgs {
    /// Read this ConfigMap from the cluster. Needs the permission to get it.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = object)]
    from_configmap: Vec<(String, String)>,

    /// Read the values of the latest deployed revision of this Helm release from the cluster. Needs the permission to list Secrets in
    /// that namespace.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = object)]
    from_helm_release: Vec<(String, String)>,

    #[command(flatten)]
    cluster: ClusterArgs,
}

// === impl FromArgs ===

impl FromArgs {
    /// Adds what was read, and to `unread` a sentence for what was not.
    pub(super) fn read(&self, files: &mut Vec<SourceFile>, unread: &mut Vec<String>) {
        if self.from_configmap.is_empty() && self.from_helm_release.is_empty() {
            return;
        }
        let read = app::once(async {
            let client = connect(self.cluster.options()).await?.client;
            let mut read = Vec::new();
            for (namespace, name) in &self.from_configmap {
                read.push(config_map(&client, namespace, name).await);
            }
            for (namespace, name) in &self.from_helm_release {
                read.push(release(&client, namespace, name).await);
            }
            Ok(read)
        });
        match read {
            Err(error) => unread.push(format!("{error:#}")),
            Ok(read) => {
                for outcome in read {
                    match outcome {
                        Ok(file) => files.push(file),
                        Err(error) => unread.push(format!("{error:#}")),
                    }
                }
            }
        }
    }
}

async fn config_map(client: &Client, namespace: &str, name: &str) -> anyhow::Result<SourceFile> {
    let what = format!("ConfigMap {namespace}/{name}");
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let right = Right::new("get", "", "configmaps", Some(namespace));
    let mut found = ask(&what, right, api.get(name)).await?;
    found.metadata.managed_fields = None;
    found.metadata.annotations = None;
    let mut json = serde_json::to_value(&found)?;
    json["apiVersion"] = "v1".into();
    json["kind"] = "ConfigMap".into();
    Ok(SourceFile {
        name: what,
        text: document::to_yaml(&json, &["apiVersion", "kind"]),
    })
}

/// Helm keeps each revision in its own Secret; the deployed one is the one that runs.
async fn release(client: &Client, namespace: &str, name: &str) -> anyhow::Result<SourceFile> {
    let what = format!("Helm release {namespace}/{name}");
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let right = Right::new("list", "", "secrets", Some(namespace));
    let found = list(&what, right, api, Some(&format!("owner=helm,name={name}"))).await?;
    let revision = |secret: &&Secret| -> (bool, u64) {
        let label = |name: &str| secret.labels().get(name).map(String::as_str).unwrap_or_default();
        (
            label("status") == "deployed",
            label("version").parse().unwrap_or(0),
        )
    };
    let last = found.iter().max_by_key(revision);
    let last = last.ok_or_else(|| {
        anyhow::anyhow!("{what} does not exist; `helm list -n {namespace}` lists the releases")
    })?;
    let data = last.data.as_ref().and_then(|data| data.get("release"));
    let data = data.ok_or_else(|| anyhow::anyhow!("{what}: its Secret has no key release"))?;
    let text = release_text(&data.0).map_err(|error| anyhow::anyhow!("{what}: {error}"))?;
    Ok(SourceFile { name: what, text })
}
