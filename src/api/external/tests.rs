use super::*;

/// The bytes of the reference server, its escapes and line break aside; it writes `null` for no labels, we `{}`.
#[test]
fn lists_are_those_of_the_reference() {
    let value = |labels: &[(&'static str, &'static str)], window_seconds| ExternalMetricValue {
        metric_name: "queue_messages",
        metric_labels: Some(labels.iter().copied().collect()),
        timestamp: Time("2025-10-09T08:53:20Z".parse().unwrap()),
        window_seconds,
        value: Milli::new(1500),
    };
    let list = ExternalMetricValueList::v1beta1(vec![
        value(&[("zeta", "1"), ("alpha", "2")], Some(60)),
        value(&[], None),
    ]);
    assert_eq!(
        serde_json::to_string(&list).unwrap(),
        r#"{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","metadata":{},"items":[{"metricName":"queue_messages","metricLabels":{"alpha":"2","zeta":"1"},"timestamp":"2025-10-09T08:53:20Z","window":60,"value":"1500m"},{"metricName":"queue_messages","metricLabels":{},"timestamp":"2025-10-09T08:53:20Z","value":"1500m"}]}"#
    );
    let list = ExternalMetricValueList::v1beta1(Vec::new());
    assert_eq!(
        serde_json::to_string(&list).unwrap(),
        r#"{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","metadata":{},"items":[]}"#
    );
}
