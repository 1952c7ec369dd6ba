//! Bounds of a query: requests for more objects than one query can name.

use super::*;

/// `count` names, of which the last has `last` letters.
fn names(count: usize, last: usize) -> Vec<String> {
    let mut names: Vec<String> = (0..count).map(|number| format!("{number:0>200}")).collect();
    names.push("x".repeat(last));
    names
}

fn planned(at: &str, spec: &str, names: &[String]) -> Result<usize, Failure> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    plan(at, spec, &names, "").map(|plan| promql(&plan).len())
}

#[test]
fn a_query_for_very_many_objects_was_called_not_valid_promql() {
    let adapter = format!("{REQUESTS}\nsemantics: PrometheusAdapter");
    for (at, spec) in [
        ("everywhere", REQUESTS),
        ("shop/own", REQUESTS),
        ("everywhere", &adapter),
    ] {
        let failure = planned(at, spec, &names(6000, 1)).unwrap_err();
        assert_eq!(failure.reason, Reason::LimitExceeded, "{at} {spec}: {failure}");
        assert!(failure.cause.ends_with("select fewer objects"), "{failure}");
    }
}

#[test]
fn a_query_that_the_namespaces_matcher_made_too_long_was_said_not_to_be_written_back() {
    let (count, most) = (5000, 1 << 20);
    let short = planned("everywhere", REQUESTS, &names(count, 1)).unwrap();
    // It fits with a few bytes left, and the matcher is longer than those.
    let full = names(count, 1 + most - short - 5);
    assert_eq!(planned("everywhere", REQUESTS, &full), Ok(most - 5));
    let failure = planned("shop/own", REQUESTS, &full).unwrap_err();
    assert_eq!(failure.reason, Reason::LimitExceeded, "{failure}");
    assert!(failure.cause.ends_with("select fewer objects"), "{failure}");
}
