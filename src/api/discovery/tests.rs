use super::*;

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn groups() {
    assert_eq!(
        json(&ApiGroupList::new()),
        r#"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"custom.metrics.k8s.io","versions":[{"groupVersion":"custom.metrics.k8s.io/v1beta2","version":"v1beta2"},{"groupVersion":"custom.metrics.k8s.io/v1beta1","version":"v1beta1"}],"preferredVersion":{"groupVersion":"custom.metrics.k8s.io/v1beta2","version":"v1beta2"}},{"name":"external.metrics.k8s.io","versions":[{"groupVersion":"external.metrics.k8s.io/v1beta1","version":"v1beta1"}],"preferredVersion":{"groupVersion":"external.metrics.k8s.io/v1beta1","version":"v1beta1"}}]}"#
    );
    assert_eq!(
        json(&ApiGroup::new(MetricsApi::External)),
        r#"{"kind":"APIGroup","apiVersion":"v1","name":"external.metrics.k8s.io","versions":[{"groupVersion":"external.metrics.k8s.io/v1beta1","version":"v1beta1"}],"preferredVersion":{"groupVersion":"external.metrics.k8s.io/v1beta1","version":"v1beta1"}}"#
    );
}

/// The bytes of the reference server.
#[test]
fn resources() {
    let custom = ["pods/http_requests", "deployments.apps/queue_depth"];
    let custom = custom
        .map(|name| ApiResource::new(name, true, "MetricValueList"))
        .to_vec();
    assert_eq!(
        json(&ApiResourceList::new(ApiVersion::CustomV1beta1, custom)),
        r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"custom.metrics.k8s.io/v1beta1","resources":[{"name":"pods/http_requests","singularName":"","namespaced":true,"kind":"MetricValueList","verbs":["get"]},{"name":"deployments.apps/queue_depth","singularName":"","namespaced":true,"kind":"MetricValueList","verbs":["get"]}]}"#
    );
    assert_eq!(
        json(&ApiResourceList::new(ApiVersion::ExternalV1beta1, Vec::new())),
        r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"external.metrics.k8s.io/v1beta1","resources":[]}"#
    );
}

#[test]
fn the_aggregated_document_has_groups_and_versions() {
    assert_eq!(
        json(&ApiGroupDiscoveryList::new()),
        r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[{"metadata":{"name":"custom.metrics.k8s.io"},"versions":[{"version":"v1beta2","freshness":"Current"},{"version":"v1beta1","freshness":"Current"}]},{"metadata":{"name":"external.metrics.k8s.io"},"versions":[{"version":"v1beta1","freshness":"Current"}]}]}"#
    );
}
