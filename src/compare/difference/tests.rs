//! Pairs of answers and what they differ in.

use serde_json::{Value, json};

use super::*;

const PERCENT: Tolerance = Tolerance { relative: 0.01 };

/// A tenth of a target of 10: much more than rounding.
const SLACK: u64 = 1000;

fn answer(code: u16, body: &Value) -> Answer {
    Answer::read(code, body.to_string().as_bytes())
}

/// Pods of the namespace `shop` with their values.
fn pods(values: &[(&str, &str)]) -> Answer {
    let items: Vec<Value> = values
        .iter()
        .map(|(name, value)| {
            json!({
                "describedObject": {"kind": "Pod", "namespace": "shop", "name": name, "apiVersion": "/v1"},
                "metric": {"name": "rps", "selector": null}, "timestamp": "2026-01-02T02:04:05Z", "value": value,
            })
        })
        .collect();
    answer(
        200,
        &json!({"kind": "MetricValueList", "apiVersion": "custom.metrics.k8s.io/v1beta2", "items": items}),
    )
}

fn external(values: &[(&str, &str)]) -> Answer {
    let items: Vec<Value> = values
        .iter()
        .map(|(queue, value)| json!({"metricName": "q", "metricLabels": {"queue": queue}, "value": value}))
        .collect();
    let list = json!({"kind": "ExternalMetricValueList", "apiVersion": "external.metrics.k8s.io/v1beta1", "items": items});
    answer(200, &list)
}

fn refused(code: u16, message: &str) -> Answer {
    answer(code, &json!({"kind": "Status", "code": code, "message": message}))
}

fn told(peer: &Answer, ours: &Answer) -> Vec<String> {
    differences(peer, ours, PERCENT, SLACK)
        .iter()
        .map(|found| {
            format!(
                "{} {}: {} / {}",
                found.aspect.as_str(),
                found.of,
                found.peer,
                found.ours
            )
        })
        .collect()
}

#[test]
fn what_is_the_same_differs_in_nothing() {
    for (peer, ours) in [
        (pods(&[("a", "1"), ("b", "2")]), pods(&[("b", "2"), ("a", "1")])),
        // a thousandth is rounding, whatever part of the value it is, where it is a small part of the target
        (pods(&[("a", "1m")]), pods(&[("a", "2m")])),
        (pods(&[("a", "0")]), pods(&[("a", "1m")])),
        // within a percent
        (pods(&[("a", "1000")]), pods(&[("a", "1009")])),
        // another notation
        (pods(&[("a", "1500m")]), pods(&[("a", "1.5")])),
        (
            external(&[("a", "1"), ("a", "2")]),
            external(&[("a", "2"), ("a", "1")]),
        ),
        (refused(404, "not here"), refused(404, "nor there")),
        (pods(&[]), pods(&[])),
    ] {
        assert_eq!(told(&peer, &ours), Vec::<String>::new());
    }
}

#[test]
fn differences_are_told_with_both_sides() {
    for (peer, ours, expected) in [
        (
            pods(&[("a", "100")]),
            pods(&[("a", "102")]),
            "value Pod shop/a: 100 / 102",
        ),
        (
            pods(&[("a", "0")]),
            pods(&[("a", "2m")]),
            "value Pod shop/a: 0 / 2m",
        ),
        (
            pods(&[("a", "-1")]),
            pods(&[("a", "1")]),
            "value Pod shop/a: -1 / 1",
        ),
        (pods(&[("a", "1")]), pods(&[]), "items Pod shop/a: 1 / no value"),
        (pods(&[]), pods(&[("a", "1")]), "items Pod shop/a: no value / 1"),
        (
            external(&[("a", "1"), ("a", "2")]),
            external(&[("a", "3")]),
            "items {queue=\"a\"}: 2 values / 3",
        ),
        (
            refused(404, "gone"),
            pods(&[]),
            "status the answer: 404 gone / no values",
        ),
        (
            refused(404, "a"),
            refused(500, "b"),
            "status the answer: 404 a / 500 b",
        ),
        (
            Answer::Unreachable("no connection".to_owned()),
            pods(&[("a", "1")]),
            "status the answer: no connection / 1",
        ),
        (
            answer(200, &json!({"kind": "Status"})),
            pods(&[]),
            "status the answer: 200, but it has no list `items` / no values",
        ),
    ] {
        assert_eq!(told(&peer, &ours), [expected]);
        assert!(
            differences(&peer, &ours, PERCENT, SLACK)
                .iter()
                .all(Difference::matters)
        );
    }
}

#[test]
fn what_an_hpa_does_not_read_does_not_matter() {
    let peer = pods(&[("a", "1")]);
    let with = |change: fn(&mut Value)| {
        let mut list = json!({"kind": "MetricValueList", "apiVersion": "custom.metrics.k8s.io/v1beta2", "items": [{
            "describedObject": {"kind": "Pod", "namespace": "shop", "name": "a", "apiVersion": "/v1"},
            "metric": {"name": "rps", "selector": null}, "value": "1",
        }]});
        change(&mut list);
        answer(200, &list)
    };
    for (ours, expected) in [
        (
            with(|list| list["items"][0]["windowSeconds"] = json!(60)),
            "shape window of Pod shop/a: none / 60 s",
        ),
        (
            with(|list| list["items"][0]["metric"]["selector"] = json!({"matchLabels": {"a": "b"}})),
            r#"shape selector of Pod shop/a: none / {"matchLabels":{"a":"b"}}"#,
        ),
        (
            with(|list| list["items"][0]["describedObject"]["apiVersion"] = json!("v1")),
            "shape object's apiVersion of Pod shop/a: /v1 / v1",
        ),
        (
            with(|list| list["apiVersion"] = json!("custom.metrics.k8s.io/v1beta1")),
            "shape the list: MetricValueList of custom.metrics.k8s.io/v1beta2 / MetricValueList of custom.metrics.k8s.io/v1beta1",
        ),
    ] {
        assert_eq!(told(&peer, &ours), [expected]);
        assert!(!differences(&peer, &ours, PERCENT, SLACK)[0].matters());
    }
}

#[test]
fn both_versions_say_the_same() {
    let list = json!({"kind": "MetricValueList", "apiVersion": "custom.metrics.k8s.io/v1beta1", "items": [{
        "describedObject": {"kind": "Pod", "namespace": "shop", "name": "a", "apiVersion": "/v1"},
        "metricName": "rps", "selector": null, "window": 60, "value": "1",
    }]});
    let Answer::Values(values) = answer(200, &list) else {
        panic!("no values");
    };
    assert_eq!(values.items[0].rest["metric name"], "rps");
    assert_eq!(values.items[0].rest["window"], "60 s");
}

#[test]
fn many_differences_are_counted() {
    let names: Vec<String> = (0..50).map(|number| format!("pod-{number:02}")).collect();
    let all: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let told = told(&pods(&all), &pods(&[]));
    assert_eq!(told.len(), 21);
    assert_eq!(told[20], "items and: 30 more / ");
}

#[test]
fn the_distance_is_a_part_of_the_larger_value() {
    let found = differences(&pods(&[("a", "50")]), &pods(&[("a", "100")]), PERCENT, SLACK);
    assert_eq!(found[0].relative, Some(0.5));
    let loose = Tolerance { relative: 0.5 };
    assert_eq!(
        differences(&pods(&[("a", "50")]), &pods(&[("a", "100")]), loose, SLACK),
        []
    );
}

#[test]
fn a_fifth_of_the_replicas_was_taken_for_rounding() {
    // A target of 5m, and 10% of it.
    let found = |peer: &Answer, ours: &Answer, slack: u64| -> Vec<String> {
        let found = differences(peer, ours, PERCENT, slack);
        assert!(!found.iter().any(Difference::matters), "{found:?}");
        found.iter().map(ToString::to_string).collect()
    };
    let (five, six) = (pods(&[("a", "5m")]), pods(&[("a", "6m")]));
    assert_eq!(
        found(&five, &six, 0),
        ["coarse Pod shop/a: 5m there, 6m here (16.7 %)"]
    );
    assert_eq!(
        found(&pods(&[("a", "0")]), &pods(&[("a", "1m")]), 0),
        ["coarse Pod shop/a: 0 there, 1m here (100.0 %)"]
    );
    // A target of 10m passes over it, a larger number has it within the percent.
    assert_eq!(found(&five, &six, 1), [""; 0]);
    assert_eq!(
        found(&pods(&[("a", "100m")]), &pods(&[("a", "101m")]), 0),
        [""; 0]
    );
    // What an HPA adds up, it rounds as often.
    let three = |value: &str| external(&[("a", value), ("b", value), ("c", value)]);
    assert_eq!(found(&three("5m"), &three("6m"), 2).len(), 3);
    assert_eq!(found(&three("5m"), &three("6m"), 3).len(), 0);
    // Two thousandths are no rounding.
    let apart = differences(&five, &pods(&[("a", "7m")]), PERCENT, SLACK);
    assert!(
        apart[0].matters() && apart[0].aspect == Aspect::Value,
        "{apart:?}"
    );
}

#[test]
fn all_numbers_beyond_the_largest_were_the_same() {
    for (peer, ours) in [
        ("1e30", "9e18"),
        ("9223372036854775807m", "1e30"),
        ("-1e30", "-9300T"),
        ("1e30", "5"),
    ] {
        let found = differences(&pods(&[("a", peer)]), &pods(&[("a", ours)]), PERCENT, SLACK);
        assert!(found.iter().any(Difference::matters), "{peer} and {ours}");
        assert!(told(&pods(&[("a", peer)]), &pods(&[("a", peer)])).is_empty());
    }
}
