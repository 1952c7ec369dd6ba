//! Tokens of service accounts for backends: the cluster issues them, for any account but the operator's own.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use kube::{Api, Client, api::PostParams};
use tokio::{sync::OnceCell, time::timeout};

use crate::{
    backend::{
        BackendError, Said,
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
                        "the operator could not find out its own identity",
                    )
                    .with_detail(&Said::ours(cause))
                };
                let answer = timeout(DEADLINE, api.create(&params, &review)).await;
                let review = answer.map_err(|_| failed(format!("no answer within {DEADLINE:?}")))?;
                let status = review.map_err(|error| failed(error.to_string()))?.status;
                let user = status.and_then(|status| status.user_info?.username);
                // Not known is not somebody else.
                let user = user.ok_or_else(|| failed("the API server did not say".to_owned()))?;
                let own = own_account(&user, &self.namespace);
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
                BackendError::new(
                    reason,
                    "the API server issued no token for the backend's ServiceAccount",
                )
                .with_detail(&Said::ours(error.to_string()))
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
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake::FakeApi;

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

    #[tokio::test(start_paused = true)]
    async fn a_token_was_issued_although_the_operators_own_account_was_not_known() {
        const REVIEW: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let fake = FakeApi::default();
        fake.set(
            "/api/v1/namespaces/home/serviceaccounts/reader/token",
            json!({"spec": {"audiences": ["https://issuer.example.org"]}, "status": {"token": "t0ken",
                "expirationTimestamp": "2026-01-01T00:00:00Z"}}),
        );
        let tokens = ClusterTokens::new(fake.client(), "home");
        let issue = async |account: &str, audience: &str| {
            let hour = Duration::from_hours(1);
            tokens.issue(account.into(), audience.into(), hour).await
        };
        // Not answered, and answered without a name.
        let reason = issue("reader", "prometheus").await.unwrap_err().reason();
        assert_eq!(reason, Reason::BackendError);
        fake.set(REVIEW, json!({"status": {"userInfo": {}}}));
        let error = issue("reader", "prometheus").await.unwrap_err();
        assert!(error.detail().contains("the API server did not say"), "{error:?}");
        assert!(fake.asked().iter().all(|asked| asked.path == REVIEW));

        fake.set(
            REVIEW,
            json!({"status": {"userInfo": {"username": "system:serviceaccount:home:metricrule"}}}),
        );
        issue("reader", "prometheus").await.unwrap();
        for (account, audience, expected) in [
            ("metricrule", "prometheus", Reason::CredentialsNotFound),
            ("reader", "https://issuer.example.org", Reason::CredentialsInvalid),
            (
                "reader",
                "https://kubernetes.default.svc",
                Reason::CredentialsInvalid,
            ),
        ] {
            let error = issue(account, audience).await.unwrap_err();
            assert_eq!(error.reason(), expected, "{account} {audience}");
        }
    }
}
