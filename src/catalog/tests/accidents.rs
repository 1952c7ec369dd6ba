//! Accidents that once handed a claim to another rule, each named after what went wrong.

use super::{
    claims::{PATTERN, nothing, recorded, replica, standing},
    *,
};
use crate::{api::invariant::Violation, catalog::recorded::RecordSource, rule::budget::SHARE};

const CONTESTED: &str = "http_requests_per_second";

/// An older rule of `shop` that leaves its namespace no room for others.
fn filler() -> crate::rule::RuleObject {
    let mut object = rule(
        "shop/filler",
        "name: {as: filler}\napi: External\nmetricsQuery: up{<<.LabelMatchers>>}",
    );
    object.created = Some(jiff::Timestamp::MIN);
    object.violations = vec![Violation {
        path: "spec".to_owned(),
        message: "x".repeat(SHARE / 2 - 1024),
    }];
    object
}

fn edited(at: &str, generation: i64, text: &str) -> crate::rule::RuleObject {
    let mut object = rule(at, text);
    object.generation = generation;
    object
}

#[test]
fn a_rule_that_there_was_no_room_for_lost_what_its_spec_says_to_another() {
    let mut index = index();
    index.apply_rule(rule("everywhere", REQUESTS));
    index.apply_rule(rule("shop/own", REQUESTS));
    // It is refused when an older one takes the room, and as one that comes to a full house.
    index.apply_rule(filler());
    let known = recorded(&index, &nothing(), &["everywhere"]);
    let refused = ("own".to_owned(), Some(Reason::QuotaExceeded));
    for _ in 0..2 {
        let (name, refusal, _) = standing(&replica(&index, &known, &["everywhere"]));
        assert_eq!((name, refusal), refused);
        let bank = replica(&index, &known, &[]);
        let bank = bank.custom(&GroupResource::pods(), CONTESTED, Some("bank"));
        assert_eq!(bank.unwrap().rule.key().name, "everywhere");
        index.apply_rule(edited("shop/own", 2, REQUESTS));
    }
    // A change of the backend, and of the kinds, compiles what is left of it again.
    index.apply_backend(crate::rule::testing::backend("default", "{timeout: 3s}", true));
    assert_eq!(
        standing(&replica(&index, &known, &[])).0,
        "own",
        "the backend was edited"
    );
    index.delete_rule(&filler().key);
    assert!(index.wants_rules());
    assert_eq!(
        standing(&replica(&index, &known, &[])).0,
        "own",
        "it is read anew"
    );
    index.apply_rule(edited("shop/own", 2, REQUESTS));
    let (name, refusal, _) = standing(&replica(&index, &known, &[]));
    assert_eq!((name.as_str(), refusal), ("own", None));
    // A pattern claims nothing before it was listed.
    index.apply_rule(filler());
    index.apply_rule(edited("shop/own", 3, &spec(PATTERN)));
    assert_eq!(standing(&replica(&index, &known, &[])).0, "everywhere");
}

#[test]
fn what_a_rule_without_room_keeps_of_its_spec_is_small() {
    let mut index = index();
    let overrides = (0..32).map(|number| format!("{}{number}: {{resource: pods}}", "x".repeat(200)));
    let overrides: Vec<String> = std::iter::once("pod: {resource: pods}".to_owned())
        .chain(overrides)
        .collect();
    let text = spec(&format!("resources: {{overrides: {{{}}}}}", overrides.join(", ")));
    index.apply_rule(filler());
    index.apply_rule(rule("shop/own", &text));
    let table = index.table();
    let own = table.get(&RuleKey::namespaced("shop", "own")).unwrap();
    assert_eq!(own.refusals.first().unwrap().reason, Reason::QuotaExceeded);
    let resources = own.object.spec.as_ref().unwrap().resources.as_ref().unwrap();
    assert!(resources.overrides.contains_key("pod"));
    let kept: usize = resources.overrides.keys().map(String::len).sum();
    assert!(kept <= 1024, "{kept}");
}

/// Series with two labels that could name a pod.
fn doubly() -> SeriesSet {
    series(&[r#"http_requests_total{namespace="shop",pod="a",pod_name="a"}"#])
}

#[test]
fn an_edited_label_handed_the_metric_to_another_rule_on_replicas_that_had_not_listed_it() {
    let mut index = index();
    index.apply_rule(rule("everywhere", REQUESTS));
    index.apply_rule(rule("shop/own", REQUESTS));
    let known = recorded(&index, &nothing(), &["own", "everywhere"]);
    let mut generation = 1;
    for resources in [
        "resources: {overrides: {namespace: {resource: namespaces}, pod_name: {resource: pods}}}",
        "resources: {template: <<.Resource>>_name, overrides: {namespace: {resource: namespaces}}}",
        "semantics: PrometheusAdapter\nresources: {overrides: {namespace: {resource: namespaces}, pod_name: {resource: pods}}}",
    ] {
        generation += 1;
        index.apply_rule(edited("shop/own", generation, &spec(resources)));
        // The leader cannot list it now, and what it has listed earlier is gone with the replica.
        let known = recorded(&index, &known, &["everywhere"]);
        let waits = (
            "own".to_owned(),
            None,
            Standing::Edited(Some(Reason::BackendDown)),
        );
        assert_eq!(
            standing(&replica(&index, &known, &["everywhere"])),
            waits,
            "{resources}"
        );
        // Where the series has the label the rule answers by it, elsewhere the listing says that the claim is given up.
        for (series, winner) in [(doubly(), "own"), (shop(), "everywhere")] {
            let next = found(&index, &known, &series);
            let (name, refusal, is) = standing(&replica(&index, &next, &[]));
            assert_eq!(
                (name.as_str(), refusal, is),
                (winner, None, Standing::Answers),
                "{resources}"
            );
        }
    }
    // A kind that the spec maps no more is given up at once, and so is an API that it serves no more.
    for lines in [
        "resources: {overrides: {namespace: {resource: namespaces}, pod: {resource: services}}}",
        "api: External",
    ] {
        generation += 1;
        index.apply_rule(edited("shop/own", generation, &spec(lines)));
        assert_eq!(
            standing(&replica(&index, &known, &["everywhere"])).0,
            "everywhere",
            "{lines}"
        );
    }
}

/// A replica that has found these series for every rule.
fn finds(index: &Index, known: &Recorded, series: &SeriesSet) -> Catalog {
    let table = Arc::new(index.table());
    let entries = table.rules.iter().map(|rule| Entry {
        metrics: Arc::new(derive(rule, series, &table.resources)),
        listing: Listing::Current,
    });
    let entries: Vec<Entry> = entries.collect();
    Catalog::build_recorded(table.clone(), entries, known)
}

/// What a leader writes that has found these series for every rule.
fn found(index: &Index, known: &Recorded, series: &SeriesSet) -> Recorded {
    let catalog = finds(index, known, series);
    let record = recorded::advance(&known.record, &catalog, jiff::Timestamp::UNIX_EPOCH).record;
    Recorded {
        record: Arc::new(record),
        source: RecordSource::Cluster,
    }
}

#[test]
fn a_rename_that_makes_one_metric_of_two_series_took_the_wrong_one_until_it_was_recorded() {
    for (one, other, semantics, wanted) in [
        // In the order of the names that they had the other is the first.
        ("a2", "b1", "", "a2_total"),
        ("a1", "b2", "\nsemantics: PrometheusAdapter", "b2_total"),
    ] {
        let lines = format!("seriesQuery: '{{__name__=~\".+_total\"}}'{semantics}");
        let named = |name: &str| {
            spec(&format!(
                "{lines}\nname: {{matches: \"^.(.)_total$\", as: \"{name}\"}}"
            ))
        };
        let both = [one, other].map(|name| format!("{name}_total{{namespace=\"shop\",pod=\"x\"}}"));
        let both = series(&both.each_ref().map(String::as_str));
        let mut index = index();
        index.apply_rule(rule("all", &named("m$1")));
        let known = found(&index, &nothing(), &both);
        index.apply_rule(edited("all", 2, &named("requests")));
        for known in [known.clone(), found(&index, &known, &both)] {
            let catalog = replica(&index, &known, &[]);
            let served = catalog.custom(&GroupResource::pods(), "requests", Some("shop"));
            let served = served.unwrap();
            assert_eq!(
                (&*served.metric.series, served.standing),
                (wanted, Standing::Answers)
            );
        }
        if !semantics.is_empty() {
            continue;
        }
        // What is gone comes after what is there.
        let left = series(&[r#"b1_total{namespace="shop",pod="x"}"#]);
        index.apply_rule(edited("all", 3, &named("m$1")));
        let known = found(&index, &found(&index, &nothing(), &both), &left);
        index.apply_rule(edited("all", 4, &named("requests")));
        let catalog = replica(&index, &known, &[]);
        let served = catalog.custom(&GroupResource::pods(), "requests", Some("shop"));
        assert_eq!(&*served.unwrap().metric.series, "b1_total");
    }
}

#[test]
fn a_replica_that_had_not_read_the_record_answered() {
    let mut index = index();
    index.apply_rule(rule("everywhere", REQUESTS));
    let unread = replica(&index, &Recorded::default(), &["everywhere"]);
    assert!(!unread.is_synced());
    assert!(replica(&index, &nothing(), &[]).is_synced());
    assert!(replica(&index, &Recorded::nothing(), &[]).is_synced());
    assert!(!replica(&Index::default(), &nothing(), &[]).is_synced());
}

#[test]
fn rules_of_a_namespace_that_is_crowded_waited_for_ever_to_be_recorded() {
    let mut index = index();
    index.apply_rule(rule("everywhere", REQUESTS));
    index.apply_rule(rule("shop/own", &spec(PATTERN)));
    let mut known = recorded(&index, &nothing(), &["everywhere"]);
    assert_eq!(
        standing(&replica(&index, &known, &["own"])).2,
        Standing::Unrecorded
    );
    Arc::make_mut(&mut known.record)
        .crowded
        .insert(Some("shop".to_owned()));
    assert_eq!(standing(&replica(&index, &known, &["own"])).2, Standing::Answers);
}

/// One replica answered, and another, which had not found the series, left the metric to the other rule.
#[test]
fn a_name_that_was_given_up_and_found_anew_was_taken_for_recorded() {
    let named = |name: &str| {
        spec(&format!(
            "seriesQuery: '{{__name__=~\".+_total\"}}'\nname: {name}"
        ))
    };
    let [m, n] = ["m", "n"].map(|name| format!("{name}_total{{namespace=\"shop\",pod=\"x\"}}"));
    let mut index = index();
    index.apply_rule(rule("all", &named("{as: m}")));
    let known = found(&index, &nothing(), &series(&[&n]));
    index.apply_rule(edited(
        "all",
        2,
        &named("{matches: \"^(.*)_total$\", as: \"$1\"}"),
    ));
    let standing = |index: &Index| {
        let catalog = finds(index, &known, &series(&[&m, &n]));
        let served = catalog.custom(&GroupResource::pods(), "m", Some("shop"));
        served.map(|served| (served.rule.key().name.clone(), served.standing))
    };
    let of_all = |standing| Some(("all".to_owned(), standing));
    assert_eq!(
        standing(&index),
        of_all(Standing::Answers),
        "nobody else could have it"
    );
    index.apply_rule(rule(
        "other",
        &spec("seriesQuery: m_total{pod!=\"\"}\nname: {as: m}"),
    ));
    assert_eq!(standing(&index), of_all(Standing::Unrecorded));
}

#[test]
fn former_specs_of_two_rules_gave_one_metric_on_two_replicas() {
    let mut index = index();
    for at in ["everywhere", "shop/own"] {
        index.apply_rule(rule(at, REQUESTS));
    }
    let before = index.table();
    for at in ["everywhere", "shop/own"] {
        let other = spec(&format!(
            "seriesQuery: {}_total{{pod!=\"\"}}",
            at.replace("shop/", "")
        ));
        index.apply_rule(edited(at, 2, &other));
    }
    let table = Arc::new(index.table());
    for at in ["everywhere", "own"] {
        // This replica had listed the former spec of one of them, and nothing of that is recorded.
        let entries = table.rules.iter().map(|rule| {
            let former = before.get(rule.key()).filter(|former| former.key().name == at);
            Entry {
                metrics: Arc::new(derive(rule, &SeriesSet::default(), &table.resources)),
                listing: former.map_or(Listing::Pending, |former| Listing::Edited {
                    former: Arc::new(derive(former, &shop(), &table.resources)),
                }),
            }
        });
        let catalog = Catalog::build_recorded(table.clone(), entries.collect::<Vec<_>>(), &nothing());
        let (name, _, standing) = standing(&catalog);
        assert_eq!((name.as_str(), standing), (at, Standing::Unrecorded));
    }
}
