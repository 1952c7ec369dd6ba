//! The rules of the scene. Their series have a name that stands in no metric's name, so that it stands in no reply.

use serde_json::{Value, json};

use super::generate::World;

/// Names of metrics of pods and namespaces, by `ClusterMetricRule` and by a `MetricRule` in each namespace.
pub(super) const OF_OBJECTS: [&str; 5] = [
    "queue_shared",
    "queue_own",
    "queue_shard",
    "queue_exact",
    "queue_raw",
];
/// Names of external metrics.
pub(super) const EXTERNAL: [&str; 3] = ["events_shared", "events_own", "events_shard"];
/// Of nodes.
pub(super) const OF_NODES: &str = "load";

const SUM: &str = "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})";

/// The rules, each with its namespace, if it has one.
pub(super) fn rules(world: &World) -> Vec<(Option<String>, Value)> {
    let mut rules = vec![
        (None, of_objects("queue_shared", SUM)),
        // values where they stand as text, as a part of a pattern, and in backticks
        (
            None,
            of_objects(
                "queue_shard",
                "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>,shard=~'(?:<<index .LabelValuesByName \"shard\">>)'})",
            ),
        ),
        (
            None,
            of_objects(
                "queue_exact",
                "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>,shard=\"<<index .LabelValuesByName \"shard\">>\"})",
            ),
        ),
        (
            None,
            of_objects(
                "queue_raw",
                "sum by (<<.GroupBy>>) (<<.Series>>{namespace=\"<<index .LabelValuesByName \"namespace\">>\",\
                 <<range $k, $v := .LabelValuesByName>><<if eq $k \"shard\">>shard=~`<<$v>>`,<<end>><<end>><<.LabelMatchers>>})",
            ),
        ),
        (
            None,
            external("events_shared", "sum(<<.Series>>{<<.LabelMatchers>>})"),
        ),
        (
            None,
            external(
                "events_shard",
                "sum by (shard, namespace) (<<.Series>>{<<.LabelMatchers>><<if .LabelValuesByName>>,shard!=\"\"<<end>>})",
            ),
        ),
        (
            None,
            json!({
                "seriesQuery": "hostileseries_load",
                "resources": {"overrides": {"node": {"resource": "nodes"}}},
                "name": {"as": OF_NODES},
                "metricsQuery": SUM,
            }),
        ),
    ];
    for (namespace, _) in world.units() {
        // the author leaves the matchers out: confinement alone keeps the namespace
        rules.push((
            Some(namespace.to_owned()),
            of_objects("queue_own", "sum by (<<.GroupBy>>) (<<.Series>>)"),
        ));
        rules.push((
            Some(namespace.to_owned()),
            external("events_own", "sum(<<.Series>>)"),
        ));
    }
    rules
}

fn of_objects(name: &str, query: &str) -> Value {
    json!({
        "seriesQuery": "hostileseries_queue",
        "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
        "name": {"as": name},
        "metricsQuery": query,
    })
}

fn external(name: &str, query: &str) -> Value {
    json!({
        "api": "External",
        "seriesQuery": "hostileseries_queue",
        "resources": {"overrides": {"namespace": {"resource": "namespaces"}}},
        "name": {"as": name},
        "metricsQuery": query,
    })
}
