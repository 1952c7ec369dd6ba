//! Watch of one named object.

use std::{convert::Infallible, fmt, sync::Arc};

use kube::{Api, Resource, core::DeserializeGuard};
use serde::de::DeserializeOwned;

use crate::{
    kubernetes::watch::{Change, Entry, config, drive},
    metrics::ControllerMetrics,
};

/// What is known of one object.
#[derive(Clone, Debug)]
pub(super) enum Observed<K> {
    /// It was not listed yet.
    Unknown,
    /// It does not exist.
    Absent,
    /// It exists.
    Present(Arc<K>),
    /// It exists and does not decode; the decoder's words.
    Undecodable(Arc<str>),
}

/// Watches the object `name` alone (`metadata.name=`, so that RBAC by `resourceNames` is enough) and publishes what is
/// known of it. While the watch fails, what was known stays. Never ends.
pub(super) async fn watch_one<K>(
    api: Api<DeserializeGuard<K>>,
    name: &str,
    kind: &'static str,
    metrics: &ControllerMetrics,
    publish: impl Fn(Observed<K>),
) -> Infallible
where
    K: Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
{
    let config = config().fields(&format!("metadata.name={name}"));
    drive(api, config, kind, metrics, |change| {
        let now = match change {
            Change::Reset(entries) => entries.into_iter().next().map_or(Observed::Absent, known),
            Change::Apply(entry) => known(entry),
            Change::Delete(_) => Observed::Absent,
            Change::Failed(_) => return,
        };
        publish(now);
    })
    .await
}

fn known<K>(entry: Entry<K>) -> Observed<K> {
    match entry {
        Ok(object) => Observed::Present(Arc::new(object)),
        Err(invalid) => Observed::Undecodable(invalid.error.into()),
    }
}
