//! Client of the API server.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{HeaderValue, header};
use kube::{
    Client, Config,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

const USER_AGENT: &str = concat!("metricrule/", env!("CARGO_PKG_VERSION"));

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest silence of a connection. A watch has its own, earlier deadline; this one is for requests whose caller
/// forgot one.
const READ_TIMEOUT: Duration = Duration::from_secs(290);
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Where the API server is.
#[derive(Clone, Debug, Default)]
pub struct ClientOptions {
    /// A kubeconfig. `None`: what `first` says.
    pub kubeconfig: Option<PathBuf>,
    /// What is looked at first where no kubeconfig is given.
    pub first: First,
    /// A context of the kubeconfig. `None`: its current one.
    pub context: Option<String>,
    /// The operator's own namespace. `None`: the pod's, or that of the kubeconfig's context.
    pub namespace: Option<String>,
}

/// What names the API server where no kubeconfig is given and there are several that could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum First {
    /// The pod's `ServiceAccount`, and outside a cluster a kubeconfig: for what the chart runs.
    #[default]
    Pod,
    /// `$KUBECONFIG`, else `~/.kube/config`, else the pod's `ServiceAccount`: for what people and pipelines run, as kubectl and
    /// helm do.
    Kubeconfig,
}

/// A client and the namespace that the operator lives in.
#[derive(Clone)]
pub struct Connection {
    /// Its default namespace is `namespace`.
    pub client: Client,
    /// The operator's own namespace.
    pub namespace: String,
    /// The API server's address, and where that stands: `https://10.0.0.1/ (context prod of the kubeconfig /home/jane/.kube/config)`.
    pub server: String,
}

/// What a process is told besides its arguments.
struct Environment<I> {
    /// `KUBECONFIG`: paths, with `:` between them.
    kubeconfig: Option<OsString>,
    home: Option<PathBuf>,
    /// Reads the pod's `ServiceAccount`.
    incluster: I,
}

/// Why there is no client. None of these is mended by waiting.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The given kubeconfig.
    #[error("the kubeconfig {} cannot be used: {source}", path.display())]
    Kubeconfig {
        /// As given.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// That of `$KUBECONFIG` or `~/.kube/config`.
    #[error("the kubeconfig {named} cannot be used: {source}; set another one with --kubeconfig")]
    Found {
        /// Where it was found.
        named: String,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// Neither in a cluster nor with a kubeconfig.
    #[error(
        "found no API server: this is not a cluster ({incluster}), and no kubeconfig is usable ({kubeconfig})"
    )]
    Nowhere {
        /// What is missing of a pod's environment.
        incluster: InClusterError,
        /// What is wrong with the default kubeconfig.
        kubeconfig: KubeconfigError,
    },
    /// Certificates or credentials that do not do.
    #[error("the client cannot be built: {0}")]
    Build(#[from] kube::Error),
}

// === impl Connection ===

impl Connection {
    /// Reads the configuration and builds the client. Asks nothing of the API server yet.
    pub async fn new(options: ClientOptions) -> Result<Self, ClientError> {
        let environment = Environment {
            kubeconfig: std::env::var_os("KUBECONFIG"),
            home: std::env::home_dir(),
            incluster: Config::incluster,
        };
        let (mut config, origin) = environment.config(&options).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.write_timeout = Some(WRITE_TIMEOUT);
        // Each caller has a deadline, a back-off and a count of its failures; retries in here, up to 15 of them, would come
        // before all three.
        config.default_retry = false;
        config
            .headers
            .push((header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
        if let Some(namespace) = options.namespace {
            config.default_namespace = namespace;
        }
        let namespace = config.default_namespace.clone();
        let server = format!("{} ({origin})", config.cluster_url);
        Ok(Self {
            client: Client::try_from(config)?,
            namespace,
            server,
        })
    }
}

// === impl Environment ===

impl<I: Fn() -> Result<Config, InClusterError>> Environment<I> {
    /// The configuration, and where it was found.
    async fn config(&self, options: &ClientOptions) -> Result<(Config, String), ClientError> {
        let context = KubeConfigOptions {
            context: options.context.clone(),
            ..KubeConfigOptions::default()
        };
        if let Some(path) = &options.kubeconfig {
            let wrong = |source| ClientError::Kubeconfig {
                path: path.clone(),
                source,
            };
            let kubeconfig = Kubeconfig::read_from(path).map_err(wrong)?;
            return of(kubeconfig, &context, &path.display().to_string())
                .await
                .map_err(wrong);
        }
        // A context is one of a kubeconfig, also in a pod.
        let incluster = match (&options.context, options.first) {
            (Some(_), _) => Err(InClusterError::ReadEnvironmentVariable(
                std::env::VarError::NotPresent,
            )),
            (None, First::Pod) => (self.incluster)(),
            (None, First::Kubeconfig) => match self.kubeconfig() {
                Some(named) => return self.found(&named, &context).await,
                None => (self.incluster)(),
            },
        };
        let incluster = match incluster {
            Ok(config) => return Ok((config, "the pod's ServiceAccount".to_owned())),
            Err(error) => error,
        };
        let Some(named) = self.kubeconfig() else {
            let kubeconfig = KubeconfigError::FindPath;
            return Err(ClientError::Nowhere {
                incluster,
                kubeconfig,
            });
        };
        self.found(&named, &context).await
    }

    /// The kubeconfigs that are named, else the one at the usual place, if it exists.
    fn kubeconfig(&self) -> Option<Vec<PathBuf>> {
        let named: Vec<PathBuf> = self
            .kubeconfig
            .iter()
            .flat_map(std::env::split_paths)
            .filter(|path| !path.as_os_str().is_empty())
            .collect();
        if !named.is_empty() {
            return Some(named);
        }
        let usual = self.home.as_ref()?.join(".kube").join("config");
        let absent = std::fs::metadata(&usual).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        (!absent).then(|| vec![usual])
    }

    /// One that is named and cannot be read is an error: what is next would be another cluster.
    async fn found(
        &self,
        paths: &[PathBuf],
        context: &KubeConfigOptions,
    ) -> Result<(Config, String), ClientError> {
        let named: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        let named = named.join(", ");
        let read = paths
            .iter()
            .try_fold(Kubeconfig::default(), |merged, path: &PathBuf| {
                merged.merge(Kubeconfig::read_from(Path::new(path))?)
            });
        let read = match read {
            Ok(kubeconfig) => of(kubeconfig, context, &named).await,
            Err(error) => Err(error),
        };
        read.map_err(|source| ClientError::Found { named, source })
    }
}

async fn of(
    kubeconfig: Kubeconfig,
    options: &KubeConfigOptions,
    named: &str,
) -> Result<(Config, String), KubeconfigError> {
    let context = options
        .context
        .clone()
        .or_else(|| kubeconfig.current_context.clone());
    let config = Config::from_custom_kubeconfig(kubeconfig, options).await?;
    let context = context.unwrap_or_default();
    Ok((config, format!("context {context:?} of the kubeconfig {named}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kubeconfig of a cluster at a port, in a file of its own.
    fn kubeconfig(name: &str, port: u16) -> PathBuf {
        let path = std::env::temp_dir().join(format!("metricrule-{name}-{}", std::process::id()));
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: k, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], \
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}], users: [{{name: u, user: {{}}}}]}}\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    async fn server(
        environment: &Environment<impl Fn() -> Result<Config, InClusterError>>,
        first: First,
    ) -> String {
        let options = ClientOptions {
            first,
            ..ClientOptions::default()
        };
        match environment.config(&options).await {
            Ok((config, origin)) => format!("{} {origin}", config.cluster_url),
            Err(error) => error.to_string(),
        }
    }

    #[tokio::test]
    async fn a_pipeline_in_a_pod_that_names_a_kubeconfig_was_led_to_the_pods_own_cluster() {
        crate::backend::install_crypto();
        let path = kubeconfig("prod", 1);
        let pod = || Ok(Config::new("https://10.0.0.1".parse().unwrap()));
        let home = std::env::temp_dir().join(format!("metricrule-home-{}", std::process::id()));
        let mut environment = Environment {
            kubeconfig: Some(path.clone().into_os_string()),
            home: Some(home.clone()),
            incluster: pod,
        };
        let production = format!(
            "http://127.0.0.1:1/ context \"c\" of the kubeconfig {}",
            path.display()
        );
        assert_eq!(server(&environment, First::Kubeconfig).await, production);
        // `serve` is the pod's.
        let own = "https://10.0.0.1/ the pod's ServiceAccount";
        assert_eq!(server(&environment, First::Pod).await, own);

        // One that is named and not there is not passed over for another cluster.
        environment.kubeconfig = Some("/nowhere/kubeconfig".into());
        let said = server(&environment, First::Kubeconfig).await;
        assert!(said.contains("/nowhere/kubeconfig cannot be used"), "{said}");

        // Neither named nor at the usual place: the pod's.
        environment.kubeconfig = Some("".into());
        assert_eq!(server(&environment, First::Kubeconfig).await, own);
        // At the usual place.
        std::fs::create_dir_all(home.join(".kube")).unwrap();
        std::fs::rename(&path, home.join(".kube/config")).unwrap();
        environment.kubeconfig = None;
        assert!(
            server(&environment, First::Kubeconfig)
                .await
                .starts_with("http://127.0.0.1:1/")
        );
        std::fs::remove_dir_all(&home).unwrap();

        // Neither the one nor the other.
        let nowhere = Environment {
            kubeconfig: None,
            home: None,
            incluster: || {
                Err(InClusterError::ReadEnvironmentVariable(
                    std::env::VarError::NotPresent,
                ))
            },
        };
        for first in [First::Pod, First::Kubeconfig] {
            let said = server(&nowhere, first).await;
            assert!(said.starts_with("found no API server"), "{said}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_for_the_caller_and_is_not_tried_again() {
        use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};

        crate::backend::install_crypto();
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(503))
            .expect(1)
            .mount(&server)
            .await;
        let path = std::env::temp_dir().join(format!("metricrule-refusal-{}", std::process::id()));
        let text = format!(
            "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: k, cluster: {{server: '{}'}}}}], \
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}], users: [{{name: u, user: {{}}}}]}}\n",
            server.uri()
        );
        std::fs::write(&path, text).unwrap();
        let options = ClientOptions {
            kubeconfig: Some(path.clone()),
            ..ClientOptions::default()
        };
        let connection = Connection::new(options).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        connection.client.apiserver_version().await.unwrap_err();
        assert_eq!(server.received_requests().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_kubeconfig_says_where_and_which_namespace() {
        crate::backend::install_crypto();
        let path = std::env::temp_dir().join(format!("metricrule-kubeconfig-{}", std::process::id()));
        let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                    clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\n\
                    contexts: [{name: c, context: {cluster: k, user: u, namespace: monitoring}}]\n\
                    users: [{name: u, user: {}}]\n";
        std::fs::write(&path, text).unwrap();
        let options = |namespace: Option<&str>| ClientOptions {
            kubeconfig: Some(path.clone()),
            namespace: namespace.map(str::to_owned),
            ..ClientOptions::default()
        };
        assert_eq!(
            Connection::new(options(None)).await.unwrap().namespace,
            "monitoring"
        );
        let given = Connection::new(options(Some("own"))).await.unwrap();
        assert_eq!(
            (given.namespace.as_str(), given.client.default_namespace()),
            ("own", "own")
        );

        std::fs::remove_file(&path).unwrap();
        let error = Connection::new(options(None)).await.err().unwrap().to_string();
        assert!(error.contains("metricrule-kubeconfig"), "{error}");
    }
}
