//! From a Service and its endpoints to a pod and a port of it. Pure.

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
        return Err("it is an ExternalName, behind which there are no pods".to_owned());
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
        format!("it has no such port; its ports are {}", known.join(", "))
    })?;
    Ok(found.name.clone().filter(|name| !name.is_empty()))
}

/// The first ready pod, in the order of names, so that two calls mean the same one.
pub(super) fn target(slices: &[EndpointSlice], port: Option<&str>) -> Option<Target> {
    let mut found: Vec<Target> = Vec::new();
    for slice in slices {
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
            .filter_map(pod);
        found.extend(pods.map(|pod| Target { pod, port: number }));
    }
    found.into_iter().min_by(|a, b| a.pod.cmp(&b.pod))
}

/// A readiness that is not known counts as ready, as the API says.
fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint
        .conditions
        .as_ref()
        .is_none_or(|conditions| conditions.ready != Some(false) && conditions.terminating != Some(true))
}

fn pod(endpoint: &Endpoint) -> Option<String> {
    let target = endpoint.target_ref.as_ref()?;
    (target.kind.as_deref() == Some("Pod")).then(|| target.name.clone())?
}
