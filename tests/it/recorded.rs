//! The documented configurations of prometheus-adapter, imported: for every request that was recorded, the query is letter for
//! letter what it sent. The texts in `tests/fixtures/adapter-queries` were never printed by ours (`make recordings`).

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, anyhow, ensure};
use metricrule::{
    api::{MetricBackend, MetricBackendSpec, PrometheusSpec, rule_spec::Semantics},
    catalog::{Catalog, Entry, Listing, derive},
    document::SourceFile,
    import::{
        Object, Severity,
        adapter::{Options, import},
    },
    query::{
        plan,
        request::{MetricRequest, ObjectName},
        resolve,
    },
    resource::{GroupResource, ResourceInfo, Resources, Scope},
    rule::{BackendObject, Index, RuleObject, RuleTable, index::RuleScope},
    sample::SeriesSet,
    server::route::{Endpoint, Request},
};
use promql::SeriesSelector;
use serde::Deserialize;

use crate::select::{Labels, selects};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/adapter-queries");

#[derive(Deserialize)]
struct Recording {
    series: Vec<Labels>,
    discovery: Discovery,
    answers: Vec<Answer>,
}

/// Names, and whether they are in namespaces.
#[derive(Deserialize)]
struct Discovery {
    custom: Vec<(String, bool)>,
    external: Vec<(String, bool)>,
}

#[derive(Deserialize)]
struct Answer {
    path: String,
    code: u16,
    queries: Vec<String>,
}

#[test]
fn every_recorded_query_is_sent_letter_for_letter() -> Result<()> {
    let (mut compared, mut wrong) = (0, Vec::new());
    for config in configurations()? {
        let (recording, catalog) = recorded(&config)?;
        for answer in &recording.answers {
            // what it fails on, nobody is asked to repeat
            if answer.code >= 500 {
                continue;
            }
            compared += 1;
            let sent = asked(&catalog, &answer.path);
            if sent != answer.queries.first().cloned() {
                wrong.push(format!(
                    "{}: {}:\n  sends {sent:?}\n  was {:?}",
                    config.display(),
                    answer.path,
                    answer.queries
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 1000, "{compared}");
    Ok(())
}

#[test]
fn every_recorded_metric_is_listed() -> Result<()> {
    for config in configurations()? {
        let (recording, catalog) = recorded(&config)?;
        let mut custom: Vec<(String, bool)> = Vec::new();
        for (resource, metrics) in catalog.custom_metrics() {
            let named = &resource.group_resource;
            custom.extend(
                metrics.map(|metric| (format!("{named}/{metric}"), catalog.is_namespaced(named, metric))),
            );
        }
        custom.sort();
        assert_eq!(custom, recording.discovery.custom, "{}", config.display());
        let external: Vec<String> = catalog.external_metrics().map(ToString::to_string).collect();
        let expected: Vec<String> = recording
            .discovery
            .external
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(external, expected, "{}", config.display());
    }
    Ok(())
}

fn configurations() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(FOLDER)?.map(|entry| entry.map(|entry| entry.path()));
    let mut found: Vec<PathBuf> = entries.collect::<Result<_, _>>()?;
    found.retain(|path| path.extension().is_some_and(|end| end == "yaml"));
    found.sort();
    ensure!(found.len() >= 9, "{found:?}");
    Ok(found)
}

/// What was recorded of a configuration, and what its import serves of the same series.
fn recorded(config: &Path) -> Result<(Recording, Catalog)> {
    let text = fs::read_to_string(config)?;
    let recording: Recording = serde_json::from_str(&fs::read_to_string(config.with_extension("json"))?)?;
    let file = SourceFile {
        name: config.display().to_string(),
        text,
    };
    let options = Options {
        semantics: Semantics::PrometheusAdapter,
        refresh: Some("0s".to_owned()),
        split: false,
    };
    let import = import(&[file], &options);
    ensure!(!import.has(Severity::Error), "{:?}", import.notes);
    let table = Arc::new(compiled(&import.objects));
    let mut entries = Vec::new();
    for rule in table.rules.iter() {
        ensure!(rule.refusals.is_empty(), "{}: {:?}", rule.key(), rule.refusals);
        let spec = rule.object.spec.as_ref().map_err(|error| anyhow!("{error}"))?;
        let selector = SeriesSelector::parse(spec.series_query.as_deref().context("no seriesQuery")?)?;
        let found = recording
            .series
            .iter()
            .filter(|series| selects(&selector, series));
        let set: SeriesSet = found
            .map(|series| {
                series
                    .iter()
                    .map(|(label, value)| (label.as_str(), value.as_str()))
                    .collect()
            })
            .collect();
        entries.push(Entry {
            metrics: Arc::new(derive(rule, &set, &table.resources)),
            listing: Listing::Current,
        });
    }
    Ok((recording, Catalog::build(table, entries)))
}

fn compiled(objects: &[Object]) -> RuleTable {
    let mut rows: Vec<ResourceInfo> = Resources::builtin().iter().cloned().collect();
    rows.push(ResourceInfo {
        group_resource: GroupResource::new("pantry.example", "breweries"),
        version: "v1".to_owned(),
        kind: "Brewery".to_owned(),
        singular: "brewery".to_owned(),
        scope: Scope::Namespaced,
    });
    let mut index = Index::default();
    index.set_resources(Arc::new(Resources::new(rows)));
    index.reset_namespaces([("shop".to_owned(), BTreeMap::new())].into_iter().collect());
    let mut backend = MetricBackend::new(
        "default",
        MetricBackendSpec::new(PrometheusSpec::new("http://prometheus:9090")),
    );
    let marked = ("metricrule.dev/is-default".to_owned(), "true".to_owned());
    backend.metadata.annotations = Some([marked].into());
    index.reset_backends(vec![BackendObject::of(&backend)]);
    let rules = objects.iter().filter_map(|object| match object {
        Object::ClusterMetricRule(rule) => Some(RuleObject::of(&**rule)),
        _ => None,
    });
    index.reset_rules(RuleScope::Cluster, rules.collect());
    index.reset_rules(RuleScope::Namespaced, Vec::new());
    index.table()
}

/// What is sent for a request; the objects are those of `tests/differential/objects.yaml`.
fn asked(catalog: &Catalog, path: &str) -> Option<String> {
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    let Ok(Endpoint::Metric(request)) = Request::parse("GET", path, query).endpoint else {
        return None;
    };
    let served = resolve(catalog, &request).ok()?;
    let names: Vec<String> = match &request {
        MetricRequest::External(_) => Vec::new(),
        MetricRequest::Custom(route) => match &route.object {
            ObjectName::Named(name) => vec![name.clone()],
            ObjectName::Namespace => vec![route.namespace.clone()?],
            ObjectName::All
                if !route
                    .label_selector
                    .matches(|key| (key == "app").then_some("web")) =>
            {
                Vec::new()
            }
            ObjectName::All => match served.metric.resource()?.resource.as_str() {
                "pods" => ["web-0", "web-1", "web-2"].map(ToOwned::to_owned).to_vec(),
                "nodes" => vec!["node-0".to_owned()],
                _ => vec!["web".to_owned()],
            },
        },
    };
    let plan = plan(&request, &served, &names).ok()?;
    plan.ask.map(|ask| ask.promql.to_string())
}
