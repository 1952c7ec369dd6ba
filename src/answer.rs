//! Answer to a request: the one path from a route to values (look up, names, plan, ask, project).

mod held;
mod size;
mod told;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use moka::future::Cache;
use tokio::{sync::watch, time::Instant};

pub use crate::backend::Placed;

use self::{
    held::{Evaluated, Held},
    size::MAX_REPLY,
};
use crate::{
    backend::{BackendError, Evaluation, InstantQuery, pool::Pool},
    catalog::{Catalog, ClaimKey, Served, Standing},
    kubernetes::{
        objects::{Objects, ObjectsError},
        targets::Targets,
    },
    logbook::Logbook,
    metrics::Metrics,
    query::{
        Answer, Ask, CustomItem, ExternalItem, Failure, Tally,
        failure::Words,
        plan_custom, plan_external, project_custom, project_external,
        route::{CustomRoute, ExternalRoute, ObjectName},
    },
    reason::Reason,
    resource::{ResourceInfo, Scope},
    rule::{CompiledRule, RuleTable},
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
/// How many rules the reply to a request for an unknown metric names.
const NEAR_MISSES: usize = 3;

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
        route: &CustomRoute,
        deadline: Instant,
    ) -> Result<Placed<Answer<CustomItem>>, Failure> {
        let catalog = self.catalog();
        let resource = known_kind(&catalog, route)?;
        let namespace = route.namespace.as_deref();
        let served = catalog
            .custom(&resource.group_resource, &route.metric, namespace)
            .filter(|served| {
                served.rule.like_adapter() || resource.group_resource.group == route.resource.group
            })
            .ok_or_else(|| unknown_custom(&catalog, resource, route))?;
        check(&catalog.table, served, namespace)?;
        let names = match &route.object {
            ObjectName::Named(name) => vec![name.clone()],
            ObjectName::Namespace => namespace.map(ToOwned::to_owned).into_iter().collect(),
            ObjectName::All => self.select(resource, route).await?,
        };
        let answer = self.evaluate_custom(served, route, &names, deadline).await;
        self.note(served, answer)
    }

    async fn evaluate_custom(
        &self,
        served: &Served,
        route: &CustomRoute,
        names: &[String],
        deadline: Instant,
    ) -> Result<Placed<Answer<CustomItem>>, Failure> {
        let mut plan = plan_custom(served, route, names)?;
        let namespace = route.namespace.as_deref();
        plan.target = namespace.and_then(|namespace| self.targets.lowest(namespace, &route.metric));
        let Some(ask) = &plan.ask else {
            return Ok(Answer {
                items: Vec::new(),
                window: served.rule.window,
                tally: Tally::default(),
                warnings: Vec::new(),
            }
            .into());
        };
        let evaluated = self.ask(&served.rule, ask, namespace, deadline).await?;
        self.note_warnings(served, &evaluated.rows.warnings);
        let answer = project_custom(&plan, &evaluated.rows, evaluated.at)
            .inspect_err(|failure| self.count(&failure.tally))?;
        self.count(&answer.tally);
        self.warn(served, &answer.warnings).await;
        let each = route.metric.len() + route.metric_selector.to_string().len() * 4;
        let answer = self.place(answer, each, namespace, evaluated)?;
        self.note_answered(served);
        Ok(answer)
    }

    /// The values of an external metric.
    ///
    /// # Errors
    ///
    /// As [`Self::custom`].
    pub async fn external(
        &self,
        route: &ExternalRoute,
        deadline: Instant,
    ) -> Result<Placed<Answer<ExternalItem>>, Failure> {
        let catalog = self.catalog();
        check_synced(&catalog)?;
        let namespace = route.namespace.as_str();
        let served = catalog.external(&route.metric, namespace).ok_or_else(|| {
            let cause = "no rule makes an external metric with that name for this namespace; `kubectl get \
                         metricrules,clustermetricrules -A` shows the rules";
            let near = near_misses(&catalog, None, &route.metric, Some(namespace));
            Failure::new(Reason::UnknownMetric, format!("{cause}{near}")).after(route.sought())
        })?;
        check(&catalog.table, served, Some(namespace))?;
        let answer = self.evaluate_external(served, route, deadline).await;
        self.note(served, answer)
    }

    async fn evaluate_external(
        &self,
        served: &Served,
        route: &ExternalRoute,
        deadline: Instant,
    ) -> Result<Placed<Answer<ExternalItem>>, Failure> {
        let plan = plan_external(served, route)?;
        let Some(ask) = &plan.ask else {
            return Err(Failure::new(
                Reason::Internal,
                "an external metric was planned without a query",
            ));
        };
        let namespace = Some(route.namespace.as_str());
        let evaluated = self.ask(&served.rule, ask, namespace, deadline).await?;
        self.note_warnings(served, &evaluated.rows.warnings);
        let answer = project_external(&plan, &evaluated.rows, evaluated.at)
            .inspect_err(|failure| self.count(&failure.tally))?;
        self.count(&answer.tally);
        self.warn(served, &answer.warnings).await;
        let answer = self.place(answer, route.metric.len(), namespace, evaluated)?;
        self.note_answered(served);
        Ok(answer)
    }

    async fn select(&self, resource: &ResourceInfo, route: &CustomRoute) -> Result<Vec<String>, Failure> {
        let namespace = route
            .namespace
            .as_deref()
            .filter(|_| resource.scope == Scope::Namespaced);
        let objects = self
            .objects
            .list(&resource.group_resource, namespace, &route.label_selector);
        let objects = objects
            .await
            .map_err(|error: ObjectsError| Failure::new(error.reason(), error.to_string()))?;
        Ok(objects.into_iter().map(|object| object.name.clone()).collect())
    }

    async fn ask(
        &self,
        rule: &CompiledRule,
        ask: &Ask,
        namespace: Option<&str>,
        deadline: Instant,
    ) -> Result<Arc<Evaluated>, Failure> {
        let failed = |error: BackendError| {
            Failure::new(
                error.reason(),
                format!("the MetricBackend {:?}: {}", ask.backend.name, error.cause()),
            )
            .saying(Words {
                said: error.said().map(ToOwned::to_owned),
                detail: error.whole().to_owned(),
            })
        };
        let backend = self.pool.get(&ask.backend.name).map_err(failed)?;
        let namespace: Option<Arc<str>> = namespace.map(Into::into);
        if let Some(answer) = self.held.get(ask, namespace.as_ref(), &backend).await {
            return Ok(answer);
        }
        let query = InstantQuery {
            promql: ask.promql.clone(),
            at: Timestamp::now(),
            deadline,
            max_samples: ask.max_samples,
            namespace: namespace.clone(),
            rule: Some(Arc::new(rule.key().clone())),
            refresh: ask.refresh,
        };
        let Evaluation { rows, at, asked } = backend.instant(query).await.map_err(failed)?;
        let answer = Arc::new(Evaluated::new(rows, at, asked));
        self.held.put(ask, namespace.as_ref(), &backend, &answer).await;
        Ok(answer)
    }

    /// Gives the items, and the reply that is made of them, their place in the budget; the rows keep theirs for as long, for
    /// items share their labels. `each`: bytes that the request adds to each item of the reply.
    fn place<Item: size::Encoded>(
        &self,
        answer: Answer<Item>,
        each: usize,
        namespace: Option<&str>,
        rows: Arc<Evaluated>,
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

    fn count(&self, tally: &Tally) {
        for (reason, count) in &tally.dropped {
            self.metrics.server.rows_dropped(reason.code(), *count);
        }
        if tally.clamped > 0 {
            self.metrics.server.values_clamped(tally.clamped);
        }
        if tally.negative > 0 {
            self.metrics.server.values_negative(tally.negative);
        }
    }

    async fn warn(&self, served: &Served, warnings: &[String]) {
        if warnings.is_empty() {
            return;
        }
        let rule = served.rule.key().to_string();
        if self.warned.entry(rule.clone()).or_insert(()).await.is_fresh() {
            let warnings = warnings.join("; ");
            tracing::warn!(rule, metric = %served.metric.name, warnings, "query answered with warnings");
        }
    }
}

fn check_synced(catalog: &Catalog) -> Result<(), Failure> {
    if catalog.is_synced() {
        return Ok(());
    }
    Err(Failure::new(
        Reason::NotSynced,
        "this replica has just started, and has not read the rules and their claims yet",
    ))
}

fn known_kind<'a>(catalog: &'a Catalog, route: &CustomRoute) -> Result<&'a ResourceInfo, Failure> {
    check_synced(catalog)?;
    let unknown = |cause: String| Failure::new(Reason::UnknownMetric, cause).after(route.sought_kind());
    // prometheus-adapter takes a bare name of any group; a rule in its semantics alone is served by one.
    let resources = &catalog.table.resources;
    let bare = || {
        let name = Some(&route.resource).filter(|named| named.group.is_empty())?;
        resources.find(None, &name.resource)
    };
    let resource = resources.resolve(&route.resource).or_else(bare).ok_or_else(|| {
        unknown(format!(
            "the cluster has no resource {}; write a resource of a group like deployments.apps",
            route.resource
        ))
    })?;
    if route.namespace.is_none() && resource.scope == Scope::Namespaced {
        let cause = format!(
            "{} are namespaced: request them below /namespaces/{{namespace}}/",
            resource.group_resource
        );
        return Err(unknown(cause));
    }
    Ok(resource)
}

fn unknown_custom(catalog: &Catalog, resource: &ResourceInfo, route: &CustomRoute) -> Failure {
    let namespace = route.namespace.as_deref();
    let others: Vec<String> = catalog
        .custom_metrics()
        .filter(|(other, _)| {
            other.group_resource != resource.group_resource
                && catalog
                    .custom(&other.group_resource, &route.metric, namespace)
                    .is_some()
        })
        .map(|(other, _)| other.group_resource.to_string())
        .take(3)
        .collect();
    let cause = if others.is_empty() {
        "no rule makes it for this request; `kubectl get metricrules,clustermetricrules -A` shows the rules, and \
         their conditions show what happened to their series"
            .to_owned()
    } else {
        format!(
            "no rule makes it for this kind of object; other rules make it for {}",
            others.join(", ")
        )
    };
    let near = near_misses(catalog, Some(resource), &route.metric, namespace);
    Failure::new(Reason::UnknownMetric, format!("{cause}{near}")).after(route.sought_kind())
}

/// The rules that may make the metric once they are in force; nothing of their text.
fn near_misses(
    catalog: &Catalog,
    resource: Option<&ResourceInfo>,
    metric: &str,
    namespace: Option<&str>,
) -> String {
    let sought = ClaimKey {
        resource: resource.map(|resource| resource.group_resource.clone()),
        name: metric.into(),
    };
    let near = catalog.near_misses(&sought, namespace, NEAR_MISSES);
    let near = near.iter().map(|(rule, reason)| {
        let reason = reason.code();
        format!("; the {rule} is not active ({reason}) and may make it")
    });
    near.collect()
}

fn check(table: &RuleTable, served: &Served, namespace: Option<&str>) -> Result<(), Failure> {
    let rule = &served.rule;
    if let Some(problem) = rule.refusal() {
        return Err(Failure::of_rule(&rule.key().to_string(), problem));
    }
    table
        .check_backend(rule, namespace)
        .map_err(|problem| Failure::new(problem.reason, problem.message))?;
    let because = |failure: Option<Reason>| {
        failure.map_or_else(String::new, |reason| {
            format!(" (the last listing failed: {})", reason.code())
        })
    };
    let waits_for = match served.standing {
        Standing::Answers => return Ok(()),
        Standing::Unrecorded => "its claim is recorded, because another rule may make it too".to_owned(),
        Standing::Edited(failure) => {
            format!("the series of its new spec are listed{}", because(failure))
        }
        Standing::Unlisted(failure) => format!("its series are listed{}", because(failure)),
    };
    let cause = format!(
        "the rule {} claims this metric, and answers when {waits_for}",
        rule.key()
    );
    Err(Failure::new(Reason::NotSynced, cause))
}
