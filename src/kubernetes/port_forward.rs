//! Port-forward to a Service from outside of the cluster: through the API server to its ready pods, as `kubectl port-forward`
//! does it.
//!
//! A listener on loopback stands at this end, so that any HTTP client can use it; each connection is a forwarded stream of its
//! own. It is there for as long as the [`Forward`] is.

mod carry;
mod endpoints;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client, api::Portforwarder};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};

use self::{carry::carry, endpoints::Target};
use super::rights::{ClusterError, Right, ask, list};

/// Connections at a time.
const CONNECTIONS: usize = 16;

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// Which of its ports.
    pub port: Port,
}

/// How a Service's port is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// By the Service's number.
    Number(u16),
    /// By its name.
    Name(String),
    /// The one named `https`, or 443, or the only one.
    Https,
}

/// An open way. Dropping it closes it.
#[derive(Debug)]
pub struct Forward {
    local: SocketAddr,
    pod: String,
    failure: Failure,
    task: JoinHandle<()>,
}

/// What a stream last failed with; the client at the listener sees nothing but its end.
#[derive(Clone, Debug, Default)]
struct Failure(Arc<Mutex<Option<String>>>);

/// Opens a way to a ready pod of a Service. The first stream is opened at once, so that a missing right is known here.
///
/// # Errors
///
/// What is missing: the Service, its port, a ready pod, a right.
pub async fn forward(client: &Client, to: &ServicePort) -> Result<Forward, ClusterError> {
    let (mut ways, _) = forward_all(client, to, 1).await?;
    ways.pop().ok_or_else(|| no_pod(to))
}

/// Opens a way to each ready pod of a Service, in the order of their names and at most to `most`; and says how many are ready.
///
/// # Errors
///
/// As of [`forward`], for any of them.
pub async fn forward_all(
    client: &Client,
    to: &ServicePort,
    most: usize,
) -> Result<(Vec<Forward>, usize), ClusterError> {
    let targets = find(client, to).await?;
    let ready = targets.len();
    let mut ways = Vec::new();
    for target in targets.into_iter().take(most) {
        ways.push(to_pod(client, to, target).await?);
    }
    Ok((ways, ready))
}

async fn to_pod(client: &Client, to: &ServicePort, target: Target) -> Result<Forward, ClusterError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &to.namespace);
    let first = open(&pods, &target, &to.namespace).await?;
    let what = format!("the way to {to}");
    let failed = |error: std::io::Error| ClusterError::failed(&what, error.to_string());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    let failure = Failure::default();
    let way = Way {
        pods,
        namespace: to.namespace.clone(),
        target: target.clone(),
        failure: failure.clone(),
    };
    Ok(Forward {
        local,
        pod: target.pod,
        failure,
        task: tokio::spawn(way.serve(listener, first)),
    })
}

#[derive(Clone)]
struct Way {
    pods: Api<Pod>,
    namespace: String,
    target: Target,
    failure: Failure,
}

/// The ready pods, at least one.
async fn find(client: &Client, to: &ServicePort) -> Result<Vec<Target>, ClusterError> {
    let ServicePort {
        namespace, service, ..
    } = to;
    let what = format!("the Service {namespace}/{service}");
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let right = Right::new("get", "", "services", Some(namespace));
    let found = ask(&what, right, services.get(service)).await?;
    let port = endpoints::port(&found, &to.port).map_err(|message| ClusterError::failed(&what, message))?;
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let right = Right::new("list", "discovery.k8s.io", "endpointslices", Some(namespace));
    let labels = format!("kubernetes.io/service-name={service}");
    let slices = list(&format!("the endpoints of {to}"), right, slices, Some(&labels)).await?;
    let targets = endpoints::targets(&found, &slices, port.as_deref());
    if targets.is_empty() {
        return Err(no_pod(to));
    }
    Ok(targets)
}

fn no_pod(to: &ServicePort) -> ClusterError {
    let what = format!("the Service {}/{}", to.namespace, to.service);
    let message = "none of its pods is ready; `kubectl get endpointslices` shows its endpoints";
    ClusterError::failed(what, message)
}

async fn open(pods: &Api<Pod>, target: &Target, namespace: &str) -> Result<Portforwarder, ClusterError> {
    let Target { pod, port } = target;
    let what = format!("a port-forward to port {port} of the pod {namespace}/{pod}");
    // Kubernetes before 1.35 asks for `get`, later ones for `create`.
    let right = Right::new("get, create", "", "pods/portforward", Some(namespace));
    ask(&what, right, pods.portforward(pod, &[*port])).await
}

// === impl Way ===

impl Way {
    async fn serve(self, listener: TcpListener, first: Portforwarder) {
        let mut first = Some(first);
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let mut streams = JoinSet::new();
        loop {
            while streams.try_join_next().is_some() {}
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let connection = match listener.accept().await {
                Ok((connection, _)) => connection,
                Err(error) => {
                    self.failure.set(error.to_string());
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            // Whoever comes next need not wait until this stream is open.
            let (way, first) = (self.clone(), first.take());
            streams.spawn(async move {
                if let Err(message) = way.connect(connection, first).await {
                    way.failure.set(message);
                }
                drop(place);
            });
        }
    }

    async fn connect(&self, connection: TcpStream, first: Option<Portforwarder>) -> Result<(), String> {
        let forwarder = match first {
            Some(first) => first,
            None => open(&self.pods, &self.target, &self.namespace)
                .await
                .map_err(|error| error.to_string())?,
        };
        stream(connection, forwarder, self.target.port).await
    }
}

/// Moves bytes both ways until one side ends.
async fn stream(connection: TcpStream, mut forwarder: Portforwarder, port: u16) -> Result<(), String> {
    let (Some(stream), Some(error)) = (forwarder.take_stream(port), forwarder.take_error(port)) else {
        return Err("the API server opened no stream".to_owned());
    };
    let moved = carry(connection, stream).await;
    forwarder.abort();
    // What the pod's end says is the cause; that the bytes stopped is its effect.
    if let Some(message) = error.await.filter(|message| !message.is_empty()) {
        return Err(message);
    }
    moved
}

// === impl Forward ===

impl Forward {
    /// Where it begins, on loopback.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The pod at its end.
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// What a stream last failed with, to explain a connection that ended.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().clone()
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Failure ===

impl Failure {
    fn set(&self, message: String) {
        *self.lock() = Some(message);
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl ServicePort ===

impl ServicePort {
    /// Reads `NAMESPACE/NAME` or `NAMESPACE/NAME:PORT`.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} must be NAMESPACE/NAME or NAMESPACE/NAME:PORT");
        let (namespace, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (service, port) = match rest.split_once(':') {
            Some((service, port)) => (service, Some(port)),
            None => (rest, None),
        };
        if namespace.is_empty() || service.is_empty() || service.contains('/') {
            return Err(wrong());
        }
        let port = match port {
            None => Port::Https,
            Some("") => return Err(wrong()),
            Some(port) => port
                .parse()
                .map_or_else(|_| Port::Name(port.to_owned()), Port::Number),
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            service: service.to_owned(),
            port,
        })
    }

    /// The name that its certificate carries, as the API server expects it of a Service behind an APIService.
    pub fn host(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

/// `port 443 of the Service monitoring/adapter`
impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            Port::Number(number) => write!(f, "port {number} of ")?,
            Port::Name(name) => write!(f, "port {name} of ")?,
            Port::Https => {}
        }
        write!(f, "the Service {}/{}", self.namespace, self.service)
    }
}

#[cfg(test)]
mod tests;
