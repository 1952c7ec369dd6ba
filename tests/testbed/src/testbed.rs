//! Everything together.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use tokio::time::Instant;

use crate::adapter::{self, Launch, Replica};
use crate::balancer::Balancer;
use crate::command::{self, Said};
use crate::control_plane::{ControlPlane, HpaTiming};
use crate::exporter::Exporter;
use crate::folder::Folder;
use crate::install::{Helm, Install, NAMESPACE, RELEASE};
use crate::programs::Programs;
use crate::prometheus::Prometheus;
use crate::{kubeconfig, runtime};

/// What a testbed consists of. Without further calls: the control plane, the exporter and a Prometheus that runs; no chart, no
/// replica.
#[derive(Clone, Debug)]
pub struct Builder {
    prometheus: bool,
    chart: bool,
    values: Vec<String>,
    replicas: usize,
    binary: Option<PathBuf>,
    shutdown_delay: String,
    args: Vec<String>,
    timing: HpaTiming,
    progress: fn(&str),
}

/// A running testbed. All of it ends when it is dropped, and also when this process ends in whatever way.
#[derive(Debug)]
pub struct Testbed {
    // dropped in this order: what asks goes before what answers, the folder last
    replicas: Vec<Replica>,
    balancer: Balancer,
    prometheus: Prometheus,
    exporter: Exporter,
    control_plane: ControlPlane,
    install: Option<Install>,
    helm: Helm,
    launch: Option<Launch>,
    programs: Programs,
    namespaces: AtomicUsize,
    ready: Instant,
    folder: Folder,
}

// === impl Builder ===

impl Default for Builder {
    fn default() -> Self {
        Self {
            prometheus: true,
            chart: false,
            values: Vec::new(),
            replicas: 0,
            binary: None,
            shutdown_delay: "1s".to_owned(),
            args: Vec::new(),
            timing: HpaTiming::default(),
            progress: |_| {},
        }
    }
}

impl Builder {
    /// Whether Prometheus runs from the start. When not, it can be started later, on the address that the chart was told.
    #[must_use]
    pub fn prometheus(mut self, running: bool) -> Self {
        self.prometheus = running;
        self
    }

    /// Installs the chart with helm, without starting replicas.
    #[must_use]
    pub fn chart(mut self) -> Self {
        self.chart = true;
        self
    }

    /// Installs the chart with this value (`name=value`, as with `helm --set`) besides `replicas` and `prometheus.url`.
    #[must_use]
    pub fn value(mut self, value: &str) -> Self {
        self.values.push(value.to_owned());
        self.chart()
    }

    /// Starts so many replicas of the adapter, named `replica-0` and so on; the chart is installed for them.
    #[must_use]
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self.chart()
    }

    /// The adapter's binary, instead of the one that [`adapter::binary`] finds.
    #[must_use]
    pub fn binary(mut self, path: &Path) -> Self {
        self.binary = Some(path.to_path_buf());
        self
    }

    /// How long a replica goes on serving after SIGTERM (`--shutdown-delay`): 1s unless set, for tests that stop replicas often.
    #[must_use]
    pub fn shutdown_delay(mut self, duration: &str) -> Self {
        duration.clone_into(&mut self.shutdown_delay);
        self
    }

    /// A further argument of `metricrule serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// How fast the HPA controller is.
    #[must_use]
    pub fn hpa(mut self, timing: HpaTiming) -> Self {
        self.timing = timing;
        self
    }

    /// Is told each step of the start, in a few words.
    #[must_use]
    pub fn on_progress(mut self, progress: fn(&str)) -> Self {
        self.progress = progress;
        self
    }

    /// Starts it all and waits until it is ready: the control plane, Prometheus, and `/readyz` of every replica.
    ///
    /// # Errors
    /// A part is not built, or was not ready in time; the error names it with its cause, and the logs are kept.
    pub async fn start(self) -> Result<Testbed> {
        runtime::run(async move {
            let folder = Folder::new()?;
            match self.assemble(&folder).await {
                Ok(parts) => Ok(parts(folder)),
                Err(error) => {
                    folder.keep("the testbed did not start");
                    Err(error)
                }
            }
        })
        .await
    }

    async fn assemble(self, folder: &Folder) -> Result<impl FnOnce(Folder) -> Testbed + use<>> {
        let path = folder.path();
        let logs = path.join("logs");
        let programs = Programs::locate().await?;
        (self.progress)("starting etcd, kube-apiserver, kube-controller-manager and KWOK");
        let control_plane = ControlPlane::start(&programs, path, self.timing).await?;
        let ready = Instant::now();
        (self.progress)(
            "the control plane is ready; starting the exporter and Prometheus, installing the chart with helm",
        );
        let kubeconfig = control_plane.kubeconfig();
        let client = kubeconfig::client(kubeconfig).await?;
        let exporter = Exporter::start(kubeconfig).await?;
        let prometheus = Prometheus::new(&programs, path, &logs, &exporter.address())?;
        let balancer = Balancer::start().await?;
        let helm = Helm::new(&programs, path, kubeconfig)?;

        let running = async {
            if self.prometheus {
                prometheus.start().await
            } else {
                Ok(())
            }
        };
        let installed = async {
            if !self.chart {
                return Ok(None);
            }
            let mut values = vec![format!("prometheus.url={}", prometheus.url())];
            values.extend(self.values.iter().cloned());
            let install = helm.install(&client, &values).await?;
            install.route(&client, balancer.port()).await?;
            Ok(Some(install))
        };
        let ((), install) = futures::try_join!(running, installed)?;

        let mut launch = None;
        let mut replicas = Vec::new();
        if let Some(install) = &install {
            let token = install.token(&client).await?;
            let ca = &control_plane.pki().cluster.certificate;
            let account = adapter::kubeconfig(
                &path.join("adapter.kubeconfig"),
                control_plane.server(),
                ca,
                &token,
            )?;
            if self.replicas > 0 || self.binary.is_some() {
                launch = Some(Launch {
                    binary: self.binary.map_or_else(adapter::binary, Ok)?,
                    logs,
                    kubeconfig: account,
                    shutdown_delay: self.shutdown_delay,
                    args: self.args,
                });
            }
            if let Some(launch) = &launch {
                for number in 0..self.replicas {
                    let replica = Replica::new(&format!("replica-{number}"), launch, install)?;
                    balancer.add(replica.name(), replica.secure_port(), replica.http_port())?;
                    replicas.push(replica);
                }
            }
            (self.progress)("starting the adapter with the token of the chart's ServiceAccount");
            try_join_all(replicas.iter().map(Replica::start)).await?;
        }
        Ok(move |folder| Testbed {
            replicas,
            balancer,
            prometheus,
            exporter,
            control_plane,
            install,
            helm,
            launch,
            programs,
            namespaces: AtomicUsize::new(0),
            ready,
            folder,
        })
    }
}

// === impl Testbed ===

impl Testbed {
    /// The parts to choose.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The control plane.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// Since when the control plane is ready; what is installed into it came later.
    pub fn ready_since(&self) -> Instant {
        self.ready
    }

    /// Prometheus, running or not.
    pub fn prometheus(&self) -> &Prometheus {
        &self.prometheus
    }

    /// The exporter that Prometheus scrapes.
    pub fn exporter(&self) -> &Exporter {
        &self.exporter
    }

    /// The balancer that the chart's Service leads to.
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    /// The replicas of the adapter that were asked for.
    pub fn replicas(&self) -> &[Replica] {
        &self.replicas
    }

    /// One more replica behind the balancer, not started yet. Its probe turns red when it is dropped, as when a pod is gone.
    ///
    /// # Errors
    /// The testbed was built without chart or without binary.
    pub fn replica(&self, name: &str) -> Result<Replica> {
        let launch = self
            .launch
            .as_ref()
            .context("this testbed was built without replicas")?;
        let install = self
            .install
            .as_ref()
            .context("this testbed was built without the chart")?;
        let replica = Replica::new(name, launch, install)?;
        self.balancer
            .add(name, replica.secure_port(), replica.http_port())?;
        Ok(replica)
    }

    /// The installed chart.
    ///
    /// # Errors
    /// The testbed was built without it.
    pub fn install(&self) -> Result<&Install> {
        self.install
            .as_ref()
            .context("this testbed was built without the chart")
    }

    /// The temporary folder: logs, kubeconfigs, certificates.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The kubeconfig of the chart's `ServiceAccount`, which holds its token and nothing else.
    pub fn adapter_kubeconfig(&self) -> PathBuf {
        self.folder.path().join("adapter.kubeconfig")
    }

    /// Keeps the folder after the end, and says where it is.
    pub fn keep_logs(&self, why: &str) {
        self.folder.keep(why);
    }

    /// A client of `system:masters` for the runtime that this is called on.
    ///
    /// # Errors
    /// The kubeconfig is gone.
    pub async fn client(&self) -> Result<Client> {
        kubeconfig::client(self.control_plane.kubeconfig()).await
    }

    /// A client with the token of the chart's `ServiceAccount`, for the runtime that this is called on.
    ///
    /// # Errors
    /// The testbed was built without the chart.
    pub async fn adapter_client(&self) -> Result<Client> {
        kubeconfig::client(&self.adapter_kubeconfig()).await
    }

    /// Runs kubectl as `system:masters`; gives its standard output.
    ///
    /// # Errors
    /// It fails; with what it said.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with(self.control_plane.kubeconfig(), args, "")
            .await?
            .ok(&format!("kubectl {}", args.join(" ")))
    }

    /// `kubectl apply --server-side -f -` of a manifest, into a namespace where the manifest names none.
    ///
    /// # Errors
    /// It is refused.
    pub async fn apply(&self, namespace: &str, manifest: &str) -> Result<String> {
        let args = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--namespace",
            namespace,
            "-f",
            "-",
        ];
        self.kubectl_with(self.control_plane.kubeconfig(), &args, manifest)
            .await?
            .ok("kubectl apply")
    }

    /// `kubectl apply` of a manifest whose objects name their namespaces themselves.
    ///
    /// # Errors
    /// It is refused.
    pub async fn apply_anywhere(&self, manifest: &str) -> Result<String> {
        let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl_with(self.control_plane.kubeconfig(), &args, manifest)
            .await?
            .ok("kubectl apply")
    }

    /// Runs kubectl with any kubeconfig and standard input; what it answers is given also when it fails.
    ///
    /// # Errors
    /// It cannot be run, or is not done after two minutes.
    pub async fn kubectl_with(&self, kubeconfig: &Path, args: &[&str], input: &str) -> Result<Said> {
        self.run("kubectl", kubeconfig, args, input).await
    }

    /// Runs a program of `tools/build` that finds its cluster by `KUBECONFIG`, as [`Self::kubectl_with`].
    ///
    /// # Errors
    /// It cannot be run, or is not done after two minutes.
    pub async fn run(&self, program: &str, kubeconfig: &Path, args: &[&str], input: &str) -> Result<Said> {
        // kubectl before 1.21 knows no KUBECACHEDIR and caches under HOME
        let home = self.folder.path().join(program);
        let envs = [
            ("KUBECONFIG", kubeconfig),
            ("KUBECACHEDIR", home.as_path()),
            ("HOME", home.as_path()),
        ];
        command::run(self.program(program)?, args, &envs, input).await
    }

    /// Where a program of `tools/build` is.
    ///
    /// # Errors
    /// It knows none of that name.
    pub fn program(&self, name: &str) -> Result<&Path> {
        self.programs.path(name)
    }

    /// Runs helm as `system:masters`; gives its standard output.
    ///
    /// # Errors
    /// It fails; with what it said.
    pub async fn helm(&self, args: &[&str]) -> Result<String> {
        self.helm.run(args).await
    }

    /// `helm uninstall` of the chart. Replicas that run go on running.
    ///
    /// # Errors
    /// It fails; with what helm said.
    pub async fn uninstall(&self) -> Result<String> {
        self.helm(&["uninstall", RELEASE, "--namespace", NAMESPACE]).await
    }

    /// Runs a test in a namespace of its own, whose name starts with `prefix`. Afterwards the namespace is deleted (without
    /// waiting for it) and the exporter's series that carry it are taken away. When the test fails, the logs are kept.
    ///
    /// # Errors
    /// The test's own.
    pub async fn with_namespace<T, F, Fut>(&self, prefix: &str, test: F) -> Result<T>
    where
        F: FnOnce(String) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let name = format!("{prefix}-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("creating {name}"))?;
        let result = test(name.clone()).await;
        if result.is_err() {
            self.keep_logs(&format!("the test in namespace {name} failed"));
        }
        self.exporter.remove_namespace(&name);
        let deleted = namespaces.delete(&name, &DeleteParams::default()).await;
        let value = result?;
        deleted.with_context(|| format!("deleting {name}"))?;
        Ok(value)
    }
}

/// How long a test waits for something that takes a few seconds on an idle machine, unless it has a bound of its own.
pub const PATIENCE: Duration = Duration::from_mins(1);
