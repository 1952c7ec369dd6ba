//! Record of claims: its content, lifetimes and size.

mod accidents;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    catalog::{Catalog, Entry, Listing, derive},
    reason::Reason,
    rule::{
        Index,
        testing::{REQUESTS, index, rule, series},
    },
    sample::SeriesSet,
};

fn at(hours: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
}

fn requests() -> SeriesSet {
    series(&[r#"http_requests_total{namespace="shop",pod="a"}"#])
}

fn edit(index: &mut Index, generation: i64, spec: &str) {
    let mut object = rule("shop/own", spec);
    object.generation = generation;
    index.apply_rule(object);
}

/// The record after a look at `series`, or after one that failed.
fn looked(record: &Record, index: &Index, series: Option<&SeriesSet>, now: Timestamp) -> Record {
    let table = Arc::new(index.table());
    let entries = table.rules.iter().map(|rule| Entry {
        metrics: Arc::new(derive(
            rule,
            &series.cloned().unwrap_or_default(),
            &table.resources,
        )),
        listing: match series {
            Some(_) => Listing::Current,
            None => Listing::Failed {
                reason: Reason::BackendDown,
                message: String::new(),
            },
        },
    });
    let entries: Vec<Entry> = entries.collect();
    let catalog = Catalog::build(table.clone(), entries);
    advance(record, &catalog, now).record
}

fn names(record: &Record) -> Vec<String> {
    let claims = record.rules.values().flat_map(|rule| &rule.claims);
    claims
        .map(|(key, claim)| {
            let idle = claim
                .idle_since
                .map_or_else(String::new, |since| format!(" since {}h", since / 3600));
            format!("{}/{}{idle}", key.resource.as_ref().unwrap(), key.name)
        })
        .collect()
}

const BOTH: [&str; 2] = [
    "namespaces/http_requests_per_second",
    "pods/http_requests_per_second",
];

#[test]
fn a_claim_ends_a_day_after_a_good_listing_last_had_its_series() {
    let mut index = index();
    edit(&mut index, 1, REQUESTS);
    let record = looked(&Record::default(), &index, Some(&requests()), at(0));
    assert_eq!(names(&record), BOTH);
    let record = looked(&record, &index, None, at(100));
    assert_eq!(names(&record), BOTH, "a listing that fails ends nothing");
    let record = looked(&record, &index, Some(&SeriesSet::default()), at(200));
    let idle = BOTH.map(|name| format!("{name} since 200h"));
    assert_eq!(names(&record), idle);
    let record = looked(&record, &index, Some(&SeriesSet::default()), at(223));
    assert_eq!(
        names(&record),
        idle,
        "it is idle since then, and not since the last look"
    );
    assert_eq!(names(&looked(&record, &index, None, at(300))), idle);
    let back = looked(&record, &index, Some(&requests()), at(223));
    assert_eq!(names(&back), BOTH, "what is back was never away");
    let record = looked(&record, &index, Some(&SeriesSet::default()), at(224));
    assert_eq!(names(&record), Vec::<String>::new());
}

#[test]
fn as_prometheus_adapter_has_it_a_claim_ends_with_its_series() {
    for (line, left) in [
        ("semantics: PrometheusAdapter", 0),
        ("retainAfterIdle: 0s", 0),
        ("semantics: PrometheusAdapter\nretainAfterIdle: 1h", 2),
    ] {
        let mut index = index();
        edit(&mut index, 1, &format!("{REQUESTS}\n{line}"));
        let record = looked(&Record::default(), &index, Some(&requests()), at(0));
        let record = looked(&record, &index, Some(&SeriesSet::default()), at(0));
        assert_eq!(record.claims(), left, "{line}");
    }
}

#[test]
fn a_rule_that_is_refused_or_has_no_backend_keeps_what_is_recorded_and_a_deleted_one_nothing() {
    let mut index = index();
    edit(&mut index, 1, REQUESTS);
    let record = looked(&Record::default(), &index, Some(&requests()), at(0));
    edit(&mut index, 2, &REQUESTS.replace("pod!=\"\"", "pod!=\""));
    assert_eq!(
        names(&looked(&record, &index, Some(&SeriesSet::default()), at(900))),
        BOTH
    );
    index.delete_backend("default");
    assert_eq!(
        names(&looked(&record, &index, Some(&SeriesSet::default()), at(900))),
        BOTH
    );
    index.delete_rule(&rule("shop/own", REQUESTS).key);
    assert_eq!(looked(&record, &index, None, at(0)).rules.len(), 0);
}

#[test]
fn what_an_edited_spec_cannot_make_any_more_ends_with_its_first_good_listing() {
    let mut index = index();
    edit(&mut index, 1, REQUESTS);
    let record = looked(&Record::default(), &index, Some(&requests()), at(0));
    edit(&mut index, 2, &REQUESTS.replace("_per_second", "_rate"));
    assert_eq!(names(&looked(&record, &index, None, at(0))), BOTH);
    let listed = looked(&record, &index, Some(&requests()), at(0));
    assert_eq!(
        names(&listed),
        ["namespaces/http_requests_rate", "pods/http_requests_rate"]
    );
    // Another label matcher: whether its series have the metric is for the listing to say.
    edit(&mut index, 3, &REQUESTS.replace("pod!=\"\"", "code=\"500\""));
    let listed = looked(&record, &index, Some(&SeriesSet::default()), at(0));
    assert_eq!(names(&listed), BOTH.map(|name| format!("{name} since 0h")));
}

#[test]
fn idle_names_do_not_pile_up_beyond_what_a_rule_may_have() {
    let spec = format!(
        "{}\nlimits: {{maxMetrics: 2}}",
        REQUESTS.replace("http_requests_total{pod!=\"\"}", "'{__name__=~\"job_.+_total\"}'")
    );
    let mut index = index();
    edit(&mut index, 1, &spec);
    let mut record = Record::default();
    for number in 0..10 {
        let line = format!(r#"job_{number}_total{{namespace="shop",pod="a"}}"#);
        record = looked(&record, &index, Some(&series(&[&line])), at(number));
    }
    let pods: Vec<String> = names(&record)
        .into_iter()
        .filter(|name| name.starts_with("pods"))
        .collect();
    assert_eq!(
        pods,
        [
            "pods/job_7_per_second since 8h",
            "pods/job_8_per_second since 9h",
            "pods/job_9_per_second",
        ]
    );
}

#[test]
fn before_the_rules_are_read_nothing_ends() {
    let mut synced = index();
    edit(&mut synced, 1, REQUESTS);
    let record = looked(&Record::default(), &synced, Some(&requests()), at(0));
    assert_eq!(looked(&record, &Index::default(), None, at(900)), record);
}

/// A record of rules with so many claims each, of names that gzip cannot shorten much.
fn large(rules: &[(Option<&str>, usize)]) -> Record {
    let mut word = 1_u64;
    let mut next = move || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        format!("{word:016x}")
    };
    let rules = rules.iter().enumerate().map(|(number, (namespace, claims))| {
        let claims = (0..*claims).map(|claim| {
            let key = ClaimKey {
                resource: Some(GroupResource::pods()),
                name: format!("{}{}", next(), next()).into(),
            };
            let claim = RecordedClaim {
                series: next().into(),
                label: "pod".into(),
                idle_since: (claim % 2 == 0).then_some(7),
            };
            (key, claim)
        });
        let rule = RecordedRule {
            key: RuleKey {
                namespace: namespace.map(ToOwned::to_owned),
                name: format!("rule-{number}"),
            },
            generation: 3,
            origin: Origin(u64::MAX),
            priority: -5,
            selector: None,
            claims: claims.collect(),
            cut: false,
        };
        (Arc::from(format!("uid-{number:05}")), Arc::new(rule))
    });
    Record {
        rules: rules.collect(),
        ..Record::default()
    }
}

#[test]
fn one_namespaces_claims_push_out_nobody_elses() {
    let record = large(&[
        (Some("greedy"), 20_000),
        (Some("greedy"), 100),
        (Some("shop"), 50),
        (None, 300),
    ]);
    let shared = share(&record, 200_000);
    let left: Vec<usize> = shared
        .record
        .rules
        .values()
        .map(|rule| rule.claims.len())
        .collect();
    assert_eq!(left[1..], [100, 50, 300]);
    assert!(left[0] > 1_000 && left[0] < 3_000, "{left:?}");
    let greedy = shared.record.rules.values().next().unwrap();
    assert!(greedy.cut, "it says that more was left out");
    assert!(
        greedy.claims.values().all(|claim| claim.idle_since.is_none()),
        "what is idle goes first"
    );
    assert_eq!(
        shared.left_out,
        BTreeMap::from([(Some("greedy".to_owned()), 20_000 - left[0])])
    );
    assert_eq!(share(&record, 100_000_000).record, record);
}

#[test]
fn who_exceeds_an_equal_share_gets_that_and_no_more() {
    let record = large(&[
        (Some("greedy"), 3_000),
        (Some("greediest"), 9_000),
        (Some("greediest"), 2_000),
        (Some("shop"), 50),
    ]);
    let shared = share(&record, 200_000);
    let left: Vec<usize> = shared
        .record
        .rules
        .values()
        .map(|rule| rule.claims.len())
        .collect();
    assert_eq!(left[3], 50);
    let like = |a: usize, b: usize| a.abs_diff(b) * 20 < a;
    assert!(like(left[0], left[1] + left[2]), "namespaces: {left:?}");
    assert!(like(left[1], left[2]), "rules of one namespace: {left:?}");
}

#[test]
fn what_was_packed_is_read_back() {
    let mut index = index();
    let text = format!("{REQUESTS}\nnamespaceSelector: {{matchLabels: {{team: shop}}}}\npriority: -3");
    index.apply_rule(rule("all", &text));
    let record = looked(&Record::default(), &index, Some(&requests()), at(0));
    let record = looked(&record, &index, Some(&SeriesSet::default()), at(1));
    assert_eq!(record.claims(), 2);
    let bytes = pack(&record).unwrap();
    assert_eq!(unpack(&bytes).unwrap(), record);
    assert_eq!(
        pack(&record).unwrap(),
        bytes,
        "the same record has the same bytes"
    );
    let many = large(&[(Some("shop"), 100), (None, 3)]);
    assert_eq!(unpack(&pack(&many).unwrap()).unwrap(), many);
}

#[test]
fn damage_bombs_and_other_formats_are_refused() {
    let bytes = pack(&large(&[(None, 40)])).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &bytes[..bytes.len() - 4], b"", b"{}"] {
        assert!(matches!(unpack(damaged), Err(RecordError::Damaged(_))));
    }
    for position in (10..bytes.len()).step_by(5) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1;
        assert!(unpack(&flipped).is_err(), "a bit at {position}");
    }
    let zipped = |text: &[u8]| {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = zipped(&vec![b' '; 8 << 20]);
    assert!(bomb.len() < PACKED_MAX);
    assert!(matches!(unpack(&bomb), Err(RecordError::TooLarge(UNPACKED_MAX))));
    assert!(matches!(
        unpack(&vec![0; PACKED_MAX + 1]),
        Err(RecordError::TooLarge(PACKED_MAX))
    ));
    assert!(matches!(
        unpack(&zipped(br#"{"version":2,"rules":"?"}"#)),
        Err(RecordError::Version(2))
    ));
    assert!(matches!(
        unpack(&zipped(br#"{"version":1}"#)),
        Err(RecordError::Text(_))
    ));
}
