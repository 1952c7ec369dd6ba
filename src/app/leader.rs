//! Leader's tasks: all writes to the cluster; and the CA, from which every replica issues its own certificate.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Certificate, Config, Register,
    serving::{self, FirstCertificate},
    tasks::Tasks,
};
use crate::{
    backend::{health::Healths, pool::Pool},
    catalog::{Catalog, Recorded},
    controller::{
        Clock, Leadership,
        authority::{Authority, AuthorityConfig},
        claims::{Claims, ClaimsChannels, ClaimsConfig, last_write},
        desired::DesiredStatuses,
        events::events,
        expiry::Expiry,
        lease::{Election, LeaseConfig},
        outcomes::OutcomeExchange,
        own_service::OwnService,
        probes::probe_backends,
        registration::{CaBundle, Carried, Needs, RegisterMode, Registration, RegistrationConfig},
        status_writer::StatusWriter,
        trust::Trust,
        watches::ObservedStatuses,
    },
    kubernetes::client::Connection,
    metrics::{ClaimMetrics, ControllerMetrics},
    outcome::{Met, Outcomes},
    pki::Anchors,
    rule::RuleTable,
    server::tls::FileCertificate,
};

/// The parts that write.
pub(super) struct Leader<'a> {
    pub(super) config: &'a Config,
    pub(super) connection: &'a Connection,
    pub(super) counts: &'a ControllerMetrics,
    pub(super) claims: &'a ClaimMetrics,
    /// Cancelled when the process goes out of service: leadership is given up then.
    pub(super) stop: CancellationToken,
}

/// What they write about.
pub(super) struct Known {
    pub(super) catalog: watch::Receiver<Arc<Catalog>>,
    pub(super) recorded: watch::Sender<Recorded>,
    pub(super) attempted: watch::Receiver<bool>,
    pub(super) observed: watch::Receiver<Arc<ObservedStatuses>>,
    pub(super) outcomes: watch::Receiver<Arc<Outcomes>>,
    pub(super) tables: watch::Receiver<Arc<RuleTable>>,
    pub(super) needs: watch::Receiver<Needs>,
    pub(super) pool: Pool,
}

/// What is served, and how it comes to be trusted.
struct Served {
    serving: FirstCertificate,
    bundle: CaBundle,
    anchors: watch::Receiver<Option<Arc<Anchors>>>,
}

// === impl Leader ===

impl Leader<'_> {
    /// Spawns all of them; gives the serving certificate, which they keep.
    pub(super) fn start(self, known: Known, tasks: &mut Tasks) -> anyhow::Result<FirstCertificate> {
        let Connection {
            client, namespace, ..
        } = self.connection.clone();
        let (clock, counts, stop) = (Clock::system(), self.counts, &self.stop);
        let lease = LeaseConfig::new(
            namespace.clone(),
            self.config.lease_name.clone(),
            self.config.identity.clone(),
        );
        let (election, leadership) = Election::new(client.clone(), lease, clock.clone(), counts.clone())?;
        let channels = ClaimsChannels {
            catalog: known.catalog.clone(),
            recorded: known.recorded,
        };
        let release = self.record_claims(channels, &leadership, &clock, tasks);
        tasks.spawn_until(stop, "lease", election.run(release));
        let (event_sink, event_writer) = events(client.clone(), self.config.identity.clone(), counts.clone());
        tasks.spawn_until(stop, "events", event_writer.run(stop.clone()));

        let (carried, carried_bundle) = watch::channel(None);
        let Served {
            serving,
            bundle,
            anchors,
        } = self.certificate(carried_bundle, &leadership, &clock, tasks)?;
        let service = OwnService::new(
            client.clone(),
            namespace.clone(),
            self.config.service_name.clone(),
        );
        let expiry = Expiry::new(
            service.clone(),
            leadership.clone(),
            clock.clone(),
            event_sink.clone(),
        );
        let serving: FirstCertificate = Box::pin(async move {
            let certificates = serving.await?;
            // It only warns; nothing depends on it.
            tokio::spawn(expiry.run(certificates.clone()));
            Ok(certificates)
        });
        let registration = RegistrationConfig {
            mode: self.mode(),
            namespace: namespace.clone(),
            service: self.config.service_name.clone(),
            cluster_role: self.config.cluster_role.clone(),
        };
        let (registration, registered) = Registration::new(
            client.clone(),
            registration,
            known.needs,
            bundle,
            carried,
            leadership.clone(),
            event_sink.clone(),
            clock.clone(),
            counts.clone(),
        );
        tasks.spawn_until(stop, "registration", registration.run(stop.clone()));

        let (trust, distrust) = Trust::new(
            service,
            self.bundle_secret(&namespace),
            leadership.clone(),
            clock.clone(),
            event_sink.clone(),
            counts.clone(),
        );
        tasks.spawn("trust", trust.run(anchors, registered.clone()));

        let met = self.exchange_outcomes(known.outcomes, known.pool.health(), &leadership, &clock, tasks);

        let (probes, answers) = watch::channel(Arc::default());
        tasks.spawn(
            "probes",
            probe_backends(known.tables, known.pool, leadership.clone(), probes),
        );
        let (targets, desired) = watch::channel(Arc::default());
        let statuses = DesiredStatuses {
            catalog: known.catalog,
            attempted: known.attempted,
            observed: known.observed,
            registration: registered,
            distrust,
            met,
            probes: answers,
            targets,
            metrics: counts.clone(),
            clock: clock.clone(),
        };
        tasks.spawn("desired", statuses.run());
        let writer = StatusWriter::new(client, desired, leadership, event_sink, clock, counts.clone());
        tasks.spawn_until(stop, "status", writer.run(stop.clone()));
        Ok(serving)
    }

    fn exchange_outcomes(
        &self,
        own: watch::Receiver<Arc<Outcomes>>,
        healths: watch::Receiver<Arc<Healths>>,
        leadership: &Leadership,
        clock: &Clock,
        tasks: &mut Tasks,
    ) -> watch::Receiver<Arc<Met>> {
        let Connection {
            client, namespace, ..
        } = self.connection.clone();
        let (exchange, met) = OutcomeExchange::new(
            client,
            namespace,
            // As the chart names it: after the release, as the Service is.
            format!("{}-outcomes", self.config.service_name),
            &self.config.identity,
            own,
            healths,
            leadership.clone(),
            clock.clone(),
            self.counts.clone(),
        );
        tasks.spawn_until(&self.stop, "outcomes", exchange.run(self.stop.clone()));
        met
    }

    /// Spawns who keeps the record of claims, and gives what releases the lease: of all that is written this alone cannot be
    /// worked out anew by whoever leads next, so the lease waits for it.
    fn record_claims(
        &self,
        channels: ClaimsChannels,
        leadership: &Leadership,
        clock: &Clock,
        tasks: &mut Tasks,
    ) -> CancellationToken {
        let Connection {
            client, namespace, ..
        } = self.connection.clone();
        let place = ClaimsConfig {
            namespace,
            name: self.config.claims_name.clone(),
        };
        let claims = Claims::new(
            client,
            place,
            channels,
            leadership.clone(),
            clock.clone(),
            self.claims.clone(),
            self.counts.clone(),
        );
        let (stop, written) = (self.stop.clone(), CancellationToken::new());
        tasks.spawn("claims", claims.run(stop.clone(), written.clone()));
        let release = CancellationToken::new();
        let give_up = release.clone();
        tasks.spawn_until(&self.stop, "last claims", async move {
            last_write(stop, written).await;
            give_up.cancel();
        });
        release
    }

    fn mode(&self) -> RegisterMode {
        match self.config.register {
            Register::Auto => RegisterMode::Auto,
            Register::Always => RegisterMode::Always,
            Register::Never => RegisterMode::Never,
        }
    }

    /// Where people find the bundle of our own CA.
    fn bundle_secret(&self, namespace: &str) -> String {
        match &self.config.certificate {
            Certificate::OwnCa { secret_name } => format!("{namespace}/{secret_name}"),
            Certificate::Files { .. } => String::new(),
        }
    }

    fn certificate(
        &self,
        carried: watch::Receiver<Option<Carried>>,
        leadership: &Leadership,
        clock: &Clock,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Served> {
        let Connection {
            client, namespace, ..
        } = self.connection.clone();
        match &self.config.certificate {
            Certificate::OwnCa { secret_name } => {
                let config = AuthorityConfig {
                    namespace,
                    secret: secret_name.clone(),
                    service: self.config.service_name.clone(),
                    cluster_role: self.config.cluster_role.clone(),
                };
                let (leadership, clock, counts) = (leadership.clone(), clock.clone(), self.counts.clone());
                let (authority, handles) = Authority::new(client, config, carried, leadership, clock, counts);
                tasks.spawn_until(&self.stop, "authority", authority.run(self.stop.clone()));
                Ok(Served {
                    serving: serving::issued(handles.serving, tasks),
                    bundle: CaBundle::Published(handles.bundle),
                    anchors: handles.anchors,
                })
            }
            Certificate::Files {
                chain,
                key,
                ca_bundle,
            } => {
                let bundle = match ca_bundle {
                    Some(path) => CaBundle::Published(serving::bundle_file(path.clone(), tasks)?),
                    None => CaBundle::LeaveAlone,
                };
                let (chain, key, counts) = (chain.clone(), key.clone(), self.counts.clone());
                let files = async move {
                    let (file, certificate) = FileCertificate::load(chain, key, counts).await?;
                    // It lives as long as the process, whose end it cannot cause: the old pair stays in force.
                    tokio::spawn(file.run());
                    anyhow::Ok(certificate)
                };
                Ok(Served {
                    serving: Box::pin(files),
                    bundle,
                    // Whoever issues it sees to it that it is trusted.
                    anchors: watch::channel(None).1,
                })
            }
        }
    }
}
