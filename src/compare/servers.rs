//! Finds the two servers: ours by its Service, the peer by what the metrics APIs are registered for now.

use std::collections::BTreeMap;

use http::HeaderValue;
use k8s_openapi::{
    api::core::v1::{Secret, Service},
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use kube::{Api, Client, ResourceExt as _};
use serde_json::Value;

use super::{
    CompareError, Credential, Options, Place, Progress,
    side::{Side, Trust, Way},
};
use crate::kubernetes::{
    credentials::{TokenError, TokenRequests},
    hpa::Demand,
    port_forward::{Port, ServicePort, forward},
    rights::{self, ClusterError, Right, ask, list},
};

const CUSTOM: &str = "custom.metrics.k8s.io";
const EXTERNAL: &str = "external.metrics.k8s.io";
/// What the metrics APIs may be registered as, the preferred version first.
const REGISTRATIONS: [(&str, &str); 3] = [(CUSTOM, "v1beta2"), (CUSTOM, "v1beta1"), (EXTERNAL, "v1beta1")];
/// How the chart labels our Service.
const OUR_LABEL: &str = "app.kubernetes.io/name=metricrule";
/// The key of the CA certificates in the Secret that the operator keeps its own CA in.
const CA_KEY: &str = "ca.crt";
/// How long a token is wanted for; a comparison with many samples ends before.
const TOKEN_LIFETIME: std::time::Duration = std::time::Duration::from_hours(2);

/// Both sides.
pub(super) struct Servers {
    pub(super) ours: Side,
    peers: BTreeMap<&'static str, Side>,
    /// Of custom.metrics.k8s.io.
    pub(super) version: String,
}

/// An APIService of the metrics APIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    name: String,
    group: &'static str,
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
        let token = token(client, &options.credential).await?;
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
            token,
            progress,
        };
        let ours = sides.ours(own.as_ref()).await?;
        let mut peers = BTreeMap::new();
        for group in [CUSTOM, EXTERNAL] {
            if demands.iter().any(|demand| demand.question.api_group() == group) {
                peers.insert(group, sides.peer(group, own.as_ref()).await?);
            }
        }
        Ok(Self { ours, peers, version })
    }

    /// The other server of an API group.
    pub(super) fn peer(&self, group: &str) -> Option<&Side> {
        self.peers.get(group)
    }

    /// Where the peers are, by API group.
    pub(super) fn peers(&self) -> BTreeMap<&'static str, String> {
        self.peers
            .iter()
            .map(|(group, side)| (*group, side.label()))
            .collect()
    }
}

struct Sides<'a> {
    client: &'a Client,
    options: &'a Options,
    registered: &'a [Registration],
    token: HeaderValue,
    progress: Progress<'a>,
}

// === impl Sides ===

impl Sides<'_> {
    async fn ours(&self, service: Option<&ServicePort>) -> Result<Side, CompareError> {
        let place = &self.options.ours;
        let trust = match (self.said(place), service) {
            (Some(trust), _) => trust,
            (None, Some(service)) if place.url.is_none() => match self.registered_trust(service) {
                Some(trust) => trust,
                None => Trust::Authorities(self.own_ca(service).await?),
            },
            (None, _) => Trust::System,
        };
        self.side(place, service, &trust).await
    }

    async fn peer(&self, group: &str, own: Option<&ServicePort>) -> Result<Side, CompareError> {
        let place = &self.options.peer;
        let service = match (&place.url, &place.service) {
            (Some(_), _) => None,
            (None, Some(service)) => Some(service.clone()),
            (None, None) => Some(peer_service(self.registered, group, own).map_err(CompareError::Unclear)?),
        };
        let trust = self
            .said(place)
            .or_else(|| self.registered_trust(service.as_ref()?))
            .unwrap_or(Trust::System);
        self.side(place, service.as_ref(), &trust).await
    }

    async fn side(
        &self,
        place: &Place,
        service: Option<&ServicePort>,
        trust: &Trust,
    ) -> Result<Side, CompareError> {
        let way = match (&place.url, service) {
            (Some(url), _) => Way::Direct(url.clone()),
            (None, Some(service)) => {
                (self.progress)(&format!("opening a port-forward to {service}"));
                Way::Forwarded {
                    host: service.host(),
                    forward: forward(self.client, service).await?,
                    label: service.to_string(),
                }
            }
            (None, None) => return Err(CompareError::Unclear("no server is named".to_owned())),
        };
        Side::new(way, trust, &self.token)
    }

    /// What the flags say of its certificate.
    fn said(&self, place: &Place) -> Option<Trust> {
        if self.options.insecure {
            return Some(Trust::Anyone);
        }
        place.authorities.clone().map(Trust::Authorities)
    }

    /// What the API server trusts of a Service.
    fn registered_trust(&self, service: &ServicePort) -> Option<Trust> {
        let found = self.registered.iter().find(|one| same(&one.service, service))?;
        Some(found.trust.clone())
    }

    /// Our own CA, where no APIService tells it yet.
    async fn own_ca(&self, service: &ServicePort) -> Result<Vec<u8>, CompareError> {
        let ServicePort {
            namespace, service, ..
        } = service;
        let name = format!("{service}-ca");
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let right = Right::new("get", "", "secrets", Some(namespace));
        let what = format!("the Secret {namespace}/{name} with our CA (or give --ca FILE)");
        let secret = ask(&what, right, secrets.get(&name)).await?;
        let bytes = secret.data.and_then(|mut data| data.remove(CA_KEY));
        let bytes = bytes.ok_or_else(|| ClusterError::failed(what, format!("it has no {CA_KEY}")))?;
        Ok(bytes.0)
    }
}

/// The Service that the peer answers an API group at: where that is registered, else where any is.
fn peer_service(
    registered: &[Registration],
    group: &str,
    own: Option<&ServicePort>,
) -> Result<ServicePort, String> {
    let others = || {
        registered
            .iter()
            .filter(|one| own.is_none_or(|own| !same(&one.service, own)))
    };
    let found = others()
        .find(|one| one.group == group)
        .or_else(|| others().next());
    found.map(|found| found.service.clone()).ok_or_else(|| {
        let names: Vec<&str> = registered.iter().map(|one| one.name.as_str()).collect();
        if names.is_empty() {
            "no APIService registers a metrics API, so the peer is not known; give --peer-service NAMESPACE/NAME".to_owned()
        } else {
            format!(
                "the APIServices {} lead to our own Service already, so the peer is not known; give --peer-service \
                 NAMESPACE/NAME",
                names.join(", ")
            )
        }
    })
}

fn same(a: &ServicePort, b: &ServicePort) -> bool {
    a.namespace == b.namespace && a.service == b.service
}

async fn token(client: &Client, credential: &Credential) -> Result<HeaderValue, CompareError> {
    let token = match credential {
        Credential::TokenFile(path) => {
            let text = tokio::fs::read_to_string(path).await;
            let text = text.map_err(|error| CompareError::Unclear(format!("{}: {error}", path.display())))?;
            text.trim().to_owned()
        }
        Credential::ServiceAccount { namespace, name } => {
            let what = format!("a token of the ServiceAccount {namespace}/{name}");
            let requests = TokenRequests::new(client.clone(), namespace, None);
            let issued = requests.issue(name, "", TOKEN_LIFETIME).await;
            let issued = issued.map_err(|error| match error {
                TokenError::NotFound(_) => ClusterError::NotFound { what },
                TokenError::Forbidden(message) => {
                    let needed = || Right::new("create", "", "serviceaccounts/token", Some(namespace));
                    let right = Box::new(Right::of_refusal(&message).unwrap_or_else(needed));
                    ClusterError::Lacking { what, right }
                }
                error => ClusterError::failed(what, error.to_string()),
            })?;
            issued.token.expose().to_owned()
        }
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| CompareError::Unclear("the token holds characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn registrations(client: &Client) -> Result<Vec<Registration>, ClusterError> {
    let api: Api<APIService> = Api::all(client.clone());
    let mut found = Vec::new();
    for (group, version) in REGISTRATIONS {
        let name = format!("{version}.{group}");
        let right = Right::new("get", "apiregistration.k8s.io", "apiservices", None);
        match ask(&format!("the APIService {name}"), right, api.get(&name)).await {
            Ok(service) => found.extend(registration(group, &service)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// `None` for one that the API server answers itself.
fn registration(group: &'static str, service: &APIService) -> Option<Registration> {
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
        group,
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
    let right = Right::new("get", CUSTOM, "", None);
    let group: Result<Value, _> =
        rights::get(client, "the API group", right, &format!("/apis/{CUSTOM}")).await;
    let version = group
        .ok()
        .and_then(|group| Some(group["preferredVersion"]["version"].as_str()?.to_owned()));
    version.unwrap_or_else(|| "v1beta2".to_owned())
}

async fn our_service(client: &Client) -> Result<ServicePort, CompareError> {
    let services: Api<Service> = Api::all(client.clone());
    let right = Right::new("list", "", "services", None);
    let what = "the list of Services (or give --service NAMESPACE/NAME)";
    let found = list(what, right, services, Some(OUR_LABEL)).await?;
    match found.as_slice() {
        [one] => Ok(ServicePort {
            namespace: one.namespace().unwrap_or_default(),
            service: one.name_any(),
            port: Port::Https,
        }),
        [] => Err(CompareError::Unclear(format!(
            "no Service is labelled {OUR_LABEL}; give ours by --service NAMESPACE/NAME"
        ))),
        several => {
            let names: Vec<String> = several
                .iter()
                .map(|one| format!("{}/{}", one.namespace().unwrap_or_default(), one.name_any()))
                .collect();
            Err(CompareError::Unclear(format!(
                "several Services are labelled {OUR_LABEL} ({}); give ours by --service NAMESPACE/NAME",
                names.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests;
