//! Finds the two servers: ours by its Service, the peer by what the metrics APIs are registered for now.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use futures::future::join_all;
use k8s_openapi::{
    api::core::v1::{Secret, Service},
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{Api, Client, ResourceExt as _};
use reqwest::Url;
use serde_json::Value;

use super::{
    CompareError, Options, Place, Progress,
    round::Answers,
    side::{Side, Trust, Way},
    token::Bearer,
};
use crate::{
    kubernetes::{
        hpa::Demand,
        port_forward::{Port, ServicePort, forward_all},
        rights::{self, ClusterError, Right, ask, list},
    },
    metrics_api::{ApiVersion, MetricsApi},
};

/// How the chart labels our Service.
const OUR_LABEL: &str = "app.kubernetes.io/name=metricrule";
/// The key of the CA certificates in the Secret that the operator keeps its own CA in.
const CA_KEY: &str = "ca.crt";
/// The most pods of a Service that are asked.
const PODS: usize = 4;

/// Both sides.
pub(super) struct Servers {
    pub(super) ours: Server,
    peers: BTreeMap<MetricsApi, Server>,
    /// As whom they are asked, where that is known.
    pub(super) user: Option<String>,
    /// Of custom.metrics.k8s.io.
    pub(super) version: String,
}

/// One side: the pods behind a Service, or one address.
#[derive(Debug)]
pub(super) struct Server {
    sides: Vec<Side>,
    label: String,
}

/// An APIService of the metrics APIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    name: String,
    api: MetricsApi,
    service: ServicePort,
    trust: Trust,
}

// === impl Servers ===

impl Servers {
    /// Finds and opens what the demands need.
    pub(super) async fn open(
        client: &Client,
        options: &Options,
        demands: &[Demand],
        progress: Progress<'_>,
    ) -> Result<Self, CompareError> {
        for url in [&options.ours.url, &options.peer.url].into_iter().flatten() {
            check_scheme(url, options.insecure_plain_http).map_err(CompareError::Unclear)?;
        }
        let bearer = Arc::new(Bearer::new(client, &options.credential).await?);
        let registered = registrations(client).await?;
        let version = match &options.version {
            Some(version) => version.clone(),
            None => preferred(client).await,
        };
        let own = match (&options.ours.url, &options.ours.service) {
            (Some(_), service) => service.clone(),
            (None, Some(service)) => Some(service.clone()),
            (None, None) => Some(our_service(client).await?),
        };
        let sides = Sides {
            client,
            options,
            registered: &registered,
            bearer,
            progress,
        };
        let ours = sides.ours(own.as_ref()).await?;
        let mut peers = BTreeMap::new();
        for api in MetricsApi::ALL {
            if demands.iter().any(|demand| demand.question.api() == api) {
                peers.insert(api, sides.peer(api, own.as_ref()).await?);
            }
        }
        Ok(Self {
            ours,
            peers,
            user: sides.bearer.user(),
            version,
        })
    }

    /// The other server of an API.
    pub(super) fn peer(&self, api: MetricsApi) -> Option<&Server> {
        self.peers.get(&api)
    }

    /// The most pods that a question is asked of, on one side.
    pub(super) fn width(&self) -> usize {
        let peers = self.peers.values().map(|peer| peer.sides.len());
        peers.chain([self.ours.sides.len(), 1]).max().unwrap_or(1)
    }

    /// Where the peers are, by API group.
    pub(super) fn peers(&self) -> BTreeMap<&'static str, String> {
        self.peers
            .iter()
            .map(|(api, server)| (api.group(), server.label.clone()))
            .collect()
    }
}

// === impl Server ===

impl Server {
    /// Where it is, for people.
    pub(super) fn label(&self) -> String {
        self.label.clone()
    }

    /// Asks all pods at the same time.
    pub(super) async fn ask(&self, path: &str) -> Answers {
        let asked = self
            .sides
            .iter()
            .map(|side| async { (side.pod().map(str::to_owned), side.ask(path).await) });
        join_all(asked).await
    }
}

struct Sides<'a> {
    client: &'a Client,
    options: &'a Options,
    registered: &'a [Registration],
    bearer: Arc<Bearer>,
    progress: Progress<'a>,
}

// === impl Sides ===

impl Sides<'_> {
    async fn ours(&self, service: Option<&ServicePort>) -> Result<Server, CompareError> {
        let place = &self.options.ours;
        let trust = match (self.said(place), service) {
            (Some(trust), _) => trust,
            (None, Some(service)) if place.url.is_none() => match self.registered(service) {
                // Ours has its CA in the cluster, whatever the APIService says.
                Some(found) if found.trust != Trust::Anyone => found.trust.clone(),
                _ => Trust::Authorities(self.own_ca(service).await?),
            },
            (None, _) => Trust::System,
        };
        self.server(place, service, &trust).await
    }

    async fn peer(&self, api: MetricsApi, own: Option<&ServicePort>) -> Result<Server, CompareError> {
        let place = &self.options.peer;
        let service = match (&place.url, &place.service) {
            (Some(_), _) => None,
            (None, Some(service)) => Some(service.clone()),
            (None, None) => Some(peer_service(self.registered, api, own).map_err(CompareError::Unclear)?),
        };
        let registered = service.as_ref().and_then(|service| self.registered(service));
        let trust = match (self.said(place), registered) {
            (Some(trust), _) => trust,
            (None, Some(found)) if found.trust == Trust::Anyone => {
                return Err(CompareError::Unclear(unverified(found)));
            }
            (None, Some(found)) => found.trust.clone(),
            (None, None) => Trust::System,
        };
        self.server(place, service.as_ref(), &trust).await
    }

    async fn server(
        &self,
        place: &Place,
        service: Option<&ServicePort>,
        trust: &Trust,
    ) -> Result<Server, CompareError> {
        match (&place.url, service) {
            (Some(url), _) => Ok(Server {
                sides: vec![Side::new(Way::Direct(url.clone()), trust, self.bearer.clone())?],
                label: url.to_string(),
            }),
            (None, Some(service)) => {
                (self.progress)(&format!("opening port-forwards to {service}"));
                let (ways, ready) = forward_all(self.client, service, PODS).await?;
                let names: Vec<String> = ways.iter().map(|way| way.pod().to_owned()).collect();
                let sides = ways.into_iter().map(|forward| {
                    let host = service.host();
                    Side::new(Way::Forwarded { host, forward }, trust, self.bearer.clone())
                });
                Ok(Server {
                    sides: sides.collect::<Result<_, _>>()?,
                    label: format!("{service} ({})", pods(&names, ready)),
                })
            }
            (None, None) => Err(CompareError::Unclear("no server is known".to_owned())),
        }
    }

    /// What the flags say of its certificate.
    fn said(&self, place: &Place) -> Option<Trust> {
        if self.options.insecure {
            return Some(Trust::Anyone);
        }
        place.authorities.clone().map(Trust::Authorities)
    }

    /// How a Service is registered.
    fn registered(&self, service: &ServicePort) -> Option<&Registration> {
        self.registered.iter().find(|one| same(&one.service, service))
    }

    /// Our own CA, where no APIService tells it yet.
    async fn own_ca(&self, service: &ServicePort) -> Result<Vec<u8>, CompareError> {
        let ServicePort {
            namespace, service, ..
        } = service;
        let name = format!("{service}-ca");
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let right = Right::new("get", "", "secrets", Some(namespace));
        let what = format!("the Secret {namespace}/{name} with metricrule's CA (or set --ca FILE)");
        let secret = ask(&what, right, secrets.get(&name)).await?;
        let bytes = secret.data.and_then(|mut data| data.remove(CA_KEY));
        let bytes = bytes.ok_or_else(|| ClusterError::failed(what, format!("it has no {CA_KEY}")))?;
        Ok(bytes.0)
    }
}

/// The Service that the peer answers an API at: where that is registered, else where any is.
fn peer_service(
    registered: &[Registration],
    api: MetricsApi,
    own: Option<&ServicePort>,
) -> Result<ServicePort, String> {
    let others = || {
        registered
            .iter()
            .filter(|one| own.is_none_or(|own| !same(&one.service, own)))
    };
    let found = others().find(|one| one.api == api).or_else(|| others().next());
    found.map(|found| found.service.clone()).ok_or_else(|| {
        let names: Vec<&str> = registered.iter().map(|one| one.name.as_str()).collect();
        if names.is_empty() {
            "no APIService registers a metrics API, so the peer is unknown; set --peer-service NAMESPACE/NAME"
                .to_owned()
        } else {
            format!(
                "the APIServices {} already point to metricrule's Service, so the peer is unknown; set \
                 --peer-service NAMESPACE/NAME",
                names.join(", ")
            )
        }
    })
}

fn same(a: &ServicePort, b: &ServicePort) -> bool {
    a.namespace == b.namespace && a.service == b.service
}

/// `pod a`, `pods a, b`, `pods a, b, c, d of 6 that are ready`
fn pods(names: &[String], ready: usize) -> String {
    let word = if names.len() == 1 { "pod" } else { "pods" };
    let of = if ready > names.len() {
        format!(" of {ready} that are ready")
    } else {
        String::new()
    };
    format!("{word} {}{of}", names.join(", "))
}

/// A token that went over plain http is everybody's who is on the way.
fn check_scheme(url: &Url, insecure: bool) -> Result<(), String> {
    let host = url.host_str().unwrap_or_default();
    let loopback = match url.domain() {
        Some(name) => name.trim_end_matches('.') == "localhost",
        None => host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
    };
    if url.scheme() == "https" || loopback || insecure {
        return Ok(());
    }
    Err(format!(
        "{url}: compare sends no token over plain http, because anyone on the network path could read it and use it \
         at the API server; set an https address, or --insecure-plain-http"
    ))
}

fn unverified(found: &Registration) -> String {
    format!(
        "the APIService {} has insecureSkipTLSVerify, so nothing proves that {} answers, and compare sends no token; \
         set its CA with --peer-ca FILE, or send the token to whoever answers with --insecure-skip-tls-verify (best \
         with an account that may only read metrics: --as-service-account)",
        found.name, found.service
    )
}

async fn registrations(client: &Client) -> Result<Vec<Registration>, ClusterError> {
    let api: Api<APIService> = Api::all(client.clone());
    let mut found = Vec::new();
    for version in MetricsApi::ALL.into_iter().flat_map(MetricsApi::preference) {
        let name = version.api_service();
        let right = Right::new("get", "apiregistration.k8s.io", "apiservices", None);
        match ask(&format!("the APIService {name}"), right, api.get(name)).await {
            Ok(service) => found.extend(registration(version.api(), &service)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// `None` for one that the API server answers itself.
fn registration(api: MetricsApi, service: &APIService) -> Option<Registration> {
    let spec = service.spec.as_ref()?;
    let reference = spec.service.as_ref()?;
    let port = reference
        .port
        .and_then(|port| u16::try_from(port).ok())
        .unwrap_or(443);
    let trust = match (&spec.ca_bundle, spec.insecure_skip_tls_verify) {
        (_, Some(true)) => Trust::Anyone,
        (Some(bundle), _) if !bundle.0.is_empty() => Trust::Authorities(bundle.0.clone()),
        _ => Trust::System,
    };
    Some(Registration {
        name: service.name_any(),
        api,
        service: ServicePort {
            namespace: reference.namespace.clone()?,
            service: reference.name.clone()?,
            port: Port::Number(port),
        },
        trust,
    })
}

/// The version that HPAs ask: the group's preferred one.
async fn preferred(client: &Client) -> String {
    let group = MetricsApi::Custom.group();
    let right = Right::new("get", group, "", None);
    let found: Result<Value, _> =
        rights::get(client, "the API group", right, &format!("/apis/{group}")).await;
    let version = found
        .ok()
        .and_then(|group| Some(group["preferredVersion"]["version"].as_str()?.to_owned()));
    version.unwrap_or_else(|| ApiVersion::CustomV1beta2.version().to_owned())
}

async fn our_service(client: &Client) -> Result<ServicePort, CompareError> {
    let services: Api<Service> = Api::all(client.clone());
    let right = Right::new("list", "", "services", None);
    let what = "the list of Services (or set --service NAMESPACE/NAME)";
    let found = list(what, right, services, Some(OUR_LABEL)).await?;
    match found.as_slice() {
        [one] => Ok(ServicePort {
            namespace: one.namespace().unwrap_or_default(),
            service: one.name_any(),
            port: Port::Https,
        }),
        [] => Err(CompareError::Unclear(format!(
            "no Service has the label {OUR_LABEL}; set metricrule's with --service NAMESPACE/NAME"
        ))),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|one| format!("{}/{}", one.namespace().unwrap_or_default(), one.name_any()))
                .collect();
            Err(CompareError::Unclear(format!(
                "several Services have the label {OUR_LABEL} ({}); set metricrule's with --service NAMESPACE/NAME",
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests;
