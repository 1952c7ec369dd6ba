//! Trace: one request, followed from the rule that answers it to the items of the reply, step by step.

use crate::{
    backend::{BackendError, Evaluation},
    catalog::Served,
    query::{
        Ask, Failure, Items, Plan, Projection, Refusal, Tally,
        failure::Words,
        may_answer, plan, project,
        request::{self, MetricRequest, ObjectName},
    },
    resource::ResourceInfo,
    rule::{CompiledRule, RuleTable},
};

/// What became of a request, as far as it came: the first step that has no result is the one that failed, or that had nothing to
/// do. Replies and previews are made of it.
#[derive(Debug)]
pub struct Trace {
    /// The rule that answers, or why none does.
    pub resolved: Result<Served, Refusal>,
    /// The names of the objects that the request is about; an external metric is about none.
    pub objects: Option<Vec<String>>,
    /// What is asked, and what the rows must satisfy.
    pub plan: Option<Plan>,
    /// What the backend answered; `None` as well where there was nothing to ask.
    pub outcome: Option<Evaluation>,
    /// The items, and what became of each row.
    pub projection: Option<Projection>,
    /// Why a step before the projection failed.
    pub failure: Option<Failure>,
}

/// Where a request's steps get what they do not know.
pub trait Sources: Sync {
    /// The names of the objects that a request for all of a kind selects.
    fn objects(
        &self,
        resource: &ResourceInfo,
        route: &request::Custom,
    ) -> impl Future<Output = Result<Vec<String>, Failure>> + Send;

    /// The lowest target that an HPA of the namespace has for a metric of objects, in thousandths.
    fn lowest_target(&self, namespace: &str, metric: &str) -> Option<i64>;

    /// What a backend answers now, on behalf of `namespace`.
    fn rows(
        &self,
        rule: &CompiledRule,
        ask: &Ask,
        namespace: Option<&str>,
    ) -> impl Future<Output = Result<Evaluation, Failure>> + Send;
}

/// Follows a request for a metric of the rule that it was `resolved` to.
pub async fn run(
    request: &MetricRequest,
    table: &RuleTable,
    resolved: Result<Served, Refusal>,
    sources: &impl Sources,
) -> Trace {
    let mut trace = Trace {
        resolved,
        objects: None,
        plan: None,
        outcome: None,
        projection: None,
        failure: None,
    };
    trace.failure = trace.follow(request, table, sources).await.err();
    trace
}

/// What is told of a backend's error.
pub fn unanswered(ask: &Ask, error: &BackendError) -> Failure {
    let cause = format!("the MetricBackend {:?}: {}", ask.backend.name, error.cause());
    Failure::new(error.reason(), cause).saying(Words {
        said: error.said().map(ToOwned::to_owned),
        detail: error.whole().to_owned(),
    })
}

// === impl Trace ===

impl Trace {
    /// The verdicts on the rows, added up.
    pub fn tally(&self) -> Tally {
        self.projection
            .as_ref()
            .map(Projection::tally)
            .unwrap_or_default()
    }

    /// The items of the reply; `None` where there was nothing to ask.
    ///
    /// # Errors
    ///
    /// The failure of the step that failed.
    pub fn into_items(self) -> Result<Option<Items>, Failure> {
        match self.failure {
            Some(failure) => Err(failure),
            None => self.projection.map(|projection| projection.items).transpose(),
        }
    }

    async fn follow(
        &mut self,
        request: &MetricRequest,
        table: &RuleTable,
        sources: &impl Sources,
    ) -> Result<(), Failure> {
        let served = self
            .resolved
            .as_ref()
            .map_err(|refusal| refusal.failure(request))?;
        may_answer(table, served, request.namespace())?;
        let objects = self.objects.insert(objects(request, served, sources).await?);
        let mut plan = plan(request, served, objects)?;
        plan.target = target(request, sources);
        let plan = self.plan.insert(plan);
        let Some(ask) = &plan.ask else { return Ok(()) };
        let rows = sources.rows(&served.rule, ask, request.namespace()).await?;
        let outcome = self.outcome.insert(rows);
        self.projection = Some(project(plan, &outcome.rows, outcome.at));
        Ok(())
    }
}

async fn objects(
    request: &MetricRequest,
    served: &Served,
    sources: &impl Sources,
) -> Result<Vec<String>, Failure> {
    let (MetricRequest::Custom(route), Some(resource)) = (request, served.metric.kind()) else {
        return Ok(Vec::new());
    };
    match &route.object {
        ObjectName::Named(name) => Ok(vec![name.clone()]),
        ObjectName::Namespace => Ok(route.namespace.clone().into_iter().collect()),
        ObjectName::All => sources.objects(resource, route).await,
    }
}

/// For external metrics an HPA checks what it divides.
fn target(request: &MetricRequest, sources: &impl Sources) -> Option<i64> {
    match request {
        MetricRequest::Custom(route) => sources.lowest_target(route.namespace.as_deref()?, &route.metric),
        MetricRequest::External(_) => None,
    }
}

#[cfg(test)]
mod tests;
