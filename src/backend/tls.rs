//! TLS towards a backend: whom to trust, what to show, which name to expect.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::HeaderValue;
use reqwest::{
    Certificate, ClientBuilder, Identity, Url,
    dns::{Addrs, Name, Resolve, Resolving},
};

use super::{BackendError, Said};
use crate::reason::Reason;

/// What a `MetricBackend` says about TLS, with the bytes that it names.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Tls {
    /// PEM certificates; `None`: the system's authorities.
    pub(super) authorities: Option<Bytes>,
    /// PEM certificate chain and key.
    pub(super) identity: Option<(Bytes, Bytes)>,
    pub(super) server_name: Option<String>,
    pub(super) insecure_skip_verify: bool,
}

/// Connects to one host whatever name is asked for.
struct Pinned(Arc<str>);

// === impl Tls ===

impl Tls {
    /// Applies the settings, and gives the `Host` header where it is not what `url` now says.
    ///
    /// reqwest knows one name for the address, SNI and the certificate. So for `serverName` the URL is given that name,
    /// the look-up is pinned to the real host, and the `Host` header stays the real one. HTTP/2 would take its
    /// `:authority` from the URL, so it is off in that case.
    pub(super) fn apply(
        &self,
        mut builder: ClientBuilder,
        url: &mut Url,
    ) -> Result<(ClientBuilder, Option<HeaderValue>), BackendError> {
        if self.insecure_skip_verify {
            builder = builder.tls_danger_accept_invalid_certs(true);
        } else if let Some(pem) = &self.authorities {
            let certificates = Certificate::from_pem_bundle(pem).unwrap_or_default();
            if certificates.is_empty() {
                return Err(unusable("caRef contains no PEM certificate"));
            }
            builder = builder.tls_certs_only(certificates);
        }
        if let Some((certificate, key)) = &self.identity {
            let pem = [certificate, b"\n".as_slice(), key].concat();
            let identity = Identity::from_pem(&pem)
                .map_err(|_| unusable("certificateRef contains no PEM certificate with its key"))?;
            builder = builder.identity(identity);
        }
        let Some(server_name) = &self.server_name else {
            return Ok((builder, None));
        };
        let invalid = || {
            BackendError::new(Reason::InvalidSpec, "the MetricBackend's spec is invalid")
                .with_detail(&Said::ours("spec.prometheus.tls.serverName must be a DNS name"))
        };
        let host = url.host_str().unwrap_or_default();
        let authority = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let header = HeaderValue::from_str(&authority).map_err(|_| invalid())?;
        let resolver = Pinned(host.trim_matches(['[', ']']).into());
        if server_name.parse::<std::net::IpAddr>().is_ok() || url.set_host(Some(server_name)).is_err() {
            return Err(invalid());
        }
        Ok((
            builder.dns_resolver(Arc::new(resolver)).http1_only(),
            Some(header),
        ))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities.as_ref().map(Bytes::len))
            .field("identity", &self.identity.as_ref().map(|_| "[redacted]"))
            .field("server_name", &self.server_name)
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .finish()
    }
}

// === impl Pinned ===

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            // Port 0 stands for the one of the URL.
            let found = tokio::net::lookup_host((&*host, 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

pub(super) fn unusable(detail: &str) -> BackendError {
    BackendError::new(
        Reason::CredentialsInvalid,
        "the backend's credentials cannot be used",
    )
    .with_detail(&Said::ours(detail))
}
