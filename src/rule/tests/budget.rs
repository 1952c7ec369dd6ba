//! Rules of a namespace beyond its share of memory.

use super::*;
use crate::api::rule_spec::MetricsApi;

/// A rule of a kilobyte whose patterns take seven megabytes: three of them fit into a namespace's share.
fn fat(number: i64) -> RuleObject {
    let filters = ["{isNot: '\\pL{10}'}"; 9].join(", ");
    let mut object = rule(
        &format!("shop/fat-{number}"),
        &format!("{REQUESTS}\nseriesFilters: [{filters}]\npriority: {number}"),
    );
    object.created = Timestamp::from_second(number).ok();
    object
}

fn refused(index: &Index) -> Vec<String> {
    let table = index.table();
    let rules = table.rules.iter();
    rules
        .filter(|rule| rule.refusals.first().map(|problem| problem.reason) == Some(Reason::QuotaExceeded))
        .map(|rule| rule.key().name.clone())
        .collect()
}

#[test]
fn fat_rules_of_one_namespace_beyond_its_share_are_not_kept() {
    let mut index = index();
    // The order of events is not that of age.
    for number in [4, 0, 3, 1, 5, 2] {
        assert!(index.apply_rule(fat(number)));
    }
    assert_eq!(refused(&index), ["fat-3", "fat-4", "fat-5"]);
    let table = index.table();
    let rule = table.get(&RuleKey::namespaced("shop", "fat-5")).unwrap();
    let spec = rule.object.spec.as_ref().unwrap();
    assert!(spec.metrics_query.is_empty() && spec.series_filters.is_empty() && rule.naming.is_none());
    assert_eq!((rule.priority, rule.api), (5, MetricsApi::Custom));
    assert!(
        !index.apply_rule(fat(5)),
        "a write of its status compiles nothing again"
    );
    assert!(!index.wants_rules());
    let lean = testing::rule("bank/lean", REQUESTS);
    index.apply_rule(lean);
    assert_eq!(refused(&index).len(), 3, "another namespace has room of its own");
}

#[test]
fn a_rule_for_which_there_is_room_again_is_read_anew() {
    let mut index = index();
    for number in 0..5 {
        index.apply_rule(fat(number));
    }
    assert_eq!(refused(&index), ["fat-3", "fat-4"]);
    index.delete_rule(&RuleKey::namespaced("shop", "fat-1"));
    assert!(index.wants_rules());
    assert_eq!(
        refused(&index),
        ["fat-3", "fat-4"],
        "what is left of its spec is no rule"
    );
    let listed: Vec<RuleObject> = [0, 2, 3, 4].map(fat).into();
    index.reset_rules(RuleScope::Namespaced, listed);
    assert_eq!(refused(&index), ["fat-4"]);
    assert!(!index.wants_rules());
    let table = index.table();
    let rule = table.get(&RuleKey::namespaced("shop", "fat-3")).unwrap();
    assert_eq!(rule.refusals, []);
    // One that is wanted and goes is wanted no more.
    index.delete_rule(&RuleKey::namespaced("shop", "fat-0"));
    assert!(index.wants_rules());
    index.delete_rule(&RuleKey::namespaced("shop", "fat-4"));
    assert!(!index.wants_rules());
}

#[test]
fn a_fat_rule_that_is_made_lean_is_accepted() {
    let mut index = index();
    for number in 0..4 {
        index.apply_rule(fat(number));
    }
    assert_eq!(refused(&index), ["fat-3"]);
    let mut lean = rule("shop/fat-3", REQUESTS);
    lean.created = Timestamp::from_second(3).ok();
    lean.generation = 2;
    assert!(index.apply_rule(lean));
    assert!(refused(&index).is_empty());
}

#[test]
fn two_thousand_ordinary_rules_of_one_namespace_have_room() {
    let one = compiled("shop/requests", REQUESTS).1.weight();
    assert!(
        2000 * one <= super::super::budget::SHARE,
        "an ordinary rule weighs {one} bytes"
    );
}
