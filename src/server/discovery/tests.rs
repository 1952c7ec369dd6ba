use super::*;
use crate::server::respond::Json as _;

fn listing(custom: &[(&str, bool)], external: &[&str]) -> Listing {
    Listing(PerApi::of(|api| match api {
        MetricsApi::Custom => custom
            .iter()
            .map(|(name, namespaced)| ApiResource::new(*name, *namespaced, api.list_kind()))
            .collect(),
        MetricsApi::External => external
            .iter()
            .map(|name| ApiResource::new(*name, true, api.list_kind()))
            .collect(),
    }))
}

fn text(lists: &Lists, version: ApiVersion) -> String {
    let body = lists.0[version].encode(false).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[test]
fn every_version_of_a_group_lists_the_same() {
    let lists = Lists::new(&listing(&[("namespaces/m", false), ("pods/m", true)], &["q"]));
    let custom = |version| {
        format!(
            r#"{{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"custom.metrics.k8s.io/{version}","resources":[{{"name":"namespaces/m","singularName":"","namespaced":false,"kind":"MetricValueList","verbs":["get"]}},{{"name":"pods/m","singularName":"","namespaced":true,"kind":"MetricValueList","verbs":["get"]}}]}}"#
        ) + "\n"
    };
    assert_eq!(text(&lists, ApiVersion::CustomV1beta2), custom("v1beta2"));
    assert_eq!(text(&lists, ApiVersion::CustomV1beta1), custom("v1beta1"));
    assert_eq!(
        text(&lists, ApiVersion::ExternalV1beta1),
        "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"external.metrics.k8s.io/v1beta1\",\"resources\":[{\"name\":\"q\",\"singularName\":\"\",\"namespaced\":true,\"kind\":\"ExternalMetricValueList\",\"verbs\":[\"get\"]}]}\n"
    );
}

#[test]
fn lists_are_made_once_for_a_catalog() {
    let discovery = Discovery::new().unwrap();
    let first = Arc::new(Catalog::default());
    let lists = discovery.lists(&first);
    assert!(Arc::ptr_eq(&lists, &discovery.lists(&first)));
    let second = Arc::new(Catalog::default());
    assert!(!Arc::ptr_eq(&lists, &discovery.lists(&second)));
    assert_eq!(Listing::of(&first), Listing::default());
}

/// Conformance points 51 to 54: the tag depends on what is served alone.
#[test]
fn the_aggregated_document_is_the_same_everywhere() {
    let (one, other) = (Discovery::new().unwrap(), Discovery::new().unwrap());
    assert_eq!(one.aggregated.hash, other.aggregated.hash);
    assert_eq!(one.aggregated.hash.len(), 128);
    assert!(
        one.aggregated
            .hash
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte))
    );
}
