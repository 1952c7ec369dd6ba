//! Pool of clients: turns `MetricBackends` and the bytes of their credentials into clients, and keeps those whose inputs did not
//! change: a client holds connections, tokens, and the count of what is in flight.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{
    Backend, BackendError,
    auth::TokenSource,
    budget::{ANSWERS, Budget, LISTINGS},
    flight::SingleFlight,
    health::{Board, Health, Healths},
    limiter::Limiter,
    limits::Limited,
    prometheus::{Context, Prometheus},
    settings::Settings,
};
use crate::{
    api::{BackendLimits, CaRefKind, MetricBackendSpec},
    metrics::{BackendMetrics, BudgetKind},
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
    answers: Budget,
    listings: Budget,
    state: Mutex<State>,
    published: watch::Sender<Arc<Backends>>,
    board: Board,
}

#[derive(Default)]
struct State {
    inputs: BTreeMap<Arc<str>, BackendInputs>,
    /// `None` until the credentials were read once.
    credentials: Option<Box<CredentialLookup>>,
    slots: BTreeMap<Arc<str>, Slot>,
    /// The ceilings of every backend by name and UID, those included that are gone while queries are still on their way: a spec
    /// that is broken for a moment must not double what the backend gets.
    limiters: BTreeMap<(Arc<str>, String), Weak<Limiter>>,
}

/// Finds the bytes under a key of a Secret or `ConfigMap`, by kind, name and key.
pub type CredentialLookup = dyn Fn(CaRefKind, &str, &str) -> Option<Bytes> + Send;

struct Slot {
    desired: Desired,
    limiter: Arc<Limiter>,
    /// What the client knows; nobody's once another one has taken its place.
    health: Option<Arc<Health>>,
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
    /// The same client under other ceilings.
    Limit,
    /// A new client; what the old one has in flight goes on counting.
    Build,
}

/// With a silence of a quarter of its timeout, and of so much at most, a backend becomes suspect.
const SILENCE: Duration = Duration::from_secs(2);
const SHORTEST_SILENCE: Duration = Duration::from_millis(25);

// === impl Pool ===

impl Pool {
    /// A pool without backends and credentials.
    pub fn new(metrics: BackendMetrics, tokens: Arc<dyn TokenSource>) -> Self {
        Self(Arc::new(Shared {
            answers: Budget::new(BudgetKind::Answers, ANSWERS, metrics.clone()),
            listings: Budget::new(BudgetKind::Listings, LISTINGS, metrics.clone()),
            metrics,
            tokens,
            state: Mutex::default(),
            published: watch::Sender::default(),
            board: Board::default(),
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

    /// The budget of bytes for all answers in flight.
    pub fn answers(&self) -> &Budget {
        &self.0.answers
    }

    /// Every change of the pool, as a whole.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Backends>> {
        self.0.published.subscribe()
    }

    /// Which backends answer nobody, and whose ceilings hold queries up.
    pub fn health(&self) -> watch::Receiver<Arc<Healths>> {
        self.0.board.subscribe()
    }

    fn refresh(&self, state: &mut State) {
        let State {
            inputs,
            credentials,
            slots,
            limiters,
        } = state;
        let before = slots.len();
        slots.retain(|name, slot| {
            let stays = inputs.contains_key(name);
            if !stays {
                if let Some(health) = &slot.health {
                    health.retire();
                }
                self.0.metrics.forget(name);
                self.0.board.forget(name);
            }
            stays
        });
        limiters.retain(|_, limiter| limiter.strong_count() > 0);
        let mut changed = slots.len() != before;
        for (name, inputs) in inputs {
            let desired = Desired::of(inputs, credentials.as_deref());
            let old = slots.get(name);
            let step = step(old.map(|slot| &slot.desired), &desired);
            let limiter = match (step, old) {
                (Step::Keep, _) => continue,
                (_, Some(old)) if old.desired.uid == desired.uid => old.limiter.clone(),
                _ => self.limiter(limiters, name, &desired),
            };
            limiter.set_limits(desired.limits.clone());
            let (health, backend) = match (step, old) {
                (Step::Limit, Some(old)) => (old.health.clone(), old.backend.clone()),
                (_, old) => {
                    if let Some(health) = old.and_then(|old| old.health.as_ref()) {
                        health.retire();
                    }
                    match self.build(name, &desired, limiter.clone()) {
                        Ok((health, backend)) => (Some(health), Ok(backend)),
                        Err(error) => (None, Err(error)),
                    }
                }
            };
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
                health,
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
    ) -> Result<(Arc<Health>, Arc<dyn Backend>), BackendError> {
        let settings = desired.settings.as_ref().map_err(Clone::clone)?;
        let context = Context {
            name: name.clone(),
            tokens: self.0.tokens.clone(),
            metrics: self.0.metrics.clone(),
            answers: self.0.answers.clone(),
            listings: self.0.listings.clone(),
        };
        let client = Prometheus::new(settings, context)?;
        let (timeout, metrics) = (settings.timeout, &self.0.metrics);
        let patience = (timeout / 4).clamp(SHORTEST_SILENCE, SILENCE);
        let health = Health::new(name.clone(), metrics.clone(), self.0.board.clone(), patience);
        let health = Arc::new(health);
        let backend = Limited::new(
            client,
            name.clone(),
            timeout,
            limiter,
            health.clone(),
            metrics.clone(),
        );
        let flight = SingleFlight::new(backend, name.clone(), timeout, health.clone(), metrics.clone());
        Ok((health, Arc::new(flight)))
    }

    /// The ceilings that count what is in flight to this very backend, or new ones.
    fn limiter(
        &self,
        limiters: &mut BTreeMap<(Arc<str>, String), Weak<Limiter>>,
        name: &Arc<str>,
        desired: &Desired,
    ) -> Arc<Limiter> {
        let key = (name.clone(), desired.uid.clone());
        if let Some(limiter) = limiters.get(&key).and_then(Weak::upgrade) {
            return limiter;
        }
        let limiter = Limiter::new(
            name.clone(),
            desired.limits.clone(),
            self.0.metrics.clone(),
            self.0.board.clone(),
        );
        let limiter = Arc::new(limiter);
        limiters.insert(key, Arc::downgrade(&limiter));
        limiter
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
                "no MetricBackend has that name",
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
                    "the operator has not read the backend's credentials yet",
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
        Some(old) if old.uid == new.uid && old.settings == new.settings => Step::Limit,
        Some(_) | None => Step::Build,
    }
}

#[cfg(test)]
mod tests;
