//! `metricrule serve`.

use std::{net::IpAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, ValueEnum};

use super::{FAILED, USAGE, fail};
use crate::{
    api::duration::parse_duration,
    app::{self, Certificate, Config, Register},
    resource::GroupResource,
    telemetry::{self, LogFormat},
};

/// The kinds whose objects the chart lets the operator list.
const OBJECTS: &str = "pods,nodes,services,namespaces,deployments.apps,statefulsets.apps,replicasets.apps,\
                       daemonsets.apps,jobs.batch,ingresses.networking.k8s.io";

/// Run the operator and its API server.
///
/// It runs until SIGTERM or SIGINT, then stays reachable for --shutdown-delay, finishes what is in flight, and exits with 0.
/// Durations are written as 10s, 1m30s or 500ms. Every flag has an environment variable, which the flag overrides.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Kubeconfig of the cluster. Default: the Pod's service account, else KUBECONFIG, else ~/.kube/config.
    #[arg(long, env = "METRICRULE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The operator's own namespace: its Service, Lease, CA Secret, and the Secrets and ConfigMaps of backends. Default: that
    /// of the service account, or of the kubeconfig's context.
    #[arg(long, env = "METRICRULE_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,

    /// The Service that the APIServices point to. Its port is read from the Service: the one named https.
    #[arg(
        long,
        env = "METRICRULE_SERVICE_NAME",
        value_name = "NAME",
        default_value = "metricrule"
    )]
    service_name: String,

    /// The ClusterRole of this installation. The APIServices are owned by it, so that they go when it goes. Default: none;
    /// the APIServices then stay when everything else is gone, and have to be deleted by hand.
    #[arg(long, env = "METRICRULE_CLUSTER_ROLE", value_name = "NAME")]
    cluster_role: Option<String>,

    /// Address to listen on, for both ports.
    #[arg(
        long,
        env = "METRICRULE_BIND_ADDRESS",
        value_name = "IP",
        default_value = "0.0.0.0"
    )]
    bind_address: IpAddr,

    /// TLS port of the metrics APIs; 0 takes a free one.
    #[arg(
        long,
        env = "METRICRULE_SECURE_PORT",
        value_name = "PORT",
        default_value_t = 6443
    )]
    secure_port: u16,

    /// Plain HTTP port of /metrics, /livez, /readyz and /healthz; 0 takes a free one.
    #[arg(
        long,
        env = "METRICRULE_HTTP_PORT",
        value_name = "PORT",
        default_value_t = 8080
    )]
    http_port: u16,

    /// Serve this certificate chain (PEM, leaf first) instead of one of the operator's own CA. Read again when it changes.
    #[arg(
        long,
        env = "METRICRULE_TLS_CERT_FILE",
        value_name = "FILE",
        requires = "tls_private_key_file"
    )]
    tls_cert_file: Option<PathBuf>,

    /// The private key of --tls-cert-file (PEM).
    #[arg(
        long,
        env = "METRICRULE_TLS_PRIVATE_KEY_FILE",
        value_name = "FILE",
        requires = "tls_cert_file"
    )]
    tls_private_key_file: Option<PathBuf>,

    /// With --tls-cert-file: the CA bundle (PEM) for the APIServices. Default: their caBundle is left to somebody else, such
    /// as cert-manager's cainjector.
    #[arg(
        long,
        env = "METRICRULE_CA_BUNDLE_FILE",
        value_name = "FILE",
        requires = "tls_cert_file"
    )]
    ca_bundle_file: Option<PathBuf>,

    /// When to register the metrics APIs with the API server.
    #[arg(long, env = "METRICRULE_REGISTER", value_name = "WHEN", value_enum, default_value_t = RegisterArg::Auto)]
    register: RegisterArg,

    /// Kinds whose objects may be listed for `*` and label selectors, as plural.group. Others are answered by name only. The
    /// operator needs list and watch for them; at most 32; secrets never.
    #[arg(
        long,
        env = "METRICRULE_OBJECT_RESOURCES",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = OBJECTS
    )]
    object_resources: Vec<String>,

    /// The Lease by which replicas agree on the one that writes.
    #[arg(
        long,
        env = "METRICRULE_LEASE_NAME",
        value_name = "NAME",
        default_value = "metricrule"
    )]
    lease_name: String,

    /// What tells this replica from others in the Lease. Default: the host's name and the process's number.
    #[arg(long, env = "METRICRULE_IDENTITY", value_name = "NAME")]
    identity: Option<String>,

    /// The Secret of the operator's own CA.
    #[arg(
        long,
        env = "METRICRULE_CA_SECRET_NAME",
        value_name = "NAME",
        default_value = "metricrule-ca"
    )]
    ca_secret_name: String,

    /// The `ConfigMap` that the leader keeps the record of claims in. It is not created: the chart does that.
    #[arg(
        long,
        env = "METRICRULE_CLAIMS_CONFIGMAP_NAME",
        value_name = "NAME",
        default_value = "metricrule-claims"
    )]
    claims_configmap_name: String,

    /// How long to go on serving after SIGTERM, so that the cluster stops sending requests here first.
    #[arg(
        long,
        env = "METRICRULE_SHUTDOWN_DELAY",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = parse_duration
    )]
    shutdown_delay: Duration,

    /// How long requests in flight may take after that. Together with --shutdown-delay less than the Pod's grace period.
    #[arg(
        long,
        env = "METRICRULE_SHUTDOWN_GRACE",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = parse_duration
    )]
    shutdown_grace: Duration,

    /// What to log: error, warn, info, debug, trace, or directives such as `info,metricrule::relist=debug`.
    #[arg(
        long,
        env = "METRICRULE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: String,

    /// How to log.
    #[arg(long, env = "METRICRULE_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormatArg::Text)]
    log_format: LogFormatArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RegisterArg {
    /// When a rule needs an API; withdrawn 24 h after the last such rule is gone.
    Auto,
    /// At once, and for as long as it runs.
    Always,
    /// Not at all: the APIServices are somebody else's.
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormatArg {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

// === impl ServeArgs ===

impl ServeArgs {
    pub(super) fn run(self) -> ExitCode {
        let format = match self.log_format {
            LogFormatArg::Text => LogFormat::Text,
            LogFormatArg::Json => LogFormat::Json,
        };
        if let Err(error) = telemetry::init(&self.log_level, format) {
            return fail(USAGE, &format!("--log-level: {error}"));
        }
        let config = match self.into_config() {
            Ok(config) => config,
            Err(message) => return fail(USAGE, &message),
        };
        match app::run(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(FAILED, &format!("{error:#}")),
        }
    }

    fn into_config(self) -> Result<Config, String> {
        let certificate = match (self.tls_cert_file, self.tls_private_key_file) {
            (Some(chain), Some(key)) => Certificate::Files {
                chain,
                key,
                ca_bundle: self.ca_bundle_file,
            },
            _ => Certificate::OwnCa {
                secret_name: self.ca_secret_name,
            },
        };
        let objects: Vec<GroupResource> = self
            .object_resources
            .iter()
            .filter(|kind| !kind.is_empty())
            .map(|kind| GroupResource::parse(kind))
            .collect();
        if objects.len() > 32 {
            return Err(format!(
                "--object-resources: {} kinds; at most 32 are watched",
                objects.len()
            ));
        }
        if objects.contains(&GroupResource::new("", "secrets")) {
            return Err("--object-resources: secrets are never listed".to_owned());
        }
        Ok(Config {
            kubeconfig: self.kubeconfig,
            namespace: self.namespace,
            service_name: self.service_name,
            cluster_role: self.cluster_role,
            bind_address: self.bind_address,
            secure_port: self.secure_port,
            http_port: self.http_port,
            certificate,
            register: match self.register {
                RegisterArg::Auto => Register::Auto,
                RegisterArg::Always => Register::Always,
                RegisterArg::Never => Register::Never,
            },
            objects,
            lease_name: self.lease_name,
            claims_name: self.claims_configmap_name,
            identity: self.identity.unwrap_or_else(default_identity),
            shutdown_delay: self.shutdown_delay,
            shutdown_grace: self.shutdown_grace,
        })
    }
}

/// A host may run several replicas, and no two of them may share a name.
fn default_identity() -> String {
    let host = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host = host.unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
