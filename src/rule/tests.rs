//! Compiled specs, and the index after events in any order.

mod adapter;
mod budget;
mod thousand;

use std::sync::Arc;

use jiff::Timestamp;
use promql::Matcher;

use super::{
    index::RuleScope,
    testing::{self, REQUESTS, compiled, index, rule},
    *,
};
use crate::{
    api::metric_rule::RuleKey,
    reason::Reason,
    resource::{GroupResource, ResourceInfo, Resources, Scope},
    rule::metrics_query::Ingredients,
};

fn refusals(at: &str, spec: &str) -> Vec<(Reason, String)> {
    let (_, rule) = compiled(at, spec);
    rule.refusals
        .iter()
        .map(|problem| (problem.reason, problem.place()))
        .collect()
}

fn spec(lines: &str) -> String {
    let mut text = String::new();
    let keys: Vec<&str> = lines
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, _)| key)
        .collect();
    for line in REQUESTS.trim().lines() {
        if !keys.iter().any(|key| line.starts_with(&format!("{key}:"))) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text + lines
}

#[test]
fn a_sound_rule_is_accepted() {
    let (_, rule) = compiled("shop/requests", REQUESTS);
    assert_eq!(rule.refusals, []);
    assert_eq!(rule.warnings, []);
    assert_eq!(rule.namespace_label.as_deref(), Some("namespace"));
    assert_eq!(rule.window, Some(std::time::Duration::from_mins(2)));
    assert_eq!(
        rule.listed().map(AsRef::as_ref),
        Some(r#"http_requests_total{namespace="shop",pod!=""}"#)
    );
}

#[test]
fn refusals_name_the_field_and_the_position() {
    let cases: &[(&str, Reason, &str)] = &[
        (
            "metricsQuery: sum(<<.Nope>>)",
            Reason::InvalidTemplate,
            "spec.metricsQuery:1:7",
        ),
        (
            "metricsQuery: |\n  sum(\n    rate(<<.Series>>{<<.LabelMatchers>>}[2m])",
            Reason::InvalidQuery,
            "spec.metricsQuery",
        ),
        (
            "metricsQuery: 'sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) ]'",
            Reason::InvalidQuery,
            "spec.metricsQuery:1:48",
        ),
        (
            "metricsQuery: 'sum(<<index .LabelValuesByName \"pod\">>)'",
            Reason::InvalidTemplate,
            "spec.metricsQuery:1:7",
        ),
        (
            "seriesFilters: [{is: a}, {isNot: '('}]",
            Reason::InvalidPattern,
            "spec.seriesFilters[1].isNot:1:1",
        ),
        (
            "name: {matches: '(a)(b)'}",
            Reason::InvalidPattern,
            "spec.name.matches",
        ),
        ("seriesQuery: '{pod!=\"\"}'", Reason::MatchAll, "spec.seriesQuery"),
        (
            "seriesQuery: '{__name__=~\".+\"}'",
            Reason::MatchAll,
            "spec.seriesQuery",
        ),
        (
            "seriesQuery: 'up{pod=}'",
            Reason::InvalidQuery,
            "spec.seriesQuery:1:8",
        ),
        (
            "resources: {overrides: {pod: {resource: pods}, pod_name: {resource: pod}}}",
            Reason::DuplicateResource,
            "spec.resources.overrides[pod_name]",
        ),
        (
            "resources: {template: 'kube_<<.Resource'}",
            Reason::InvalidTemplate,
            "spec.resources.template",
        ),
        (
            "resources: {overrides: {node: {resource: nodes}}}",
            Reason::NotConfinable,
            "spec.resources.overrides[node].resource",
        ),
        (
            "resources: {overrides: {exported_namespace: {resource: namespaces}, pod: {resource: pods}}}",
            Reason::NotConfinable,
            "spec.resources.overrides[exported_namespace]",
        ),
        (
            "metricsQuery: info(<<.Series>>{<<.LabelMatchers>>})",
            Reason::NotConfinable,
            "spec.metricsQuery",
        ),
        ("limits: {maxSeries: 0}", Reason::InvalidSpec, "spec.limits"),
    ];
    for (lines, reason, place) in cases {
        let found = refusals("shop/requests", &spec(lines));
        let expected = |(found, at): &(Reason, String)| found == reason && at.starts_with(place);
        assert!(found.iter().any(expected), "{lines}: {found:?}");
    }
}

#[test]
fn a_cluster_rule_may_say_what_only_its_backend_understands() {
    let (_, rule) = compiled(
        "requests",
        &spec("metricsQuery: 'not promql at all <<.Series>>{<<.LabelMatchers>>}'"),
    );
    assert_eq!(rule.refusals, []);
    assert_eq!(
        rule.warnings.first().map(|problem| problem.reason),
        Some(Reason::InvalidQuery)
    );
}

#[test]
fn a_broken_query_still_claims() {
    let (_, rule) = compiled("shop/requests", &spec("metricsQuery: sum("));
    assert!(rule.naming.is_some() && rule.query.is_none());
    let (_, rule) = compiled("shop/requests", &spec("name: {matches: '('}"));
    assert!(rule.naming.is_none(), "a broken naming part claims nothing");
}

#[test]
fn a_static_rule_names_its_metric_and_has_no_series() {
    let text = "api: External\nname: {as: backlog}\nmetricsQuery: sum(waiting{<<.LabelMatchers>>})";
    let (_, rule) = compiled("shop/backlog", text);
    assert_eq!(rule.refusals, []);
    assert_eq!(rule.listed(), None);
    let found = refusals(
        "shop/backlog",
        "api: External\nname: {as: b}\nmetricsQuery: sum(<<.Series>>{})",
    );
    assert_eq!(
        found,
        [(Reason::InvalidTemplate, "spec.metricsQuery:1:7".to_owned())]
    );
}

#[test]
fn a_namespaced_rule_is_confined_whatever_its_template_says() {
    let (_, rule) = compiled(
        "shop/requests",
        &spec("metricsQuery: sum(rate(<<.Series>>[2m])) or vector(1)"),
    );
    let query = rule.query.as_ref().unwrap();
    let text = query
        .render(&Ingredients {
            series: "http_requests_total".to_owned(),
            ..Ingredients::default()
        })
        .unwrap();
    assert!(
        text.contains(r#"http_requests_total{namespace="shop"}[2m]"#),
        "{text}"
    );
}

#[test]
fn a_key_that_the_template_cannot_do_without_is_asked_for() {
    let text = spec(
        "metricsQuery: 'sum by (<<.GroupBy>>) (<<.Series>>{q=\"<<index .LabelValuesByName \"queue\">>\",<<.LabelMatchers>>})'",
    );
    let (_, rule) = compiled("shop/requests", &text);
    assert_eq!(rule.refusals, []);
    let ingredients = Ingredients {
        series: "a".to_owned(),
        matchers: vec![Matcher::equal("pod", "p")],
        group_by: vec!["pod".to_owned()],
        ..Ingredients::default()
    };
    let error = rule.query.as_ref().unwrap().render(&ingredients).unwrap_err();
    assert_eq!(error.reason, Reason::SelectorRequired);
    assert!(error.message.contains("queue"), "{error}");
}

#[test]
fn an_index_of_one_name_warns_that_lists_will_fail() {
    let text = spec(
        "metricsQuery: 'sum by (<<.GroupBy>>) (rate(<<.Series>>{pod=\"<<index .LabelValuesByName \"pod\">>\"}[2m]))'",
    );
    let (_, rule) = compiled("shop/requests", &text);
    assert_eq!(rule.refusals, []);
    assert_eq!(rule.warnings.len(), 1);
    let text = text.replace("pod=\"", "pod=~\"");
    assert_eq!(compiled("shop/requests", &text).1.warnings, []);
}

#[test]
fn references_resolve_to_the_named_or_the_default_backend() {
    let reason = |index: &Index, key: &RuleKey| {
        index
            .table()
            .get(key)
            .unwrap()
            .backend
            .as_ref()
            .err()
            .map(|p| p.reason)
    };
    let mut index = index();
    let object = rule("shop/requests", REQUESTS);
    let key = object.key.clone();
    index.apply_rule(object);
    assert_eq!(reason(&index, &key), None);
    index.apply_backend(testing::backend("second", "{}", true));
    assert_eq!(reason(&index, &key), Some(Reason::AmbiguousDefault));
    index.delete_backend("default");
    index.delete_backend("second");
    assert_eq!(reason(&index, &key), Some(Reason::BackendNotFound));
    index.apply_backend(testing::backend("default", "{}", true));
    assert_eq!(reason(&index, &key), None, "a backend that comes is taken up");
}

#[test]
fn a_backend_that_a_rule_does_not_use_compiles_nothing() {
    let mut index = index();
    index.apply_rule(rule("shop/requests", REQUESTS));
    let before = index.table().rules[0].clone();
    assert!(index.apply_backend(testing::backend("second", "{}", false)));
    assert!(index.delete_backend("second"));
    assert!(Arc::ptr_eq(&before, &index.table().rules[0]));

    let mut changed = testing::backend("default", "{discovery: {interval: 7s}}", true);
    changed.generation = 2;
    assert!(index.apply_backend(changed));
    let after = index.table().rules[0].clone();
    let interval = after.backend.as_ref().unwrap().interval;
    assert_eq!(interval, std::time::Duration::from_secs(7));
}

#[test]
fn a_backend_may_leave_namespaces_out() {
    let mut index = index();
    let selector = "{allowedNamespaces: {from: Selector, selector: {matchLabels: {team: bank}}}}";
    index.reset_backends(vec![testing::backend("default", selector, true)]);
    index.apply_rule(rule("shop/requests", REQUESTS));
    index.apply_rule(rule("everywhere", REQUESTS));
    let table = index.table();
    let own = table.get(&RuleKey::namespaced("shop", "requests")).unwrap();
    assert_eq!(
        table.unresolved_backend(own).map(|p| p.reason),
        Some(Reason::BackendNotAllowed)
    );
    let cluster = table.get(&RuleKey::cluster("everywhere")).unwrap();
    assert_eq!(table.unresolved_backend(cluster), None);
    assert!(table.check_backend(cluster, Some("bank")).is_ok());
    for namespace in [Some("shop"), Some("unknown"), None] {
        let problem = table.check_backend(cluster, namespace).unwrap_err();
        assert_eq!(problem.reason, Reason::BackendNotAllowed, "{namespace:?}");
    }
}

#[test]
fn a_kind_that_appears_later_is_taken_up() {
    let mut index = index();
    let text = spec(
        "resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: pods}, queue: {resource: queues}}}",
    );
    index.apply_rule(rule("shop/requests", &text));
    let unresolved = |index: &Index| {
        let table = index.table();
        let rule = table.get(&RuleKey::namespaced("shop", "requests")).unwrap();
        rule.naming.as_ref().unwrap().association.unresolved().count()
    };
    assert_eq!(unresolved(&index), 1);
    let mut rows: Vec<ResourceInfo> = testing::resources().iter().cloned().collect();
    rows.push(ResourceInfo {
        group_resource: GroupResource::new("mq.example.com", "queues"),
        version: "v1".to_owned(),
        kind: "Queue".to_owned(),
        singular: "queue".to_owned(),
        scope: Scope::Namespaced,
    });
    assert!(index.set_resources(Arc::new(Resources::new(rows))));
    assert_eq!(unresolved(&index), 0);
}

#[test]
fn a_write_of_the_status_alone_compiles_nothing() {
    let mut index = index();
    assert!(index.apply_rule(rule("shop/requests", REQUESTS)));
    let before = index.table().rules.clone();
    assert!(!index.apply_rule(rule("shop/requests", REQUESTS)));
    assert!(Arc::ptr_eq(&before[0], &index.table().rules[0]));
    let mut edited = rule("shop/requests", REQUESTS);
    edited.generation = 2;
    assert!(index.apply_rule(edited));
    let mut recreated = rule("shop/requests", REQUESTS);
    recreated.generation = 2;
    recreated.uid = "another".to_owned();
    assert!(
        index.apply_rule(recreated),
        "a rule that was deleted and made anew is another one"
    );
}

#[test]
fn an_undecodable_rule_hurts_no_other_and_can_be_deleted() {
    let mut index = index();
    index.apply_rule(rule("shop/good", REQUESTS));
    index.apply_rule(rule("shop/bad", REQUESTS));
    let mut broken = rule("shop/bad", REQUESTS);
    broken.spec = Err("spec.metricsQuery: missing".to_owned());
    broken.generation = 2;
    let key = broken.key.clone();
    assert!(index.apply_rule(broken));
    let table = index.table();
    let bad = table.get(&key).unwrap();
    assert_eq!(
        bad.refusals.first().map(|problem| problem.reason),
        Some(Reason::Undecodable)
    );
    assert!(bad.naming.is_none());
    assert_eq!(
        table.get(&RuleKey::namespaced("shop", "good")).unwrap().refusals,
        []
    );
    assert!(index.delete_rule(&key));
    assert!(index.table().get(&key).is_none());
}

#[test]
fn a_reset_drops_what_it_does_not_list_and_only_of_its_kind() {
    let mut index = index();
    index.apply_rule(rule("shop/a", REQUESTS));
    index.apply_rule(rule("shop/b", REQUESTS));
    index.apply_rule(rule("c", REQUESTS));
    assert!(index.reset_rules(RuleScope::Namespaced, vec![rule("shop/b", REQUESTS)]));
    let keys: Vec<String> = index
        .table()
        .rules
        .iter()
        .map(|rule| rule.key().to_string())
        .collect();
    assert_eq!(keys, ["ClusterMetricRule c", "MetricRule shop/b"]);
    assert!(!index.reset_rules(RuleScope::Namespaced, vec![rule("shop/b", REQUESTS)]));
}

#[test]
fn a_table_is_synced_once_everything_was_listed() {
    let mut index = Index::default();
    index.set_resources(testing::resources());
    index.reset_namespaces(Namespaces::default());
    index.reset_backends(Vec::new());
    index.reset_rules(RuleScope::Cluster, Vec::new());
    assert!(!index.table().synced);
    index.reset_rules(RuleScope::Namespaced, Vec::new());
    assert!(index.table().synced);
}

#[test]
fn precedence_is_namespace_then_priority_then_age_then_name() {
    let make = |at: &str, priority: i32, age: i64| {
        let mut object = rule(at, &spec(&format!("priority: {priority}")));
        object.created = Some(Timestamp::from_second(age).unwrap());
        let mut index = index();
        let key = object.key.clone();
        index.apply_rule(object);
        index.table().get(&key).unwrap().clone()
    };
    let ordered = [
        make("shop/z", -5, 9),
        make("b", 2, 9),
        make("a", 1, 1),
        make("c", 1, 2),
        make("d", 1, 2),
        make("e", 0, 1),
    ];
    for (index, first) in ordered.iter().enumerate() {
        for second in ordered.iter().skip(index + 1) {
            assert_eq!(
                table::precedence(first, second),
                std::cmp::Ordering::Less,
                "{} {}",
                first.key(),
                second.key()
            );
        }
    }
}
