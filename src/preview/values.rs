//! Queries of a rule's metrics for the objects that its series name, and what the backend answers now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Catalogs, Options,
    claims::claims,
    objects::{ByNamespace, Known},
    report::{Dropped, MetricReport, ValueReport},
    request::{EXAMPLE, Request, namespaces, requests, resource},
    world::World,
};
use crate::{
    backend::{InstantQuery, Rows},
    catalog::{Metric, RuleMetrics, Served, Standing},
    query::{Ask, Plan, project_custom, project_external, route::ObjectName},
    reason::Reason,
    sample::{InstantVector, Sample},
};

/// Metrics that queries and values are shown for where none are named.
const METRICS: usize = 20;
/// Rows that are shown of each reason for which they give no value.
const ROWS: usize = 3;
/// Of one query, and of all of a rule.
const DEADLINE: Duration = Duration::from_secs(15);
const ALL: Duration = Duration::from_mins(2);

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
            report.note = Some(format!("requests fail with {}", refusal.reason.code()));
        } else if unreached.is_some() {
            report.note = Some("no values, because the backend was not reached".to_owned());
        } else if index >= METRICS && options.metrics.is_empty() {
            report.note = Some(format!(
                "preview shows queries and values for only {METRICS} metrics; select metrics with --metric"
            ));
        } else {
            let served = Served {
                rule: rule.clone(),
                metric: metric.clone(),
                standing: Standing::Answers,
            };
            play(world, &served, objects, options, until, &mut report).await;
        }
        reports.push(report);
    }
    reports
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
        report.note = Some("preview knows no object and no namespace; set one with --namespace".to_owned());
    }
    let example = objects.values().all(BTreeSet::is_empty) && resource(&served.metric).is_some();
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
                "preview knows no object; the queries are for one named {EXAMPLE:?}, and were not sent"
            ));
            continue;
        }
        if Instant::now() >= until {
            let late = format!("not all queries were sent within {ALL:?}; select metrics with --metric");
            if !report.failures.contains(&late) {
                report.failures.push(late);
            }
            continue;
        }
        match request.plan(served, &options.selector, &request.names) {
            Err(failure) => report.fail(&failure),
            Ok(plan) => ask(world, &plan, &request, report).await,
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
                report.fail(&failure);
                (failure.tally, rows.warnings.clone())
            }
        }
    } else {
        match project_external(plan, &rows, at) {
            Ok(answer) => {
                report.values.extend(answer.items.iter().map(|item| ValueReport {
                    of: format!("{place}{}", item.labels.clone().unwrap_or_default()),
                    value: item.value.to_string(),
                }));
                (answer.tally, answer.warnings)
            }
            Err(failure) => {
                report.fail(&failure);
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

async fn rows(world: &World, ask: &Ask, request: &Request, at: Timestamp) -> Result<Arc<Rows>, String> {
    let query = InstantQuery {
        promql: ask.promql.clone(),
        at,
        deadline: Instant::now() + DEADLINE,
        max_samples: ask.max_samples,
        namespace: request.namespace.as_deref().map(Arc::from),
        rule: None,
        refresh: Duration::ZERO,
    };
    let backend = world.pool.get(&ask.backend.name);
    let asked = match backend {
        Ok(backend) => backend.instant(query).await,
        Err(error) => Err(error),
    };
    asked
        .map(|answer| answer.rows)
        .map_err(|error| format!("{}: {}", error.reason().code(), error.detail()))
}

/// Whether a row gives a value, by the projection itself.
fn one_row(plan: &Plan, row: &Sample, at: Timestamp) -> Result<(), Reason> {
    let rows = InstantVector {
        samples: vec![row.clone()],
        ..InstantVector::default()
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
