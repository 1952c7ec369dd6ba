mod paths;

use proptest::prelude::*;

use super::*;
use crate::{
    query::request::{self, ObjectName},
    reason::Reason,
};

const P: &str = "/apis/custom.metrics.k8s.io/v1beta2";
const E: &str = "/apis/external.metrics.k8s.io/v1beta1";

fn get(path: &str) -> Request {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    Request::parse("GET", path, query)
}

/// `get pods/m p1 in ns`, or `get /apis`.
fn attributes(request: &Request) -> String {
    match &request.attributes {
        Attributes::NonResource { path, verb } => format!("{verb} {path}"),
        Attributes::Resource(attributes) => {
            let part = |before: &str, text: &str| match text {
                "" => String::new(),
                text => format!("{before}{text}"),
            };
            let (verb, resource) = (&attributes.verb, &attributes.resource);
            let (metric, name) = (part("/", &attributes.subresource), part(" ", &attributes.name));
            format!(
                "{verb} {resource}{metric}{name}{}",
                part(" in ", &attributes.namespace)
            )
        }
    }
}

/// `m of pods p1 in ns`, `404`.
fn endpoint(request: &Request) -> String {
    match &request.endpoint {
        Ok(Endpoint::Metric(MetricRequest::Custom(route))) => {
            let object = match &route.object {
                ObjectName::Named(name) => name.as_str(),
                ObjectName::All => "(all)",
                ObjectName::Namespace => "(itself)",
            };
            let namespace = route
                .namespace
                .as_ref()
                .map(|namespace| format!(" in {namespace}"))
                .unwrap_or_default();
            format!("{} of {} {object}{namespace}", route.metric, route.resource)
        }
        Ok(Endpoint::Metric(MetricRequest::External(route))) => {
            format!("{} in {}", route.metric, route.namespace)
        }
        Ok(other) => format!("{other:?}"),
        Err(error) => error.code.to_string(),
    }
}

fn check(cases: &[(String, &str, &str)]) {
    for (path, authorized, answered) in cases {
        let request = get(path);
        assert_eq!(
            (attributes(&request).as_str(), endpoint(&request).as_str()),
            (*authorized, *answered),
            "{path}"
        );
    }
}

fn error(path: &str) -> RouteError {
    get(path).endpoint.expect_err(path)
}

fn custom_route(path: &str) -> request::Custom {
    match get(path).endpoint {
        Ok(Endpoint::Metric(MetricRequest::Custom(route))) => route,
        other => panic!("{path}: {other:?}"),
    }
}

/// Conformance points 14 to 20.
#[test]
fn selectors() {
    let route = custom_route(&format!(
        "{P}/namespaces/ns/pods/*/m?labelSelector=app%3Dweb%2Ctier+in+%28b%2Ca%29&metricLabelSelector=verb%3DGET&other=1"
    ));
    assert_eq!(route.label_selector.to_string(), "app=web,tier in (a,b)");
    assert_eq!(route.metric_selector.to_string(), "verb=GET");

    let first = custom_route(&format!(
        "{P}/namespaces/ns/pods/*/m?labelSelector=a%3Db&labelSelector=c%3Dd"
    ));
    assert_eq!(first.label_selector.to_string(), "a=b");
    let empty = custom_route(&format!(
        "{P}/namespaces/ns/pods/*/m?labelSelector=&metricLabelSelector="
    ));
    assert!(empty.label_selector.is_empty() && empty.metric_selector.is_empty());
    // Pairs that do not decode are passed over.
    let broken = custom_route(&format!(
        "{P}/namespaces/ns/pods/*/m?labelSelector=%zz&a;b=c&labelSelector=a%3Db"
    ));
    assert_eq!(broken.label_selector.to_string(), "a=b");

    let external = get(&format!("{E}/namespaces/ns/q?labelSelector=x%3Dy,z!%3Dw,n%3E3"));
    let Ok(Endpoint::Metric(MetricRequest::External(route))) = &external.endpoint else {
        panic!("{external:?}")
    };
    assert_eq!(route.selector.to_string(), "n>3,x=y,z!=w");
    let Attributes::Resource(attributes) = &external.attributes else {
        panic!("{external:?}")
    };
    let requirements: Vec<_> = attributes
        .label_selector
        .iter()
        .map(|r| (r.key.as_str(), r.operator.as_str(), r.values.join(",")))
        .collect();
    assert_eq!(
        requirements,
        [("x", "In", "y".to_owned()), ("z", "NotIn", "w".to_owned())]
    );
    // A get carries none.
    let Attributes::Resource(attributes) =
        get(&format!("{P}/namespaces/ns/pods/*/m?labelSelector=a%3Db")).attributes
    else {
        panic!()
    };
    assert!(attributes.label_selector.is_empty());

    for parameter in ["labelSelector", "metricLabelSelector"] {
        let error = error(&format!("{P}/namespaces/ns/pods/*/m?{parameter}=%21%21bad"));
        assert_eq!(
            (error.code, error.reason),
            (400, Reason::InvalidSelector),
            "{parameter}"
        );
        assert_eq!(
            error.message,
            "unable to parse requirement: found '!', expected: identifier"
        );
        assert_eq!(error.details, None);
    }
}

/// Conformance points 21 to 24.
#[test]
fn list_options() {
    let custom = format!("{P}/namespaces/ns/pods/*/m");
    let named = format!("{P}/namespaces/ns/pods/p1/m");
    let external = format!("{E}/namespaces/ns/q");
    let unknown =
        "\"status.foo\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    let mismatch = "fieldSelector metadata.name doesn't match requested name";
    let watch = "watch is not supported on resources of kind \"*.external.metrics.k8s.io\"";
    let matching = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is \
                    forbidden unless resourceVersion is provided";
    let timeout = "invalid timeout specified in the request URL - time: invalid duration \"abc\"";
    let no_unit = "invalid timeout specified in the request URL - time: missing unit in duration \"1\"";
    let wrong_unit =
        "invalid timeout specified in the request URL - time: unknown unit \"x\" in duration \"1s2x\"";
    let cases = [
        (&custom, "limit=1&continue=x", None),
        (&custom, "watch=true", None),
        (&custom, "resourceVersionMatch=Exact", None),
        (&custom, "resourceVersion=5&resourceVersionMatch=Exact", None),
        (
            &custom,
            "limit=abc",
            Some((400, "strconv.ParseInt: parsing \"abc\": invalid syntax")),
        ),
        (
            &custom,
            "timeoutSeconds=99999999999999999999",
            Some((
                400,
                "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
            )),
        ),
        (&custom, "fieldSelector=metadata.name%3Dx", Some((400, mismatch))),
        (&custom, "fieldSelector=metadata.name%3D*", Some((400, mismatch))),
        (&custom, "fieldSelector=status.foo%3Dx", Some((400, unknown))),
        (
            &custom,
            "fieldSelector=metadata.namespace%3Dns",
            Some((400, mismatch)),
        ),
        (&named, "fieldSelector=metadata.name%3Dp1", None),
        (&named, "fieldSelector=metadata.name%3D%3Dp1", None),
        (
            &named,
            "fieldSelector=metadata.name%21%3Dx",
            Some((400, mismatch)),
        ),
        (
            &named,
            "fieldSelector=metadata.namespace%3Dns",
            Some((400, mismatch)),
        ),
        (
            &named,
            "fieldSelector=metadata.namespace%3Dns,metadata.name%3Dp1,",
            None,
        ),
        (&named, "fieldSelector=metadata.name%3Dp2", Some((400, mismatch))),
        (&external, "limit=1", None),
        (&external, "fieldSelector=metadata.name%3Dx", None),
        (&external, "watch=true", Some((405, watch))),
        (&external, "watch=1", Some((405, watch))),
        (&external, "watch", Some((405, watch))),
        (&external, "watch=false", None),
        (&external, "watch=0", None),
        (
            &external,
            "timeoutSeconds=abc",
            Some((400, "strconv.ParseInt: parsing \"abc\": invalid syntax")),
        ),
        (&external, "resourceVersionMatch=Exact", Some((422, matching))),
        (&external, "resourceVersion=5&resourceVersionMatch=Exact", None),
        (&external, "timeout=abc", Some((400, timeout))),
        (&external, "timeout=1", Some((400, no_unit))),
        (&external, "timeout=1s2x", Some((400, wrong_unit))),
    ];
    for (path, query, expected) in cases {
        let found = get(&format!("{path}?{query}")).endpoint;
        let found = found.err().map(|error| (error.code, error.message));
        assert_eq!(
            found.as_ref().map(|(code, message)| (*code, message.as_str())),
            expected,
            "{path}?{query}"
        );
    }
    assert_eq!(
        error(&format!("{external}?watch=1")).details,
        Some(("external.metrics.k8s.io", "*"))
    );
    let forbidden = error(&format!("{external}?resourceVersionMatch=Exact"));
    assert_eq!(forbidden.details, Some(("meta.k8s.io", "ListOptions")));
    assert_eq!(
        forbidden.cause.map(|cause| cause.reason),
        Some("FieldValueForbidden")
    );
}

#[test]
fn timeouts_are_go_durations() {
    let cases = [
        ("1s", Some(1.0)),
        ("1m30s", Some(90.0)),
        ("1.5h", Some(5400.0)),
        ("100ms", Some(0.1)),
        ("0", None),
        ("0s", None),
        ("-1s", None),
        ("", None),
    ];
    for (text, seconds) in cases {
        let request = get(&format!("/apis?timeout={text}"));
        assert_eq!(request.timeout, seconds.map(Duration::from_secs_f64), "{text}");
        assert_eq!(request.endpoint, Ok(Endpoint::Groups), "{text}");
    }
    for text in ["1", "abc", "s", "-", ".s", "1d", "inf", "1e3s", "1 s"] {
        assert_eq!(error(&format!("/apis?timeout={text}")).code, 400, "{text}");
    }
}

#[test]
fn pretty_outdoes_the_look_of_the_client() {
    let cases = [
        ("", None),
        ("pretty", None),
        ("pretty=", None),
        ("pretty=true", Some(true)),
        ("pretty=1", Some(true)),
        ("pretty=false", Some(false)),
        ("pretty=yes", Some(false)),
    ];
    for (query, expected) in cases {
        assert_eq!(get(&format!("/apis?{query}")).pretty, expected, "{query}");
    }
}

#[test]
fn sentences_are_those_of_the_reference() {
    let cases = [
        (
            "namespaces/ns/pods/p1/m",
            "the server could not find the metric m for pods p1",
        ),
        (
            "namespaces/ns/pods/*/m?metricLabelSelector=a%3Db",
            "the server could not find the metric m for pods * with selector a=b",
        ),
        (
            "namespaces/ns/metrics/m",
            "the server could not find the metric m for namespaces ns",
        ),
        (
            "namespaces/ns/deployments.apps/d/m",
            "the server could not find the metric m for deployments.apps d",
        ),
    ];
    for (path, sentence) in cases {
        assert_eq!(custom_route(&format!("{P}/{path}")).sought(), sentence);
    }
    let kind = custom_route(&format!("{P}/namespaces/ns/pods/p1/m")).sought_kind();
    assert_eq!(kind, "the server could not find the metric m for pods");
}

proptest! {
    /// What is answered is what was authorized, whatever the path.
    #[test]
    fn one_parse(path in "(/|/?apis/(custom|external)\\.metrics\\.k8s\\.io/v1beta[12])(/(namespaces|ns|pods|\\*|%2A|metrics|status|watch|m|%2F|\\.\\.|pods\\.|deployments\\.apps|%00|é|%zz|)){0,7}/?") {
        let request = get(&path);
        let Ok(Endpoint::Metric(route)) = &request.endpoint else { return Ok(()) };
        let Attributes::Resource(attributes) = &request.attributes else { panic!("{request:?}") };
        match route {
            MetricRequest::Custom(route) => {
                prop_assert_eq!(&attributes.verb, "get");
                prop_assert_eq!(&attributes.group, MetricsApi::Custom.group());
                prop_assert_eq!(&attributes.version, route.version.as_str());
                prop_assert_eq!(&attributes.namespace, route.namespace.as_deref().unwrap_or_default());
                if route.object == ObjectName::Namespace {
                    prop_assert_eq!((&*attributes.resource, &*attributes.name, &*attributes.subresource), ("metrics", &*route.metric, ""));
                } else {
                    let name = match &route.object { ObjectName::Named(name) => name, _ => "*" };
                    let resource = route.resource.to_string();
                    prop_assert_eq!((&*attributes.resource, &*attributes.name, &*attributes.subresource), (&*resource, name, &*route.metric));
                }
            }
            MetricRequest::External(route) => {
                prop_assert_eq!((&*attributes.verb, &*attributes.group), ("list", MetricsApi::External.group()));
                prop_assert_eq!((&*attributes.namespace, &*attributes.resource), (&*route.namespace, &*route.metric));
                prop_assert_eq!((&*attributes.name, &*attributes.subresource), ("", ""));
            }
        }
    }

    #[test]
    fn anything_is_parsed(method in "[A-Z]{0,8}", path in "\\PC{0,80}", query in "\\PC{0,80}") {
        let _ = Request::parse(&method, &path, Some(&query));
    }
}
