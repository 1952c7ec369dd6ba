//! Loop of the registration: it watches, reads, plans and writes.

use std::{collections::BTreeMap, time::Duration};

use futures::future::select_all;
use k8s_openapi::{
    api::core::v1::ObjectReference, kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    core::DeserializeGuard,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    ApiState, CaBundle, Carried, Needs, OtherOwner, RegisterMode, RegistrationConfig, RegistrationState,
    action::Action,
    install,
    ownership::Ours,
    plan::{Bundle, View},
};
use crate::{
    controller::{
        Clock, Leadership, MANAGER,
        call::{Backoff, CallError, outcome, within},
        events::{EventSink, Notice},
        single::{Observed, watch_one},
    },
    metrics::ControllerMetrics,
    metrics_api::{ApiVersion, MetricsApi, PerVersion},
    reason::Reason,
};

/// How often the leader looks at its Service and `ClusterRole` without another reason to: a changed port is not watched.
const RESYNC: Duration = Duration::from_secs(30);

/// Keeps the `APIService`s, to be run.
pub struct Registration {
    client: Client,
    config: RegistrationConfig,
    needs: watch::Receiver<Needs>,
    bundle: CaBundle,
    carried: watch::Sender<Option<Carried>>,
    state: watch::Sender<RegistrationState>,
    leadership: Leadership,
    events: EventSink,
    clock: Clock,
    metrics: ControllerMetrics,
    observed: watch::Sender<PerVersion<Observed<APIService>>>,
    paces: PerVersion<Pace>,
    /// After an install that could not be read.
    backoff: Backoff,
    trouble: Option<String>,
    /// The owners that Events have named.
    told: BTreeMap<MetricsApi, OtherOwner>,
}

/// Keeps two controllers that disagree about one object from writing in turns as fast as they can.
#[derive(Debug)]
struct Pace {
    next: Instant,
    /// After a write that succeeded.
    writes: Backoff,
    /// After one that failed.
    failures: Backoff,
}

// === impl Registration ===

impl Registration {
    /// `carried` is told which bundle every `APIService` that points to us carries (for the rotation of the CA).
    #[expect(
        clippy::too_many_arguments,
        reason = "one call in the composition root, each a different type"
    )]
    pub fn new(
        client: Client,
        config: RegistrationConfig,
        needs: watch::Receiver<Needs>,
        bundle: CaBundle,
        carried: watch::Sender<Option<Carried>>,
        leadership: Leadership,
        events: EventSink,
        clock: Clock,
        metrics: ControllerMetrics,
    ) -> (Self, watch::Receiver<RegistrationState>) {
        let (state, states) = watch::channel(RegistrationState::default());
        let registration = Self {
            client,
            config,
            needs,
            bundle,
            carried,
            state,
            leadership,
            events,
            clock,
            metrics,
            observed: watch::Sender::new(PerVersion::of(|_| Observed::Unknown)),
            paces: PerVersion::of(|_| Pace::new()),
            backoff: Backoff::new(Duration::from_secs(1), RESYNC),
            trouble: None,
            told: BTreeMap::new(),
        };
        (registration, states)
    }

    /// Watches and writes until `shutdown` is cancelled. What was registered stays: the other replica serves on.
    pub async fn run(mut self, shutdown: CancellationToken) {
        if self.config.cluster_role.is_none() && self.config.mode != RegisterMode::Never {
            tracing::warn!(
                "no --cluster-role: the APIServices have no owner, so an uninstall leaves them behind; delete them then"
            );
        }
        let api: Api<DeserializeGuard<APIService>> = Api::all(self.client.clone());
        let metrics = self.metrics.clone();
        let observed = &self.observed.clone();
        let watches = ApiVersion::ALL.map(|version| {
            let publish = move |now| observed.send_modify(|known| known[version] = now);
            Box::pin(watch_one(
                api.clone(),
                version.api_service(),
                "apiservice",
                &metrics,
                publish,
            ))
        });
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.reconcile() => {}
            (never, ..) = select_all(watches) => match never {},
        }
    }

    async fn reconcile(&mut self) {
        let mut observed = self.observed.subscribe();
        loop {
            let again = self.pass().await;
            let bundle = async {
                match &mut self.bundle {
                    CaBundle::Published(bundle) => changed(bundle).await,
                    CaBundle::LeaveAlone => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep_until(again) => {}
                () = self.leadership.changed() => {}
                () = changed(&mut self.needs) => {}
                () = bundle => {}
                () = changed(&mut observed) => {}
            }
        }
    }

    /// Writes what is to be written, says how things stand, and when to look again.
    async fn pass(&mut self) -> Instant {
        let mut again = Instant::now() + RESYNC;
        if self.leadership.is_leader() && self.config.mode != RegisterMode::Never {
            let leadership = self.leadership.clone();
            tokio::select! {
                () = leadership.lost() => {}
                next = self.write() => again = again.min(next),
            }
        } else {
            self.trouble = None;
        }
        self.publish();
        again
    }

    async fn write(&mut self) -> Instant {
        let again = Instant::now() + RESYNC;
        // Each write is preceded by a look at the install, so that none is made on what was true a moment ago. There are
        // three objects; each is written once a second at most.
        loop {
            let install = match install::read(&self.client, &self.config).await {
                Ok(install) => install,
                Err(error) => {
                    self.in_trouble(error.to_string());
                    return again.min(self.backoff.next_try(Instant::now()));
                }
            };
            let now = Instant::now();
            let actions = self.with_view(|view| view.actions(&install, self.clock.now()));
            if actions.is_empty() {
                self.trouble = None;
            }
            self.backoff.reset();
            let pace = |action: &Action| self.paces[action.target()].next;
            let Some(action) = actions.iter().find(|action| pace(action) <= now) else {
                return actions.iter().map(pace).min().unwrap_or(again).min(again);
            };
            let target = action.target();
            let written = self.perform(action).await;
            self.metrics.write("apiservice", outcome(&written));
            self.paces[target].after(written.is_ok(), now);
            match written {
                Ok(()) => tracing::info!(api_service = target.api_service(), "APIService {}", action.verb()),
                // Somebody was faster; the watch brings what it is now.
                Err(error) if error.is_conflict() || error.is_not_found() => {
                    tracing::debug!(api_service = target.api_service(), %error, "the APIService has changed meanwhile");
                }
                Err(error) => self.in_trouble(format!(
                    "{} could not be {}: {error}",
                    target.api_service(),
                    action.verb()
                )),
            }
        }
    }

    async fn perform(&self, action: &Action) -> Result<(), CallError> {
        let api: Api<APIService> = Api::all(self.client.clone());
        let manager = Some(MANAGER.to_owned());
        match action {
            Action::Create(_, object) => {
                let parameters = PostParams {
                    field_manager: manager,
                    ..PostParams::default()
                };
                within(api.create(&parameters, object)).await.map(drop)
            }
            Action::Patch(member, _, patch) => {
                let parameters = PatchParams {
                    field_manager: manager,
                    ..PatchParams::default()
                };
                within(api.patch(member.api_service(), &parameters, &Patch::Merge(patch)))
                    .await
                    .map(drop)
            }
            Action::Delete(member, uid, version) => {
                let parameters = DeleteParams {
                    preconditions: Some(Preconditions {
                        uid: Some(uid.clone()),
                        resource_version: Some(version.clone()),
                    }),
                    ..DeleteParams::default()
                };
                within(api.delete(member.api_service(), &parameters))
                    .await
                    .map(drop)
            }
        }
    }

    fn in_trouble(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::warn!(%trouble, "the operator leaves the APIServices unchanged");
            self.trouble = Some(trouble);
        }
    }

    fn with_view<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        let observed = self.observed.borrow().clone();
        let needs = self.needs.borrow().clone();
        let published = match &self.bundle {
            CaBundle::Published(bundle) => Some(bundle.borrow().clone()),
            CaBundle::LeaveAlone => None,
        };
        look(View {
            mode: self.config.mode,
            needs: &needs,
            ours: Ours {
                namespace: &self.config.namespace,
                service: &self.config.service,
            },
            bundle: match &published {
                Some(Some(bundle)) => Bundle::Is(bundle),
                Some(None) => Bundle::Pending,
                None => Bundle::LeaveAlone,
            },
            observed: &observed,
        })
    }

    fn publish(&mut self) {
        let states = self.with_view(|view| view.states(self.trouble.as_deref()));
        for (api, state) in states.apis.iter() {
            log(api, &self.state.borrow().apis[api], state);
            self.tell(api, state);
        }
        self.state.send_if_modified(|state| {
            let changed = *state != states;
            *state = states;
            changed
        });
        if let CaBundle::Published(bundle) = &self.bundle {
            let bundle = bundle.borrow().clone();
            let carried = bundle.and_then(|bundle| {
                let carried = self.with_view(|view| view.carry(&bundle)) == Some(true);
                carried.then(|| Carried {
                    bundle,
                    since: self.clock.now(),
                })
            });
            self.carried.send_if_modified(|before| match (&*before, carried) {
                (Some(before), Some(carried)) if before.bundle == carried.bundle => false,
                (None, None) => false,
                (_, carried) => {
                    *before = carried;
                    true
                }
            });
        }
    }

    /// An Event where an API that we need has turned out to be another's; the leader's alone, once for each owner.
    fn tell(&mut self, api: MetricsApi, now: &ApiState) {
        let owner = match now {
            ApiState::OwnedByOther(owner) if self.leadership.is_leader() => owner,
            ApiState::OwnedByOther(_) | ApiState::Pending => return,
            _ => {
                self.told.remove(&api);
                return;
            }
        };
        if self.told.get(&api) != Some(owner) {
            self.events.tell(Notice {
                regarding: ObjectReference {
                    api_version: Some("apiregistration.k8s.io/v1".into()),
                    kind: Some("APIService".into()),
                    name: Some(owner.api_service.into()),
                    uid: Some(owner.uid.clone()),
                    ..ObjectReference::default()
                },
                warning: true,
                reason: Reason::OwnedByOther.code().into(),
                action: "Register",
                note: format!("a rule of metricrule needs it, but {owner}"),
            });
            self.told.insert(api, owner.clone());
        }
    }
}

fn log(api: MetricsApi, before: &ApiState, now: &ApiState) {
    let group = api.group();
    match now {
        now if now == before => {}
        ApiState::OwnedByOther(owner) => tracing::warn!(reason = Reason::OwnedByOther.code(), "{owner}"),
        ApiState::Unavailable { message } => tracing::warn!(reason = Reason::Unavailable.code(), "{message}"),
        ApiState::Registered => tracing::info!("{group} is registered, and kube-apiserver reaches it"),
        ApiState::NotNeeded => tracing::info!("no rule needs {group}"),
        ApiState::Pending | ApiState::NotManaged => {}
    }
}

/// Waits for news; for ever once there can be none.
async fn changed<T>(receiver: &mut watch::Receiver<T>) {
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

// === impl Pace ===

impl Pace {
    fn new() -> Self {
        Self {
            next: Instant::now(),
            writes: Backoff::new(Duration::from_secs(1), Duration::from_mins(5)),
            failures: Backoff::new(Duration::from_secs(1), RESYNC),
        }
    }

    fn after(&mut self, succeeded: bool, now: Instant) {
        if succeeded {
            self.failures.reset();
            self.next = self.writes.next_try(now);
        } else {
            self.next = self.failures.next_try(now);
        }
    }
}
