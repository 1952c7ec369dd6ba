//! Resolution of a request: the rule that answers, and what is said where none does.

use super::*;
use crate::{
    api::metric_rule::RuleKey,
    rule::{RuleTable, testing},
};

/// A rule for pods, and one for services that has no backend, and no metric for as long.
fn catalog() -> Catalog {
    let mut index = testing::index();
    index.apply_rule(testing::rule("all", REQUESTS));
    let broken = REQUESTS
        .replace("pod: {resource: pods}", "service: {resource: services}")
        .replace("http_requests_total{pod!=\"\"}", "'{__name__=~\"^http_.*\"}'");
    index.apply_rule(testing::rule(
        "shop/broken",
        &format!("{broken}\nbackendRef: {{name: gone}}"),
    ));
    let table = Arc::new(index.table());
    let rule = table.get(&RuleKey::cluster("all")).unwrap();
    let found = series(&[r#"http_requests_total{namespace="shop",pod="a"}"#]);
    let entry = Entry {
        metrics: Arc::new(derive(rule, &found, &table.resources)),
        listing: Listing::Current,
    };
    Catalog::build(table.clone(), [entry])
}

fn custom(namespace: Option<&str>, resource: GroupResource) -> MetricRequest {
    MetricRequest::Custom(request::Custom {
        namespace: namespace.map(ToOwned::to_owned),
        resource,
        ..route(ObjectName::All, "")
    })
}

#[test]
fn a_request_without_a_rule_knows_why() {
    let catalog = catalog();
    let pods = GroupResource::pods();
    let served = resolve(&catalog, &custom(Some("shop"), pods.clone()));
    assert_eq!(served.unwrap().rule.key(), &RuleKey::cluster("all"));
    let gadgets = GroupResource::new("example.com", "gadgets");
    let deployments = GroupResource::new("apps", "deployments");
    let sentence = |kind: &str| {
        format!("the server could not find the metric http_requests_per_second for {kind}: UnknownMetric: ")
    };
    let near = (RuleKey::namespaced("shop", "broken"), Reason::BackendNotFound);
    for (namespace, kind, refusal, text) in [
        (
            Some("shop"),
            gadgets.clone(),
            Refusal::UnknownKind(gadgets),
            "the cluster has no resource gadgets.example.com; ",
        ),
        (
            None,
            pods.clone(),
            Refusal::NoNamespace(pods.clone()),
            "pods are namespaced: ",
        ),
        (
            Some("bank"),
            deployments,
            Refusal::UnknownMetric {
                others: vec![GroupResource::namespaces(), pods.clone()],
                near: Vec::new(),
            },
            "no rule makes it for this kind of object; other rules make it for namespaces, pods",
        ),
        (
            Some("shop"),
            GroupResource::new("", "services"),
            Refusal::UnknownMetric {
                others: vec![GroupResource::namespaces(), pods.clone()],
                near: vec![near],
            },
            "no rule makes it for this kind of object; other rules make it for namespaces, pods; the MetricRule \
             shop/broken is not active (BackendNotFound) and may make it",
        ),
    ] {
        let sentence = sentence(&kind.to_string());
        let request = custom(namespace, kind);
        let found = resolve(&catalog, &request).unwrap_err();
        assert_eq!(found, refusal);
        let told = found.failure(&request).to_string();
        assert!(told.starts_with(&format!("{sentence}{text}")), "{told}");
    }
}

#[test]
fn before_rules_are_read_no_metric_is_unknown() {
    let request = custom(Some("shop"), GroupResource::pods());
    let catalog = Catalog::build(Arc::new(RuleTable::default()), []);
    let refusal = resolve(&catalog, &request).unwrap_err();
    assert_eq!(refusal, Refusal::NotSynced);
    assert_eq!(refusal.failure(&request).reason, Reason::NotSynced);
}
