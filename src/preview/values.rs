//! The queries of a rule's metrics for the objects that its series name, and what the backend answers now.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Catalogs, Options,
    objects::{ByNamespace, Known},
    report::{Claim, Dropped, MetricReport, QueryReport, ValueReport},
    world::World,
};
use crate::{
    backend::InstantQuery,
    catalog::{Catalog, Metric, RuleMetrics, Served, Subject},
    language::selector::Selector,
    query::{
        Ask, Failure, Plan, plan_custom, plan_external, project_custom, project_external,
        route::{CustomRoute, CustomVersion, ExternalRoute, ObjectName},
    },
    reason::Reason,
    resource::{GroupResource, Scope},
    rule::CompiledRule,
    sample::{InstantVector, Sample},
};

/// Metrics and namespaces that queries and values are shown for where none are named, and names in a query that is shown.
const METRICS: usize = 20;
const NAMESPACES: usize = 5;
const NAMES: usize = 3;
/// Namespaces in which it is looked at who answers.
const CLAIMS: usize = 50;
/// Rows that are shown of each reason for which they give no value.
const ROWS: usize = 3;
/// Of one query, and of all of a rule.
const DEADLINE: Duration = Duration::from_secs(15);
const ALL: Duration = Duration::from_mins(2);
/// What stands for an object where none is known.
const EXAMPLE: &str = "example";

/// One request that is played through.
struct Request {
    namespace: Option<String>,
    object: ObjectName,
    names: Vec<String>,
}

/// Every metric of a rule.
pub(super) async fn of_rule(
    world: &World,
    catalogs: &Catalogs,
    metrics: &RuleMetrics,
    known: &Known,
    options: &Options,
) -> Vec<MetricReport> {
    let rule = &metrics.rule;
    let until = Instant::now() + ALL;
    let mut reports = Vec::new();
    let wanted = |metric: &&Metric| {
        options.metrics.is_empty() || options.metrics.iter().any(|name| **name == *metric.name)
    };
    for (index, metric) in metrics.metrics.iter().filter(wanted).enumerate() {
        let nothing = ByNamespace::new();
        let objects = known.get(metric).unwrap_or(&nothing);
        let mut report = MetricReport {
            metric: metric.name.to_string(),
            resource: resource(metric).map(ToString::to_string),
            series: metric.series.to_string(),
            ..MetricReport::default()
        };
        claims(
            catalogs,
            rule,
            metric,
            &namespaces(world, rule, objects, options),
            &mut report,
        );
        let unreached = rule
            .backend
            .as_ref()
            .ok()
            .and_then(|backend| world.reached.get(&backend.name)?.problem.as_ref());
        if let Some(refusal) = rule.refusal() {
            report.note = Some(format!("requests are answered with {}", refusal.reason.code()));
        } else if unreached.is_some() {
            report.note = Some("no values, for the backend was not reached".to_owned());
        } else if index >= METRICS && options.metrics.is_empty() {
            report.note = Some(format!(
                "no queries and values beyond {METRICS} metrics; name some with --metric"
            ));
        } else {
            let served = Served {
                rule: rule.clone(),
                metric: metric.clone(),
            };
            play(world, &served, objects, options, until, &mut report).await;
        }
        reports.push(report);
    }
    reports
}

/// The kind that a metric describes; `None` for an external one.
pub(super) fn resource(metric: &Metric) -> Option<&GroupResource> {
    match &metric.subject {
        Subject::Object { resource, .. } => Some(&resource.group_resource),
        Subject::External => None,
    }
}

/// The namespaces of requests that are looked at: those that are named, else those that have series, else those that exist.
fn namespaces(
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

fn claims(
    catalogs: &Catalogs,
    rule: &CompiledRule,
    metric: &Metric,
    namespaces: &[Option<String>],
    report: &mut MetricReport,
) {
    let mut answered: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    let mut taken: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
    for namespace in namespaces {
        let now = winner(&catalogs.before, metric, namespace.as_deref());
        let then = winner(&catalogs.after, metric, namespace.as_deref());
        let ours = then.is_some_and(|served| served.rule.key() == rule.key());
        let name = |served: Option<&Served>| served.map(|served| served.rule.key().to_string());
        let place = namespace.clone();
        answered.entry(name(then)).or_default().extend(place.clone());
        if ours && let Some(now) = now.filter(|now| now.rule.key() != rule.key()) {
            taken.entry(name(Some(now))).or_default().extend(place);
        }
    }
    let list = |claims: BTreeMap<Option<String>, Vec<String>>| {
        claims
            .into_iter()
            .map(|(rule, namespaces)| Claim { rule, namespaces })
            .collect()
    };
    report.answered_by = list(answered);
    report.takes_over = list(taken);
}

fn winner<'a>(catalog: &'a Catalog, metric: &Metric, namespace: Option<&str>) -> Option<&'a Served> {
    match resource(metric) {
        Some(resource) => catalog.custom(resource, &metric.name, namespace),
        None => catalog.external(&metric.name, namespace?),
    }
}

/// Plays the requests for a metric through.
async fn play(
    world: &World,
    served: &Served,
    objects: &ByNamespace,
    options: &Options,
    until: Instant,
    report: &mut MetricReport,
) {
    let requests = requests(world, served, objects, options);
    if requests.is_empty() {
        report.note = Some("no object and no namespace is known; name one with --namespace".to_owned());
    }
    let example =
        objects.values().all(std::collections::BTreeSet::is_empty) && resource(&served.metric).is_some();
    for request in requests {
        let namespace = request.namespace.as_deref();
        if let Err(problem) = world.after.check_backend(&served.rule, namespace) {
            report
                .failures
                .push(format!("{}: {problem}", problem.reason.code()));
            continue;
        }
        if let (ObjectName::All, Some(first)) = (&request.object, request.names.first()) {
            let named = Request {
                namespace: request.namespace.clone(),
                object: ObjectName::Named(first.clone()),
                names: vec![first.clone()],
            };
            report.queries.push(named.query(served, &options.selector));
        }
        report.queries.push(request.query(served, &options.selector));
        if example {
            report.note = Some(format!(
                "no object is known; the queries are for one named {EXAMPLE:?}, and nothing was asked"
            ));
            continue;
        }
        if Instant::now() >= until {
            report.note = Some(format!("not everything was asked within {ALL:?}"));
            continue;
        }
        match request.plan(served, &options.selector, &request.names) {
            Err(failure) => report.failures.push(failure.to_string()),
            Ok(plan) => ask(world, &plan, &request, report).await,
        }
    }
}

fn requests(world: &World, served: &Served, objects: &ByNamespace, options: &Options) -> Vec<Request> {
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
    let list = |names: Option<&std::collections::BTreeSet<String>>| {
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
    fn plan(&self, served: &Served, selector: &Selector, names: &[String]) -> Result<Plan, Failure> {
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
    fn query(&self, served: &Served, selector: &Selector) -> QueryReport {
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

async fn ask(world: &World, plan: &Plan, request: &Request, report: &mut MetricReport) {
    let Some(ask) = &plan.ask else { return };
    let at = Timestamp::now();
    let rows = match rows(world, ask, request, at).await {
        Ok(rows) => rows,
        Err(message) => return report.failures.push(message),
    };
    let place = request
        .namespace
        .as_ref()
        .map(|namespace| format!("{namespace}/"))
        .unwrap_or_default();
    let mut dropped: BTreeMap<Reason, Vec<String>> = BTreeMap::new();
    for row in &rows.samples {
        if let Err(reason) = one_row(plan, row, at) {
            dropped
                .entry(reason)
                .or_default()
                .push(format!("{} {}", row.labels, row.value));
        }
    }
    let (mut tally, warnings) = if plan.subject.is_some() {
        match project_custom(plan, &rows, at) {
            Ok(answer) => {
                report.values.extend(answer.items.iter().map(|item| ValueReport {
                    of: match &item.namespace {
                        Some(namespace) => format!("{namespace}/{}", item.name),
                        None => item.name.to_string(),
                    },
                    value: item.value.to_string(),
                }));
                (answer.tally, answer.warnings)
            }
            Err(failure) => {
                report.failures.push(failure.to_string());
                (failure.tally, rows.warnings.clone())
            }
        }
    } else {
        match project_external(plan, &rows, at) {
            Ok(answer) => {
                report.values.extend(answer.items.iter().map(|item| ValueReport {
                    of: format!("{place}{}", item.labels),
                    value: item.value.to_string(),
                }));
                (answer.tally, answer.warnings)
            }
            Err(failure) => {
                report.failures.push(failure.to_string());
                (failure.tally, rows.warnings.clone())
            }
        }
    };
    for warning in warnings {
        if !report.warnings.contains(&warning) {
            report.warnings.push(warning);
        }
    }
    // Whether a row is a second one is not seen from the row.
    let doubled = tally.dropped.remove(&Reason::DuplicateRows).unwrap_or(0);
    add(
        report,
        Reason::DuplicateRows,
        usize::try_from(doubled).unwrap_or(usize::MAX),
        &[],
    );
    for (reason, rows) in dropped {
        add(report, reason, rows.len(), &rows);
    }
    if rows.samples.is_empty() && plan.subject.is_none() {
        report.warnings.push(format!(
            "no row for {}",
            request.namespace.as_deref().unwrap_or_default()
        ));
    }
}

async fn rows(world: &World, ask: &Ask, request: &Request, at: Timestamp) -> Result<InstantVector, String> {
    let query = InstantQuery {
        promql: ask.promql.clone(),
        at,
        deadline: Instant::now() + DEADLINE,
        max_samples: ask.max_samples,
        namespace: request.namespace.as_deref().map(Arc::from),
    };
    let backend = world.pool.get(&ask.backend.name);
    let asked = match backend {
        Ok(backend) => backend.instant(query).await,
        Err(error) => Err(error),
    };
    asked.map_err(|error| format!("{}: {}", error.reason().code(), error.detail()))
}

/// Whether a row gives a value, by the projection itself.
fn one_row(plan: &Plan, row: &Sample, at: Timestamp) -> Result<(), Reason> {
    let rows = InstantVector {
        samples: vec![row.clone()],
        warnings: Vec::new(),
    };
    let tally = if plan.subject.is_some() {
        match project_custom(plan, &rows, at) {
            Ok(answer) => answer.tally,
            Err(failure) => failure.tally,
        }
    } else {
        match project_external(plan, &rows, at) {
            Ok(answer) => answer.tally,
            Err(failure) => failure.tally,
        }
    };
    tally.dropped.keys().next().map_or(Ok(()), |reason| Err(*reason))
}

fn add(report: &mut MetricReport, reason: Reason, count: usize, rows: &[String]) {
    if count == 0 {
        return;
    }
    let code = reason.code();
    if !report.rows_dropped.iter().any(|dropped| dropped.reason == code) {
        report.rows_dropped.push(Dropped {
            reason: code,
            count: 0,
            sample: Vec::new(),
            meaning: reason.text(),
        });
    }
    let known = report
        .rows_dropped
        .iter_mut()
        .find(|dropped| dropped.reason == code);
    if let Some(known) = known {
        known.count += count;
        let room = ROWS.saturating_sub(known.sample.len());
        known.sample.extend(rows.iter().take(room).cloned());
    }
}
