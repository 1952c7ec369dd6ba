//! Turns `MetricBackends` and the bytes of their credentials into clients, and keeps those whose inputs did not change:
//! a client holds connections, tokens, and the count of what is in flight.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Backend, BackendError,
    auth::TokenSource,
    flight::SingleFlight,
    limits::{Limited, Limiter},
    prometheus::Prometheus,
    settings::Settings,
};
use crate::{
    api::{BackendLimits, CaRefKind, MetricBackendSpec},
    metrics::BackendMetrics,
    reason::Reason,
};

/// One `MetricBackend` as the rule table has it.
#[derive(Clone, Debug, PartialEq)]
pub struct BackendInputs {
    /// Its spec.
    pub spec: Arc<MetricBackendSpec>,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
}

/// The clients of all `MetricBackends`. A clone is the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

/// A snapshot of a [`Pool`].
#[derive(Clone, Default)]
pub struct Backends(BTreeMap<Arc<str>, Result<Arc<dyn Backend>, BackendError>>);

struct Shared {
    metrics: BackendMetrics,
    tokens: Arc<dyn TokenSource>,
    state: Mutex<State>,
    published: watch::Sender<Arc<Backends>>,
}

#[derive(Default)]
struct State {
    inputs: BTreeMap<Arc<str>, BackendInputs>,
    /// `None` until the credentials were read once.
    credentials: Option<Box<CredentialLookup>>,
    slots: BTreeMap<Arc<str>, Slot>,
}

/// Finds the bytes under a key of a Secret or `ConfigMap`, by kind, name and key.
pub type CredentialLookup = dyn Fn(CaRefKind, &str, &str) -> Option<Bytes> + Send;

struct Slot {
    desired: Desired,
    limiter: Arc<Limiter>,
    backend: Result<Arc<dyn Backend>, BackendError>,
}

/// Everything that a client depends on; equal means that the client stays.
#[derive(Clone, Debug, PartialEq)]
struct Desired {
    /// A `MetricBackend` that was deleted and created anew is another one.
    uid: String,
    limits: BackendLimits,
    settings: Result<Settings, BackendError>,
}

/// What becomes of a backend's client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Keep,
    /// A new client under the ceilings of the old one, so that what is in flight goes on counting.
    Rebuild,
    Build,
}

// === impl Pool ===

impl Pool {
    /// A pool without backends and credentials.
    pub fn new(metrics: BackendMetrics, tokens: Arc<dyn TokenSource>) -> Self {
        Self(Arc::new(Shared {
            metrics,
            tokens,
            state: Mutex::default(),
            published: watch::Sender::default(),
        }))
    }

    /// Makes the pool hold exactly these backends, by name. Without a change it publishes nothing.
    ///
    /// A backend whose spec or credentials do not do has an error in the place of a client.
    pub fn apply(&self, backends: impl IntoIterator<Item = (Arc<str>, BackendInputs)>) {
        let mut state = self.state();
        state.inputs = backends.into_iter().collect();
        self.refresh(&mut state);
    }

    /// Makes the pool use these credentials from now on; only clients whose bytes differ are built anew. Until the first
    /// call a backend that needs credentials is `NotSynced`.
    pub fn set_credentials(&self, lookup: impl Fn(CaRefKind, &str, &str) -> Option<Bytes> + Send + 'static) {
        let mut state = self.state();
        state.credentials = Some(Box::new(lookup));
        self.refresh(&mut state);
    }

    /// The client of a backend, or why there is none.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        self.0.published.borrow().get(name)
    }

    /// Every change of the pool, as a whole.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Backends>> {
        self.0.published.subscribe()
    }

    fn refresh(&self, state: &mut State) {
        let State {
            inputs,
            credentials,
            slots,
        } = state;
        let before = slots.len();
        slots.retain(|name, _| {
            let stays = inputs.contains_key(name);
            if !stays {
                self.0.metrics.forget(name);
            }
            stays
        });
        let mut changed = slots.len() != before;
        for (name, inputs) in inputs {
            let desired = Desired::of(inputs, credentials.as_deref());
            let old = slots.get(name);
            let step = step(old.map(|slot| &slot.desired), &desired);
            let limiter = match (step, old) {
                (Step::Keep, _) => continue,
                (Step::Rebuild, Some(old)) => old.limiter.clone(),
                (Step::Rebuild | Step::Build, _) => Arc::new(Limiter::new(desired.limits.clone())),
            };
            let backend = self.build(name, &desired, limiter.clone());
            match &backend {
                Ok(_) => tracing::info!(backend = %name, "client of the MetricBackend built"),
                Err(error) => {
                    let (reason, detail) = (error.reason(), error.detail());
                    tracing::warn!(backend = %name, %reason, detail, "MetricBackend is not usable");
                }
            }
            let slot = Slot {
                desired,
                limiter,
                backend,
            };
            slots.insert(name.clone(), slot);
            changed = true;
        }
        if changed {
            let backends = slots
                .iter()
                .map(|(name, slot)| (name.clone(), slot.backend.clone()));
            self.0
                .published
                .send_replace(Arc::new(Backends(backends.collect())));
        }
    }

    fn build(
        &self,
        name: &Arc<str>,
        desired: &Desired,
        limiter: Arc<Limiter>,
    ) -> Result<Arc<dyn Backend>, BackendError> {
        let settings = desired.settings.as_ref().map_err(Clone::clone)?;
        let client = Prometheus::new(settings, self.0.tokens.clone())?;
        let backend = Limited::new(client, name.clone(), limiter, self.0.metrics.clone());
        Ok(Arc::new(SingleFlight::new(backend)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.0.published.borrow()).finish()
    }
}

// === impl Backends ===

impl Backends {
    /// The client of a backend, or why there is none.
    pub fn get(&self, name: &str) -> Result<Arc<dyn Backend>, BackendError> {
        self.0.get(name).cloned().unwrap_or_else(|| {
            Err(BackendError::new(
                Reason::BackendNotFound,
                "there is no MetricBackend of that name",
            ))
        })
    }

    /// Whether a backend has the same client in `other`, or lacks one for the same reason.
    pub fn same(&self, other: &Self, name: &str) -> bool {
        match (self.0.get(name), other.0.get(name)) {
            (Some(Ok(a)), Some(Ok(b))) => std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b)),
            (Some(Err(a)), Some(Err(b))) => a == b,
            (None, None) => true,
            _ => false,
        }
    }

    /// All backends by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Result<Arc<dyn Backend>, BackendError>)> {
        self.0.iter().map(|(name, backend)| (&**name, backend))
    }
}

impl fmt::Debug for Backends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.0
                    .iter()
                    .map(|(name, backend)| (name, backend.as_ref().err())),
            )
            .finish()
    }
}

// === impl Desired ===

impl Desired {
    fn of(inputs: &BackendInputs, credentials: Option<&CredentialLookup>) -> Self {
        let settings = match credentials {
            Some(lookup) => Settings::compile(&inputs.spec, lookup),
            None => Settings::compile(&inputs.spec, &|_, _, _| None).map_err(|error| match error.reason() {
                Reason::CredentialsNotFound => BackendError::new(
                    Reason::NotSynced,
                    "the backend's credentials have not been read yet",
                ),
                _ => error,
            }),
        };
        Self {
            uid: inputs.uid.clone(),
            limits: inputs.spec.limits.clone(),
            settings,
        }
    }
}

fn step(old: Option<&Desired>, new: &Desired) -> Step {
    match old {
        Some(old) if old == new => Step::Keep,
        Some(old) if old.uid == new.uid && old.limits == new.limits => Step::Rebuild,
        Some(_) | None => Step::Build,
    }
}

#[cfg(test)]
mod tests;
