//! Composition root: builds every part, runs them, and stops them in order.

mod clients;
mod descriptors;
mod leader;
mod reach;
mod serving;
mod tasks;
mod tokens;

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_util::sync::CancellationToken;

use self::{
    clients::Clients,
    leader::{Known, Leader},
    tasks::Tasks,
    tokens::ClusterTokens,
};
use crate::{
    answer::Answerer,
    backend::pool::Pool,
    catalog::{Recorded, recorded::RecordSource},
    controller::watches::Watches,
    kubernetes::{
        authentication::{AuthenticationConfig, AuthenticationWatch},
        client::{ClientOptions, Connection},
        credentials::CredentialWatch,
        mapper::Mapper,
        objects::Objects,
        reviews::{CachedReviewer, ClusterReviewer},
        targets::Targets,
    },
    logbook::Logbook,
    metrics::Metrics,
    relist::Relist,
    resource::GroupResource,
    server::{
        authn::Authenticator,
        authz::Authorizer,
        health::{Gate, Health},
        listener::{Limits, Listener},
        router::{plain_router, router},
        state::{Api, RequestLimits},
        tls::TlsConfigs,
    },
};

/// How `metricrule serve` was called, validated.
#[derive(Debug)]
pub struct Config {
    /// A kubeconfig; `None`: in the cluster, or where kubectl looks.
    pub kubeconfig: Option<PathBuf>,
    /// The operator's own namespace; `None`: the client's.
    pub namespace: Option<String>,
    /// The Service that APIServices point to.
    pub service_name: String,
    /// The ClusterRole that owns the APIServices.
    pub cluster_role: Option<String>,
    /// Where to listen, both ports.
    pub bind_address: IpAddr,
    /// TLS, the metrics APIs.
    pub secure_port: u16,
    /// Plain HTTP, own metrics and health.
    pub http_port: u16,
    /// What to serve TLS with.
    pub certificate: Certificate,
    /// When to register.
    pub register: Register,
    /// The kinds whose objects may be listed.
    pub objects: Vec<GroupResource>,
    /// The Lease of the leader.
    pub lease_name: String,
    /// The `ConfigMap` of the record of claims.
    pub claims_name: String,
    /// This replica's name.
    pub identity: String,
    /// From SIGTERM to the end of accepting.
    pub shutdown_delay: Duration,
    /// From there to the end.
    pub shutdown_grace: Duration,
}

/// What to serve TLS with.
#[derive(Debug)]
pub enum Certificate {
    /// Leaves of the operator's own CA.
    OwnCa {
        /// The Secret that the CA is kept in.
        secret_name: String,
    },
    /// A pair that somebody else keeps fresh.
    Files {
        /// PEM, leaf first.
        chain: PathBuf,
        /// PEM.
        key: PathBuf,
        /// PEM for the APIServices; `None` leaves their caBundle alone.
        ca_bundle: Option<PathBuf>,
    },
}

/// When to register the metrics APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Register {
    /// When a rule needs them.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two sockets, taken before anything else is started.
struct Sockets {
    secure: TcpListener,
    http: TcpListener,
}

/// What opens `/readyz`. A dead backend is no gate: replicas that left together would take discovery with them.
struct Gates {
    authentication: Gate,
    rules: Gate,
    claims: Gate,
    relist: Gate,
    pods: Gate,
    tls: Gate,
}

/// For how long a replica waits for pods before it serves without. In a cluster with 50,000 of them they are a hundred pages,
/// some ten seconds; where RBAC does not let it list them, External metrics and objects by name must not wait for ever.
const PODS_PATIENCE: Duration = Duration::from_mins(1);

/// Runs the operator until it is told to stop.
///
/// # Errors
///
/// What could not be started, or the task that ended before it should have.
pub fn run(config: Config) -> anyhow::Result<()> {
    once(serve(config))
}

/// Runs what a command of the command line does, on a runtime of its own.
///
/// # Errors
///
/// Those of `work`, and that there is no runtime.
pub fn once<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    // Before the first client is built; only a second call in one process can fail.
    if aws_lc_rs::default_provider().install_default().is_err() {
        tracing::debug!("a crypto provider was installed before");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("no runtime")?;
    let outcome = runtime.block_on(work);
    // A blocking call (a name being looked up) must not hold the process back.
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let sockets = Sockets::bind(&config).await?;
    let options = ClientOptions {
        kubeconfig: config.kubeconfig.clone(),
        namespace: config.namespace.clone(),
        ..ClientOptions::default()
    };
    let connection = Connection::new(options).await?;

    let limits = Limits::default().within(descriptors::raise());

    let metrics = Metrics::new();
    let shutdown = Shutdown::new(config.shutdown_delay);
    let mut tasks = Tasks::default();
    let mut health = Health::new();
    let stopping = shutdown.begun.clone();
    health.ready("shutdown", move || {
        if stopping.is_cancelled() {
            Err("shutting down".into())
        } else {
            Ok(())
        }
    });
    let gates = Gates {
        authentication: health.gate("authentication"),
        rules: health.gate("rules"),
        claims: health.gate("claims"),
        relist: health.gate("relist"),
        pods: health.gate("pods"),
        tls: health.gate("tls"),
    };

    // Health answers from the first moment on, so that a probe sees what is missing.
    let plain = Listener::new(sockets.http, None, Limits::plain(), metrics.server.clone());
    let http_address = plain.local_addr()?;
    tracing::info!(http = %http_address, "serving health and metrics");
    let plain = plain.serve(
        plain_router(health.clone(), metrics.clone()),
        shutdown.drain.clone(),
        config.shutdown_grace,
    );
    let mut listeners = tokio::task::JoinSet::new();
    listeners.spawn(plain);

    let parts = Parts::start(&config, &connection, &metrics, &shutdown, &mut tasks, gates)?;
    let api = Api {
        authenticator: Authenticator::new(parts.authentication.clone(), parts.reviewer.clone()),
        authorizer: Authorizer::new(parts.reviewer),
        answers: Arc::new(parts.answerer),
        health,
        metrics: metrics.clone(),
        limits: RequestLimits::default(),
    };
    let router = router(api).context("the constant documents of the API")?;

    let started = async {
        let serving = parts.serving.await?;
        let (configs, tls) = TlsConfigs::new(serving, parts.authentication, metrics.controller.clone())?;
        let secure = Listener::new(sockets.secure, Some(tls), limits, metrics.server.clone());
        let address = secure.local_addr()?;
        anyhow::Ok((configs, secure, address))
    };
    let (configs, secure, address) = tokio::select! {
        started = started => started?,
        error = tasks.ended() => return Err(error),
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tasks.spawn("tls", async move { configs.run().await });
    listeners.spawn(secure.serve(router, shutdown.drain.clone(), config.shutdown_grace));
    parts.tls_gate.open();
    tracing::info!(secure = %address, http = %http_address, identity = config.identity, "serving");

    tokio::select! {
        error = tasks.ended() => return Err(error),
        Some(ended) = listeners.join_next() => return Err(anyhow!("a listener ended early: {ended:?}")),
        _ = terminate.recv() => tracing::info!("received SIGTERM, shutting down"),
        _ = interrupt.recv() => tracing::info!("received SIGINT, shutting down"),
    }
    shutdown
        .run(&mut terminate, &mut interrupt, async {
            while listeners.join_next().await.is_some() {}
        })
        .await;
    tasks.finish(Duration::from_secs(2)).await;
    tracing::info!("stopped");
    Ok(())
}

/// What the server needs of the rest.
struct Parts {
    answerer: Answerer,
    authentication: watch::Receiver<Option<Arc<AuthenticationConfig>>>,
    reviewer: Arc<CachedReviewer<ClusterReviewer>>,
    serving: serving::FirstCertificate,
    tls_gate: Gate,
}

// === impl Parts ===

impl Parts {
    /// Builds and spawns everything but the listeners. The order is that of the data.
    fn start(
        config: &Config,
        connection: &Connection,
        metrics: &Metrics,
        shutdown: &Shutdown,
        tasks: &mut Tasks,
        gates: Gates,
    ) -> anyhow::Result<Self> {
        let Connection {
            client,
            namespace,
            server,
        } = connection.clone();
        let counts = &metrics.controller;

        let contact = reach::first_contact(client.clone(), server, reach::PATIENCE);
        tasks.spawn_critical("first contact", contact);
        let (authentication, authentication_config) =
            AuthenticationWatch::new(client.clone(), counts.clone());
        tasks.spawn_fallible("authentication", authentication.run());
        tasks.open_when(
            "authentication",
            gates.authentication,
            authentication_config.clone(),
            Option::is_some,
        );

        // Event → index → table.
        let (mapper, resources) = Mapper::new(client.clone(), counts.clone());
        tasks.spawn("mapper", mapper.run());
        let (watches, tables, observed) = Watches::new(client.clone(), resources.clone(), counts.clone());
        tasks.spawn("watches", watches.run());
        let own_secrets = match &config.certificate {
            Certificate::OwnCa { secret_name } => vec![secret_name.clone()],
            Certificate::Files { .. } => Vec::new(),
        };
        let (credentials, credential_values) =
            CredentialWatch::new(client.clone(), &namespace, own_secrets, counts.clone());
        tasks.spawn("credentials", credentials.run());

        // Table → clients → series → catalog.
        let tokens = ClusterTokens::new(client.clone(), &namespace);
        let pool = Pool::new(metrics.backend.clone(), Arc::new(tokens));
        let (clients, tables, needs) = Clients::new(tables, credential_values, pool.clone());
        tasks.spawn("clients", clients.run());
        tasks.open_when("rules", gates.rules, tables.clone(), |table| table.synced);
        let (recorded, recorded_claims) = watch::channel(Recorded::default());
        tasks.open_when("claims", gates.claims, recorded_claims.clone(), |recorded| {
            recorded.source != RecordSource::Unread
        });
        let identity = &config.identity;
        let (relist, listings) = Relist::new(
            tables.clone(),
            recorded_claims,
            pool.clone(),
            identity,
            metrics.clone(),
        );
        tasks.spawn("relist", relist.run());
        tasks.open_when("relist", gates.relist, listings.ready, |ready| *ready);
        let catalog = listings.catalog;

        // Request → reply.
        let objects = Objects::new(
            client.clone(),
            resources,
            config.objects.iter().cloned(),
            metrics.clone(),
        );
        tasks.spawn("objects", objects.clone().run());
        let listed = objects.clone();
        tasks.open_after(
            "pods",
            gates.pods,
            PODS_PATIENCE,
            async move { listed.listed().await },
        );
        let targets = Targets::default();
        tasks.spawn("targets", targets.clone().run(client.clone(), counts.clone()));
        let (logbook, outcomes) = Logbook::new(metrics.rules.clone());
        tasks.spawn("logbook", logbook.clone().run(tables.clone()));
        let answerer = Answerer::new(
            catalog.clone(),
            pool.clone(),
            objects,
            targets,
            logbook,
            metrics.clone(),
        );
        let reviewer = CachedReviewer::new(ClusterReviewer::new(client.clone()), metrics.server.clone())?;

        let leader = Leader {
            config,
            connection,
            counts,
            claims: &metrics.claims,
            stop: shutdown.begun.clone(),
        };
        let known = Known {
            catalog,
            recorded,
            attempted: listings.attempted,
            observed,
            outcomes,
            tables,
            needs,
            pool,
        };
        let serving = leader.start(known, tasks)?;

        Ok(Self {
            answerer,
            authentication: authentication_config,
            reviewer: Arc::new(reviewer),
            serving,
            tls_gate: gates.tls,
        })
    }
}

// === impl Sockets ===

impl Sockets {
    async fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = |port: u16| async move {
            let address = (config.bind_address, port);
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {}:{port}", config.bind_address))
        };
        Ok(Self {
            secure: bind(config.secure_port).await?,
            http: bind(config.http_port).await?,
        })
    }
}

/// The way out: red at once, leadership given up, served on for the delay, drained.
struct Shutdown {
    delay: Duration,
    begun: CancellationToken,
    drain: CancellationToken,
}

// === impl Shutdown ===

impl Shutdown {
    fn new(delay: Duration) -> Self {
        Self {
            delay,
            begun: CancellationToken::new(),
            drain: CancellationToken::new(),
        }
    }

    /// A second signal cuts the delay short.
    async fn run(&self, terminate: &mut Signal, interrupt: &mut Signal, drained: impl Future<Output = ()>) {
        self.begun.cancel();
        tokio::select! {
            () = tokio::time::sleep(self.delay) => {}
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        self.drain.cancel();
        tokio::select! {
            () = drained => {}
            _ = terminate.recv() => tracing::warn!("received another signal: dropping requests in flight"),
            _ = interrupt.recv() => tracing::warn!("received another signal: dropping requests in flight"),
        }
    }
}
