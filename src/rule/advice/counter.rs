//! Counters that are used as they are, and gauges of which a rate is taken.
//!
//! What a series is, is told from its name, by the conventions of Prometheus and `OpenMetrics`
//! (<https://prometheus.io/docs/practices/naming/>). `_sum` and `_count` are endings of gauges too (`kafka_consumergroup_lag_sum`,
//! `pg_stat_activity_count`), so they count only behind a unit or beside each other.

use promql::{MatchOp, function::Outcome, matcher::NAME_LABEL, usage::Usage};

use super::{Assumptions, Specimen, duration};
use crate::{
    api::rule_spec::RuleSpec,
    reason::Reason,
    rule::{CompiledRule, Problem, naming::Source},
};

const ENDINGS: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];
/// What a histogram or summary measures.
const MEASURES: [&str; 13] = [
    "seconds",
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "millis",
    "ms",
    "us",
    "bytes",
    "duration",
    "latency",
    "time",
    "size",
    "histogram",
];
/// Before `_total` they mean the whole of something that can shrink.
const WHOLES: [&str; 18] = [
    "memory",
    "mem",
    "heap",
    "swap",
    "disk",
    "space",
    "capacity",
    "limit",
    "quota",
    "slots",
    "cores",
    "cpus",
    "nodes",
    "replicas",
    "partitions",
    "shards",
    "connections",
    "workers",
];
/// Beside `…_total` they show that it is the whole of which these are a part.
const PARTS: [&str; 6] = ["_used", "_free", "_available", "_idle", "_active", "_usage"];

pub(super) fn lint(specimen: &Specimen<'_>, assumptions: Assumptions, found: &mut Vec<Problem>) {
    let usages = specimen.expr.usages();
    let names: Vec<&str> = usages.iter().filter_map(|usage| usage.name.as_deref()).collect();
    for usage in &usages {
        match usage.outcome {
            Outcome::Values => found.extend(without_rate(specimen, usage, &names, assumptions)),
            Outcome::Rate => found.extend(rate_of_gauge(specimen, usage)),
            Outcome::Other => {}
        }
    }
}

/// The ending of a counter that every series of the rule has, by what its selector and patterns demand.
pub(super) fn ending(rule: &CompiledRule, spec: &RuleSpec) -> Option<&'static str> {
    let Source::Series { selector, .. } = &rule.naming.as_ref()?.source else {
        return None;
    };
    if let Some(name) = selector.name() {
        return ending_of(name, &[]);
    }
    let matchers = selector
        .matchers()
        .filter(|matcher| matcher.label == NAME_LABEL && matcher.op == MatchOp::Regex);
    let wanted = spec
        .series_filters
        .iter()
        .filter_map(|filter| filter.is.as_deref());
    let renamed = spec.name.as_ref().and_then(|name| name.matches.as_deref());
    matchers
        .map(|matcher| matcher.value.as_str())
        .chain(wanted)
        .chain(renamed)
        .find_map(demanded)
}

/// The ending that a pattern demands of a name: `_total` for `^(.*)_total$`.
fn demanded(pattern: &str) -> Option<&'static str> {
    if pattern.contains('|') {
        return None;
    }
    let open = pattern.strip_suffix('$').unwrap_or(pattern).trim_end_matches(')');
    // Alone the other endings do not make a counter.
    ["_total", "_bucket", "_seconds_sum", "_seconds_count"]
        .into_iter()
        .find(|ending| open.ends_with(ending))
}

/// The ending that makes `name` a counter; `beside` are the other names of the query.
fn ending_of(name: &str, beside: &[&str]) -> Option<&'static str> {
    // The colon is for recording rules, whose names say what they hold.
    if name.contains(':') {
        return None;
    }
    let ending = ENDINGS.into_iter().find(|ending| name.ends_with(ending))?;
    let base = name.strip_suffix(ending)?;
    let last = base.rsplit('_').next().unwrap_or_default();
    let sibling = |suffix: &str| {
        beside
            .iter()
            .any(|other| other.strip_suffix(suffix) == Some(base))
    };
    let counts = match ending {
        "_total" => !WHOLES.contains(&last) && !PARTS.iter().any(|part| sibling(part)),
        "_bucket" => true,
        "_sum" => MEASURES.contains(&last) || sibling("_count") || sibling("_bucket"),
        _ => MEASURES.contains(&last) || sibling("_sum") || sibling("_bucket"),
    };
    counts.then_some(ending)
}

fn without_rate(
    specimen: &Specimen<'_>,
    usage: &Usage,
    names: &[&str],
    assumptions: Assumptions,
) -> Option<Problem> {
    let by_pattern = || {
        let mut patterns = usage
            .matchers
            .iter()
            .filter(|matcher| matcher.label == NAME_LABEL && matcher.op == MatchOp::Regex);
        patterns.find_map(|matcher| demanded(&matcher.value))
    };
    let ending = match usage.name.as_deref() {
        Some(name) => ending_of(name, names)?,
        None => by_pattern()?,
    };
    let name = match &usage.name {
        Some(name) => specimen.series_name(Some(name)),
        None => format!("a *{ending}"),
    };
    let written = specimen.written_or(usage.span, "…");
    let range = duration(assumptions.scrape_interval.saturating_mul(4));
    let (at, how, suggestion) = match &usage.function {
        Some((function, at)) if usage.range.is_some() => {
            let function = function.name;
            let instead = match function {
                "delta" => Some("increase"),
                "idelta" => Some("irate"),
                "deriv" => Some("rate"),
                _ => None,
            };
            let how = format!("{function}() does not handle its restarts");
            let suggestion = match instead {
                Some(instead) => format!("write `{instead}` instead of `{function}`"),
                None => format!("use the rate first: `{function}(rate({written}[{range}])[1h:])`"),
            };
            (*at, how, suggestion)
        }
        _ => (
            usage.span,
            "the query uses it directly".to_owned(),
            format!("write `rate({written}[{range}])`"),
        ),
    };
    let message =
        format!("judging by its name, {name} is a counter, but {how}: the value only grows until a restart");
    Some(
        specimen
            .problem(Reason::CounterWithoutRate, at, message)
            .suggest(suggestion),
    )
}

fn rate_of_gauge(specimen: &Specimen<'_>, usage: &Usage) -> Option<Problem> {
    let name = usage.name.as_deref().filter(|name| is_gauge(name))?;
    let (function, at) = usage.function?;
    let function = function.name;
    let message = format!("{name:?} is a gauge, and {function}() treats every decrease as a restart");
    let instead = if function == "increase" { "delta" } else { "deriv" };
    let written = specimen.written_or(usage.span, name);
    Some(
        specimen
            .problem(Reason::RateOfGauge, at, message)
            .suggest(format!(
                "write `{written}`, or `{instead}` instead of `{function}`"
            )),
    )
}

/// Whether a name is known for certain to be that of a gauge.
fn is_gauge(name: &str) -> bool {
    if name.contains(':') || ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return false;
    }
    let starts = |prefix: &str| name.starts_with(prefix);
    let ends = |suffix: &str| name.ends_with(suffix);
    [
        "up",
        "go_goroutines",
        "go_threads",
        "process_open_fds",
        "process_max_fds",
    ]
    .contains(&name)
        || ends("_info")
        || ends("_celsius")
        || ends("_ratio")
        || ends("_timestamp_seconds")
        || (starts("container_memory_") || starts("node_memory_") || starts("process_")) && ends("_bytes")
        || starts("container_spec_")
        || starts("node_load")
        || starts("kube_")
            && ["_status_", "_spec_", "_labels", "_annotations", "_owner"]
                .iter()
                .any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_counters() {
        for (name, beside, expected) in [
            ("http_requests_total", vec![], Some("_total")),
            ("container_cpu_usage_seconds_total", vec![], Some("_total")),
            ("http_request_duration_seconds_count", vec![], Some("_count")),
            ("http_request_duration_seconds_bucket", vec![], Some("_bucket")),
            ("response_size_sum", vec![], Some("_sum")),
            ("request_sum", vec!["request_count"], Some("_sum")),
            ("request_count", vec!["request_count"], None),
            ("kafka_consumergroup_lag_sum", vec![], None),
            ("pg_stat_activity_count", vec![], None),
            ("node_memory_total", vec![], None),
            ("pool_total", vec!["pool_used"], None),
            ("job:http_requests_total", vec![], None),
            ("total", vec![], None),
            ("queue_length", vec![], None),
        ] {
            assert_eq!(ending_of(name, &beside), expected, "{name}");
        }
    }

    #[test]
    fn patterns_demand_endings() {
        for (pattern, expected) in [
            ("^(.*)_total$", Some("_total")),
            ("(.*_total)$", Some("_total")),
            ("http_.*_total", Some("_total")),
            ("^(.*)_seconds_count$", Some("_seconds_count")),
            ("^(.*)(_total)?$", None),
            ("_total$|_size$", None),
            ("^(.*)$", None),
        ] {
            assert_eq!(demanded(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn names_tell_gauges() {
        for name in [
            "up",
            "container_memory_working_set_bytes",
            "kube_pod_info",
            "node_load5",
            "kube_deployment_spec_replicas",
        ] {
            assert!(is_gauge(name), "{name}");
        }
        for name in [
            "http_requests",
            "container_memory_failures_total",
            "kube_pod_container_status_restarts_total",
            "process_cpu_seconds_total",
            "process_network_receive_bytes_total",
            "requests_sum",
            "gpu_utilization",
        ] {
            assert!(!is_gauge(name), "{name}");
        }
    }
}
