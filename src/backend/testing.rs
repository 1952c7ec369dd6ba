//! Pools for tests of what asks backends.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt as _, future::BoxFuture};
use serde_json::json;

use super::{
    BackendError, BackendInputs, Pool,
    auth::{IssuedToken, TokenSource},
    install_crypto,
};
use crate::{metrics::Metrics, reason::Reason};

/// Issues no token, for no backend of these tests wants one.
pub(crate) struct NoTokens;

impl TokenSource for NoTokens {
    fn issue(
        &self,
        _: Arc<str>,
        _: Arc<str>,
        _: Duration,
    ) -> BoxFuture<'_, Result<IssuedToken, BackendError>> {
        async { Err(BackendError::new(Reason::CredentialsNotFound, "none")) }.boxed()
    }
}

/// A pool with the backend `default` alone, at `url`.
pub(crate) fn pool(url: &str) -> Pool {
    install_crypto();
    let spec = json!({"type": "Prometheus", "prometheus": {"url": url}});
    let inputs = BackendInputs {
        spec: Arc::new(serde_json::from_value(spec).unwrap()),
        uid: "1".to_owned(),
        generation: 1,
    };
    let pool = Pool::new(Metrics::new().backend, Arc::new(NoTokens));
    pool.set_credentials(|_, _, _| None);
    pool.apply([("default".into(), inputs)]);
    pool
}
