//! Backends as a preview reaches them from outside of the cluster: by their own address, or by a port-forward if that is a
//! Service's.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use kube::Client;
use reqwest::Url;

use crate::{
    api::{MetricBackendSpec, TlsSpec},
    backend::{
        BackendError, BackendInputs, Said,
        auth::{IssuedToken, TokenSource},
    },
    kubernetes::{
        credentials::TokenRequests,
        port_forward::{Forward, Port, ServicePort, forward},
        rights::ClusterError,
    },
    reason::Reason,
    rule::BackendRecord,
};

/// No tokens: there is no cluster to issue any.
pub(super) struct NoTokens;

/// Tokens of `ServiceAccounts` in the operator's namespace; or why none is asked for.
pub(super) struct Tokens(Result<TokenRequests, String>);

/// What a backend is reached with.
pub(super) struct Reachable {
    pub(super) spec: MetricBackendSpec,
    pub(super) way: String,
    pub(super) forward: Option<Forward>,
}

/// What the pool builds a client from.
pub(super) fn inputs(record: &BackendRecord, spec: MetricBackendSpec) -> BackendInputs {
    BackendInputs {
        spec: Arc::new(spec),
        uid: record.uid.clone(),
        generation: record.generation,
    }
}

/// Opens a port-forward where the address is that of a Service of the cluster; `home` is the namespace of a name without one.
///
/// A name that only a cluster can mean is not asked from here where `secret` says that credentials go with it: what this machine's
/// DNS makes of it is another server.
pub(super) async fn reach(
    client: &Client,
    record: &BackendRecord,
    home: &str,
    secret: bool,
) -> Result<Reachable, ClusterError> {
    let mut spec = (*record.spec).clone();
    let address = spec
        .prometheus
        .as_ref()
        .map(|prometheus| prometheus.url.clone())
        .unwrap_or_default();
    let direct = |spec| Reachable {
        spec,
        way: address.clone(),
        forward: None,
    };
    let Some((url, service)) = service_of(&address, home) else {
        return Ok(direct(spec));
    };
    let opened = match forward(client, &service).await {
        // A name that is no Service's is one of the DNS.
        Err(error) if error.is_not_found() && !(secret && is_of_cluster(&url)) => return Ok(direct(spec)),
        opened => opened?,
    };
    if let Some(prometheus) = spec.prometheus.as_mut() {
        let host = url.host_str().unwrap_or_default().to_owned();
        prometheus.url = through(url, opened.local().port());
        if prometheus.url.starts_with("https:") {
            // The certificate is that of the name.
            let tls = prometheus.tls.get_or_insert(TlsSpec {
                ca_ref: None,
                certificate_ref: None,
                server_name: None,
                insecure_skip_verify: false,
            });
            tls.server_name.get_or_insert(host);
        }
    }
    Ok(Reachable {
        spec,
        way: format!("{address} through a port-forward to the pod {}", opened.pod()),
        forward: Some(opened),
    })
}

/// The Service that an address is of: `http://prometheus.monitoring.svc:9090`, also without `.svc`, with the cluster's domain
/// behind it, or the name alone.
fn service_of(address: &str, home: &str) -> Option<(Url, ServicePort)> {
    let url = Url::parse(address).ok()?;
    let host = url.domain()?.trim_end_matches('.');
    let mut labels = host.split('.');
    let (service, namespace) = (labels.next()?, labels.next());
    match labels.next() {
        None | Some("svc") => {}
        Some(_) => return None,
    }
    if service == "localhost" || service.is_empty() {
        return None;
    }
    let to = ServicePort {
        namespace: namespace.unwrap_or(home).to_owned(),
        service: service.to_owned(),
        port: Port::Number(url.port_or_known_default()?),
    };
    Some((url, to))
}

/// `prometheus`, `prometheus.monitoring.svc`, `prometheus.monitoring.svc.cluster.local`: names of no other DNS.
fn is_of_cluster(url: &Url) -> bool {
    let host = url.domain().unwrap_or_default().trim_end_matches('.');
    let mut labels = host.split('.').skip(1);
    match labels.next() {
        None => true,
        Some(_) => labels.next() == Some("svc"),
    }
}

fn through(mut url: Url, port: u16) -> String {
    // Both can fail only for addresses without a host.
    let _ = url.set_host(Some("127.0.0.1"));
    let _ = url.set_port(Some(port));
    url.to_string()
}

impl Tokens {
    /// `own` are the accounts that the operator itself runs as, or why they are not known: then no token is asked for, since it
    /// could be the operator's.
    pub(super) fn new(client: Client, namespace: &str, own: Result<BTreeSet<String>, String>) -> Self {
        Self(own.map(|own| TokenRequests::new(client, namespace, own)))
    }
}

impl TokenSource for Tokens {
    fn issue(
        &self,
        service_account: Arc<str>,
        audience: Arc<str>,
        lifetime: Duration,
    ) -> BoxFuture<'_, Result<IssuedToken, BackendError>> {
        async move {
            let requests = self.0.as_ref().map_err(|unknown| no_token(unknown))?;
            let issued = requests.issue(&service_account, &audience, lifetime).await;
            let token = issued.map_err(|error| no_token(&error.to_string()))?;
            Ok(IssuedToken {
                token: token.token.expose().into(),
                lifetime: token.lifetime,
            })
        }
        .boxed()
    }
}

impl TokenSource for NoTokens {
    fn issue(
        &self,
        _: Arc<str>,
        _: Arc<str>,
        _: Duration,
    ) -> BoxFuture<'_, Result<IssuedToken, BackendError>> {
        async { Err(no_token("without a cluster, nobody can issue one")) }.boxed()
    }
}

fn no_token(detail: &str) -> BackendError {
    BackendError::new(
        Reason::CredentialsNotFound,
        "the API server issued no token for the backend's ServiceAccount",
    )
    .with_detail(&Said::ours(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_address_is_told_from_others() {
        for (address, expected) in [
            (
                "http://prometheus.monitoring.svc:9090",
                Some("port 9090 of the Service monitoring/prometheus"),
            ),
            (
                "https://prometheus.monitoring.svc/x",
                Some("port 443 of the Service monitoring/prometheus"),
            ),
            (
                "http://prometheus.monitoring.svc.cluster.local:9090/prometheus",
                Some("port 9090 of the Service monitoring/prometheus"),
            ),
            (
                "http://prometheus.monitoring:80",
                Some("port 80 of the Service monitoring/prometheus"),
            ),
            (
                "http://prometheus:9090",
                Some("port 9090 of the Service home/prometheus"),
            ),
            ("http://prometheus.example.com:9090", None),
            ("http://10.0.0.1:9090", None),
            ("http://[::1]:9090", None),
            ("http://localhost:9090", None),
            ("nonsense", None),
        ] {
            let found = service_of(address, "home").map(|(_, service)| service.to_string());
            assert_eq!(found.as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn what_is_behind_the_host_stays() {
        let url = Url::parse("https://p.m.svc/select/0/prometheus?x=1").unwrap();
        assert_eq!(
            through(url, 4711),
            "https://127.0.0.1:4711/select/0/prometheus?x=1"
        );
    }
}
