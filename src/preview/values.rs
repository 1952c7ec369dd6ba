//! Queries of a rule's metrics for the objects that its series name, and what the backend answers now.

use std::{collections::BTreeSet, fmt::Display, sync::Arc, time::Duration};

use jiff::Timestamp;
use language::quantity::Milli;
use tokio::time::Instant;

use super::{
    Catalogs, Options,
    claims::claims,
    objects::{ByNamespace, Known},
    report::{Dropped, MetricReport, ValueReport},
    request::{EXAMPLE, namespaces, trials},
    world::World,
};
use crate::{
    answer::{Sources, Trace, run, unanswered},
    backend::{Evaluation, InstantQuery},
    catalog::{Metric, RuleMetrics, Served, Standing},
    query::{Ask, Failure, Items, may_answer, request::Custom},
    resource::ResourceInfo,
    rule::CompiledRule,
};

/// Metrics that queries and values are shown for where none are named.
const METRICS: usize = 20;
/// Rows that are shown of each reason for which they give no value.
const ROWS: usize = 3;
/// Of one query, and of all of a rule.
const DEADLINE: Duration = Duration::from_secs(15);
const ALL: Duration = Duration::from_mins(2);

/// The objects that are known of a request, and the backends as they are reached from here.
struct Played<'a> {
    world: &'a World,
    names: &'a [String],
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
            resource: metric.resource().map(ToString::to_string),
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
    let trials = trials(world, served, objects, options);
    if trials.is_empty() {
        report.note = Some("preview knows no object and no namespace; set one with --namespace".to_owned());
    }
    let example = objects.values().all(BTreeSet::is_empty) && served.metric.kind().is_some();
    for trial in trials {
        let namespace = trial.request.namespace();
        if let Err(failure) = may_answer(&world.after, served, namespace) {
            report.fail(&failure);
            continue;
        }
        let for_one = trial.for_one();
        let queries = for_one.iter().chain([&trial]).map(|trial| trial.query(served));
        report.queries.extend(queries);
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
        let names = &trial.names;
        let played = Played { world, names };
        let trace = run(&trial.request, &world.after, Ok(served.clone()), &played).await;
        show(&trace, namespace, report);
    }
}

/// Shows what became of a request.
fn show(trace: &Trace, namespace: Option<&str>, report: &mut MetricReport) {
    if let Some(failure) = &trace.failure {
        return report.fail(failure);
    }
    let (Some(outcome), Some(projection)) = (&trace.outcome, &trace.projection) else {
        return;
    };
    match &projection.items {
        Ok(items) => report.values.extend(values(items, namespace)),
        Err(failure) => report.fail(failure),
    }
    for warning in &projection.warnings {
        if !report.warnings.contains(warning) {
            report.warnings.push(warning.clone());
        }
    }
    let rows = &outcome.rows.samples;
    for (row, verdict) in rows.iter().zip(&projection.verdicts) {
        if let Some(reason) = verdict.dropped {
            Dropped::add(&mut report.rows_dropped, reason, ROWS, || {
                format!("{} {}", row.labels, row.value)
            });
        }
    }
    if rows.is_empty() && matches!(projection.items, Ok(Items::External(_))) {
        let namespace = namespace.unwrap_or_default();
        report.warnings.push(format!("no row for {namespace}"));
    }
}

fn values(items: &Items, namespace: Option<&str>) -> Vec<ValueReport> {
    let value = |place: Option<&str>, of: &dyn Display, value: Milli| ValueReport {
        of: match place {
            Some(place) => format!("{place}/{of}"),
            None => of.to_string(),
        },
        value: value.to_string(),
    };
    match items {
        Items::Custom(items) => items
            .iter()
            .map(|item| value(item.namespace.as_deref(), &item.name, item.value))
            .collect(),
        Items::External(items) => items
            .iter()
            .map(|item| {
                let labels = item.labels.clone().unwrap_or_default();
                value(namespace, &labels, item.value)
            })
            .collect(),
    }
}

// === impl Played ===

impl Sources for Played<'_> {
    async fn objects(&self, _: &ResourceInfo, _: &Custom) -> Result<Vec<String>, Failure> {
        Ok(self.names.to_vec())
    }

    fn lowest_target(&self, _: &str, _: &str) -> Option<i64> {
        None
    }

    async fn rows(
        &self,
        _: &CompiledRule,
        ask: &Ask,
        namespace: Option<&str>,
    ) -> Result<Evaluation, Failure> {
        let query = InstantQuery {
            promql: ask.promql.clone(),
            at: Timestamp::now(),
            deadline: Instant::now() + DEADLINE,
            max_samples: ask.max_samples,
            namespace: namespace.map(Arc::from),
            rule: None,
            refresh: Duration::ZERO,
        };
        let answered = match self.world.pool.get(&ask.backend.name) {
            Ok(backend) => backend.instant(query).await,
            Err(error) => Err(error),
        };
        answered.map_err(|error| unanswered(ask, &error))
    }
}
