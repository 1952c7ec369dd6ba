//! The server's listener, router and replies in this process, with values that a test makes up.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::SubjectAccessReviewSpec;
use language::quantity::Milli;
use metricrule::answer::Placed;
use metricrule::catalog::Catalog;
use metricrule::kubernetes::reviews::{AccessOutcome, ReviewError, Reviewer, Token, TokenOutcome};
use metricrule::metrics::Metrics;
use metricrule::pki::ServingCertificate;
use metricrule::query::request;
use metricrule::query::{Answer, CustomItem, ExternalItem, Failure};
use metricrule::reason::Reason;
use metricrule::server::answers::Answers;
use metricrule::server::authn::Authenticator;
use metricrule::server::authz::Authorizer;
use metricrule::server::health::Health;
use metricrule::server::listener::{Limits, Listener};
use metricrule::server::router::router;
use metricrule::server::state::{Api, RequestLimits};
use metricrule::server::tls::TlsConfigs;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ask::Client;

const SERVER_NAME: &str = "metricrule.monitoring.svc";

/// A server; it ends when it is dropped.
pub(super) struct Inside {
    /// Its token names its user; everything is allowed.
    pub(super) client: Client,
    pub(super) metrics: Metrics,
    _tasks: JoinSet<()>,
}

/// What happens is said by the name of the metric: `panics`; a number is that many pods; a [`Reason`] is a failure for it.
struct Named;

/// A token is its user's name; `admin` is of `system:masters`.
struct Everyone;

// === impl Inside ===

impl Inside {
    pub(super) async fn start() -> Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let certificate = rcgen::CertificateParams::new([SERVER_NAME.to_owned()])?.self_signed(&key)?;
        let serving =
            ServingCertificate::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())?;
        let metrics = Metrics::new();
        let reviewer: Arc<dyn Reviewer> = Arc::new(Everyone);
        let (_, serving) = watch::channel(Arc::new(serving));
        let (_, authentication) = watch::channel(None);
        let api = Api {
            authenticator: Authenticator::new(authentication.clone(), Arc::clone(&reviewer)),
            authorizer: Authorizer::new(reviewer),
            answers: Arc::new(Named),
            health: Health::new(),
            metrics: metrics.clone(),
            limits: RequestLimits::default(),
        };
        let (_, tls) = TlsConfigs::new(serving, authentication, metrics.controller.clone())?;
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        let listener = Listener::new(tcp, Some(tls), Limits::default(), metrics.server.clone());
        let address = listener.local_addr()?;
        let router = router(api)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(listener.serve(router, CancellationToken::new(), Duration::ZERO));
        let client = Client::new(address, SERVER_NAME, &certificate.pem())?.with_token("hpa");
        Ok(Self {
            client,
            metrics,
            _tasks: tasks,
        })
    }
}

// === impl Everyone ===

impl Reviewer for Everyone {
    fn token<'a>(&'a self, token: &'a Token) -> BoxFuture<'a, Result<TokenOutcome, ReviewError>> {
        let user = token.expose();
        let info = UserInfo {
            username: Some(user.to_owned()),
            groups: (user == "admin").then(|| vec!["system:masters".to_owned()]),
            ..UserInfo::default()
        };
        Box::pin(async { Ok(TokenOutcome::Authenticated(Box::new(info))) })
    }

    fn access<'a>(
        &'a self,
        _: &'a SubjectAccessReviewSpec,
    ) -> BoxFuture<'a, Result<AccessOutcome, ReviewError>> {
        Box::pin(async {
            Ok(AccessOutcome {
                allowed: true,
                reason: String::new(),
            })
        })
    }
}

// === impl Named ===

#[expect(
    clippy::manual_assert,
    clippy::panic,
    reason = "the point is what becomes of a panic"
)]
fn items(metric: &str, namespace: Option<&str>) -> Result<Vec<CustomItem>> {
    if metric == "panics" {
        panic!("a mistake in a handler, with http://prometheus:9090 in its text");
    }
    let pods: u64 = metric.parse().context("a number")?;
    let timestamp = "2026-01-02T03:04:05Z".parse()?;
    let item = |number| CustomItem {
        kind: "Pod".into(),
        api_version: "/v1".into(),
        namespace: namespace.map(Into::into),
        name: format!("web-{number:07}").into(),
        value: Milli::new(1500),
        timestamp,
    };
    Ok((0..pods).map(item).collect())
}

fn answer<Item>(items: Vec<Item>) -> Placed<Answer<Item>> {
    Placed::from(Answer { items, window: None })
}

impl Answers for Named {
    fn catalog(&self) -> Arc<Catalog> {
        Arc::default()
    }

    fn custom<'a>(
        &'a self,
        route: &'a request::Custom,
        _: Instant,
    ) -> BoxFuture<'a, Result<Placed<Answer<CustomItem>>, Failure>> {
        Box::pin(async move {
            if let Ok(reason) = route.metric.parse::<Reason>() {
                return Err(Failure::new(reason, "as asked"));
            }
            let items = items(&route.metric, route.namespace.as_deref());
            items
                .map(answer)
                .map_err(|_| Failure::new(Reason::UnknownMetric, "no number"))
        })
    }

    fn external<'a>(
        &'a self,
        _: &'a request::External,
        _: Instant,
    ) -> BoxFuture<'a, Result<Placed<Answer<ExternalItem>>, Failure>> {
        Box::pin(async { Ok(answer(Vec::new())) })
    }
}
