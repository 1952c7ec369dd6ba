//! How long rules take to compile: `make bench`.
//!
//! A thousand rules as they are after a start, and one of them edited. Every number is the median of several runs; what is
//! compared is a ratio, since machines differ.

#![expect(clippy::disallowed_types, reason = "real time is what a benchmark measures")]

use std::{
    collections::BTreeMap,
    error::Error,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use metricrule::{
    api::{MetricBackendSpec, RuleKey, RuleSpec},
    resource::Resources,
    rule::{BackendObject, Index, Namespaces, RuleObject, index::RuleScope},
};

const RULES: usize = 1_000;
const RUNS: usize = 5;
const GOAL: Duration = Duration::from_secs(1);

/// Rules of every kind that people write: a plain rate, a quotient with filters, a template, an external queue.
const SPECS: [&str; 4] = [
    r#"
seriesQuery: http_requests_total{pod!=""}
resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}}}
name: {matches: "^(.*)_total$", as: "${1}_per_second"}
metricsQuery: sum by (<<.GroupBy>>) (rate(<<.Series>>{<<.LabelMatchers>>}[2m]))
"#,
    r#"
seriesQuery: '{__name__=~"^http_request_duration_seconds_(bucket|count|sum)$",pod!=""}'
seriesFilters: [{is: _bucket$}, {isNot: "^go_"}]
resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}, service: {resource: services}}}
name: {matches: "^(.*)_bucket$", as: "${1}_p99"}
metricsQuery: |
  histogram_quantile(0.99,
    sum by (<<.GroupBy>>, le) (
      rate(<<.Series>>{<<.LabelMatchers>>,code!~"5.."}[5m])
    )
  ) / on (<<.GroupBy>>) group_left
  clamp_min(sum by (<<.GroupBy>>) (up{<<.LabelMatchers>>}), 1)
"#,
    r#"
seriesQuery: '{__name__=~"^container_.*",container!="POD",pod!=""}'
resources: {template: "kube_<<.Group>>_<<.Resource>>"}
metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<range $i, $label := .GroupBySlice>><<if $i>>,<<end>><<$label>><<end>>)
"#,
    r#"
api: External
seriesQuery: queue_length{queue!=""}
metricsQuery: |
  <<if index .LabelValuesByName "queue">>max by (queue)<<else>>sum<<end>> (<<.Series>>{<<.LabelMatchers>>})
"#,
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    let specs = specs()?;
    let whole = median(|| {
        let mut index = empty_index()?;
        let rules = rules(&specs)?;
        let started = Instant::now();
        index.reset_rules(RuleScope::Namespaced, rules);
        Ok(started.elapsed())
    })?;
    let verdict = if whole <= GOAL { "ok" } else { "short" };
    writeln!(
        out,
        "compile {RULES} rules: {whole:.1?}, goal {GOAL:?}: {verdict}"
    )?;

    let mut index = empty_index()?;
    index.reset_rules(RuleScope::Namespaced, rules(&specs)?);
    let mut generation = 1;
    let one = median(|| {
        generation += 1;
        let edited = RuleObject {
            generation,
            ..rule(&specs, RULES / 2)?
        };
        let started = Instant::now();
        index.apply_rule(edited);
        let table = index.table();
        let took = started.elapsed();
        drop(table);
        Ok(took)
    })?;
    let ratio = whole.as_secs_f64() / one.as_secs_f64().max(f64::MIN_POSITIVE);
    writeln!(
        out,
        "edit one of {RULES} rules, with the table: {one:.1?}, {ratio:.0} times as fast"
    )?;
    Ok(())
}

fn empty_index() -> Result<Index, Box<dyn Error>> {
    let mut index = Index::default();
    index.set_resources(Arc::new(Resources::builtin()));
    index.reset_namespaces(
        [("shop".to_owned(), BTreeMap::new())]
            .into_iter()
            .collect::<Namespaces>(),
    );
    let spec: MetricBackendSpec =
        serde_saphyr::from_str("{type: Prometheus, prometheus: {url: 'http://prometheus:9090'}}")?;
    index.reset_backends(vec![BackendObject {
        name: "default".to_owned(),
        uid: "default".to_owned(),
        generation: 1,
        is_default: true,
        spec: Ok(Arc::new(spec)),
        violations: Vec::new(),
    }]);
    Ok(index)
}

fn specs() -> Result<Vec<Arc<RuleSpec>>, Box<dyn Error>> {
    let read = |text: &&str| Ok(Arc::new(serde_saphyr::from_str(text)?));
    SPECS.iter().map(read).collect()
}

fn rules(specs: &[Arc<RuleSpec>]) -> Result<Vec<RuleObject>, Box<dyn Error>> {
    (0..RULES).map(|number| rule(specs, number)).collect()
}

fn rule(specs: &[Arc<RuleSpec>], number: usize) -> Result<RuleObject, Box<dyn Error>> {
    let spec = specs.get(number % specs.len()).ok_or("no spec")?;
    Ok(RuleObject {
        key: RuleKey::namespaced("shop", format!("rule-{number}")),
        uid: number.to_string(),
        generation: 1,
        created: None,
        spec: Ok(spec.clone()),
        violations: Vec::new(),
    })
}

/// The middle of [`RUNS`] runs, after one that nobody counts.
fn median(mut run: impl FnMut() -> Result<Duration, Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    run()?;
    let mut times = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>, _>>()?;
    times.sort_unstable();
    times.get(RUNS / 2).copied().ok_or_else(|| "no runs".into())
}
