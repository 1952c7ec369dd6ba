//! Watch of one kind, guarded and driven for as long as its future is polled: what every kind that is kept in memory goes
//! through.
//!
//! Three things go wrong with a plain watch, and are dealt with here alone: one object that does not decode ends the
//! whole stream ([`DeserializeGuard`] isolates it), a relist that is shown object by object lets readers see a half
//! (it is buffered and handed over whole), and an error that is not backed off becomes a busy loop.

use std::{convert::Infallible, fmt, pin::pin};

use futures::StreamExt as _;
use kube::{
    Api, Resource,
    core::{DeserializeGuard, DynamicObject, ObjectMeta, PartialObjectMeta, error_boundary::InvalidObject},
    runtime::watcher::{self, DefaultBackoff, Event, watcher},
};
use serde::de::DeserializeOwned;

use crate::metrics::ControllerMetrics;

/// How long the API server keeps a watch open, in seconds. Azure's load balancer drops what is idle for 240 s without a
/// word, so the watch has to end, and its idle deadline (5 s later) to pass, before that.
const WATCH_SECONDS: u32 = 200;

/// What the watch says next, in the API server's order.
#[derive(Debug)]
pub enum Change<K> {
    /// Everything that exists, after a list: what is not in it is gone.
    Reset(Vec<Entry<K>>),
    /// An object was created or changed.
    Apply(Entry<K>),
    /// An object is gone. Only its key is told, so that an object that never decoded can be deleted as well.
    Delete(ObjectKey),
    /// The watch failed and is started again after a back-off; what was known stays true for now.
    Failed(Failure),
}

/// An object, or what is left of one that does not decode: its metadata and the decoder's words.
pub type Entry<K> = Result<K, Box<InvalidObject>>;

/// What a watch says next where a list is taken object by object: a kind of which one object may be large.
#[derive(Debug)]
pub enum Step<K> {
    /// A list begins, perhaps after one that broke off.
    Begin,
    /// An object of the list.
    Listed(Entry<K>),
    /// The list is complete: what was not in it is gone.
    End,
    /// Anything else; never [`Change::Reset`].
    Change(Change<K>),
}

/// What tells two objects of one kind apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// `None` for cluster-scoped kinds.
    pub namespace: Option<String>,
    /// `metadata.name`.
    pub name: String,
}

/// Why a watch failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status that the API server answered with; `None` where it did not answer.
    pub code: Option<u16>,
    /// For logs and conditions.
    pub message: String,
}

/// What a watch can be made of: a guarded kind, or a type whose decoding cannot fail on what the API server stores.
pub trait Watched: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static {
    /// What the handler gets.
    type Object;

    /// Parts the object from the failure to decode it.
    fn into_entry(self) -> Entry<Self::Object>;
}

/// The settings that every watch of the operator shares.
pub fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// Watches `api` and hands every change to `handler`, which must not block: it runs between two events.
///
/// Errors are logged, counted under `kind`, told as [`Change::Failed`] and backed off (0.8 s to 30 s, with jitter). The
/// future never ends by itself; dropping it cancels the watch, and no event is lost half-way since the handler does not
/// wait.
pub async fn drive<W: Watched>(
    api: Api<W>,
    config: watcher::Config,
    kind: &'static str,
    metrics: &ControllerMetrics,
    mut handler: impl FnMut(Change<W::Object>),
) -> Infallible {
    let mut listed = Vec::new();
    drive_each(api, config, kind, metrics, |step| match step {
        Step::Begin => listed.clear(),
        Step::Listed(entry) => listed.push(entry),
        Step::End => handler(Change::Reset(std::mem::take(&mut listed))),
        Step::Change(change) => handler(change),
    })
    .await
}

/// [`drive`] for a kind of which a whole list is too much to hold: `handler` gets each object as it comes, and keeps readers
/// from seeing a half by itself.
pub async fn drive_each<W: Watched>(
    api: Api<W>,
    config: watcher::Config,
    kind: &'static str,
    metrics: &ControllerMetrics,
    mut handler: impl FnMut(Step<W::Object>),
) -> Infallible {
    // It starts over by itself once it was not needed for two minutes, so a watch that lists well and then fails at
    // once does not count as healthy.
    let mut backoff = DefaultBackoff::default();
    metrics.watch_start(kind);
    loop {
        let mut events = pin!(watcher(api.clone(), config.clone()));
        while let Some(event) = events.next().await {
            let change = match event {
                Ok(Event::Init) => {
                    handler(Step::Begin);
                    continue;
                }
                Ok(Event::InitApply(object)) => {
                    handler(Step::Listed(stripped(object).into_entry()));
                    continue;
                }
                Ok(Event::InitDone) => Step::End,
                Ok(Event::Apply(object)) => Step::Change(Change::Apply(stripped(object).into_entry())),
                Ok(Event::Delete(object)) => Step::Change(Change::Delete(ObjectKey::of(object.meta()))),
                Err(error) => {
                    let failure = Failure::of(&error);
                    // client-go relists on a 410 that answers the watch request itself; kube's watcher does so only
                    // for one inside the stream, and would ask for the expired version for ever. So would it for the
                    // version of a CRD that was deleted (404) and perhaps is there again, with other objects. After a
                    // refusal a list tells that it is over, where a quiet watch would not.
                    let relist = matches!(failure.code, Some(401 | 403 | 404 | 410));
                    tracing::warn!(kind, code = failure.code, error = %failure.message, "watch failed");
                    metrics.watch_restart(kind);
                    handler(Step::Change(Change::Failed(failure)));
                    let delay = backoff.next().unwrap_or(std::time::Duration::from_secs(30));
                    tokio::time::sleep(delay).await;
                    if relist {
                        break;
                    }
                    continue;
                }
            };
            metrics.watch_event(kind);
            handler(change);
        }
    }
}

/// `managedFields` are a third of what an object weighs, and nobody here reads them.
fn stripped<W: Resource>(mut object: W) -> W {
    object.meta_mut().managed_fields = None;
    object
}

// === impl ObjectKey ===

impl ObjectKey {
    /// The key of the object with this metadata.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self {
            namespace: meta.namespace.clone(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

// === impl Failure ===

impl Failure {
    fn of(error: &watcher::Error) -> Self {
        let code = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => Some(status.code),
            _ => None,
        };
        Self {
            code,
            message: error.to_string(),
        }
    }
}

// === impl Watched ===

impl<K> Watched for DeserializeGuard<K>
where
    K: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
{
    type Object = K;

    fn into_entry(self) -> Entry<K> {
        self.0.map_err(Box::new)
    }
}

/// Takes whatever an API server stores.
impl Watched for DynamicObject {
    type Object = Self;

    fn into_entry(self) -> Entry<Self> {
        Ok(self)
    }
}

/// Metadata decodes for every object that an API server stores.
impl<K> Watched for PartialObjectMeta<K>
where
    K: Clone + fmt::Debug + Send + 'static,
    Self: Resource + Clone + fmt::Debug + DeserializeOwned + Send + 'static,
{
    type Object = Self;

    fn into_entry(self) -> Entry<Self> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests;
