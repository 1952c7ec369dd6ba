//! Secrets and `ConfigMaps` that backends name, read once from the operator's namespace.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, core::ObjectMeta};

use crate::{
    api::{BACKEND_LABEL, CaRefKind, MetricBackendSpec},
    kubernetes::rights::{ClusterError, Right, ask},
};

/// By kind, name and key.
pub(super) type Credentials = BTreeMap<(CaRefKind, String, String), Bytes>;

/// What a backend names.
pub(super) fn named(spec: &MetricBackendSpec) -> BTreeSet<(CaRefKind, String)> {
    let mut names = BTreeSet::new();
    let Some(prometheus) = &spec.prometheus else {
        return names;
    };
    let mut secret = |name: &str| names.insert((CaRefKind::Secret, name.to_owned()));
    if let Some(auth) = &prometheus.auth {
        if let Some(basic) = &auth.basic {
            secret(&basic.secret_ref.name);
        }
        if let Some(bearer) = &auth.bearer {
            secret(&bearer.secret_ref.name);
        }
    }
    if let Some(tls) = &prometheus.tls {
        if let Some(certificate) = &tls.certificate_ref {
            secret(&certificate.name);
        }
        if let Some(ca) = &tls.ca_ref {
            names.insert((ca.kind, ca.name.clone()));
        }
    }
    names
}

/// Reads one of them. One without the label is left out, as by the operator.
pub(super) async fn read(
    client: &Client,
    namespace: &str,
    kind: CaRefKind,
    name: &str,
) -> Result<Credentials, ClusterError> {
    let (meta, data): (ObjectMeta, BTreeMap<String, Bytes>) = match kind {
        CaRefKind::Secret => {
            let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
            let right = Right::new("get", "", "secrets", Some(namespace));
            let what = format!("the Secret {namespace}/{name}");
            let secret = ask(&what, right, api.get(name)).await?;
            let data = secret.data.into_iter().flatten();
            (
                secret.metadata,
                data.map(|(key, value)| (key, value.0.into())).collect(),
            )
        }
        CaRefKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
            let right = Right::new("get", "", "configmaps", Some(namespace));
            let what = format!("the ConfigMap {namespace}/{name}");
            let map = ask(&what, right, api.get(name)).await?;
            let text = map.data.into_iter().flatten();
            let text = text.map(|(key, value)| (key, value.into()));
            let binary = map.binary_data.into_iter().flatten();
            let binary = binary.map(|(key, value)| (key, value.0.into()));
            (map.metadata, text.chain(binary).collect())
        }
    };
    let labels = meta.labels.unwrap_or_default();
    if labels.get(BACKEND_LABEL).map(String::as_str) != Some("true") {
        let message = format!("it lacks the label {BACKEND_LABEL}=true, so the operator does not read it");
        return Err(ClusterError::failed(
            format!("{kind:?} {namespace}/{name}"),
            message,
        ));
    }
    let entries = data
        .into_iter()
        .map(|(key, value)| ((kind, name.to_owned(), key), value));
    Ok(entries.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake::FakeApi;

    #[tokio::test]
    async fn certificates_in_binary_data_were_missing() {
        let fake = FakeApi::default();
        fake.set(
            "/api/v1/namespaces/home/configmaps/ca",
            json!({"metadata": {"name": "ca", "labels": {BACKEND_LABEL: "true"}}, "data": {"a": "text"},
                "binaryData": {"ca.crt": "UEVN"}}),
        );
        let found = read(&fake.client(), "home", CaRefKind::ConfigMap, "ca")
            .await
            .unwrap();
        let get = |key: &str| found[&(CaRefKind::ConfigMap, "ca".to_owned(), key.to_owned())].clone();
        assert_eq!((get("ca.crt"), get("a")), ("PEM".into(), "text".into()));
    }
}
