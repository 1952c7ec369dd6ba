use super::*;
use language::selector::Selector;

fn pod(name: &str) -> ObjectReference<'_> {
    ObjectReference {
        kind: "Pod",
        namespace: "ns",
        name,
        api_version: "/v1",
    }
}

fn time() -> Time {
    Time("2026-01-02T02:04:05.987Z".parse().unwrap())
}

fn selector(text: &str) -> Option<LabelSelector> {
    LabelSelector::of(&Selector::parse(text).unwrap()).unwrap()
}

fn v1beta1<'a>(
    name: &'a str,
    window_seconds: Option<u64>,
    selector: Option<&'a LabelSelector>,
) -> MetricValueV1beta1<'a> {
    MetricValueV1beta1 {
        described_object: pod(name),
        metric_name: "http_requests",
        timestamp: time(),
        window_seconds,
        value: Milli::new(1500),
        selector,
    }
}

fn v1beta2<'a>(
    name: &'a str,
    window_seconds: Option<u64>,
    selector: Option<&'a LabelSelector>,
) -> MetricValueV1beta2<'a> {
    MetricValueV1beta2 {
        described_object: pod(name),
        metric: MetricIdentifier {
            name: "http_requests",
            selector,
        },
        timestamp: time(),
        window_seconds,
        value: Milli::new(1500),
    }
}

/// Conformance points 26 to 30: the bytes of the reference server, its line break aside.
#[test]
fn lists_are_those_of_the_reference() {
    let list = MetricValueList::v1beta1(vec![
        v1beta1("pod-a", Some(60), None),
        v1beta1("pod-b", Some(60), None),
    ]);
    assert_eq!(
        serde_json::to_string(&list).unwrap(),
        r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta1","metadata":{},"items":[{"describedObject":{"kind":"Pod","namespace":"ns","name":"pod-a","apiVersion":"/v1"},"metricName":"http_requests","timestamp":"2026-01-02T02:04:05Z","window":60,"value":"1500m","selector":null},{"describedObject":{"kind":"Pod","namespace":"ns","name":"pod-b","apiVersion":"/v1"},"metricName":"http_requests","timestamp":"2026-01-02T02:04:05Z","window":60,"value":"1500m","selector":null}]}"#
    );
    let list = MetricValueList::v1beta2(vec![
        v1beta2("pod-a", Some(60), None),
        v1beta2("pod-b", Some(60), None),
    ]);
    assert_eq!(
        serde_json::to_string(&list).unwrap(),
        r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","metadata":{},"items":[{"describedObject":{"kind":"Pod","namespace":"ns","name":"pod-a","apiVersion":"/v1"},"metric":{"name":"http_requests","selector":null},"timestamp":"2026-01-02T02:04:05Z","windowSeconds":60,"value":"1500m"},{"describedObject":{"kind":"Pod","namespace":"ns","name":"pod-b","apiVersion":"/v1"},"metric":{"name":"http_requests","selector":null},"timestamp":"2026-01-02T02:04:05Z","windowSeconds":60,"value":"1500m"}]}"#
    );
    let list = MetricValueList::v1beta1(Vec::new());
    assert_eq!(
        serde_json::to_string(&list).unwrap(),
        r#"{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta1","metadata":{},"items":[]}"#
    );
}

#[test]
fn a_window_is_left_out_only_when_it_is_unknown() {
    let windows = |window| {
        let old = serde_json::to_value(v1beta1("p", window, None)).unwrap();
        let new = serde_json::to_value(v1beta2("p", window, None)).unwrap();
        (old.get("window").cloned(), new.get("windowSeconds").cloned())
    };
    assert_eq!(windows(None), (None, None));
    assert_eq!(windows(Some(0)), (Some(0.into()), Some(0.into())));
}

#[test]
fn a_cluster_scoped_object_has_no_namespace() {
    let node = ObjectReference {
        kind: "Node",
        name: "n1",
        api_version: "/v1",
        ..ObjectReference::default()
    };
    assert_eq!(
        serde_json::to_string(&node).unwrap(),
        r#"{"kind":"Node","name":"n1","apiVersion":"/v1"}"#
    );
}

/// Conformance point 33.
#[test]
fn the_selector_of_the_request_is_repeated() {
    let cases = [
        ("", "null"),
        ("verb=GET", r#"{"matchLabels":{"verb":"GET"}}"#),
        ("verb==GET", r#"{"matchLabels":{"verb":"GET"}}"#),
        ("b=2,a=1", r#"{"matchLabels":{"a":"1","b":"2"}}"#),
        (
            "a!=b",
            r#"{"matchExpressions":[{"key":"a","operator":"NotIn","values":["b"]}]}"#,
        ),
        (
            "z,!y,x in (b,a),w notin (c)",
            r#"{"matchExpressions":[{"key":"w","operator":"NotIn","values":["c"]},{"key":"x","operator":"In","values":["a","b"]},{"key":"y","operator":"DoesNotExist"},{"key":"z","operator":"Exists"}]}"#,
        ),
        (
            "a=b,c",
            r#"{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"Exists"}]}"#,
        ),
    ];
    for (text, json) in cases {
        let selector = selector(text);
        let item = serde_json::to_string(&v1beta1("p", None, selector.as_ref())).unwrap();
        assert!(
            item.ends_with(&format!(r#""value":"1500m","selector":{json}}}"#)),
            "{text}: {item}"
        );
        let item = serde_json::to_string(&v1beta2("p", None, selector.as_ref())).unwrap();
        assert!(
            item.contains(&format!(
                r#""metric":{{"name":"http_requests","selector":{json}}}"#
            )),
            "{text}: {item}"
        );
    }
    assert!(LabelSelector::of(&Selector::parse("a>1").unwrap()).is_err());
}
