use jiff::SignedDuration;

use super::{
    ledger::{AGAIN, FORGET, HOLD, WARNED},
    wire::{Report, chosen, decode, encode},
    *,
};

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

fn rule(namespace: &str, name: &str) -> RuleKey {
    RuleKey {
        namespace: Some(namespace.to_owned()),
        name: name.to_owned(),
    }
}

fn about<'a>(rule: &'a RuleKey, metric: &'a str) -> About<'a> {
    About {
        rule,
        uid: "uid",
        generation: 1,
        metric,
        backend: "default",
    }
}

fn rejected(said: &str) -> Failed {
    Failed {
        reason: Reason::QueryRejected,
        cause: "the backend could not execute the query".to_owned(),
        said: Some(said.to_owned()),
        detail: format!("422 Unprocessable Entity: execution: {said}"),
    }
}

fn throttle(limit: u32, wanted: u32) -> Throttle {
    Throttle::new("limits.queriesPerSecond", limit, wanted)
}

fn failing(ledger: &Ledger, key: &RuleKey) -> Option<Failing> {
    ledger.outcomes().get(key)?.failing.clone()
}

#[test]
fn a_rule_whose_every_query_fails_says_so_from_the_first_to_the_last() {
    let key = rule("shop", "requests");
    let mut ledger = Ledger::default();
    let news = ledger.failed(about(&key, "m"), rejected("why"), at(0)).unwrap();
    assert!(matches!(&news, News::Fails { failing, count: 1, .. } if failing.said.as_deref() == Some("why")));
    // An HPA asks every 15 s: one line in ten minutes, and one beginning.
    let mut lines = 0;
    for seconds in (15..=1200).step_by(15) {
        lines += usize::from(
            ledger
                .failed(about(&key, "m"), rejected("why"), at(seconds))
                .is_some(),
        );
    }
    assert_eq!(lines, usize::try_from(1200 / AGAIN.as_secs()).unwrap());
    assert_eq!(failing(&ledger, &key).unwrap().since, start());

    // Another object's query is answered: the rule fails all the same.
    assert_eq!(ledger.succeeded(about(&key, "m"), at(1210)), None);
    assert!(failing(&ledger, &key).is_some());
    let over = ledger
        .succeeded(about(&key, "m"), at(1200 + HOLD.as_secs()))
        .unwrap();
    assert!(matches!(over, News::Over { count: 81, since, .. } if since == start()));
    assert!(ledger.is_empty());
}

#[test]
fn another_reason_is_news_and_begins_anew() {
    let key = rule("shop", "requests");
    let mut ledger = Ledger::default();
    assert!(ledger.failed(about(&key, "m"), rejected("why"), at(0)).is_some());
    let other = Failed {
        reason: Reason::LimitExceeded,
        ..rejected("too many")
    };
    assert!(ledger.failed(about(&key, "m"), other, at(30)).is_some());
    let failing = failing(&ledger, &key).unwrap();
    assert_eq!((failing.reason, failing.since), (Reason::LimitExceeded, at(30)));
}

#[test]
fn what_is_no_fault_of_the_query_makes_no_rule_fail() {
    let key = rule("shop", "requests");
    let mut ledger = Ledger::default();
    for reason in [
        Reason::NoData,
        Reason::UnknownMetric,
        Reason::SelectorRequired,
        Reason::InvalidSelector,
        Reason::BackendDown,
        Reason::BackendTimeout,
        Reason::TlsFailed,
        Reason::Unauthenticated,
        Reason::TooManyRequests,
        Reason::Timeout,
    ] {
        let failed = Failed {
            reason,
            ..rejected("x")
        };
        assert_eq!(ledger.failed(about(&key, "m"), failed, at(0)), None, "{reason}");
    }
    assert!(ledger.is_empty());
}

#[test]
fn a_failure_that_nobody_meets_any_more_is_forgotten_and_so_is_a_rule_that_was_edited() {
    let key = rule("shop", "requests");
    let mut ledger = Ledger::default();
    let there = |_: &RuleKey, _: &str, _: i64| true;
    ledger.failed(about(&key, "m"), rejected("why"), at(0));
    assert_eq!(ledger.expire(at(FORGET.as_secs() - 1), there), []);
    let news = ledger.expire(at(FORGET.as_secs()), there);
    assert!(matches!(news.as_slice(), [News::Over { .. }]), "{news:?}");
    assert!(ledger.is_empty());

    ledger.failed(about(&key, "m"), rejected("why"), at(0));
    let edited = About {
        generation: 2,
        ..about(&key, "m")
    };
    ledger.failed(edited, rejected("why"), at(1));
    // A request of the former generation ends late.
    assert_eq!(ledger.failed(about(&key, "m"), rejected("why"), at(2)), None);
    assert_eq!(ledger.outcomes()[&key].generation, 2);
    assert_eq!(ledger.expire(at(3), |_, _, generation| generation == 3), []);
    assert!(ledger.is_empty());
}

#[test]
fn rows_that_were_left_out_become_warnings_of_the_rule() {
    let key = rule("shop", "requests");
    let mut ledger = Ledger::default();
    for reason in [Reason::DuplicateRows, Reason::BackendWarning, Reason::NoData] {
        ledger.warned(about(&key, "m"), reason, Some("said"), at(0));
    }
    let reasons = |ledger: &Ledger| -> Vec<Reason> {
        let outcomes = ledger.outcomes();
        let warned = outcomes.get(&key).map(|outcome| outcome.warned.clone());
        warned
            .unwrap_or_default()
            .iter()
            .map(|warned| warned.reason)
            .collect()
    };
    assert_eq!(reasons(&ledger), [Reason::DuplicateRows, Reason::BackendWarning]);
    ledger.warned(about(&key, "other"), Reason::DuplicateRows, None, at(60));
    ledger.expire(at(WARNED.as_secs()), |_, _, _| true);
    assert_eq!(reasons(&ledger), [Reason::DuplicateRows]);
}

#[test]
fn a_namespace_fills_neither_the_ledger_nor_a_report() {
    let mut ledger = Ledger::default();
    for number in 0..5000 {
        let key = rule("lab", &format!("rule-{number}"));
        ledger.failed(about(&key, "m"), rejected(&"x".repeat(200)), at(0));
    }
    let own = rule("shop", "requests");
    ledger.failed(about(&own, "m"), rejected("why"), at(0));
    let outcomes = ledger.outcomes();
    assert!(
        outcomes.contains_key(&own) && outcomes.len() <= 101,
        "{}",
        outcomes.len()
    );
    // As many namespaces as there may be: a report is bounded, and each has its turn.
    for number in 0..800 {
        let key = rule(&format!("n{}", number % 20), &format!("rule-{number}"));
        ledger.failed(about(&key, "m"), rejected(&"x".repeat(200)), at(0));
    }
    let report = Report {
        at: at(0),
        met: chosen(&Met {
            rules: ledger.outcomes(),
            throttled: Throttles::from([("default".to_owned(), throttle(50, 781))]),
        }),
    };
    let text = encode(&report).unwrap();
    assert!(text.len() <= wire::MAX, "{}", text.len());
    assert!(report.met.rules.contains_key(&own));
    assert_eq!(decode(&text).unwrap(), report);
}

#[test]
fn what_is_no_report_is_refused_without_its_words() {
    for text in [
        "",
        "{}",
        "[1,2]",
        r#"{"version":2,"at":"x","rules":7}"#,
        r#"{"version":1,"at":"s3cret","rules":[]}"#,
    ] {
        let error = decode(text).unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }
    assert!(decode(&" ".repeat(wire::MAX + 1)).is_err());
}

#[test]
fn replicas_that_say_different_things_give_one_outcome_in_any_order() {
    let key = rule("shop", "requests");
    let outcome = |generation: i64, reason: Reason, since: i64, warned: Reason| Outcome {
        uid: "uid".to_owned(),
        generation,
        failing: Some(Failing {
            reason,
            metric: "m".to_owned(),
            backend: "default".to_owned(),
            cause: "c".to_owned(),
            said: None,
            detail: "d".to_owned(),
            since: at(since),
        }),
        warned: vec![Warned {
            reason: warned,
            metric: "m".to_owned(),
            said: None,
        }],
    };
    let a = Outcomes::from([(
        key.clone(),
        outcome(2, Reason::LimitExceeded, 30, Reason::DuplicateRows),
    )]);
    let b = Outcomes::from([(
        key.clone(),
        outcome(2, Reason::QueryRejected, 10, Reason::ForeignObject),
    )]);
    let old = Outcomes::from([(
        key.clone(),
        outcome(1, Reason::NotFinite, 0, Reason::BackendWarning),
    )]);
    let met = |rules| Met {
        rules,
        ..Met::default()
    };
    let expected = merged([a.clone(), b.clone(), old.clone()].map(met));
    assert_eq!(merged([old, b, a].map(met)), expected);
    let outcome = &expected.rules[&key];
    assert_eq!(outcome.failing.as_ref().unwrap().reason, Reason::QueryRejected);
    let warned: Vec<Reason> = outcome.warned.iter().map(|warned| warned.reason).collect();
    assert_eq!(warned, [Reason::DuplicateRows, Reason::ForeignObject]);
}

#[test]
fn a_backends_words_lose_addresses_and_the_values_of_others() {
    let spec = r#"rate(http_requests_total{namespace="shop",code="500"}[2m])"#;
    let known = ["shop", "requests", spec];
    for (words, expected) in [
        (
            "parse error: unexpected end of input",
            "parse error: unexpected end of input",
        ),
        (
            r#"found duplicate series for the match group {namespace="shop", pod="x"} on the right: [{namespace="bank"}, {a="s3cret"}]"#,
            r#"found duplicate series for the match group {namespace="shop", pod="…"} on the right: [{namespace="…"}, {a="…"}]"#,
        ),
        (
            r"1:23: parse error: unexpected character: '$'",
            r"1:23: parse error: unexpected character: '…'",
        ),
        (
            "expanding series: Post http://user:pw@store-0.mimir.svc:9095/x?y: dial tcp 10.1.2.3:9095: connect: refused",
            "expanding series: Post (an address) dial tcp (an address) connect: refused",
        ),
        (
            "rpc to [fd00::1]:80 and prometheus:9090 failed",
            "rpc to (an address) and (an address) failed",
        ),
        (
            "store ingester-1.ingester.mimir.svc lost, e.g. v3.5.0",
            "store (an address) lost, e.g. v3.5.0",
        ),
        (r#"cut in the middle {pod="own-p"#, r#"cut in the middle {pod="…"#),
        (r#"escaped {a="x\"y"} end"#, r#"escaped {a="…"} end"#),
        ("it's one series' fault", "it's one series' fault"),
        ("a\nb\tc\u{7}", "a b c"),
    ] {
        assert_eq!(quoted(words, Quotable(&known)), expected, "{words}");
    }
    let long = quoted(&"é ".repeat(500), Quotable(&[]));
    assert!(long.len() <= 256 && long.ends_with('…'), "{long}");
}

proptest::proptest! {
    #[test]
    fn no_value_of_another_passes(before in "[a-z {=]{0,20}", secret in "[A-Za-z0-9-]{6,20}", after in ".{0,40}") {
        let secret = format!("Z{secret}Z");
        let words = format!("{before}\"{secret}\"{after}");
        proptest::prop_assert!(!quoted(&words, Quotable(&["shop"])).contains(&secret) || after.contains(&secret));
    }
}

#[test]
fn the_value_to_set_does_not_follow_each_lull_and_is_the_one_of_the_replica_that_needs_most() {
    assert_eq!(
        throttle(50, 781).to_string(),
        "limits.queriesPerSecond: 50 delays queries; set it to 790 or more"
    );
    assert_eq!(
        throttle(50, 60).after(Some(&throttle(50, 781))),
        throttle(50, 781)
    );
    assert_eq!(
        throttle(50, 800).after(Some(&throttle(50, 781))),
        throttle(50, 800)
    );
    // What was said of another limit is over.
    assert_eq!(
        throttle(100, 120).after(Some(&throttle(50, 781))),
        throttle(100, 120)
    );

    let slots = Throttle::new("limits.maxConcurrent", 16, 20);
    let met = |throttle: &Throttle| Met {
        throttled: Throttles::from([("default".to_owned(), throttle.clone())]),
        ..Met::default()
    };
    for all in [[&slots, &throttle(50, 100)], [&throttle(50, 100), &slots]] {
        assert_eq!(merged(all.map(met)).throttled["default"], throttle(50, 100));
    }
    assert_eq!(throttle(1, u32::MAX).wanted, u32::MAX);
}
