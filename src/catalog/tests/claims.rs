//! Claims through what happens to their rules: who has the metric, and why it is not answered.

use super::*;
use crate::{
    catalog::recorded::{RecordSource, advance},
    rule::testing::backend,
};

pub(super) const PATTERN: &str = "seriesQuery: '{__name__=~\"http_.+\",pod!=\"\"}'";

/// The cluster's rule and the namespace's own, which makes the same metric by a pattern.
fn both() -> Index {
    let mut index = index();
    index.apply_rule(rule("everywhere", REQUESTS));
    index.apply_rule(rule("shop/own", &spec(PATTERN)));
    index
}

/// What a replica makes of `recorded`; its own listings all failed, but for those of the rules named.
pub(super) fn replica(index: &Index, recorded: &Recorded, listed: &[&str]) -> Catalog {
    let table = Arc::new(index.table());
    let entries = table.rules.iter().map(|rule| {
        let is_listed = listed.contains(&rule.key().name.as_str()) && rule.refusal().is_none();
        let series = if is_listed { shop() } else { SeriesSet::default() };
        Entry {
            metrics: Arc::new(derive(rule, &series, &table.resources)),
            listing: match () {
                () if rule.refusal().is_some() => Listing::NotNeeded,
                () if is_listed => Listing::Current,
                () => Listing::Failed {
                    reason: Reason::BackendDown,
                    message: String::new(),
                },
            },
        }
    });
    let entries: Vec<Entry> = entries.collect();
    Catalog::build_recorded(table.clone(), entries, recorded)
}

/// What a leader writes that has listed the series of the rules named.
pub(super) fn recorded(index: &Index, known: &Recorded, listed: &[&str]) -> Recorded {
    let catalog = replica(index, known, listed);
    Recorded {
        record: Arc::new(advance(&known.record, &catalog, jiff::Timestamp::UNIX_EPOCH).record),
        source: RecordSource::Cluster,
    }
}

pub(super) fn nothing() -> Recorded {
    Recorded {
        source: RecordSource::Cluster,
        ..Recorded::default()
    }
}

/// The rule that has the metric for `shop`, its refusal, and its standing.
pub(super) fn standing(catalog: &Catalog) -> (String, Option<Reason>, Standing) {
    let served = catalog.custom(&GroupResource::pods(), "http_requests_per_second", Some("shop"));
    let served = served.unwrap();
    let refusal = served.rule.refusal().map(|problem| problem.reason);
    (served.rule.key().name.clone(), refusal, served.standing)
}

#[test]
fn a_rule_with_a_broken_field_hands_its_metric_to_no_other() {
    let good = both();
    let known = recorded(&good, &nothing(), &["own", "everywhere"]);
    assert_eq!(
        standing(&replica(&good, &known, &[])),
        ("own".to_owned(), None, Standing::Answers),
        "a replica whose listings fail answers by the record"
    );
    for (line, reason) in [
        (
            "seriesQuery: 'http_requests_total{pod!=\"}'",
            Reason::InvalidQuery,
        ),
        ("seriesQuery: '{pod!=\"\"}'", Reason::MatchAll),
        ("seriesFilters: [{is: \"(\"}]", Reason::InvalidPattern),
        ("name: {matches: \"(\"}", Reason::InvalidPattern),
        ("resources: {template: \"<<.Nope\"}", Reason::InvalidTemplate),
        (
            "resources: {overrides: {pod: {resource: pods}, pod_name: {resource: pods}}}",
            Reason::DuplicateResource,
        ),
        ("metricsQuery: <<.Nope>>", Reason::InvalidTemplate),
        ("retainAfterIdle: soon", Reason::InvalidSpec),
    ] {
        let mut index = both();
        let text = if line.starts_with("seriesQuery") {
            spec(line)
        } else {
            spec(&format!("{PATTERN}\n{line}"))
        };
        let mut object = rule("shop/own", &text);
        object.generation = 2;
        index.apply_rule(object);
        // The leader's next record keeps what is claimed.
        let known = recorded(&index, &known, &["everywhere"]);
        let (name, refusal, _) = standing(&replica(&index, &known, &["everywhere"]));
        assert_eq!((name.as_str(), refusal), ("own", Some(reason)), "{line}");
    }
    let mut index = both();
    let mut object = rule("shop/own", &spec(PATTERN));
    (object.generation, object.spec) = (2, Err("it does not decode".to_owned()));
    index.apply_rule(object);
    let (name, refusal, _) = standing(&replica(&index, &known, &["everywhere"]));
    assert_eq!((name.as_str(), refusal), ("own", Some(Reason::Undecodable)));
}

#[test]
fn a_rule_without_its_backend_hands_its_metric_to_no_other() {
    let mut index = index();
    index.apply_backend(backend("platform", "{}", false));
    index.apply_rule(rule("everywhere", &spec("backendRef: {name: platform}")));
    index.apply_rule(rule("shop/own", &spec(PATTERN)));
    let known = recorded(&index, &nothing(), &["own", "everywhere"]);
    index.apply_backend(backend("second", "{}", true));
    let catalog = replica(&index, &recorded(&index, &known, &["everywhere"]), &[]);
    assert_eq!(standing(&catalog).1, Some(Reason::AmbiguousDefault));
    index.delete_backend("second");
    index.delete_backend("default");
    let catalog = replica(&index, &recorded(&index, &known, &["everywhere"]), &[]);
    let (name, refusal, _) = standing(&catalog);
    assert_eq!((name.as_str(), refusal), ("own", Some(Reason::BackendNotFound)));
}

#[test]
fn an_edited_selector_waits_for_its_first_listing() {
    let mut index = both();
    let known = recorded(&index, &nothing(), &["own", "everywhere"]);
    let mut object = rule(
        "shop/own",
        &spec("seriesQuery: '{__name__=~\"http_r.+\",pod!=\"\"}'"),
    );
    object.generation = 2;
    index.apply_rule(object);
    let waits = (
        "own".to_owned(),
        None,
        Standing::Edited(Some(Reason::BackendDown)),
    );
    assert_eq!(standing(&replica(&index, &known, &["everywhere"])), waits);
    // The replica that has listed it answers at once: the claim is the rule's either way.
    assert_eq!(standing(&replica(&index, &known, &["own"])).2, Standing::Answers);
    let known = recorded(&index, &known, &["own"]);
    assert_eq!(standing(&replica(&index, &known, &[])).2, Standing::Answers);
    // An edit that lists nothing else needs no listing.
    let mut object = rule(
        "shop/own",
        &spec(
            "seriesQuery: '{__name__=~\"http_r.+\",pod!=\"\"}'\nmetricsQuery: sum by (<<.GroupBy>>) (up{<<.LabelMatchers>>})",
        ),
    );
    object.generation = 3;
    index.apply_rule(object);
    assert_eq!(standing(&replica(&index, &known, &[])).2, Standing::Answers);
}

#[test]
fn a_rule_that_was_never_listed_claims_what_its_spec_says() {
    let mut index = index();
    index.apply_rule(rule("everywhere", REQUESTS));
    let known = recorded(&index, &nothing(), &["everywhere"]);
    for (own, name) in [
        // A series' name, through filters and name, whatever else is wrong.
        (REQUESTS.to_owned(), "own"),
        (spec("metricsQuery: <<.Nope>>"), "own"),
        (spec("seriesFilters: [{is: \"(\"}]"), "own"),
        (
            spec("resources: {template: \"<<.Nope\", overrides: {pod: {resource: pods}}}"),
            "own",
        ),
        (spec("backendRef: {name: missing}"), "own"),
        // The pattern says nothing, the filter leaves it out, the name cannot be read.
        (spec(PATTERN), "everywhere"),
        (spec("seriesFilters: [{isNot: \"^http\"}]"), "everywhere"),
        (spec("name: {matches: \"(\"}"), "everywhere"),
        (
            spec("resources: {overrides: {service: {resource: services}}}"),
            "everywhere",
        ),
    ] {
        index.apply_rule(rule("shop/own", &own));
        let catalog = replica(&index, &known, &[]);
        let (is, refusal, standing) = standing(&catalog);
        assert_eq!(is, name, "{own}");
        if name == "own" {
            assert!(
                refusal.is_some() || standing == Standing::Unlisted(Some(Reason::BackendDown)),
                "{own}: {standing:?}"
            );
        }
        index.delete_rule(&rule("shop/own", &own).key);
    }
    index.delete_rule(&RuleKey::cluster("everywhere"));
    index.apply_rule(rule("shop/own", REQUESTS));
    let catalog = replica(&index, &nothing(), &[]);
    assert_eq!(
        names(&catalog),
        Vec::<String>::new(),
        "discovery tells what was found"
    );
}

#[test]
fn what_is_not_recorded_is_answered_where_no_other_rule_could_claim_it() {
    let mut index = index();
    index.apply_rule(rule("shop/own", &spec(PATTERN)));
    let alone = replica(&index, &nothing(), &["own"]);
    assert_eq!(standing(&alone).2, Standing::Answers);
    for (at, other, contests) in [
        ("everywhere", REQUESTS.to_owned(), true),
        ("everywhere", spec(PATTERN), true),
        ("everywhere", spec("name: {as: other}"), false),
        (
            "everywhere",
            spec(&format!("{PATTERN}\nname: {{matches: .*, as: \"${{0}}_rate\"}}")),
            false,
        ),
        (
            "everywhere",
            spec("namespaceSelector: {matchLabels: {team: bank}}"),
            false,
        ),
        ("bank/own", REQUESTS.to_owned(), false),
        (
            "everywhere",
            spec("resources: {overrides: {service: {resource: services}}}"),
            false,
        ),
    ] {
        let object = rule(at, &other);
        let key = object.key.clone();
        index.apply_rule(object);
        let catalog = replica(&index, &nothing(), &["own"]);
        let served = catalog
            .custom(&GroupResource::pods(), "http_requests_per_second", Some("shop"))
            .unwrap();
        assert_eq!(served.rule.key().name, "own");
        let wanted = if contests {
            Standing::Unrecorded
        } else {
            Standing::Answers
        };
        assert_eq!(served.standing, wanted, "{at}: {other}");
        index.delete_rule(&key);
    }
}

#[test]
fn a_rule_whose_reach_cannot_be_read_keeps_the_one_that_was_recorded() {
    let mut index = index();
    let first = spec(&format!(
        "{PATTERN}\npriority: 7\nnamespaceSelector: {{matchLabels: {{team: shop}}}}"
    ));
    index.apply_rule(rule("first", &first));
    index.apply_rule(rule("second", &spec("priority: 3")));
    let known = recorded(&index, &nothing(), &["first", "second"]);
    let broken = first.replace(
        "matchLabels: {team: shop}",
        "matchExpressions: [{key: a, operator: Near}]",
    );
    let mut unread = rule("first", &first);
    unread.spec = Err("it does not decode".to_owned());
    for mut object in [rule("first", &broken), unread] {
        object.generation = 2;
        index.apply_rule(object);
        let known = recorded(&index, &known, &["second"]);
        let catalog = replica(&index, &known, &["second"]);
        assert_eq!(standing(&catalog).0, "first");
        let bank = catalog.custom(&GroupResource::pods(), "http_requests_per_second", Some("bank"));
        assert_eq!(bank.unwrap().rule.key().name, "second");
    }
}

#[test]
fn an_unknown_metric_names_the_rules_that_may_make_it() {
    let mut index = index();
    index.delete_backend("default");
    index.apply_rule(rule("shop/a", &spec(PATTERN)));
    index.apply_rule(rule("shop/b", &spec("seriesQuery: http_requests_total{pod!=\"}")));
    index.apply_rule(rule("bank/c", &spec(PATTERN)));
    index.apply_rule(rule("shop/d", &spec("name: {as: other}")));
    let catalog = replica(&index, &nothing(), &[]);
    let near = |name: &str, resource: Option<GroupResource>| {
        let sought = ClaimKey {
            resource,
            name: name.into(),
        };
        let near = catalog.near_misses(&sought, Some("shop"), 3);
        near.iter()
            .map(|(key, reason)| format!("{key} {reason}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        near("unheard_of_per_second", Some(GroupResource::pods())),
        [
            "MetricRule shop/a BackendNotFound",
            "MetricRule shop/b InvalidQuery"
        ]
    );
    // The first can make no such name.
    assert_eq!(
        near("unheard_of", Some(GroupResource::pods())),
        ["MetricRule shop/b InvalidQuery"]
    );
    assert_eq!(near("unheard_of_per_second", None), Vec::<String>::new());
}

#[test]
fn a_claim_of_a_rule_that_cannot_be_read_contests_what_is_not_recorded() {
    let mut index = index();
    index.apply_rule(rule("everywhere", &spec(PATTERN)));
    let known = recorded(&index, &nothing(), &["everywhere"]);
    let mut unread = rule("everywhere", REQUESTS);
    (unread.generation, unread.spec) = (2, Err("it does not decode".to_owned()));
    index.apply_rule(unread);
    index.apply_rule(rule("shop/own", &spec(PATTERN)));
    let catalog = replica(&index, &known, &["own"]);
    assert_eq!(standing(&catalog), ("own".to_owned(), None, Standing::Unrecorded));
}

#[test]
fn a_rule_of_a_namespace_contests_nothing_beyond_it() {
    let mut index = index();
    let template = "resources: {template: <<.Resource>>}";
    index.apply_rule(rule("everywhere", &spec(template)));
    index.apply_rule(rule("shop/own", &spec(&format!("{PATTERN}\n{template}"))));
    let table = Arc::new(index.table());
    let nodes = series(&[r#"http_requests_total{namespace="shop",pod="a",node="n"}"#]);
    let entries = table.rules.iter().map(|rule| {
        let is_listed = !rule.is_namespaced();
        let series = if is_listed {
            nodes.clone()
        } else {
            SeriesSet::default()
        };
        Entry {
            metrics: Arc::new(derive(rule, &series, &table.resources)),
            listing: if is_listed {
                Listing::Current
            } else {
                Listing::Pending
            },
        }
    });
    let entries: Vec<Entry> = entries.collect();
    let catalog = Catalog::build_recorded(table.clone(), entries, &nothing());
    let of = |kind: &str, namespace| {
        let served = catalog.custom(
            &GroupResource::new("", kind),
            "http_requests_per_second",
            namespace,
        );
        served.unwrap().standing
    };
    assert_eq!(of("nodes", None), Standing::Answers);
    assert_eq!(of("pods", Some("shop")), Standing::Unrecorded);
}

#[test]
fn a_static_rule_gives_a_kind_up_with_its_override() {
    let mut index = index();
    index.apply_rule(rule("everywhere", REQUESTS));
    let text = |resources: &str| {
        format!(
            "name: {{as: http_requests_per_second}}\nresources: {{{resources}}}\nmetricsQuery: sum by (<<.GroupBy>>) (up{{<<.LabelMatchers>>}})"
        )
    };
    let both = "namespace: {resource: namespaces}, pod: {resource: pods}";
    index.apply_rule(rule("shop/own", &text(&format!("overrides: {{{both}}}"))));
    let known = recorded(&index, &nothing(), &["own", "everywhere"]);
    assert_eq!(standing(&replica(&index, &known, &[])).0, "own");
    let mut object = rule(
        "shop/own",
        &text("overrides: {namespace: {resource: namespaces}}"),
    );
    object.generation = 2;
    index.apply_rule(object);
    assert_eq!(
        standing(&replica(&index, &known, &[])),
        ("everywhere".to_owned(), None, Standing::Answers)
    );
}
