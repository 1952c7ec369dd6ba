use serde_json::{Value, json};

use super::*;
use crate::{
    server::route::attributes::{SelectorOperator, SelectorRequirement},
    server::testing::FakeReviewer,
};

fn identity(user: &str) -> Identity {
    Identity {
        user: user.to_owned(),
        ..Identity::default()
    }
    .authenticated()
}

fn path(path: &str) -> Attributes {
    Attributes::NonResource {
        path: path.to_owned(),
        verb: "get".to_owned(),
    }
}

fn custom(namespace: &str, resource: &str, name: &str, metric: &str) -> Attributes {
    Attributes::Resource(ResourceAttributes {
        verb: "get".to_owned(),
        group: "custom.metrics.k8s.io".to_owned(),
        version: "v1beta2".to_owned(),
        resource: resource.to_owned(),
        subresource: metric.to_owned(),
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        label_selector: Vec::new(),
    })
}

fn external(selector: &[(&str, SelectorOperator, &[&str])]) -> Attributes {
    let label_selector = selector
        .iter()
        .map(|(key, operator, values)| SelectorRequirement {
            key: (*key).to_owned(),
            operator: *operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        })
        .collect();
    Attributes::Resource(ResourceAttributes {
        verb: "list".to_owned(),
        group: "external.metrics.k8s.io".to_owned(),
        version: "v1beta1".to_owned(),
        resource: "q".to_owned(),
        namespace: "ns".to_owned(),
        label_selector,
        ..ResourceAttributes::default()
    })
}

/// What the reference server sends for each kind of request.
#[test]
fn reviews_are_those_of_the_reference() {
    let c = |rest: Value| {
        let mut attributes = json!({"verb": "get", "group": "custom.metrics.k8s.io", "version": "v1beta2"});
        attributes
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json!({"resourceAttributes": attributes})
    };
    let e = |rest: Value| {
        let mut attributes = json!({"namespace": "ns", "verb": "list", "group": "external.metrics.k8s.io",
            "version": "v1beta1", "resource": "q"});
        attributes
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        json!({"resourceAttributes": attributes})
    };
    let p = |path: &str| json!({"nonResourceAttributes": {"path": path, "verb": "get"}});
    let selector = external(&[
        ("x", SelectorOperator::In, &["y"]),
        ("a", SelectorOperator::NotIn, &["b", "c"]),
        ("k", SelectorOperator::Exists, &[]),
        ("z", SelectorOperator::DoesNotExist, &[]),
    ]);
    let requirements = json!([
        {"key": "x", "operator": "In", "values": ["y"]},
        {"key": "a", "operator": "NotIn", "values": ["b", "c"]},
        {"key": "k", "operator": "Exists"},
        {"key": "z", "operator": "DoesNotExist"},
    ]);
    let cases = [
        (
            custom("ns", "pods", "p1", "m"),
            c(json!({"namespace": "ns", "resource": "pods", "subresource": "m", "name": "p1"})),
        ),
        (
            custom("ns", "pods", "*", "m"),
            c(json!({"namespace": "ns", "resource": "pods", "subresource": "m", "name": "*"})),
        ),
        (
            custom("ns", "deployments.apps", "d1", "m"),
            c(json!({"namespace": "ns", "resource": "deployments.apps", "subresource": "m", "name": "d1"})),
        ),
        (
            custom("", "nodes", "n1", "m"),
            c(json!({"resource": "nodes", "subresource": "m", "name": "n1"})),
        ),
        (
            custom("", "nodes", "*", "m"),
            c(json!({"resource": "nodes", "subresource": "m", "name": "*"})),
        ),
        (
            custom("ns", "metrics", "m", ""),
            c(json!({"namespace": "ns", "resource": "metrics", "name": "m"})),
        ),
        (external(&[]), e(json!({}))),
        (
            selector,
            e(json!({"labelSelector": {"requirements": requirements}})),
        ),
        (path("/apis"), p("/apis")),
        (path("/livez/ping"), p("/livez/ping")),
        (path("/"), p("/")),
    ];
    for (attributes, mut expected) in cases {
        expected["user"] = json!("u");
        expected["groups"] = json!(["system:authenticated"]);
        let spec = serde_json::to_value(review(&identity("u"), &attributes)).unwrap();
        assert_eq!(spec, expected);
    }
}

#[test]
fn a_review_carries_the_whole_identity() {
    let identity = Identity {
        user: "u".to_owned(),
        uid: "7".to_owned(),
        groups: vec!["g".to_owned()],
        extra: [("k".to_owned(), vec!["v".to_owned()])].into(),
    };
    let spec = serde_json::to_value(review(&identity, &path("/apis"))).unwrap();
    let expected = json!({"user": "u", "uid": "7", "groups": ["g"], "extra": {"k": ["v"]},
        "nonResourceAttributes": {"path": "/apis", "verb": "get"}});
    assert_eq!(spec, expected);
}

/// Recorded from the reference server, with its user and reason.
#[test]
fn refusals_read_like_the_reference() {
    let in_group = "in API group \\\"custom.metrics.k8s.io\\\"".replace('\\', "");
    let cases = [
        (
            custom("ns", "pods", "p1", "http_requests"),
            format!(
                r#"pods.custom.metrics.k8s.io "p1" is forbidden: User "mallory" cannot get resource "pods/http_requests" {in_group} in the namespace "ns": RBAC: nope"#
            ),
        ),
        (
            custom("", "nodes", "n1", "cpu"),
            format!(
                r#"nodes.custom.metrics.k8s.io "n1" is forbidden: User "mallory" cannot get resource "nodes/cpu" {in_group} at the cluster scope: RBAC: nope"#
            ),
        ),
        (
            custom("ns", "metrics", "http_requests", ""),
            format!(
                r#"metrics.custom.metrics.k8s.io "http_requests" is forbidden: User "mallory" cannot get resource "metrics" {in_group} in the namespace "ns": RBAC: nope"#
            ),
        ),
        (
            external(&[]),
            r#"q.external.metrics.k8s.io is forbidden: User "mallory" cannot list resource "q" in API group "external.metrics.k8s.io" in the namespace "ns": RBAC: nope"#.to_owned(),
        ),
        (path("/apis"), r#"forbidden: User "mallory" cannot get path "/apis": RBAC: nope"#.to_owned()),
    ];
    for (attributes, message) in cases {
        assert_eq!(
            Forbidden::new("mallory", &attributes, "RBAC: nope").message,
            message
        );
    }
    let forbidden = Forbidden::new("u", &custom("ns", "pods", "p1", "m"), "");
    assert!(forbidden.message.ends_with(r#"in the namespace "ns""#));
    assert_eq!((forbidden.name.as_str(), forbidden.kind.as_str()), ("p1", "pods"));
    assert_eq!(forbidden.group, "custom.metrics.k8s.io");
    let forbidden = Forbidden::new("u", &path("/a?<b>&c"), "<reason>");
    assert_eq!(
        forbidden.message,
        r#"forbidden: User "u" cannot get path "/a?&lt;b&gt;&amp;c": <reason>"#
    );
    assert_eq!(forbidden.name + &forbidden.group + &forbidden.kind, "");
}

/// `fmt.Sprintf("%q", …)`.
#[tokio::test]
async fn asks_only_about_what_is_not_settled() {
    let reviewer = Arc::new(FakeReviewer::default());
    let shared: Arc<dyn Reviewer> = Arc::<FakeReviewer>::clone(&reviewer);
    let authorizer = Authorizer::new(shared);
    let mut master = identity("admin");
    master.groups.push("system:masters".to_owned());
    assert_eq!(
        authorizer
            .authorize(&master, &custom("ns", "pods", "p", "m"))
            .await,
        Ok(())
    );
    for open in ["/healthz", "/readyz", "/livez"] {
        assert_eq!(
            authorizer.authorize(&Identity::anonymous(), &path(open)).await,
            Ok(()),
            "{open}"
        );
    }
    assert_eq!(reviewer.accesses.load(std::sync::atomic::Ordering::SeqCst), 0);

    for closed in [
        "/healthz/",
        "/livez/ping",
        "/readyz/x",
        "/metrics",
        "/version",
        "/",
        "/Healthz",
        "//healthz",
    ] {
        let denied = authorizer
            .authorize(&Identity::anonymous(), &path(closed))
            .await
            .unwrap_err();
        assert!(matches!(denied, AuthzError::Denied(_)), "{closed}");
    }
    assert_eq!(
        authorizer.authorize(&identity("bob"), &path("/apis")).await,
        Ok(())
    );
}

#[tokio::test]
async fn a_review_that_fails_lets_nobody_through() {
    let authorizer = Authorizer::new(Arc::new(FakeReviewer::default()));
    let failed = authorizer
        .authorize(&identity("down"), &path("/apis"))
        .await
        .unwrap_err();
    assert_eq!(
        failed,
        AuthzError::Failed(ReviewError::Timeout("SubjectAccessReview"))
    );
}
