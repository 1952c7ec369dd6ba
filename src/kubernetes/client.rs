//! The client of the API server.

use std::{path::PathBuf, time::Duration};

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
    /// A kubeconfig. `None`: the pod's `ServiceAccount`, and outside a cluster `$KUBECONFIG` or `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig. `None`: its current one.
    pub context: Option<String>,
    /// The operator's own namespace. `None`: the pod's, or that of the kubeconfig's context.
    pub namespace: Option<String>,
}

/// A client and the namespace that the operator lives in.
#[derive(Clone)]
pub struct Connection {
    /// Its default namespace is `namespace`.
    pub client: Client,
    /// The operator's own namespace.
    pub namespace: String,
    /// The API server's address.
    pub server: String,
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
    /// Neither in a cluster nor with a kubeconfig.
    #[error(
        "no API server is known: not in a cluster ({incluster}), and no usable kubeconfig ({kubeconfig})"
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
        let context = KubeConfigOptions {
            context: options.context,
            ..KubeConfigOptions::default()
        };
        let mut config = match options.kubeconfig {
            Some(path) => match read(path.clone(), &context).await {
                Ok(config) => config,
                Err(source) => return Err(ClientError::Kubeconfig { path, source }),
            },
            None => match incluster(&context) {
                Ok(config) => config,
                Err(incluster) => match Config::from_kubeconfig(&context).await {
                    Ok(config) => config,
                    Err(kubeconfig) => {
                        return Err(ClientError::Nowhere {
                            incluster,
                            kubeconfig,
                        });
                    }
                },
            },
        };
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
        let server = config.cluster_url.to_string();
        Ok(Self {
            client: Client::try_from(config)?,
            namespace,
            server,
        })
    }
}

async fn read(path: PathBuf, options: &KubeConfigOptions) -> Result<Config, KubeconfigError> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(kubeconfig, options).await
}

/// A context is one of a kubeconfig, also in a pod.
fn incluster(options: &KubeConfigOptions) -> Result<Config, InClusterError> {
    if options.context.is_some() {
        return Err(InClusterError::ReadEnvironmentVariable(
            std::env::VarError::NotPresent,
        ));
    }
    Config::incluster()
}

#[cfg(test)]
mod tests {
    use super::*;

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
