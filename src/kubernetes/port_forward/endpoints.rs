//! Endpoints of a Service: the pods and the port to forward to. Pure.

use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::{Endpoint, EndpointSlice},
};

use super::Port;

/// A pod that is ready, and the port that its container listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) pod: String,
    pub(super) port: u16,
}

/// The name of the Service's port, by which its endpoints name theirs; `None` for the only port, which may have none.
pub(super) fn port(service: &Service, wanted: &Port) -> Result<Option<String>, String> {
    let spec = service.spec.as_ref();
    if spec.and_then(|spec| spec.type_.as_deref()) == Some("ExternalName") {
        return Err("it is an ExternalName, which has no pods".to_owned());
    }
    let ports = spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let by_name = |name: &str| ports.iter().find(|port| port.name.as_deref() == Some(name));
    let by_number = |number: u16| ports.iter().find(|port| port.port == i32::from(number));
    let found = match wanted {
        Port::Number(number) => by_number(*number),
        Port::Name(name) => by_name(name),
        Port::Https => by_name("https").or_else(|| by_number(443)).or(match ports {
            [only] => Some(only),
            _ => None,
        }),
    };
    let found = found.ok_or_else(|| {
        let known: Vec<String> = ports
            .iter()
            .map(|port| match &port.name {
                Some(name) => format!("{name} ({})", port.port),
                None => port.port.to_string(),
            })
            .collect();
        format!("it does not have this port; its ports are {}", known.join(", "))
    })?;
    Ok(found.name.clone().filter(|name| !name.is_empty()))
}

/// The ready pods, in the order of names, so that two calls mean the same ones.
///
/// Pods alone, and of the Service's own namespace. Where the Service chooses its pods itself only the slices that were made for
/// it count: anybody who may write an `EndpointSlice` could name its label.
pub(super) fn targets(service: &Service, slices: &[EndpointSlice], port: Option<&str>) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    for slice in slices.iter().filter(|slice| is_of(slice, service)) {
        let same = |name: Option<&str>| name.unwrap_or_default() == port.unwrap_or_default();
        let Some(number) = slice
            .ports
            .iter()
            .flatten()
            .find(|port| same(port.name.as_deref()))
            .and_then(|port| u16::try_from(port.port?).ok())
        else {
            continue;
        };
        let pods = slice
            .endpoints
            .iter()
            .filter(|endpoint| is_ready(endpoint))
            .filter_map(|endpoint| pod(endpoint, service));
        found.extend(pods.map(|pod| Target { pod, port: number }));
    }
    // A pod with two addresses stands in two slices.
    found.sort_by(|a, b| a.pod.cmp(&b.pod));
    found.dedup_by(|a, b| a.pod == b.pod);
    found
}

/// Whether the controller made the slice for this very Service.
fn is_of(slice: &EndpointSlice, service: &Service) -> bool {
    let spec = service.spec.as_ref();
    let chooses = spec
        .and_then(|spec| spec.selector.as_ref())
        .is_some_and(|selector| !selector.is_empty());
    let mut owners = slice.metadata.owner_references.iter().flatten();
    !chooses
        || owners.any(|owner| owner.kind == "Service" && Some(&owner.uid) == service.metadata.uid.as_ref())
}

/// A readiness that is not known counts as ready, as the API says.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .is_none_or(|conditions| conditions.ready != Some(false) && conditions.terminating != Some(true))
}

fn pod(endpoint: &Endpoint, service: &Service) -> Option<String> {
    let target = endpoint.target_ref.as_ref()?;
    let elsewhere = target.namespace.is_some() && target.namespace != service.metadata.namespace;
    (target.kind.as_deref() == Some("Pod") && !elsewhere).then(|| target.name.clone())?
}
