//! Authentication of a request: client certificates, the front proxy, tokens.
//!
//! In the order of `DelegatingAuthenticatorConfig` of k8s.io/apiserver: the front proxy's headers, the client's own
//! certificate, a bearer token. An authenticator that fails does not end the search; a request for which one failed and none
//! succeeded is refused, and only a request without any credential is anonymous.

mod complaints;
mod requestheader;
mod token;
mod x509;

use std::sync::Arc;

use http::{
    HeaderMap,
    header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL},
    request::Parts,
};
use tokio::{sync::watch, time::Instant};

use self::{complaints::Complaints, x509::Subject};
use super::{
    chain::{Verdict, Verified},
    identity::Identity,
    peer::Peer,
};
use crate::kubernetes::{
    authentication::AuthenticationConfig,
    reviews::{ReviewError, Reviewer, Token, TokenOutcome},
};

/// Tells who a request comes from.
#[derive(Clone)]
pub struct Authenticator {
    config: watch::Receiver<Option<Arc<AuthenticationConfig>>>,
    reviewer: Arc<dyn Reviewer>,
    complaints: Arc<Complaints>,
}

/// Why a request has no identity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthnError {
    /// Its credentials were refused: 401. The texts are for the log, not for the client.
    #[error("{}", .0.join("; "))]
    Unauthorized(Vec<String>),
    /// Too many tokens are being reviewed to review this one: 429.
    #[error("too many TokenReviews are waiting")]
    Busy,
    /// It wants to act as someone else: 403, with this text for the client.
    #[error(
        "impersonation is not supported here: send the request through the cluster's API server, which resolves Impersonate-* headers"
    )]
    Impersonation {
        /// Who asked.
        user: String,
    },
}

// === impl Authenticator ===

impl Authenticator {
    /// Believes the CA bundles of `config` as they change, and asks `reviewer` about tokens.
    pub fn new(
        config: watch::Receiver<Option<Arc<AuthenticationConfig>>>,
        reviewer: Arc<dyn Reviewer>,
    ) -> Self {
        Self {
            config,
            reviewer,
            complaints: Arc::default(),
        }
    }

    /// The identity of a request on `peer`'s connection.
    ///
    /// Afterwards the request carries neither `Authorization` nor any header that names a user. A connection on which
    /// someone was refused or anonymous is closed once its requests are answered, so that streams cannot be opened on it at
    /// will (CVE-2023-44487; k8s.io/apiserver, `UnauthenticatedHTTP2DOSMitigation`).
    pub async fn authenticate(&self, parts: &mut Parts, peer: &Peer) -> Result<Identity, AuthnError> {
        let config = self.config.borrow().clone();
        let result = self.identify(&parts.headers, peer, config.as_ref()).await;
        let requestheader = config.as_ref().and_then(|config| config.requestheader.as_ref());
        requestheader::strip(&mut parts.headers, requestheader);
        parts.headers.remove(AUTHORIZATION);
        parts.headers.remove(SEC_WEBSOCKET_PROTOCOL);

        match &result {
            // Not where the front proxy passed an anonymous user on: its connection carries everyone's requests.
            Ok(identity) if identity.is_anonymous() && peer.chain().is_empty() => peer.close(),
            Ok(identity) if identity.is_anonymous() => {}
            Ok(_) => peer.set_known(),
            Err(error) => {
                if let Some(left_out) = self.complaints.line(Instant::now()) {
                    tracing::warn!(peer = %peer.addr(), %error, left_out, "refused a request that is not authenticated");
                }
                peer.close();
            }
        }
        let identity = result?;
        // Ignoring the header would let a client act with more rights than it believes.
        if impersonates(&parts.headers) {
            return Err(AuthnError::Impersonation { user: identity.user });
        }
        Ok(identity)
    }

    async fn identify(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
        config: Option<&Arc<AuthenticationConfig>>,
    ) -> Result<Identity, AuthnError> {
        let mut errors = Vec::new();
        if let (Some(config), Some(leaf)) = (config, peer.chain().first()) {
            let verified = peer.verified(config);
            match by_front_proxy(headers, leaf, &verified, config) {
                Ok(Some(identity)) => {
                    peer.set_front_proxy();
                    return Ok(identity.authenticated());
                }
                Ok(None) => {}
                Err(error) => errors.push(format!("front proxy: {error}")),
            }
            let by_certificate = match &verified.client {
                Verdict::NoBundle => Ok(None),
                Verdict::Trusted => x509::identity(leaf),
                Verdict::Untrusted(error) => Err(error.clone()),
            };
            match by_certificate {
                Ok(Some(identity)) => return Ok(identity.authenticated()),
                Ok(None) => {}
                Err(error) => errors.push(format!("client certificate: {error}")),
            }
        }
        for token in [token::bearer(headers), token::subprotocol(headers)] {
            let outcome = match token {
                Ok(None) => continue,
                Ok(Some(token)) => self.by_token(&token).await?,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(identity) => return Ok(identity.authenticated()),
                Err(error) => errors.push(format!("bearer token: {error}")),
            }
        }
        if errors.is_empty() {
            Ok(Identity::anonymous())
        } else {
            Err(AuthnError::Unauthorized(errors))
        }
    }

    /// Whose the token is, or why it is nobody's.
    async fn by_token(&self, token: &Token) -> Result<Result<Identity, String>, AuthnError> {
        if token.expose().len() > token::MAX_TOKEN {
            return Ok(Err(format!("longer than {} bytes", token::MAX_TOKEN)));
        }
        Ok(match self.reviewer.token(token).await {
            Ok(TokenOutcome::Authenticated(user)) => {
                token::identity(*user).ok_or_else(|| "the TokenReview names no user".to_owned())
            }
            Ok(TokenOutcome::Rejected { error }) if error.is_empty() => Err("invalid".to_owned()),
            Ok(TokenOutcome::Rejected { error }) => Err(error),
            Err(ReviewError::Busy(_)) => return Err(AuthnError::Busy),
            Err(error) => Err(error.to_string()),
        })
    }
}

fn by_front_proxy(
    headers: &HeaderMap,
    leaf: &tokio_rustls::rustls::pki_types::CertificateDer<'_>,
    verified: &Verified,
    config: &AuthenticationConfig,
) -> Result<Option<Identity>, String> {
    let Some(requestheader) = &config.requestheader else {
        return Ok(None);
    };
    match &verified.front_proxy {
        Verdict::NoBundle => return Ok(None),
        Verdict::Untrusted(error) => return Err(error.clone()),
        Verdict::Trusted => {}
    }
    // An empty list allows every certificate of that CA.
    if !requestheader.allowed_names.is_empty() {
        let name = Subject::parse(leaf)?.common_name;
        if !requestheader.allowed_names.contains(&name) {
            return Err(format!(
                "the certificate's CN {name:?} is not among the allowed names"
            ));
        }
    }
    requestheader::identity(headers, requestheader)
}

fn impersonates(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("impersonate-"))
}

#[cfg(test)]
mod tests;
