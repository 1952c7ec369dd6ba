//! Compilations, counted over a thousand rules.

use super::*;

const RULES: usize = 1_000;

fn thousand() -> Index {
    let mut index = index();
    let rules = (0..RULES).map(|number| rule(&format!("shop/rule-{number}"), &of(number)));
    index.reset_rules(RuleScope::Namespaced, rules.collect());
    index
}

/// Every tenth rule maps a kind that may not be there; of the others one half has a template.
fn of(number: usize) -> String {
    match number % 10 {
        0 => spec(
            "resources: {overrides: {pod: {resource: pods}, queue: {group: mq.example.com, resource: queue}}}",
        ),
        1..5 => spec("resources: {template: <<.Resource>>}"),
        _ => REQUESTS.to_owned(),
    }
}

/// How many rules are others than before.
fn compiled_by(index: &mut Index, edit: impl FnOnce(&mut Index) -> bool) -> usize {
    let before = index.table().rules;
    assert!(edit(index));
    let after = index.table().rules;
    assert_eq!((before.len(), after.len()), (RULES, RULES));
    let same = |(old, new): &(&Arc<CompiledRule>, &Arc<CompiledRule>)| !Arc::ptr_eq(old, new);
    before.iter().zip(after.iter()).filter(same).count()
}

#[test]
fn an_edit_compiles_one_rule() {
    let mut index = thousand();
    let edit = |index: &mut Index| {
        let mut edited = rule("shop/rule-7", &spec("priority: 3"));
        edited.generation = 2;
        index.apply_rule(edited)
    };
    assert_eq!(compiled_by(&mut index, edit), 1);
    let listed_again = |index: &mut Index| {
        let rules = (0..RULES).map(|number| {
            let mut object = rule(&format!("shop/rule-{number}"), &of(number));
            object.generation = if number == 7 || number == 8 { 3 } else { 1 };
            object
        });
        index.reset_rules(RuleScope::Namespaced, rules.collect())
    };
    assert_eq!(compiled_by(&mut index, listed_again), 2);
}

#[test]
fn a_kind_that_comes_or_goes_compiles_the_rules_that_map_it() {
    let mut index = thousand();
    let with = |extra: Option<(&str, &str)>| {
        let mut rows: Vec<ResourceInfo> = testing::resources().iter().cloned().collect();
        rows.extend(extra.map(|(group, plural)| ResourceInfo {
            group_resource: GroupResource::new(group, plural),
            version: "v1".to_owned(),
            kind: "Queue".to_owned(),
            singular: plural.trim_end_matches('s').to_owned(),
            scope: Scope::Cluster,
        }));
        Arc::new(Resources::new(rows))
    };
    for (extra, count) in [
        (Some(("other.example.com", "things")), 0),
        (Some(("mq.example.com", "queues")), RULES / 10),
        (None, RULES / 10),
    ] {
        let resources = with(extra);
        assert_eq!(
            compiled_by(&mut index, |index| index.set_resources(resources)),
            count,
            "{extra:?}"
        );
    }
    assert!(!index.set_resources(with(None)));
}
