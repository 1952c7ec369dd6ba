//! Client certificate chains: whether one leads to a CA of the cluster.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};

use crate::kubernetes::authentication::{AuthenticationConfig, CaBundle};

/// How long a verdict on a chain holds on its connection: the longest that an ended certificate is still believed.
const VERDICT_LIFE: Duration = Duration::from_secs(10);

/// The verdicts on a connection's chain under one configuration.
pub(super) struct Verified {
    config: Arc<AuthenticationConfig>,
    until: Instant,
    /// Against the CA of the front proxy.
    pub(super) front_proxy: Verdict,
    /// Against the CA of client certificates.
    pub(super) client: Verdict,
}

/// What one CA bundle says of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is no such bundle.
    NoBundle,
    /// The chain leads to the bundle, is in force, and is meant for clients.
    Trusted,
    /// It does not; why.
    Untrusted(String),
}

// === impl Verified ===

impl Verified {
    /// Verifies `chain`, leaf first, at the time of day.
    pub(super) fn new(
        chain: &[CertificateDer<'static>],
        config: &Arc<AuthenticationConfig>,
        now: Instant,
    ) -> Self {
        let requestheader = config.requestheader.as_ref();
        Self {
            config: Arc::clone(config),
            until: now + VERDICT_LIFE,
            front_proxy: Verdict::of(chain, requestheader.map(|requestheader| &requestheader.ca)),
            client: Verdict::of(chain, config.client_ca.as_ref()),
        }
    }

    /// Whether the verdicts are still good under `config`.
    pub(super) fn holds(&self, config: &Arc<AuthenticationConfig>, now: Instant) -> bool {
        Arc::ptr_eq(&self.config, config) && now < self.until
    }
}

// === impl Verdict ===

impl Verdict {
    fn of(chain: &[CertificateDer<'static>], bundle: Option<&CaBundle>) -> Self {
        let Some(bundle) = bundle else {
            return Self::NoBundle;
        };
        match bundle.verify(chain, UnixTime::now()) {
            Ok(()) => Self::Trusted,
            Err(error) => Self::Untrusted(error.to_string()),
        }
    }
}
