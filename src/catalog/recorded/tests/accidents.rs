//! Accidents that once ended a claim, or kept one, or filled the record: each named after what went wrong.

use proptest::prelude::*;

use super::*;
use crate::resource::Resources;

fn nothing() -> SeriesSet {
    SeriesSet::default()
}

fn since(hours: i64) -> [String; 2] {
    BOTH.map(|name| format!("{name} since {hours}h"))
}

#[test]
fn a_retention_that_cannot_be_read_ended_claims_by_the_default() {
    for semantics in ["", "\nsemantics: PrometheusAdapter"] {
        let of = |retain: &str| format!("{REQUESTS}\nretainAfterIdle: {retain}{semantics}");
        let mut index = index();
        edit(&mut index, 1, &of("240h"));
        let record = looked(&Record::default(), &index, Some(&requests()), at(0));
        let record = looked(&record, &index, Some(&nothing()), at(1));
        edit(&mut index, 2, &of("soon"));
        let broken = looked(&record, &index, Some(&nothing()), at(900));
        assert_eq!(names(&broken), since(1), "{semantics}");
        edit(&mut index, 3, &of("240h"));
        let mended = looked(&broken, &index, Some(&nothing()), at(240));
        assert_eq!(names(&mended), since(1));
        assert_eq!(looked(&broken, &index, Some(&nothing()), at(241)).claims(), 0);
    }
}

#[test]
fn a_rename_in_a_spec_that_was_not_accepted_gave_the_name_up() {
    let mut index = index();
    edit(&mut index, 1, REQUESTS);
    let record = looked(&Record::default(), &index, Some(&requests()), at(0));
    let renamed = REQUESTS.replace("_per_second", "_rate");
    let new = ["namespaces/http_requests_rate", "pods/http_requests_rate"].map(ToOwned::to_owned);
    edit(&mut index, 2, &format!("{renamed}\nrefresh: soon"));
    let record = looked(&record, &index, Some(&requests()), at(0));
    let record = looked(&record, &index, Some(&requests()), at(900));
    let mut both: Vec<String> = since(0).into_iter().chain(new.clone()).collect();
    both.sort();
    assert_eq!(names(&record), both);
    // The author takes it back, or means it.
    edit(&mut index, 3, REQUESTS);
    let back = looked(&record, &index, Some(&requests()), at(900));
    assert_eq!(names(&back), BOTH);
    edit(&mut index, 4, &renamed);
    let meant = looked(&record, &index, Some(&requests()), at(900));
    assert_eq!(names(&meant), new);
}

#[test]
fn refused_renames_do_not_pile_up() {
    let mut index = index();
    let mut record = Record::default();
    for number in 0..10 {
        let text = REQUESTS.replace("_per_second", &format!("_{number}"));
        let text = format!("{text}\nrefresh: soon\nlimits: {{maxMetrics: 2}}");
        edit(&mut index, number + 1, &text);
        record = looked(&record, &index, Some(&requests()), at(number));
    }
    assert_eq!(
        record.claims(),
        2 * (1 + 2),
        "its name, and the latest two of the others"
    );
}

#[test]
fn a_clock_that_was_ahead_and_a_hand_that_wrote_nonsense_kept_claims_for_ever() {
    let mut index = index();
    edit(&mut index, 1, REQUESTS);
    let record = looked(&Record::default(), &index, Some(&requests()), at(0));
    for odd in [at(90_000).as_second(), i64::MAX, i64::MIN, -1] {
        let mut record = record.clone();
        for rule in record.rules.values_mut() {
            for claim in Arc::make_mut(rule).claims.values_mut() {
                claim.idle_since = Some(odd);
            }
        }
        let record = looked(&record, &index, Some(&nothing()), at(100));
        assert_eq!(names(&record), since(100), "{odd}");
        assert_eq!(looked(&record, &index, Some(&nothing()), at(124)).claims(), 0);
    }
}

#[test]
fn a_kind_that_discovery_left_out_for_a_moment_ended_claims_that_are_not_retained() {
    let mut index = index();
    edit(&mut index, 1, &format!("{REQUESTS}\nretainAfterIdle: 0s"));
    let record = looked(&Record::default(), &index, Some(&requests()), at(0));
    let whole = index.table().resources;
    let part = whole
        .iter()
        .filter(|info| info.group_resource != GroupResource::pods());
    index.set_resources(Arc::new(Resources::new(part.cloned().collect())));
    let record = looked(&record, &index, Some(&requests()), at(0));
    assert_eq!(names(&record), BOTH);
    index.set_resources(whole);
    let ended = looked(&record, &index, Some(&nothing()), at(0));
    assert_eq!(ended.claims(), 0, "the next good listing ends them");
}

#[test]
fn a_label_that_was_edited_while_the_exporter_was_down_ended_the_claim() {
    let mut index = index();
    edit(&mut index, 1, REQUESTS);
    let record = looked(&Record::default(), &index, Some(&requests()), at(0));
    let record = looked(&record, &index, Some(&nothing()), at(1));
    edit(&mut index, 2, &REQUESTS.replace("pod: {", "pod_name: {"));
    let record = looked(&record, &index, Some(&nothing()), at(2));
    assert_eq!(names(&record), since(1));
    let labelled = series(&[r#"http_requests_total{namespace="shop",pod_name="a"}"#]);
    let back = looked(&record, &index, Some(&labelled), at(3));
    assert_eq!(names(&back), BOTH);
    // While the exporter is there, it says whether the series have the label.
    for found in [
        requests(),
        series(&[r#"http_requests_total{namespace="",job="a"}"#]),
    ] {
        let mut index = self::index();
        edit(&mut index, 1, REQUESTS);
        let record = looked(&Record::default(), &index, Some(&requests()), at(0));
        edit(&mut index, 2, &REQUESTS.replace("pod: {", "pod_name: {"));
        let record = looked(&record, &index, Some(&found), at(1));
        let pods = names(&record).into_iter().filter(|name| name.starts_with("pods"));
        assert_eq!(pods.count(), 0);
    }
}

#[test]
fn a_series_that_the_selector_leaves_out_is_given_up_with_the_first_good_listing() {
    let of = |pattern: &str| {
        REQUESTS
            .replace("http_requests_total{", &format!("'{{__name__=~\"{pattern}\","))
            .replace("!=\"\"}", "!=\"\"}'")
    };
    let both = series(&[
        r#"http_errors_total{namespace="shop",pod="a"}"#,
        r#"http_requests_total{namespace="shop",pod="a"}"#,
    ]);
    let mut index = index();
    edit(&mut index, 1, &of("http_.+"));
    let record = looked(&Record::default(), &index, Some(&both), at(0));
    assert_eq!(record.claims(), 4);
    edit(&mut index, 2, &of("http_r.+"));
    let record = looked(&record, &index, Some(&requests()), at(0));
    assert_eq!(names(&record), BOTH);
}

#[test]
fn a_namespace_of_very_many_rules_left_nobody_a_record() {
    let rules: Vec<(Option<&str>, usize)> = std::iter::repeat_n((Some("greedy"), 1), 20_000)
        .chain([(Some("shop"), 50), (None, 50)])
        .collect();
    let record = large(&rules);
    let shared = share(&record, 200_000);
    let kept = |of: Option<&str>| {
        let rules = shared.record.rules.values();
        let rules = rules.filter(|rule| rule.key.namespace.as_deref() == of);
        rules.map(|rule| rule.claims.len()).sum::<usize>()
    };
    let greedy = kept(Some("greedy"));
    assert_eq!((kept(Some("shop")), kept(None)), (50, 50));
    assert!(greedy > 200, "{greedy}");
    let name = Some("greedy".to_owned());
    assert_eq!(
        shared.record.crowded,
        BTreeSet::from([name.clone()]),
        "it says that rules were left out"
    );
    assert_eq!(shared.left_out, BTreeMap::from([(name, 20_000 - greedy)]));
    let bytes = pack(&shared.record).unwrap();
    assert!(bytes.len() <= PACKED_MAX);
    assert_eq!(unpack(&bytes).unwrap(), shared.record);
    assert!(share(&record, 100_000_000).record.crowded.is_empty());
    let none = share(&record, 0).record;
    assert_eq!(none.rules.len(), 0, "some budget always fits");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_found_room_is_read_back_and_takes_no_more_than_was_counted(
        claims in prop::collection::vec(
            ("\\PC{0,12}|[\"\\\\]{0,40}|[\u{1}-\u{1f}]{0,20}", any::<Option<i64>>(), 0..3_usize),
            0..60,
        ),
        budget in 0..20_000_usize,
    ) {
        let mut record = large(&[(Some("shop"), 0), (Some("bank"), 0), (None, 0)]);
        for (text, idle_since, rule) in claims {
            let rule = record.rules.values_mut().nth(rule).unwrap();
            let kind = (text.len() % 2 == 0).then(|| GroupResource::new("apps", "deployments"));
            let key = ClaimKey { resource: kind, name: text.as_str().into() };
            let claim = RecordedClaim { series: text.as_str().into(), label: "pod".into(), idle_since };
            Arc::make_mut(rule).claims.insert(key, claim);
        }
        let shared = share(&record, budget);
        let bytes = pack(&shared.record).unwrap();
        prop_assert_eq!(&unpack(&bytes).unwrap(), &shared.record);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*bytes), &mut text).unwrap();
        // Braces, the namespaces that are crowded, and the times since when claims are idle.
        let beside = 120 + 20 * shared.record.claims();
        prop_assert!(text.len() <= budget + beside, "{} of {budget}", text.len());
        let lost: usize = shared.left_out.values().sum();
        prop_assert_eq!(shared.record.claims() + lost, record.claims());
    }
}
