//! Tokens of service accounts for backends: the cluster issues them, for any account but the operator's own.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, api::PostParams};
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    backend::{
        BackendError,
        auth::{IssuedToken, TokenSource},
    },
    kubernetes::credentials::{TokenError, TokenRequests},
    reason::Reason,
};

/// Longest wait for the API server to say who we are.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks the cluster for tokens.
pub(super) struct ClusterTokens {
    client: Client,
    namespace: String,
    requests: OnceCell<TokenRequests>,
}

// === impl ClusterTokens ===

impl ClusterTokens {
    /// Tokens of accounts of the operator's `namespace`.
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            requests: OnceCell::new(),
        }
    }

    /// Only the API server knows for sure whose token the client uses; asked once, when first a token is wanted.
    async fn requests(&self) -> Result<&TokenRequests, BackendError> {
        self.requests
            .get_or_try_init(|| async {
                let api: Api<SelfSubjectReview> = Api::all(self.client.clone());
                let (params, review) = (PostParams::default(), SelfSubjectReview::default());
                let failed = |cause: String| {
                    BackendError::new(
                        Reason::BackendError,
                        "the operator could not find out who it is itself",
                    )
                    .with_detail(&cause)
                };
                let answer = timeout(DEADLINE, api.create(&params, &review)).await;
                let review = answer.map_err(|_| failed(format!("no answer within {DEADLINE:?}")))?;
                let user = review
                    .map_err(|error| failed(error.to_string()))?
                    .status
                    .and_then(|s| s.user_info);
                let own = user.and_then(|user| own_account(&user.username?, &self.namespace));
                Ok(TokenRequests::new(self.client.clone(), &self.namespace, own))
            })
            .await
    }
}

impl TokenSource for ClusterTokens {
    fn issue(
        &self,
        service_account: Arc<str>,
        audience: Arc<str>,
        lifetime: Duration,
    ) -> BoxFuture<'_, Result<IssuedToken, BackendError>> {
        async move {
            let issued = self
                .requests()
                .await?
                .issue(&service_account, &audience, lifetime)
                .await;
            let token = issued.map_err(|error| {
                let reason = match error {
                    TokenError::Own(_) | TokenError::NotFound(_) => Reason::CredentialsNotFound,
                    TokenError::ApiServer(_) => Reason::CredentialsInvalid,
                    TokenError::Forbidden(_) | TokenError::Failed { .. } => Reason::BackendError,
                };
                BackendError::new(reason, "no token of the backend's ServiceAccount was issued")
                    .with_detail(&error.to_string())
            })?;
            Ok(IssuedToken {
                token: token.token.expose().into(),
                lifetime: token.lifetime,
            })
        }
        .boxed()
    }
}

/// The name in `system:serviceaccount:{namespace}:{name}`, if it is of `namespace`.
fn own_account(user: &str, namespace: &str) -> Option<String> {
    let (of, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (of == namespace).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::own_account;

    #[test]
    fn the_own_account_is_told_from_others() {
        let own = |user| own_account(user, "metricrule-system");
        assert_eq!(
            own("system:serviceaccount:metricrule-system:metricrule").as_deref(),
            Some("metricrule")
        );
        assert_eq!(own("system:serviceaccount:elsewhere:metricrule"), None);
        assert_eq!(own("admin"), None);
    }
}
