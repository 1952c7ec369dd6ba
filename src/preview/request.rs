//! Requests for a metric that a preview plays through, and what is sent for each.

use language::selector::Selector;

use super::{Options, objects::ByNamespace, report::QueryReport, world::World};
use crate::{
    catalog::{Metric, Served},
    query::{
        plan,
        request::{Custom, CustomVersion, External, MetricRequest, ObjectName},
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
pub(super) struct Trial {
    /// As the server takes it.
    pub(super) request: MetricRequest,
    /// The objects that it is about; none for an external metric.
    pub(super) names: Vec<String>,
}

/// The request that a client makes for a metric; `object` says nothing of an external one.
pub(super) fn request(
    metric: &Metric,
    namespace: Option<String>,
    object: ObjectName,
    selector: &Selector,
) -> MetricRequest {
    match metric.resource() {
        Some(resource) => MetricRequest::Custom(Custom {
            version: CustomVersion::V1beta2,
            namespace,
            resource: resource.clone(),
            object,
            metric: metric.name.to_string(),
            label_selector: Selector::everything(),
            metric_selector: selector.clone(),
        }),
        None => MetricRequest::External(External {
            namespace: namespace.unwrap_or_default(),
            metric: metric.name.to_string(),
            selector: selector.clone(),
        }),
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
pub(super) fn trials(world: &World, served: &Served, objects: &ByNamespace, options: &Options) -> Vec<Trial> {
    let trial = |namespace: Option<String>, object, names| Trial {
        request: request(&served.metric, namespace, object, &options.selector),
        names,
    };
    let places = namespaces(world, &served.rule, objects, options);
    let Some(kind) = served.metric.kind() else {
        let everywhere = places.is_empty().then(|| Some("default".to_owned()));
        let places = places.into_iter().chain(everywhere).flatten().take(NAMESPACES);
        return places
            .map(|namespace| trial(Some(namespace), ObjectName::All, Vec::new()))
            .collect();
    };
    let list = |namespace: Option<&String>| match objects.get(&namespace.cloned()) {
        Some(names) if !names.is_empty() => names.iter().cloned().collect(),
        _ => vec![EXAMPLE.to_owned()],
    };
    if kind.group_resource == GroupResource::namespaces() {
        let named = objects.values().flatten().cloned();
        let covered = |name: &String| served.rule.scope.covers(Some(name), &world.after.namespaces);
        let chosen = |name: &String| options.namespaces.is_empty() || options.namespaces.contains(name);
        return named
            .filter(|name| covered(name) && chosen(name))
            .take(NAMESPACES)
            .map(|name| trial(Some(name.clone()), ObjectName::Namespace, vec![name]))
            .collect();
    }
    if kind.scope == Scope::Cluster {
        // An HPA asks for them under its own namespace.
        let namespace = options.namespaces.first().cloned();
        return vec![trial(namespace, ObjectName::All, list(None))];
    }
    let places = places.into_iter().flatten().take(NAMESPACES);
    places
        .map(|namespace| {
            let names = list(Some(&namespace));
            trial(Some(namespace), ObjectName::All, names)
        })
        .collect()
}

// === impl Trial ===

impl Trial {
    /// Of a request for several objects, one for the first of them.
    pub(super) fn for_one(&self) -> Option<Self> {
        let MetricRequest::Custom(request) = &self.request else {
            return None;
        };
        let first = self.names.first().filter(|_| request.object == ObjectName::All)?;
        Some(Self {
            request: MetricRequest::Custom(Custom {
                object: ObjectName::Named(first.clone()),
                ..request.clone()
            }),
            names: vec![first.clone()],
        })
    }

    /// What is sent for it, with a few names at most.
    pub(super) fn query(&self, served: &Served) -> QueryReport {
        let names: Vec<String> = self.names.iter().take(NAMES).cloned().collect();
        let planned = plan(&self.request, served, &names);
        let query = planned
            .as_ref()
            .ok()
            .and_then(|plan| Some(plan.ask.as_ref()?.promql.to_string()));
        QueryReport {
            request: self.describe(&names),
            query,
            problem: planned.err().map(|failure| failure.to_string()),
        }
    }

    fn describe(&self, names: &[String]) -> String {
        let namespace = self.request.namespace();
        let place = namespace.map(|namespace| format!("{namespace}: "));
        let place = place.unwrap_or_default();
        let MetricRequest::Custom(Custom { resource, object, .. }) = &self.request else {
            return format!("{place}external metric");
        };
        match object {
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
