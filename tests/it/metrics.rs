//! docs/metrics.md is written from the registry, so it cannot say anything else than /metrics does.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use metricrule::metrics::{BudgetKind, CircuitState, Metrics, QueryKind};

use crate::repository;

#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    labels: Vec<String>,
}

/// Counts something into every family: those without a sample are left out of the text format.
fn filled() -> Metrics {
    let metrics = Metrics::new();
    let second = Duration::from_secs(1);
    metrics.server.request("pods", 200, "", second);
    metrics.server.connection_error("handshake");
    metrics.server.review("token", "hit");
    metrics.server.rows_dropped("Filtered", 1);
    metrics.server.values_clamped(1);
    metrics.server.answer(true);
    metrics.server.objects("pods", 1);
    metrics.backend.query("default", QueryKind::Instant, "", second);
    drop(metrics.backend.begin("default"));
    metrics.backend.queued("default", 0);
    metrics.backend.waited("default", second);
    metrics.backend.throttled("default", "limits.maxConcurrent");
    metrics.backend.wanted("default", "limits.maxConcurrent", 1);
    metrics.backend.joined("default");
    metrics.backend.circuit("default", CircuitState::Closed);
    metrics.backend.refused("default", "query");
    metrics.backend.failures_held("default", 0);
    metrics.backend.clock_offset("default", 1.0);
    metrics.backend.budget_used(BudgetKind::Answers, 1);
    metrics.backend.budget_refused(BudgetKind::Answers);
    metrics.backend.relist("default", second, Some(1));
    metrics.backend.relist_error("default", "BackendDown");
    metrics.controller.rules([(("Ready", "True", "Serving"), 1)]);
    metrics.controller.watch_event("rules");
    metrics.controller.watch_restart("rules");
    metrics.controller.write("status", "ok");
    metrics.controller.leader(true);
    metrics.controller.certificate_expiry("serving", 1);
    metrics.controller.certificate_reload("ok");
    metrics
        .controller
        .trust_ends([("v1beta1.external.metrics.k8s.io", 1)]);
    metrics.rules.failing([("shop", "requests", "QueryRejected")]);
    metrics
}

/// The families of a text in the OpenMetrics format, by name.
fn families(text: &str) -> Result<BTreeMap<String, Family>> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(help)) => {
                name.clone_into(&mut current);
                help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
            }
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                name.clone_into(&mut current);
                kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
            }
            (Some("#"), ..) => {}
            _ => {
                let family = families.get_mut(&current).context("a sample before its family")?;
                let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
                family.labels = labels
                    .map_or("", |(labels, _)| labels)
                    .split(',')
                    .filter_map(label)
                    .collect();
            }
        }
    }
    Ok(families)
}

/// The name of `name="value"`; a histogram's `le` is no label of ours.
fn label(pair: &str) -> Option<String> {
    pair.split_once('=')
        .map(|(name, _)| name.to_owned())
        .filter(|name| name != "le")
}

#[test]
fn docs_metrics_md_is_up_to_date() -> Result<()> {
    let families = families(&filled().encode())?;
    let mut document = String::from(
        "<!-- Written by `make crds` from src/metrics. Do not edit. -->\n\n# Metrics\n\n\
         The operator serves its own metrics on the plain HTTP port (8080 by default) at `/metrics`, in the OpenMetrics text format.\n\
         The chart's pods carry `prometheus.io/scrape` annotations for it. Samples of counters end in `_total`; durations are in\n\
         seconds. The label `reason` has the values of [reasons.md](reasons.md), and is empty for a success. No label contains a value\n\
         that a client chose.\n\n\
         | Metric | Type | Labels | Meaning |\n|---|---|---|---|\n",
    );
    for (name, family) in &families {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let help = family.help.trim_end_matches('.');
        let row = format!("| `{name}` | {} | {} | {help} |\n", family.kind, labels.join(" "));
        document.push_str(&row);
    }
    repository::up_to_date("docs/metrics.md", &document)
}

#[test]
fn no_family_is_forgotten() -> Result<()> {
    let mut registered = 0;
    for file in repository::files("src/metrics", "rs")? {
        registered += repository::read(file)?.matches("registry.register").count();
    }
    let families = families(&filled().encode())?;
    ensure!(
        families.len() == registered,
        "{registered} registered, but described: {:#?}",
        families.keys()
    );
    Ok(())
}
