//! Credentials of backends: the labelled Secrets and `ConfigMaps` of the operator's own namespace, watched, and tokens of
//! `ServiceAccounts` there.

mod tokens;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client,
    core::{DeserializeGuard, ObjectMeta},
};
use tokio::sync::watch;

use super::watch::{Change, Entry, ObjectKey, Watched, config, drive};
use crate::{
    api::{BACKEND_LABEL, CaRefKind},
    metrics::ControllerMetrics,
};

pub use self::tokens::{SHORTEST, ServiceAccountToken, TokenError, TokenRequests};

/// Keeps [`Credentials`] up to date.
pub struct CredentialWatch {
    client: Client,
    namespace: String,
    own: BTreeSet<String>,
    published: watch::Sender<Arc<Credentials>>,
    metrics: ControllerMetrics,
}

/// The Secrets and `ConfigMaps` that a `MetricBackend` may name, by kind and name. Their data are not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    objects: BTreeMap<(CaRefKind, String), Arc<CredentialObject>>,
    /// The kinds that were listed at least once.
    listed: BTreeSet<CaRefKind>,
}

/// The content of one of them.
#[derive(Clone, PartialEq, Eq)]
pub struct CredentialObject {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
    data: BTreeMap<String, Bytes>,
}

// === impl CredentialWatch ===

impl CredentialWatch {
    /// A watch of `namespace` and what it publishes. `own` names Secrets of the operator itself (its CA), which no backend
    /// is given, whatever their labels.
    pub fn new(
        client: Client,
        namespace: &str,
        own: impl IntoIterator<Item = String>,
        metrics: ControllerMetrics,
    ) -> (Self, watch::Receiver<Arc<Credentials>>) {
        let (published, receiver) = watch::channel(Arc::default());
        let watch = Self {
            client,
            namespace: namespace.to_owned(),
            own: own.into_iter().collect(),
            published,
            metrics,
        };
        (watch, receiver)
    }

    /// Runs for as long as it is polled.
    pub async fn run(self) -> Infallible {
        let secrets: Api<DeserializeGuard<Secret>> = Api::namespaced(self.client.clone(), &self.namespace);
        let maps: Api<DeserializeGuard<ConfigMap>> = Api::namespaced(self.client.clone(), &self.namespace);
        tokio::select! {
            never = self.drive(secrets, "Secret", CaRefKind::Secret) => never,
            never = self.drive(maps, "ConfigMap", CaRefKind::ConfigMap) => never,
        }
    }

    async fn drive<W: Watched<Object: Content>>(
        &self,
        api: Api<W>,
        name: &'static str,
        kind: CaRefKind,
    ) -> Infallible {
        let config = config().labels(&format!("{BACKEND_LABEL}=true"));
        drive(api, config, name, &self.metrics, |change| {
            self.published.send_if_modified(|known| {
                let mut next = (**known).clone();
                self.apply(&mut next, kind, change);
                let changed = **known != next;
                if changed {
                    *known = Arc::new(next);
                }
                changed
            });
        })
        .await
    }

    fn apply<K: Content>(&self, credentials: &mut Credentials, kind: CaRefKind, change: Change<K>) {
        let objects = &mut credentials.objects;
        match change {
            Change::Reset(entries) => {
                objects.retain(|(other, _), _| *other != kind);
                let entries = entries.into_iter().map(|entry| self.read(kind, entry));
                objects.extend(entries.filter_map(|(key, object)| Some(((kind, key), object?))));
                credentials.listed.insert(kind);
            }
            Change::Apply(entry) => {
                let (key, object) = self.read(kind, entry);
                match object {
                    Some(object) => objects.insert((kind, key), object),
                    None => objects.remove(&(kind, key)),
                };
            }
            Change::Delete(ObjectKey { name, .. }) => {
                objects.remove(&(kind, name));
            }
            Change::Failed(_) => {}
        }
    }

    /// The selector is asked for, and checked: it is what keeps other Secrets of the namespace from being sent away.
    fn read<K: Content>(&self, kind: CaRefKind, entry: Entry<K>) -> (String, Option<Arc<CredentialObject>>) {
        let content = match entry {
            Ok(content) => content,
            Err(invalid) => {
                let name = invalid.metadata.name.unwrap_or_default();
                // The decoder's words may quote the data.
                tracing::warn!(?kind, name, "credentials cannot be decoded, and are ignored");
                return (name, None);
            }
        };
        let meta = content.meta();
        let name = meta.name.clone().unwrap_or_default();
        let labelled = meta
            .labels
            .iter()
            .flatten()
            .any(|(key, value)| key == BACKEND_LABEL && value == "true");
        if !labelled || (kind == CaRefKind::Secret && self.own.contains(&name)) {
            return (name, None);
        }
        let (uid, resource_version) = (meta.uid.clone(), meta.resource_version.clone());
        let object = CredentialObject {
            uid: uid.unwrap_or_default(),
            resource_version: resource_version.unwrap_or_default(),
            data: content.into_data(),
        };
        (name, Some(Arc::new(object)))
    }
}

/// What a Secret and a `ConfigMap` have in common.
trait Content {
    fn meta(&self) -> &ObjectMeta;
    fn into_data(self) -> BTreeMap<String, Bytes>;
}

impl Content for Secret {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn into_data(self) -> BTreeMap<String, Bytes> {
        self.data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.0.into()))
            .collect()
    }
}

impl Content for ConfigMap {
    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn into_data(self) -> BTreeMap<String, Bytes> {
        let text = self
            .data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.into()));
        let binary = self
            .binary_data
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.0.into()));
        text.chain(binary).collect()
    }
}

// === impl Credentials ===

impl Credentials {
    /// The bytes under a key; `None` if there is no such object with the label, or no such key.
    pub fn get(&self, kind: CaRefKind, name: &str, key: &str) -> Option<Bytes> {
        self.object(kind, name)?.data.get(key).cloned()
    }

    /// One of the objects.
    pub fn object(&self, kind: CaRefKind, name: &str) -> Option<&CredentialObject> {
        self.objects.get(&(kind, name.to_owned())).map(|object| &**object)
    }

    /// Whether both kinds were listed; before that, what is missing may only be unknown.
    pub fn is_synced(&self) -> bool {
        [CaRefKind::Secret, CaRefKind::ConfigMap]
            .iter()
            .all(|kind| self.listed.contains(kind))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.objects).finish()
    }
}

impl fmt::Debug for CredentialObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialObject")
            .field("uid", &self.uid)
            .field("resource_version", &self.resource_version)
            .field("keys", &self.data.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests;
