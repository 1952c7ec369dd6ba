use std::sync::LazyLock;

use super::*;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn at(seconds: u64) -> Instant {
    *START + Duration::from_secs(seconds)
}

fn key(namespace: &str, promql: &str) -> QueryKey {
    QueryKey {
        promql: promql.into(),
        max_samples: None,
        namespace: Some(namespace.into()),
    }
}

fn rule(name: &str) -> Arc<RuleKey> {
    Arc::new(RuleKey::namespaced("shop", name))
}

fn is_refused(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Refuse(_))
}

fn is_try(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Try(_))
}

#[test]
fn a_query_that_lapses_is_asked_ever_more_rarely() {
    let mut lapses = Lapses::default();
    let (key, mut now) = (key("shop", "slow"), 0);
    assert_eq!(lapses.ask(&key, None, at(now)), Verdict::Ask);
    for hold in [5, 10, 20, 40, 60, 60] {
        lapses.lapsed(&key, None, at(now), 0.5);
        assert!(is_refused(&lapses.ask(&key, None, at(now + hold - 1))));
        now += hold;
        assert!(is_try(&lapses.ask(&key, None, at(now))), "after {hold}");
        assert!(is_refused(&lapses.ask(&key, None, at(now))), "one tries");
    }
    lapses.answered(&key, None);
    assert_eq!(lapses.ask(&key, None, at(now)), Verdict::Ask);
    assert_eq!(lapses.len(), 0);
    lapses.lapsed(&key, None, at(now), 0.5);
    assert!(is_try(&lapses.ask(&key, None, at(now + 5))), "it begins anew");
    lapses.ended(&key);
    assert!(
        is_try(&lapses.ask(&key, None, at(now + 5))),
        "a try that came to nothing"
    );
}

#[test]
fn a_slow_namespace_is_asked_one_at_a_time_and_what_answers_as_ever() {
    let mut lapses = Lapses::default();
    let (slow, fast) = (rule("slow"), rule("fast"));
    for query in ["a", "b", "c"] {
        let key = key("shop", query);
        assert_eq!(lapses.ask(&key, Some(&slow), at(0)), Verdict::Ask);
    }
    for query in ["a", "b", "c"] {
        lapses.lapsed(&key("shop", query), Some(&slow), at(8), 0.5);
    }
    lapses.answered(&key("shop", "good"), Some(&fast));
    // What was never asked waits for one of its kind; a rule that answers is not touched, and no other namespace is.
    assert!(is_try(&lapses.ask(&key("shop", "d"), Some(&slow), at(9))));
    assert!(is_refused(&lapses.ask(&key("shop", "e"), Some(&slow), at(9))));
    assert_eq!(lapses.ask(&key("shop", "good"), Some(&fast), at(9)), Verdict::Ask);
    assert_eq!(lapses.ask(&key("bank", "d"), None, at(9)), Verdict::Ask);
    // What waited for a slot meanwhile is not asked any more, but for what is known to answer and the one that is tried.
    let overtaken = |query: &str, rule| lapses.is_overtaken(&key("shop", query), Some(rule), at(9));
    assert!(overtaken("x", &slow) && !overtaken("d", &slow) && !overtaken("x", &fast));
    // The one that was tried decides.
    lapses.lapsed(&key("shop", "d"), Some(&slow), at(17), 0.5);
    assert!(is_try(&lapses.ask(&key("shop", "e"), Some(&slow), at(18))));
    lapses.answered(&key("shop", "e"), Some(&slow));
    assert_eq!(lapses.ask(&key("shop", "f"), Some(&slow), at(19)), Verdict::Ask);
}

#[test]
fn a_namespace_is_slow_for_a_minute() {
    let mut lapses = Lapses::default();
    for query in ["a", "b", "c"] {
        lapses.lapsed(&key("shop", query), None, at(0), 0.5);
    }
    assert!(is_try(&lapses.ask(&key("shop", "d"), None, at(59))));
    assert_eq!(lapses.ask(&key("shop", "e"), None, at(60)), Verdict::Ask);
}

#[test]
fn what_is_remembered_is_bounded_and_a_neighbour_forgets_nothing() {
    let mut lapses = Lapses::default();
    lapses.lapsed(&key("bank", "slow"), None, at(0), 0.5);
    for index in 0..10_000 {
        let key = key("shop", &index.to_string());
        lapses.lapsed(&key, Some(&rule(&index.to_string())), at(0), 0.5);
    }
    assert_eq!(lapses.len(), QUERIES + 1);
    assert!(is_refused(&lapses.ask(&key("bank", "slow"), None, at(1))));
    for index in 0..10_000 {
        lapses.lapsed(&key(&index.to_string(), "slow"), None, at(1), 0.5);
    }
    assert!(lapses.namespaces.len() <= NAMESPACES);
    assert!(is_refused(&lapses.ask(&key("shop", "1"), None, at(1))));
    lapses.clear();
    assert_eq!(lapses.len(), 0);
}
