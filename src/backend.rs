//! Backends: the source of values. One trait, the client of the Prometheus HTTP API behind it, and the limits that protect a
//! backend.
//!
//! The path of a rule's query, from the outside in: `flight` joins identical queries and holds back those that lapsed (`lapses`),
//! `limits` lets nothing through to a backend that is gone (`breaker`), waits for a fair slot and the rate (`limiter`) and
//! counts, [`prometheus`] asks, and `budget` bounds the memory of what it answers. [`pool`] builds that stack for every
//! `MetricBackend` and builds it again when its spec or its credentials change.

pub mod auth;
mod breaker;
mod budget;
mod clock;
mod error;
mod fair;
mod flight;
pub mod health;
mod lapses;
mod limiter;
mod limits;
pub mod pool;
pub mod prometheus;
mod rate;
mod redact;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
mod tls;

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::api::RuleKey;

pub use self::{
    budget::{Budget, ListedSeries, NoRoom, Place, Placed, Rows},
    error::BackendError,
    fair::Ceiling,
    pool::{BackendInputs, Pool},
    redact::Said,
};

/// A query that is evaluated at one instant.
#[derive(Clone, Debug)]
pub struct InstantQuery {
    /// Sent as it is.
    pub promql: Arc<str>,
    /// The instant of the evaluation, to the millisecond.
    pub at: Timestamp,
    /// When the answer is of no use any more. The backend's own `timeout` may end the query before.
    pub deadline: Instant,
    /// The most rows of an answer; more are [`LimitExceeded`](crate::reason::Reason::LimitExceeded). `None`: as many as
    /// the bound on the answer's size lets through.
    pub max_samples: Option<u64>,
    /// On whose behalf: the namespace of the request, `None` for one that has none.
    pub namespace: Option<Arc<str>>,
    /// The rule whose query it is; a `MetricRule` has a share of its own.
    pub rule: Option<Arc<RuleKey>>,
    /// How old an answer may be: a query that is on its way and younger will do.
    pub refresh: Duration,
}

/// What makes two instant queries of a backend the same: one answer can serve both, and one lapse speaks for both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueryKey {
    /// The text.
    pub promql: Arc<str>,
    /// The most rows: an answer within one bound may be beyond another.
    pub max_samples: Option<u64>,
    /// On whose behalf: ceilings, lapses and the budget are each namespace's own.
    pub namespace: Option<Arc<str>>,
}

/// The answer to an instant query.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// In the backend's own order.
    pub rows: Arc<Rows>,
    /// The instant of the evaluation: of whoever asked first, where several share the answer.
    pub at: Timestamp,
    /// The same on the clock that ages are read from.
    pub asked: Instant,
}

/// Which series exist that match a selector.
#[derive(Clone, Debug)]
pub struct SeriesQuery {
    /// A `PromQL` series selector: `http_requests_total{pod!=""}`.
    pub selector: Arc<str>,
    /// Series without a sample since then are left out.
    pub start: Timestamp,
    /// Series without a sample before then are left out.
    pub end: Timestamp,
    /// How many series count, in the order of their names; what only later ones need is not kept. `None`: all.
    pub max_series: Option<u64>,
    /// How many series are kept in full of those that have their name and the names of their labels in common.
    pub examples: usize,
    /// On whose behalf: the namespace of a `MetricRule`, `None` for a `ClusterMetricRule`.
    pub namespace: Option<Arc<str>>,
    /// When the answer is of no use any more.
    pub deadline: Instant,
}

/// What a backend says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// For example `3.5.0`; `None` where the backend does not tell.
    pub version: Option<String>,
    /// `Prometheus`, `Thanos`, `Mimir`, `VictoriaMetrics`, where what it tells suffices to know.
    pub flavour: Option<&'static str>,
    /// How many seconds its clock is ahead of this replica's, negative where it is behind; `None` within about a second.
    pub clock_offset: Option<i64>,
}

/// A place that values come from.
///
/// Dropping a future cancels the query. No method waits beyond its deadline.
pub trait Backend: Send + Sync {
    /// Evaluates a query. One answer may serve several who ask the same at a time.
    fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Result<Evaluation, BackendError>>;

    /// Lists series. No limit is sent: which series a backend leaves out is its own choice, and differs from replica to
    /// replica of it. More than 500,000, or than 64 MiB of them, are `LimitExceeded`.
    fn series(&self, query: SeriesQuery) -> BoxFuture<'_, Result<ListedSeries, BackendError>>;

    /// Finds out whether the backend answers queries with the present credentials, and what it is.
    fn probe(&self, deadline: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>>;
}

// === impl InstantQuery ===

impl InstantQuery {
    /// What tells it from other queries of its backend.
    pub fn key(&self) -> QueryKey {
        QueryKey {
            promql: self.promql.clone(),
            max_samples: self.max_samples,
            namespace: self.namespace.clone(),
        }
    }
}

/// What `main` does first; a client cannot be built before.
#[cfg(test)]
pub(crate) fn install_crypto() {
    // The second test to come finds it installed.
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
}
