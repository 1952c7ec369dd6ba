//! Certificate authority of the operator, kept in a Secret: made once, rotated by the leader, turned into a serving certificate
//! by each replica for itself.
//!
//! The chart makes the Secret, empty, so that nobody needs the right to create any; one that is missing is created by POST
//! where that is allowed. It is changed by a patch that names the `resourceVersion` it was made for: no newer one is
//! overwritten, and of two replicas that start at once one wins and the other reads what the first made.
//! Who empties it gets a new CA: clients trust it as soon as the registration has written it into the `APIService`s,
//! which takes about a second. Who wants one without that second annotates it ([`ROTATE`]).

mod secret;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::{DeserializeGuard, ObjectMeta},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use self::secret::{answer, decode, encode, is_blank, patch};
use super::{
    Clock, Leadership, MANAGED_BY, MANAGER,
    call::{Backoff, CallError, outcome, within},
    registration::{Carried, InstallError, owner},
    single::{Observed, watch_one},
};
use crate::{
    metrics::ControllerMetrics,
    pki::{self, Anchors, CaState, Facts, Leaf, PkiError, ServiceNames, ServingCertificate, Step},
};

/// The annotation of the Secret that asks for a rotation before the CA's age does: `now`, or `revoke` for a key that has
/// leaked. The leader takes it off when it begins.
pub const ROTATE: &str = "metricrule.dev/rotate";

/// How long a replica that does not lead leaves the creation of the Secret to the leader.
const COURTESY: Duration = Duration::from_secs(1);

/// How often age is looked at without another reason to.
const TICK: Duration = Duration::from_hours(1);

/// The same while a next CA waits for its promotion.
const ROTATION_TICK: Duration = Duration::from_secs(10);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What the CA is for, and where it is kept.
#[derive(Clone, Debug)]
pub struct AuthorityConfig {
    /// The operator's namespace, which holds the Secret and the Service.
    pub namespace: String,
    /// The Secret's name.
    pub secret: String,
    /// The Service that the serving certificate names.
    pub service: String,
    /// The install's `ClusterRole`, which owns the Secret: an uninstall leaves no key behind.
    pub cluster_role: Option<String>,
}

/// What the CA gives to the other parts.
#[derive(Clone, Debug)]
pub struct AuthorityHandles {
    /// What the listener serves; `None` until there is a CA.
    pub serving: watch::Receiver<Option<Arc<ServingCertificate>>>,
    /// What clients should trust, in PEM; `None` until there is a CA.
    pub bundle: watch::Receiver<Option<Arc<[u8]>>>,
    /// What of that is trusted for how long; `None` until there is a CA.
    pub anchors: watch::Receiver<Option<Arc<Anchors>>>,
}

/// Keeps the CA, to be run.
pub struct Authority {
    client: Client,
    config: AuthorityConfig,
    names: ServiceNames,
    carried: watch::Receiver<Option<Carried>>,
    leadership: Leadership,
    clock: Clock,
    metrics: ControllerMetrics,
    serving: watch::Sender<Option<Arc<ServingCertificate>>>,
    bundle: watch::Sender<Option<Arc<[u8]>>>,
    anchors: watch::Sender<Option<Arc<Anchors>>>,
    leaf: Option<Leaf>,
    /// What the Secret of that `resourceVersion` holds.
    decoded: Option<(Option<String>, CaState)>,
    absent_since: Option<Instant>,
    /// The version that was written last, while the watch still shows the one before.
    written_over: Option<String>,
    complaint: Option<String>,
    backoff: Backoff,
    retry_at: Option<Instant>,
}

#[derive(Debug, thiserror::Error)]
enum AuthorityError {
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("the CA Secret could not be {0}: {1}")]
    Call(&'static str, CallError),
    #[error(
        "the CA Secret is missing, and the operator may not create it: run helm upgrade, which creates it empty ({0})"
    )]
    MayNotCreate(CallError),
    #[error("the operator cannot issue a CA: {0}")]
    Install(InstallError),
    #[error("the CA Secret cannot be decoded: {0}")]
    Undecodable(Arc<str>),
}

// === impl Authority ===

impl Authority {
    /// `carried`: which bundle the `APIService`s carry, as the registration sees it.
    pub fn new(
        client: Client,
        config: AuthorityConfig,
        carried: watch::Receiver<Option<Carried>>,
        leadership: Leadership,
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> (Self, AuthorityHandles) {
        let (serving, serving_receiver) = watch::channel(None);
        let (bundle, bundle_receiver) = watch::channel(None);
        let (anchors, anchors_receiver) = watch::channel(None);
        let authority = Self {
            names: ServiceNames {
                service: config.service.clone(),
                namespace: config.namespace.clone(),
            },
            client,
            config,
            carried,
            leadership,
            clock,
            metrics,
            serving,
            bundle,
            anchors,
            leaf: None,
            decoded: None,
            absent_since: None,
            written_over: None,
            complaint: None,
            backoff: Backoff::new(Duration::from_millis(200), LONGEST_PAUSE),
            retry_at: None,
        };
        (
            authority,
            AuthorityHandles {
                serving: serving_receiver,
                bundle: bundle_receiver,
                anchors: anchors_receiver,
            },
        )
    }

    /// Watches, issues and rotates until `shutdown` is cancelled. A Secret that cannot be read leaves what was issued
    /// in force.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let (observe, observed) = watch::channel(Observed::Unknown);
        let api: Api<DeserializeGuard<Secret>> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let (name, metrics) = (self.config.secret.clone(), self.metrics.clone());
        let publish = |now| _ = observe.send_replace(now);
        tokio::select! {
            () = shutdown.cancelled() => {}
            never = watch_one(api, &name, "secret", &metrics, publish) => match never {},
            () = self.reconcile(observed) => {}
        }
    }

    async fn reconcile(&mut self, mut observed: watch::Receiver<Observed<Secret>>) {
        loop {
            let secret = observed.borrow_and_update().clone();
            self.carried.borrow_and_update();
            let now = Instant::now();
            if self.retry_at.is_none_or(|at| at <= now) {
                self.retry_at = None;
                match self.pass(&secret).await {
                    Ok(()) => {
                        self.complaint = None;
                        self.backoff.reset();
                    }
                    Err(error) => {
                        self.retry_at = Some(self.backoff.next_try(Instant::now()));
                        self.complain(error.to_string());
                    }
                }
            }
            let again = self.again();
            tokio::select! {
                changed = observed.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // News may be what a retry waits for.
                    self.retry_at = None;
                }
                () = self.leadership.changed() => {}
                () = news(&mut self.carried) => {}
                () = sleep_until(again) => {}
            }
        }
    }

    fn again(&self) -> Instant {
        let courtesy = self.absent_since.map(|since| since + COURTESY);
        let at = [self.retry_at, courtesy.filter(|at| *at > Instant::now())];
        let rotating = self
            .decoded
            .as_ref()
            .is_some_and(|(_, state)| state.is_rotating());
        let tick = Instant::now() + if rotating { ROTATION_TICK } else { TICK };
        at.into_iter().flatten().fold(tick, Instant::min)
    }

    async fn pass(&mut self, secret: &Observed<Secret>) -> Result<(), AuthorityError> {
        let secret = match secret {
            Observed::Unknown => return Ok(()),
            Observed::Undecodable(error) => return Err(AuthorityError::Undecodable(Arc::clone(error))),
            Observed::Absent => return self.absent().await,
            Observed::Present(secret) => secret,
        };
        if is_blank(secret) {
            return self.blank(secret).await;
        }
        self.absent_since = None;
        if self.written_over.is_some() && self.written_over == secret.metadata.resource_version {
            return Ok(());
        }
        self.written_over = None;
        let version = &secret.metadata.resource_version;
        let state = match &self.decoded {
            Some((decoded, state)) if decoded == version => state.clone(),
            _ => {
                let state = decode(secret)?;
                self.decoded = Some((version.clone(), state.clone()));
                state
            }
        };
        self.publish(&state)?;
        if self.leadership.is_leader() {
            self.rotate(secret, &state).await?;
        }
        Ok(())
    }

    /// The Secret is not there: the leader makes one at once; the others, where nobody does.
    async fn absent(&mut self) -> Result<(), AuthorityError> {
        let since = *self.absent_since.get_or_insert_with(Instant::now);
        if !self.leadership.is_leader() && since.elapsed() < COURTESY {
            return Ok(());
        }
        let owner = match owner(&self.client, self.config.cluster_role.as_deref()).await {
            Ok(owner) => owner,
            Err(error @ (InstallError::Absent(_) | InstallError::Leaving(_))) => {
                return Err(AuthorityError::Install(error));
            }
            // Better a Secret that outlives an uninstall than no certificate because a ClusterRole cannot be read.
            Err(error) => {
                tracing::warn!(%error, "the CA Secret gets no owner");
                None
            }
        };
        let state = CaState::new(self.clock.now())?;
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.config.secret.clone()),
                labels: Some([(MANAGED_BY.to_owned(), MANAGER.to_owned())].into()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".into()),
            data: Some(encode(&state)),
            ..Secret::default()
        };
        let parameters = PostParams {
            field_manager: Some(MANAGER.into()),
            ..PostParams::default()
        };
        let written = within(self.secrets().create(&parameters, &secret)).await;
        self.metrics.write("secret", outcome(&written));
        match written {
            Ok(_) => {
                tracing::info!(secret = %self.config.secret, "issued a new CA");
                self.publish(&state)
            }
            // Another replica was faster: the watch brings what it made.
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) if error.is_forbidden() => Err(AuthorityError::MayNotCreate(error)),
            Err(error) => Err(AuthorityError::Call("created", error)),
        }
    }

    /// The Secret is there and empty, as the chart makes it: the leader fills it at once; the others, where nobody does.
    async fn blank(&mut self, secret: &Secret) -> Result<(), AuthorityError> {
        let since = *self.absent_since.get_or_insert_with(Instant::now);
        let waits = !self.leadership.is_leader() && since.elapsed() < COURTESY;
        if waits || (self.written_over.is_some() && self.written_over == secret.metadata.resource_version) {
            return Ok(());
        }
        let state = CaState::new(self.clock.now())?;
        let body = Patch::Merge(patch(secret, &state, false));
        let parameters = PatchParams {
            field_manager: Some(MANAGER.into()),
            ..PatchParams::default()
        };
        let written = within(self.secrets().patch(&self.config.secret, &parameters, &body)).await;
        self.metrics.write("secret", outcome(&written));
        match written {
            Ok(_) => {
                tracing::info!(secret = %self.config.secret, "issued a new CA");
                self.written_over.clone_from(&secret.metadata.resource_version);
                self.publish(&state)
            }
            // Another replica was faster, or the Secret is gone: the watch brings what it is now.
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
            Err(error) => Err(AuthorityError::Call("filled", error)),
        }
    }

    async fn rotate(&mut self, secret: &Secret, state: &CaState) -> Result<(), AuthorityError> {
        let now = self.clock.now();
        let bundle = state.bundle_pem();
        let carried = self.carried.borrow().clone();
        let request = secret
            .metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(ROTATE));
        let facts = Facts {
            carried_since: carried
                .filter(|carried| *carried.bundle == *bundle.as_bytes())
                .map(|carried| carried.since),
            asked: request.and_then(|request| request.parse().ok()),
        };
        let step = pki::due(state, now, facts);
        if step.is_none() && request.is_none() {
            return Ok(());
        }
        let next = match step {
            Some(step) => state.after(step, now)?,
            None => state.clone(),
        };
        // A step that was due anyway leaves the request for the next pass.
        let answered = request.filter(|_| !matches!(step, Some(Step::Promote | Step::Retire)));
        let patch = Patch::Merge(patch(secret, &next, answered.is_some()));
        let parameters = PatchParams {
            field_manager: Some(MANAGER.into()),
            ..PatchParams::default()
        };
        let secrets = self.secrets();
        let leadership = self.leadership.clone();
        let written = tokio::select! {
            () = leadership.lost() => return Ok(()),
            written = within(secrets.patch(&self.config.secret, &parameters, &patch)) => written,
        };
        self.metrics.write("secret", outcome(&written));
        match written {
            Ok(_) => {
                match step {
                    Some(Step::Publish) => tracing::info!("added the next CA to the bundle"),
                    Some(Step::Revoke) => {
                        tracing::warn!("revoking the CA: added the next one to the bundle");
                    }
                    Some(Step::Promote) => tracing::info!("the next CA now issues certificates"),
                    Some(Step::Retire) => tracing::info!("removed the former CA from the bundle"),
                    Some(Step::Replace) => tracing::warn!("the CA had expired; issued a new one"),
                    None => {}
                }
                if let Some(request) = answered {
                    answer(request, step, state);
                }
                self.written_over.clone_from(&secret.metadata.resource_version);
                self.publish(&next)
            }
            // Changed or deleted meanwhile: the watch brings what it is now.
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
            Err(error) => Err(AuthorityError::Call("written", error)),
        }
    }

    /// Puts a state into force in this replica.
    fn publish(&mut self, state: &CaState) -> Result<(), AuthorityError> {
        let now = self.clock.now();
        let bundle = state.bundle_pem();
        self.bundle.send_if_modified(|published| {
            let changed = published.as_deref() != Some(bundle.as_bytes());
            if changed {
                *published = Some(bundle.into_bytes().into());
            }
            changed
        });
        let anchors = state.anchors();
        self.anchors.send_if_modified(|published| {
            let changed = published.as_deref() != Some(&anchors);
            if changed {
                *published = Some(Arc::new(anchors));
            }
            changed
        });
        let ca = state.current();
        self.metrics
            .certificate_expiry("ca", ca.certificate().not_after().as_second());
        if self.leaf.as_ref().is_none_or(|leaf| leaf.is_due(ca, now)) && now < ca.certificate().not_after() {
            let leaf = Leaf::issue(ca, &self.names, now)?;
            let not_after = leaf.serving.not_after;
            tracing::info!(%not_after, "issued a serving certificate");
            self.metrics.certificate_expiry("serving", not_after.as_second());
            self.serving.send_replace(Some(Arc::new(leaf.serving.clone())));
            self.leaf = Some(leaf);
        }
        Ok(())
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.config.namespace)
    }

    fn complain(&mut self, complaint: String) {
        if self.complaint.as_ref() != Some(&complaint) {
            tracing::error!(secret = %self.config.secret, "{complaint}");
            self.complaint = Some(complaint);
        }
    }
}

async fn news<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
