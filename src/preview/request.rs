//! Requests for a metric that a preview plays through, and what is sent for each.

use std::collections::BTreeSet;

use super::{Options, objects::ByNamespace, report::QueryReport, world::World};
use crate::{
    catalog::{Metric, Served, Subject},
    language::selector::Selector,
    query::{
        Failure, Plan, plan_custom, plan_external,
        route::{CustomRoute, CustomVersion, ExternalRoute, ObjectName},
    },
    resource::{GroupResource, Scope},
    rule::CompiledRule,
};

/// Namespaces that are asked in where none are named.
const NAMESPACES: usize = 5;
/// Names in a query that is shown.
const NAMES: usize = 3;
/// Namespaces in which it is looked at who answers.
const CLAIMS: usize = 50;
/// What stands for an object where none is known.
pub(super) const EXAMPLE: &str = "example";

/// One request that is played through.
pub(super) struct Request {
    pub(super) namespace: Option<String>,
    pub(super) object: ObjectName,
    /// The objects that it is about; none for an external metric.
    pub(super) names: Vec<String>,
}

/// The kind that a metric describes; `None` for an external one.
pub(super) fn resource(metric: &Metric) -> Option<&GroupResource> {
    match &metric.subject {
        Subject::Object { resource, .. } => Some(&resource.group_resource),
        Subject::External => None,
    }
}

/// The namespaces of requests that are looked at: those that are named, else those that have series, else those that exist.
pub(super) fn namespaces(
    world: &World,
    rule: &CompiledRule,
    objects: &ByNamespace,
    options: &Options,
) -> Vec<Option<String>> {
    if let Some(own) = &rule.key().namespace {
        return vec![Some(own.clone())];
    }
    if !options.namespaces.is_empty() {
        return options.namespaces.iter().cloned().map(Some).collect();
    }
    let covered =
        |namespace: &Option<String>| rule.scope.covers(namespace.as_deref(), &world.after.namespaces);
    let with_series: Vec<Option<String>> = objects
        .keys()
        .filter(|at| covered(at))
        .take(CLAIMS)
        .cloned()
        .collect();
    if !with_series.is_empty() {
        return with_series;
    }
    let existing = world.after.namespaces.names().map(|name| Some(name.to_owned()));
    existing.filter(covered).take(CLAIMS).collect()
}

/// The requests that clients would make.
pub(super) fn requests(
    world: &World,
    served: &Served,
    objects: &ByNamespace,
    options: &Options,
) -> Vec<Request> {
    let places = namespaces(world, &served.rule, objects, options);
    let Subject::Object { resource, .. } = &served.metric.subject else {
        let everywhere = places.is_empty().then(|| Some("default".to_owned()));
        return places
            .into_iter()
            .chain(everywhere)
            .flatten()
            .take(NAMESPACES)
            .map(|namespace| Request {
                namespace: Some(namespace),
                object: ObjectName::All,
                names: Vec::new(),
            })
            .collect();
    };
    let example = || vec![EXAMPLE.to_owned()];
    let list = |names: Option<&BTreeSet<String>>| {
        let names: Vec<String> = names.into_iter().flatten().cloned().collect();
        if names.is_empty() { example() } else { names }
    };
    if resource.group_resource == GroupResource::namespaces() {
        let named = objects.values().flatten().cloned();
        let covered = |name: &String| served.rule.scope.covers(Some(name), &world.after.namespaces);
        let chosen = |name: &String| options.namespaces.is_empty() || options.namespaces.contains(name);
        return named
            .filter(|name| covered(name) && chosen(name))
            .take(NAMESPACES)
            .map(|name| Request {
                namespace: Some(name.clone()),
                object: ObjectName::Namespace,
                names: vec![name],
            })
            .collect();
    }
    if resource.scope == Scope::Cluster {
        // An HPA asks for them under its own namespace.
        let namespace = options.namespaces.first().cloned();
        return vec![Request {
            namespace,
            object: ObjectName::All,
            names: list(objects.get(&None)),
        }];
    }
    places
        .into_iter()
        .flatten()
        .take(NAMESPACES)
        .map(|namespace| {
            let names = list(objects.get(&Some(namespace.clone())));
            Request {
                namespace: Some(namespace),
                object: ObjectName::All,
                names,
            }
        })
        .collect()
}

// === impl Request ===

impl Request {
    /// What the server plans for it when its selector has these objects.
    ///
    /// # Errors
    ///
    /// What the server would answer instead.
    pub(super) fn plan(
        &self,
        served: &Served,
        selector: &Selector,
        names: &[String],
    ) -> Result<Plan, Failure> {
        match &served.metric.subject {
            Subject::Object { resource, .. } => {
                let route = CustomRoute {
                    version: CustomVersion::V1beta2,
                    namespace: self.namespace.clone(),
                    resource: resource.group_resource.clone(),
                    object: self.object.clone(),
                    metric: served.metric.name.to_string(),
                    label_selector: Selector::everything(),
                    metric_selector: selector.clone(),
                };
                plan_custom(served, &route, names)
            }
            Subject::External => {
                let route = ExternalRoute {
                    namespace: self.namespace.clone().unwrap_or_default(),
                    metric: served.metric.name.to_string(),
                    selector: selector.clone(),
                };
                plan_external(served, &route)
            }
        }
    }

    /// What is sent for it, with a few names at most.
    pub(super) fn query(&self, served: &Served, selector: &Selector) -> QueryReport {
        let names: Vec<String> = self.names.iter().take(NAMES).cloned().collect();
        let planned = self.plan(served, selector, &names);
        let query = planned
            .as_ref()
            .ok()
            .and_then(|plan| Some(plan.ask.as_ref()?.promql.to_string()));
        QueryReport {
            request: self.describe(served, &names),
            query,
            problem: planned.err().map(|failure| failure.to_string()),
        }
    }

    fn describe(&self, served: &Served, names: &[String]) -> String {
        let place = self
            .namespace
            .as_ref()
            .map(|namespace| format!("{namespace}: "))
            .unwrap_or_default();
        let Some(resource) = resource(&served.metric) else {
            return format!("{place}external metric");
        };
        match &self.object {
            ObjectName::Named(name) => format!("{place}{resource} {name}"),
            ObjectName::Namespace => format!("{place}the namespace itself"),
            ObjectName::All => {
                let more = self.names.len().saturating_sub(names.len());
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                format!("{place}{resource} * ({}{more})", names.join(", "))
            }
        }
    }
}
