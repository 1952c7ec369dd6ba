//! HPAs of the cluster that ask for a metric of the rule. Pure.

use std::{collections::BTreeSet, sync::Arc};

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::{
    Catalogs,
    objects::Known,
    report::HpaReport,
    request::{EXAMPLE, request},
    world::World,
};
use crate::{
    catalog::{Catalog, Served},
    kubernetes::hpa::{Demand, Question, demands},
    query::{self, Failure, Plan, request::ObjectName},
    resource::GroupResource,
    rule::CompiledRule,
};

/// Names in a query that is shown.
const NAMES: usize = 3;

/// Those that it answers, and those that ask for a metric of its name and get it from another rule.
pub(super) fn of_rule(
    world: &World,
    catalogs: &Catalogs,
    rule: &Arc<CompiledRule>,
    hpas: &[HorizontalPodAutoscaler],
    known: &Known,
) -> Vec<HpaReport> {
    let claimed: BTreeSet<(Arc<str>, Option<GroupResource>)> = catalogs
        .after
        .entry(rule.key())
        .into_iter()
        .flat_map(|entry| &entry.metrics.metrics)
        .map(|metric| (metric.name.clone(), metric.resource().cloned()))
        .collect();
    let mut found = Vec::new();
    for demand in hpas
        .iter()
        .flat_map(|hpa| demands(hpa, &world.after.resources))
        .flatten()
    {
        let Demand {
            namespace,
            hpa,
            index,
            question,
        } = &demand;
        let covered = rule.scope.covers(Some(namespace), &world.after.namespaces);
        if !covered || !claimed.contains(&(question.metric().into(), question.resource())) {
            continue;
        }
        let served = winner(&catalogs.after, &demand);
        let uses = served.is_some_and(|served| served.rule.key() == rule.key());
        let planned = served
            .filter(|_| uses && rule.refusal().is_none())
            .map(|served| plan(served, &demand, known));
        found.push(HpaReport {
            hpa: format!("{namespace}/{hpa}"),
            index: *index,
            question: question.to_string(),
            answered_by: served.map(|served| served.rule.key().to_string()),
            uses,
            query: planned
                .as_ref()
                .and_then(|plan| Some(plan.as_ref().ok()?.ask.as_ref()?.promql.to_string())),
            problem: planned.and_then(Result::err).map(|failure| failure.to_string()),
        });
    }
    found
}

fn winner<'a>(catalog: &'a Catalog, demand: &Demand) -> Option<&'a Served> {
    let metric = demand.question.metric();
    match demand.question.resource() {
        Some(resource) => catalog.custom(&resource, metric, Some(&demand.namespace)),
        None => catalog.external(metric, &demand.namespace),
    }
}

/// What the backend is asked for it. Which pods the HPA's selector chooses is not looked up: some that have series stand for them.
fn plan(served: &Served, demand: &Demand, known: &Known) -> Result<Plan, Failure> {
    let namespace = demand.namespace.clone();
    let (object, names) = match &demand.question {
        Question::External { .. } => (ObjectName::All, Vec::new()),
        Question::Pods { .. } => {
            let objects = known
                .get(&served.metric)
                .and_then(|objects| objects.get(&Some(namespace.clone())));
            let names: Vec<String> = objects.into_iter().flatten().take(NAMES).cloned().collect();
            let names = if names.is_empty() {
                vec![EXAMPLE.to_owned()]
            } else {
                names
            };
            (ObjectName::All, names)
        }
        Question::Object { resource, .. } if resource.group_resource == GroupResource::namespaces() => {
            (ObjectName::Namespace, vec![namespace.clone()])
        }
        Question::Object { name, .. } => (ObjectName::Named(name.clone()), vec![name.clone()]),
    };
    let request = request(
        &served.metric,
        Some(namespace),
        object,
        demand.question.selector(),
    );
    query::plan(&request, served, &names)
}
