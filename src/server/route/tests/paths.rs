//! Paths and methods.

use super::*;

/// Conformance points 1 to 12, 74.
#[test]
fn paths_of_metrics() {
    check(&[
        (
            format!("{P}/namespaces/ns/pods/p1/m"),
            "get pods/m p1 in ns",
            "m of pods p1 in ns",
        ),
        (
            format!("{P}/namespaces/ns/pods/*/m"),
            "get pods/m * in ns",
            "m of pods (all) in ns",
        ),
        (
            format!("{P}/namespaces/ns/pods/%2A/m"),
            "get pods/m * in ns",
            "m of pods (all) in ns",
        ),
        (format!("{P}/nodes/n1/m"), "get nodes/m n1", "m of nodes n1"),
        (format!("{P}/nodes/*/m"), "get nodes/m *", "m of nodes (all)"),
        (
            format!("{P}/namespaces/ns/metrics/m"),
            "get metrics m in ns",
            "m of namespaces (itself) in ns",
        ),
        (
            format!("{P}/namespaces/ns/metrics/*"),
            "get metrics * in ns",
            "* of namespaces (itself) in ns",
        ),
        (
            format!("{P}/namespaces/ns/deployments.apps/d1/m"),
            "get deployments.apps/m d1 in ns",
            "m of deployments.apps d1 in ns",
        ),
        (
            format!("{P}/namespaces/ns/ingresses.networking.k8s.io/i/m"),
            "get ingresses.networking.k8s.io/m i in ns",
            "m of ingresses.networking.k8s.io i in ns",
        ),
        (
            format!("{P}/namespaces/ns/nodes/n1/m"),
            "get nodes/m n1 in ns",
            "m of nodes n1 in ns",
        ),
        (
            format!("{P}/namespaces/ns/pods/p1/m/"),
            "get pods/m p1 in ns",
            "m of pods p1 in ns",
        ),
        (
            format!("{P}/namespaces/ns/pods/p1/http%3Arate%201"),
            "get pods/http:rate 1 p1 in ns",
            "http:rate 1 of pods p1 in ns",
        ),
        (format!("{E}/namespaces/ns/q"), "list q in ns", "q in ns"),
        (format!("{E}/namespaces/ns/q/"), "list q in ns", "q in ns"),
        // Too short and too long.
        (format!("{P}/namespaces/ns"), "get namespaces ns in ns", "404"),
        (format!("{P}/namespaces"), "list namespaces", "404"),
        (format!("{P}/nodes"), "list nodes", "404"),
        (format!("{P}/nodes/n1"), "get nodes n1", "404"),
        (format!("{P}/namespaces/ns/pods/p1"), "get pods p1 in ns", "404"),
        (
            format!("{P}/namespaces/ns/pods/p1/m/extra"),
            "get pods/m p1 in ns",
            "404",
        ),
        (
            format!("{P}/watch/namespaces/ns/pods/p1/m"),
            "get watch/ns namespaces",
            "404",
        ),
        (format!("{E}/q"), "list q", "404"),
        (format!("{E}/namespaces/ns"), "get namespaces ns in ns", "404"),
        (format!("{E}/namespaces/ns/a/b"), "get a b in ns", "404"),
        (format!("{P}/namespaces/ns/foo"), "list foo in ns", "400"),
        (format!("{P}/watch/n1/cpu"), "get watch/cpu n1", "400"),
        (format!("{P}/proxy/n1/cpu"), "get proxy/cpu n1", "400"),
        (
            "/apis/custom.metrics.k8s.io/v1beta3/nodes/n1/m".to_owned(),
            "get nodes/m n1",
            "404",
        ),
        (
            "/apis/metrics.k8s.io/v1beta1/nodes".to_owned(),
            "list nodes",
            "404",
        ),
    ]);
}

/// Conformance points 77, 90, 105: what the reference does oddly.
#[test]
fn quirks_are_authorized_as_what_they_are() {
    check(&[
        // Literal names.
        (
            format!("{E}/namespaces/ns/status"),
            "list status in ns",
            "status in ns",
        ),
        (
            format!("{E}/namespaces/ns/finalize"),
            "list finalize in ns",
            "finalize in ns",
        ),
        (
            format!("{E}/namespaces/ns/watch"),
            "list watch in ns",
            "watch in ns",
        ),
        (
            format!("{P}/namespaces/ns/status/x/y"),
            "get status/y x in ns",
            "y of status x in ns",
        ),
        (
            format!("{P}/namespaces/ns/pods/p1/status"),
            "get pods/status p1 in ns",
            "status of pods p1 in ns",
        ),
        (
            format!("{P}/namespaces/ns/metrics/status"),
            "get metrics status in ns",
            "status of namespaces (itself) in ns",
        ),
        (
            format!("{P}/namespaces/namespaces/pods/namespaces/m"),
            "get pods/m namespaces in namespaces",
            "m of pods namespaces in namespaces",
        ),
        // The reference would serve `foo` here, authorized as `metrics/bar`.
        (
            format!("{P}/namespaces/ns/metrics/foo/bar"),
            "get metrics/bar foo in ns",
            "404",
        ),
        // Empty segments.
        (format!("{P}/namespaces//pods/*/m"), "get pods/m *", "404"),
        (format!("{P}/namespaces/ns/pods//m"), "list pods/m in ns", "404"),
        (format!("{P}/namespaces/ns//p1/m"), "get /m p1 in ns", "404"),
        (format!("{E}/namespaces//q"), "list q", "404"),
        (
            format!("{P}/namespaces/ns/pods/p1/m//"),
            "get pods/m p1 in ns",
            "404",
        ),
        (
            format!("/{P}/nodes/n1/m"),
            "get //apis/custom.metrics.k8s.io/v1beta2/nodes/n1/m",
            "404",
        ),
        ("//".to_owned(), "get //", "404"),
    ]);
}

/// Conformance point 90: what no name can be.
#[test]
fn segments_are_checked() {
    check(&[
        // No namespace has such a name.
        (format!("{P}/namespaces/*/pods/*/m"), "get pods/m * in *", "400"),
        (format!("{P}/namespaces/*/metrics/m"), "get metrics m in *", "400"),
        (format!("{E}/namespaces/*/q"), "list q in *", "400"),
        (format!("{E}/namespaces/NS/q"), "list q in NS", "400"),
        (format!("{E}/namespaces/-ns/q"), "list q in -ns", "400"),
        // An encoded slash divides.
        (
            format!("{P}/namespaces/ns/pods/p1%2Fm"),
            "get pods/m p1 in ns",
            "m of pods p1 in ns",
        ),
        (format!("{E}/namespaces/ns/a%2Fb"), "get a b in ns", "404"),
        // Dots are not collapsed.
        (
            format!("{P}/namespaces/ns/pods/../m"),
            "get pods/m .. in ns",
            "m of pods .. in ns",
        ),
        (
            format!("{P}/namespaces/ns/pods/p1/../secrets/m"),
            "get pods/.. p1 in ns",
            "404",
        ),
        // Control characters, and names that are too long.
        (
            format!("{P}/namespaces/ns/pods/p%00/m"),
            "get pods/m p\0 in ns",
            "400",
        ),
        (
            format!("{P}/namespaces/ns/pods/p/m%0A"),
            "get pods/m\n p in ns",
            "400",
        ),
        // Only one way to write a resource.
        (
            format!("{P}/namespaces/ns/pods./p1/m"),
            "get pods./m p1 in ns",
            "400",
        ),
        (
            format!("{P}/namespaces/ns/.apps/p1/m"),
            "get .apps/m p1 in ns",
            "400",
        ),
        (
            format!("{P}/namespaces/ns/po%20ds/p1/m"),
            "get po ds/m p1 in ns",
            "400",
        ),
        (format!("{P}/namespaces/ns/*/p1/m"), "get */m p1 in ns", "400"),
    ]);
    let (n64, n254, m513, m9000) = ("n".repeat(64), "n".repeat(254), "m".repeat(513), "m".repeat(9000));
    let unfit = [
        format!("{E}/namespaces/{n64}/q"),
        format!("{P}/namespaces/ns/pods/{n254}/m"),
        format!("{P}/namespaces/ns/{n254}/p1/m"),
        format!("{E}/namespaces/ns/{m513}"),
        format!("{E}/namespaces/ns/{m9000}"),
        // What is no encoding, or not UTF-8.
        format!("{P}/namespaces/ns/pods/%zz/m"),
        format!("{P}/namespaces/ns/pods/p1/m%f"),
        format!("{P}/namespaces/ns/pods/%ff/m"),
    ];
    for path in unfit {
        let error = error(&path);
        assert_eq!(
            (error.code, error.message.as_str()),
            (400, "invalid request path"),
            "{path}"
        );
    }
}

#[test]
fn other_paths() {
    use {ApiVersion::*, Endpoint::*, MetricsApi::*};
    let health = |endpoint, check: Option<&str>, verbose, exclude: &[&str]| {
        Health(HealthRequest {
            endpoint,
            check: check.map(ToOwned::to_owned),
            verbose,
            exclude: exclude.iter().map(|name| (*name).to_owned()).collect(),
        })
    };
    let cases = [
        ("/", Ok(Index)),
        ("", Ok(Index)),
        ("/apis", Ok(Groups)),
        ("/apis/", Ok(Groups)),
        ("/apis/custom.metrics.k8s.io", Ok(Group(Custom))),
        ("/apis/external.metrics.k8s.io/", Ok(Group(External))),
        ("/apis/custom.metrics.k8s.io/v1beta1", Ok(Version(CustomV1beta1))),
        ("/apis/custom.metrics.k8s.io/v1beta2/", Ok(Version(CustomV1beta2))),
        (
            "/apis/external.metrics.k8s.io/v1beta1",
            Ok(Version(ExternalV1beta1)),
        ),
        ("/apis/external.metrics.k8s.io/v1beta2", Err(404)),
        ("/apis/custom.metrics.k8s.io/v1beta3", Err(404)),
        ("/apis/foo", Err(404)),
        ("/api", Err(404)),
        ("/nope", Err(404)),
        ("/version", Ok(ServerVersion)),
        ("/metrics", Ok(Metrics)),
        ("/openapi/v2", Ok(OpenApiV2)),
        ("/openapi/v3", Ok(OpenApiV3)),
        ("/openapi/v3/", Ok(OpenApiV3)),
        (
            "/openapi/v3/apis/external.metrics.k8s.io/v1beta1",
            Ok(OpenApiV3Of(ExternalV1beta1)),
        ),
        ("/openapi/v3/apis/external.metrics.k8s.io/v1beta9", Err(404)),
        ("/healthz", Ok(health("healthz", None, false, &[]))),
        ("/livez?verbose", Ok(health("livez", None, true, &[]))),
        (
            "/readyz?verbose=1&exclude=a&exclude=b",
            Ok(health("readyz", None, true, &["a", "b"])),
        ),
        ("/readyz/rules", Ok(health("readyz", Some("rules"), false, &[]))),
        ("/readyz/rules/more", Err(404)),
    ];
    for (path, expected) in cases {
        let request = get(path);
        assert_eq!(request.endpoint.map_err(|error| error.code), expected, "{path}");
        let path = path
            .split('?')
            .next()
            .filter(|path| !path.is_empty())
            .unwrap_or("/");
        assert_eq!(attributes(&get(path)), format!("get {path}"), "{path}");
    }
}

/// Conformance point 13.
#[test]
fn only_reading() {
    let metric = format!("{P}/namespaces/ns/pods/p1/m");
    let list = format!("{E}/namespaces/ns/q");
    let cases = [
        ("POST", &*metric, "create pods/m p1 in ns", 405),
        ("PUT", &metric, "update pods/m p1 in ns", 405),
        ("PATCH", &metric, "patch pods/m p1 in ns", 405),
        ("DELETE", &metric, "delete pods/m p1 in ns", 405),
        ("DELETE", &list, "deletecollection q in ns", 405),
        ("HEAD", &metric, "get pods/m p1 in ns", 405),
        ("HEAD", &list, "list q in ns", 405),
        ("OPTIONS", &metric, " pods/m p1 in ns", 405),
        ("TRACE", &metric, " pods/m p1 in ns", 405),
        ("POST", "/apis", "post /apis", 405),
        ("HEAD", "/apis", "head /apis", 405),
        ("HEAD", "/version", "head /version", 405),
        ("DELETE", P, &format!("delete {P}"), 405),
        ("POST", "/nope", "post /nope", 404),
        ("POST", "/openapi/v2", "post /openapi/v2", 405),
        ("HEAD", "/openapi/v2", "head /openapi/v2", 200),
        ("HEAD", "/openapi/v3", "head /openapi/v3", 200),
        ("POST", "/healthz", "post /healthz", 200),
        ("HEAD", "/readyz", "head /readyz", 200),
        // A body that would be refused, and parameters that would: the method comes first.
        ("POST", &format!("{P}/namespaces/ns/foo"), "create foo in ns", 405),
    ];
    for (method, path, authorized, code) in cases {
        let request = Request::parse(method, path, None);
        let answered = request.endpoint.as_ref().map_or_else(|error| error.code, |_| 200);
        assert_eq!(
            (attributes(&request).as_str(), answered),
            (authorized, code),
            "{method} {path}"
        );
    }
    let error = Request::parse("POST", &metric, None).endpoint.unwrap_err();
    assert_eq!(
        error.message,
        "the server does not allow this method on the requested resource"
    );
    assert_eq!(error.details, Some(("", "")));
}
