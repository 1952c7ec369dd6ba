//! Answer to a request: [`run`] follows the one path from a request to values and leaves a [`Trace`], which the replies of both
//! APIs are made from.

mod held;
mod size;
mod told;
mod trace;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use moka::future::Cache;
use tokio::{sync::watch, time::Instant};

pub use self::trace::{Sources, Trace, run, unanswered};
pub use crate::backend::Placed;

use self::{
    held::Held,
    size::{Encoded, MAX_REPLY},
};
use crate::{
    backend::{Evaluation, InstantQuery, Rows, pool::Pool},
    catalog::Catalog,
    kubernetes::{
        objects::{Objects, ObjectsError},
        targets::Targets,
    },
    logbook::Logbook,
    metrics::Metrics,
    query::{
        Answer, Ask, CustomItem, ExternalItem, Failure, Items,
        request::{self, MetricRequest},
        resolve,
    },
    reason::Reason,
    resource::{ResourceInfo, Scope},
    rule::CompiledRule,
};

/// Answers routes from the catalog in force.
#[derive(Clone)]
pub struct Answerer {
    catalog: watch::Receiver<Arc<Catalog>>,
    pool: Pool,
    objects: Objects,
    targets: Targets,
    /// What becomes of rules' queries.
    logbook: Logbook,
    metrics: Metrics,
    /// Answers that rules let be served again.
    held: Held,
    /// The rules whose queries' warnings were written lately: they come with every request of every HPA.
    warned: Cache<String, ()>,
}

/// Between two lines about the warnings of one rule's queries.
const WARN_AGAIN: Duration = Duration::from_mins(10);
/// Rules that are remembered; those beyond are written of more often.
const WARNED: u64 = 4096;

/// The sources of one request that a client waits for.
struct Live<'a> {
    answerer: &'a Answerer,
    deadline: Instant,
}

// === impl Answerer ===

impl Answerer {
    /// Answers from what `catalog` publishes, with values of `pool` for objects of `objects`, as large as `targets` allow.
    pub fn new(
        catalog: watch::Receiver<Arc<Catalog>>,
        pool: Pool,
        objects: Objects,
        targets: Targets,
        logbook: Logbook,
        metrics: Metrics,
    ) -> Self {
        Self {
            catalog,
            pool,
            objects,
            targets,
            logbook,
            held: Held::new(metrics.clone()),
            metrics,
            warned: Cache::builder()
                .max_capacity(WARNED)
                .time_to_live(WARN_AGAIN)
                .build(),
        }
    }

    /// The catalog in force; for discovery.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// The values of a metric of objects.
    ///
    /// # Errors
    ///
    /// See [`Failure`]; `BackendTimeout` once `deadline` or the backend's own timeout has passed.
    pub async fn custom(
        &self,
        route: &request::Custom,
        deadline: Instant,
    ) -> Result<Placed<Answer<CustomItem>>, Failure> {
        let each = route.metric.len() + route.metric_selector.to_string().len() * 4;
        self.answer(
            &MetricRequest::Custom(route.clone()),
            deadline,
            Items::custom,
            each,
        )
        .await
    }

    /// The values of an external metric.
    ///
    /// # Errors
    ///
    /// As [`Self::custom`].
    pub async fn external(
        &self,
        route: &request::External,
        deadline: Instant,
    ) -> Result<Placed<Answer<ExternalItem>>, Failure> {
        let each = route.metric.len();
        self.answer(
            &MetricRequest::External(route.clone()),
            deadline,
            Items::external,
            each,
        )
        .await
    }

    /// Follows a request, tells of what became of it, and makes the reply. `each`: bytes that the request adds to each item.
    async fn answer<Item: Encoded>(
        &self,
        request: &MetricRequest,
        deadline: Instant,
        of: impl FnOnce(Items) -> Result<Vec<Item>, Failure>,
        each: usize,
    ) -> Result<Placed<Answer<Item>>, Failure> {
        let catalog = self.catalog();
        let resolved = resolve(&catalog, request);
        let live = Live {
            answerer: self,
            deadline,
        };
        let trace = run(request, &catalog.table, resolved, &live).await;
        self.tell(&trace).await;
        // What fails before is about the request, or stands in the rule's conditions.
        let served = trace.resolved.clone().ok().filter(|_| trace.objects.is_some());
        let (tally, asked) = (trace.tally(), trace.outcome.is_some());
        let answer = self.reply(trace, of, each, request.namespace());
        if let Some(served) = served {
            self.note(&served, asked, &tally, answer.as_ref().err());
        }
        answer
    }

    fn reply<Item: Encoded>(
        &self,
        mut trace: Trace,
        of: impl FnOnce(Items) -> Result<Vec<Item>, Failure>,
        each: usize,
        namespace: Option<&str>,
    ) -> Result<Placed<Answer<Item>>, Failure> {
        let window = trace.plan.as_ref().and_then(|plan| plan.served.rule.window);
        let outcome = trace.outcome.take();
        let items = trace.into_items()?.map(of).transpose()?.unwrap_or_default();
        let answer = Answer { items, window };
        match outcome {
            Some(outcome) => self.place(answer, each, namespace, outcome.rows),
            None => Ok(answer.into()),
        }
    }

    /// Gives the items, and the reply that is made of them, their place in the budget; the rows keep theirs for as long, for
    /// items share their labels. `each`: bytes that the request adds to each item of the reply.
    fn place<Item: Encoded>(
        &self,
        answer: Answer<Item>,
        each: usize,
        namespace: Option<&str>,
        rows: Arc<Rows>,
    ) -> Result<Placed<Answer<Item>>, Failure> {
        let reply: usize = answer.items.iter().map(|item| item.encoded() + each).sum();
        if reply > MAX_REPLY {
            let cause = format!(
                "the reply would be larger than {} MiB; ask for fewer objects, or aggregate more in the rule's query",
                MAX_REPLY >> 20
            );
            return Err(Failure::new(Reason::LimitExceeded, cause));
        }
        let mut place = self.pool.answers().place(namespace.map(Into::into)).keeping(rows);
        // Twice: as it is encoded, and as it is escaped or packed.
        let bytes = 2 * reply + answer.items.len() * size::ITEM;
        place
            .cover(bytes)
            .map_err(|no_room| Failure::new(Reason::LimitExceeded, no_room.to_string()))?;
        place.shrink(bytes);
        Ok(Placed::new(answer, place))
    }
}

// === impl Live ===

impl Sources for Live<'_> {
    async fn objects(
        &self,
        resource: &ResourceInfo,
        route: &request::Custom,
    ) -> Result<Vec<String>, Failure> {
        let namespace = route
            .namespace
            .as_deref()
            .filter(|_| resource.scope == Scope::Namespaced);
        let objects = &self.answerer.objects;
        let objects = objects
            .list(&resource.group_resource, namespace, &route.label_selector)
            .await
            .map_err(|error: ObjectsError| Failure::new(error.reason(), error.to_string()))?;
        Ok(objects.into_iter().map(|object| object.name.clone()).collect())
    }

    fn lowest_target(&self, namespace: &str, metric: &str) -> Option<i64> {
        self.answerer.targets.lowest(namespace, metric)
    }

    async fn rows(
        &self,
        rule: &CompiledRule,
        ask: &Ask,
        namespace: Option<&str>,
    ) -> Result<Evaluation, Failure> {
        let Answerer { pool, held, .. } = self.answerer;
        let backend = pool.get(&ask.backend.name);
        let backend = backend.map_err(|error| unanswered(ask, &error))?;
        let query = InstantQuery {
            promql: ask.promql.clone(),
            at: Timestamp::now(),
            deadline: self.deadline,
            max_samples: ask.max_samples,
            namespace: namespace.map(Into::into),
            rule: Some(Arc::new(rule.key().clone())),
            refresh: ask.refresh,
        };
        let name = &ask.backend.name;
        if let Some(answer) = held.get(name, &query, &backend).await {
            return Ok(answer);
        }
        let answer = backend.instant(query.clone()).await;
        let answer = answer.map_err(|error| unanswered(ask, &error))?;
        held.put(name, &query, &backend, &answer).await;
        Ok(answer)
    }
}

#[cfg(test)]
mod tests;
