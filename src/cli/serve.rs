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

/// The kinds whose objects the chart allows the operator to list.
const OBJECTS: &str = "pods,nodes,services,namespaces,deployments.apps,statefulsets.apps,replicasets.apps,\
                       daemonsets.apps,jobs.batch,ingresses.networking.k8s.io";

/// Run the operator and its API server.
///
/// It runs until SIGTERM or SIGINT. Then it accepts requests for --shutdown-delay, finishes requests in flight, and exits with 0.
/// Write durations as 10s, 1m30s or 500ms. Every flag has an environment variable, which the flag overrides.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The kubeconfig of the cluster. Default: the Pod's service account, then KUBECONFIG, then ~/.kube/config.
    #[arg(long, env = "METRICRULE_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// The operator's own namespace, with its Service, Lease and CA Secret, and the Secrets and ConfigMaps of backends. Default: the
    /// namespace of the service account, or of the kubeconfig's context.
    #[arg(long, env = "METRICRULE_NAMESPACE", value_name = "NAME")]
    namespace: Option<String>,

    /// The Service that the APIServices point to. They use its port named https.
    #[arg(
        long,
        env = "METRICRULE_SERVICE_NAME",
        value_name = "NAME",
        default_value = "metricrule"
    )]
    service_name: String,

    /// The ClusterRole of this installation. It owns the APIServices, so deleting it deletes them. Default: none; the APIServices then
    /// stay after an uninstall, and you have to delete them.
    #[arg(long, env = "METRICRULE_CLUSTER_ROLE", value_name = "NAME")]
    cluster_role: Option<String>,

    /// The address to listen on, for both ports.
    #[arg(
        long,
        env = "METRICRULE_BIND_ADDRESS",
        value_name = "IP",
        default_value = "0.0.0.0"
    )]
    bind_address: IpAddr,

    /// The TLS port of the metrics APIs; 0 chooses a free one.
    #[arg(
        long,
        env = "METRICRULE_SECURE_PORT",
        value_name = "PORT",
        default_value_t = 6443
    )]
    secure_port: u16,

    /// The plain HTTP port of /metrics, /livez, /readyz and /healthz; 0 chooses a free one.
    #[arg(
        long,
        env = "METRICRULE_HTTP_PORT",
        value_name = "PORT",
        default_value_t = 8080
    )]
    http_port: u16,

    /// The certificate chain to serve (PEM, leaf first), instead of one from the operator's own CA. It is reloaded when it changes.
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

    /// With --tls-cert-file: the CA bundle (PEM) for the APIServices. Default: none; the operator leaves their caBundle to somebody
    /// else, such as cert-manager's cainjector.
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

    /// The kinds whose objects the operator lists for * and label selectors, as plural.group. Metrics of other kinds can be read by
    /// name only. The operator needs the permission to list and watch them. At most 32 kinds; never secrets.
    #[arg(
        long,
        env = "METRICRULE_OBJECT_RESOURCES",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = OBJECTS
    )]
    object_resources: Vec<String>,

    /// The Lease that elects the leader, the one replica that writes.
    #[arg(
        long,
        env = "METRICRULE_LEASE_NAME",
        value_name = "NAME",
        default_value = "metricrule"
    )]
    lease_name: String,

    /// The name of this replica in the Lease. Default: the host name and the process ID.
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

    /// The ConfigMap in which the leader keeps the record of claims. The chart creates it; the operator does not.
    #[arg(
        long,
        env = "METRICRULE_CLAIMS_CONFIGMAP_NAME",
        value_name = "NAME",
        default_value = "metricrule-claims"
    )]
    claims_configmap_name: String,

    /// How long to accept requests after SIGTERM, so that the cluster first stops sending them.
    #[arg(
        long,
        env = "METRICRULE_SHUTDOWN_DELAY",
        value_name = "DURATION",
        default_value = "10s",
        value_parser = parse_duration
    )]
    shutdown_delay: Duration,

    /// How long requests in flight may take after that. Together with --shutdown-delay it must be less than the Pod's grace period.
    #[arg(
        long,
        env = "METRICRULE_SHUTDOWN_GRACE",
        value_name = "DURATION",
        default_value = "30s",
        value_parser = parse_duration
    )]
    shutdown_grace: Duration,

    /// What to log: error, warn, info, debug, trace, or directives such as info,metricrule=debug.
    #[arg(
        long,
        env = "METRICRULE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: String,

    /// The format of the log.
    #[arg(long, env = "METRICRULE_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormatArg::Text)]
    log_format: LogFormatArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RegisterArg {
    /// Register an API when a rule needs it, and withdraw it 24 h after the last such rule is gone
    Auto,
    /// Register both APIs at once, and keep them
    Always,
    /// Never write APIServices; somebody else does
    Never,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormatArg {
    /// For people
    Text,
    /// One JSON object per line
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
                "--object-resources: {} kinds, but at most 32 are allowed",
                objects.len()
            ));
        }
        if objects.contains(&GroupResource::new("", "secrets")) {
            return Err("--object-resources: secrets are not allowed".to_owned());
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

/// Contains the process ID: a host may run several replicas, and no two of them may share a name.
fn default_identity() -> String {
    let host = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host = host.unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
