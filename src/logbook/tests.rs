use super::*;
use crate::{
    metrics::Metrics,
    rule::testing::{REQUESTS, index, rule},
};

fn compiled(count: usize) -> (RuleTable, Vec<Arc<CompiledRule>>) {
    let mut index = index();
    for number in 0..count {
        index.apply_rule(rule(&format!("shop/rule-{number}"), REQUESTS));
    }
    let table = index.table();
    let rules = table.rules.iter().cloned().collect();
    (table, rules)
}

#[tokio::test(start_paused = true)]
async fn a_failing_rule_is_published_and_counted_by_its_name_until_it_is_gone() {
    let metrics = Metrics::new();
    let (book, mut outcomes) = Logbook::new(metrics.rules.clone());
    let (table, rules) = compiled(2);
    let (tables, receiver) = watch::channel(Arc::new(table));
    tokio::spawn(book.clone().run(receiver));
    let query = Query {
        rule: &rules[0],
        metric: "http_requests_per_second",
    };
    let said = r#"duplicate series {namespace="bank"} at http://prometheus:9090"#;
    book.failed(
        query,
        Reason::QueryRejected,
        "refused",
        (Some(said), "422: why"),
        Timestamp::now(),
    );
    outcomes.changed().await.unwrap();
    let published = outcomes.borrow_and_update().clone();
    let failing = published[rules[0].key()].failing.clone().unwrap();
    assert_eq!(
        failing.said.as_deref(),
        Some(r#"duplicate series {namespace="…"} at (an address)"#)
    );
    assert_eq!(failing.detail, "422: why");
    let sample = r#"metricrule_rule_failing{namespace="shop",rule="rule-0",reason="QueryRejected"} 1"#;
    let text = metrics.encode();
    assert!(text.contains(sample), "{text}");

    tables.send_replace(Arc::new(compiled(0).0));
    outcomes.changed().await.unwrap();
    assert!(outcomes.borrow().is_empty());
    assert!(!metrics.encode().contains("rule-0"));
}

#[tokio::test(start_paused = true)]
async fn rules_that_fail_in_hundreds_neither_fill_the_metrics() {
    let metrics = Metrics::new();
    let (book, _outcomes) = Logbook::new(metrics.rules.clone());
    let (table, rules) = compiled(300);
    for rule in &rules {
        let query = Query { rule, metric: "m" };
        book.failed(
            query,
            Reason::QueryRejected,
            "refused",
            (None, "422"),
            Timestamp::now(),
        );
    }
    book.look(&table);
    let text = metrics.encode();
    let named = text
        .lines()
        .filter(|line| line.starts_with("metricrule_rule_failing{"))
        .count();
    assert!((50..=100).contains(&named), "{named}");
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_lines_is_cut_and_drowns_no_other_namespaces() {
    let (book, _outcomes) = Logbook::new(Metrics::new().rules);
    let lines = |namespace: Option<&str>| (0..1000).filter(|_| book.has_a_line(namespace)).count();
    let of_four = [Some("lab"), Some("shop"), None, Some("bank")].map(lines);
    assert_eq!(of_four, [20, 20, 20, 0], "sixty of all");
    sleep(Duration::from_mins(1)).await;
    assert!(book.has_a_line(Some("lab")));
}
