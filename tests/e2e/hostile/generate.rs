//! Makes requests: most are near to what is served, and each is wrong somewhere else.

use std::fmt;

use percent_encoding::percent_encode_byte;
use proptest::{collection::vec, prelude::*, sample::select};
use testbed::control_plane::NODE;

use super::parts::{EXTERNAL, OF_NODES, OF_OBJECTS};

/// Of each namespace.
pub(super) const PODS: [&str; 4] = ["p-0", "p-1", "p.2", "p-3"];
/// Stands in credentials, and so may stand in nothing that comes back, and in no log.
pub(super) const SECRET: &str = "hostile-s3cret";
/// The value of the node's metric.
pub(super) const NODE_UNIT: f64 = 1e12;

/// Three namespaces, whose values are multiples of units so far apart that no sum of one is a multiple of the next.
#[derive(Clone, Debug)]
pub(super) struct World {
    namespaces: [String; 3],
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Http1,
    Http2,
    /// HTTP/1.1, written to the connection as it is, whether it is HTTP or not.
    Raw,
}

/// Whose certificate is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Of `system:masters`.
    Master,
    /// May do everything with both metrics APIs, and nothing else.
    User,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Hostile {
    pub(super) way: Way,
    pub(super) who: Who,
    pub(super) method: String,
    /// Path and query, as they are to be sent.
    pub(super) target: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// As much of it as one needs to send it again.
impl fmt::Display for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {:?} {:?} {:?}",
            self.way, self.who, self.method, self.target
        )?;
        for (name, value) in &self.headers {
            write!(f, " {name}={:?}", String::from_utf8_lossy(value))?;
        }
        write!(f, ", {} bytes", self.body.len())
    }
}

impl World {
    pub(super) fn new(namespaces: [String; 3]) -> Self {
        Self { namespaces }
    }

    /// Each namespace with the unit of its values.
    pub(super) fn units(&self) -> impl Iterator<Item = (&str, f64)> {
        self.namespaces.iter().map(String::as_str).zip([1.0, 1e4, 1e8])
    }
}

/// Requests of every kind.
pub(super) fn requests(world: &World) -> BoxedStrategy<Hostile> {
    let way = prop_oneof![4 => Just(Way::Http1), 4 => Just(Way::Http2), 1 => Just(Way::Raw)];
    let who = prop_oneof![Just(Who::Master), Just(Who::User)];
    let method = prop_oneof![
        12 => Just("GET".to_owned()),
        2 => one_of(&["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]),
        1 => prop_oneof!["[A-Z]{1,12}", "[!#$%&'*+.^_`|~0-9a-z-]{1,40}", Just("GET".repeat(30))],
    ];
    let body = prop_oneof![8 => Just(Vec::new()), 1 => vec(any::<u8>(), 1..200), 1 => Just(b"{\"kind\":\"x\"}".to_vec())];
    (way, who, method, target(world), headers(), body)
        .prop_map(|(way, who, method, target, headers, body)| {
            // a request of this method opens a tunnel, which HTTP itself refuses
            let method = if method == "CONNECT" {
                "CONNECTED".to_owned()
            } else {
                method
            };
            Hostile {
                way,
                who,
                method,
                target,
                headers,
                body,
            }
        })
        .boxed()
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    select(words).prop_map(str::to_owned)
}

/// Characters that mean something to some reader on the way: URLs, PromQL, RE2, templates, JSON, logs.
fn hostile() -> BoxedStrategy<String> {
    let part = prop_oneof![
        6 => one_of(&[
            "\"", "\\", "'", "`", "{", "}", "(", ")", "[5m]", "|", ".*", ".+", "^", "$", "$1", "=~", "!=", ",", " or ", "\n",
            "\r\n", "\t", "\0", "\u{7f}", "#", "<<", ">>", "<<.Series>>", "%", "&", "+", ";", "/", "..", "*", "\\Q", "\\E",
            "(?i)", "(?:", "namespace=\"\"", "\"} or {__name__=~\".+", "\u{202e}", "é", "\u{1f600}", "\u{feff}", "__name__",
        ]),
        3 => "[a-z0-9.-]{0,6}",
        1 => "\\PC{0,3}",
    ];
    vec(part, 1..5).prop_map(|parts| parts.concat()).boxed()
}

/// Percent-encodes what may not stand in a target, or more, or less, or wrongly.
fn encoded(text: BoxedStrategy<String>) -> BoxedStrategy<String> {
    (text, 0..20_u8, any::<u8>())
        .prop_map(|(text, style, at)| match style {
            // everything
            0 => text.bytes().map(percent_encode_byte).collect(),
            1 => text
                .bytes()
                .map(percent_encode_byte)
                .collect::<String>()
                .to_ascii_lowercase(),
            // what has to be
            2..=16 => text.bytes().map(encode).collect(),
            // twice
            17 => text.bytes().map(encode).collect::<String>().replace('%', "%25"),
            // bytes that are no text
            18 => format!(
                "{}%{:02X}",
                text.bytes().map(encode).collect::<String>(),
                at | 0x80
            ),
            _ => format!("{}%z{at}", text.bytes().map(encode).collect::<String>()),
        })
        .boxed()
}

fn encode(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~*:,()!$".contains(&byte) {
        char::from(byte).to_string()
    } else {
        percent_encode_byte(byte).to_owned()
    }
}

/// A word that is right most of the time.
fn mostly(right: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let long = prop_oneof![
        Just("a".repeat(64)),
        Just("b".repeat(254)),
        Just("c".repeat(600)),
        Just("%41".repeat(200))
    ];
    prop_oneof![
        16 => right,
        2 => encoded(hostile()),
        1 => one_of(&["", ".", "..", "*", "%2A", "%2F", "%00", "%zz", "-", "A", "a_b", "status", "finalize", "watch", "proxy", "metrics", "namespaces"]),
        1 => long,
    ]
    .boxed()
}

fn target(world: &World) -> BoxedStrategy<String> {
    let namespaces: Vec<String> = world.namespaces.to_vec();
    let namespace = || mostly(select(namespaces.clone()).boxed());
    let metric = || mostly(select(OF_OBJECTS.as_slice()).prop_map(str::to_owned).boxed());
    let custom = one_of(&[
        "/apis/custom.metrics.k8s.io/v1beta1",
        "/apis/custom.metrics.k8s.io/v1beta2",
    ]);
    let resource = mostly(
        one_of(&[
            "pods",
            "pods",
            "pods",
            "pod",
            "nodes",
            "namespaces",
            "deployments.apps",
            "pods.",
            "Pods",
        ])
        .boxed(),
    );
    let pod = || {
        mostly(
            prop_oneof![
                select(PODS.as_slice()).prop_map(str::to_owned),
                Just("*".to_owned()),
                Just("%2A".to_owned())
            ]
            .boxed(),
        )
    };
    let external = mostly(select(EXTERNAL.as_slice()).prop_map(str::to_owned).boxed());
    let path = prop_oneof![
        8 => (custom.clone(), namespace(), resource, pod(), metric())
            .prop_map(|(base, namespace, resource, name, metric)| format!("{base}/namespaces/{namespace}/{resource}/{name}/{metric}")),
        4 => (custom.clone(), namespace(), pod(), metric())
            .prop_map(|(base, namespace, name, metric)| format!("{base}/namespaces/{namespace}/pods/{name}/{metric}")),
        2 => (custom.clone(), namespace(), metric())
            .prop_map(|(base, namespace, metric)| format!("{base}/namespaces/{namespace}/metrics/{metric}")),
        6 => (namespace(), external)
            .prop_map(|(namespace, metric)| format!("/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{metric}")),
        1 => (custom.clone(), mostly(Just(NODE.to_owned()).boxed()), mostly(Just(OF_NODES.to_owned()).boxed()))
            .prop_map(|(base, node, metric)| format!("{base}/nodes/{node}/{metric}")),
        1 => (custom, vec(mostly(one_of(&["namespaces", "pods", "metrics"]).boxed()), 0..8))
            .prop_map(|(base, segments)| format!("{base}/{}", segments.join("/"))),
        1 => elsewhere(),
    ];
    let finish = prop_oneof![20 => Just(""), 1 => Just("/"), 1 => Just("//"), 1 => Just("/extra")];
    let query = prop_oneof![2 => Just(String::new()), 5 => query().prop_map(|query| format!("?{query}"))];
    (path, finish, query)
        .prop_map(|(path, finish, query)| format!("{path}{finish}{query}"))
        .boxed()
}

fn elsewhere() -> BoxedStrategy<String> {
    let fixed = one_of(&[
        "/",
        "//",
        "/apis",
        "/apis/",
        "/apis/custom.metrics.k8s.io",
        "/apis/custom.metrics.k8s.io/v1beta2/",
        "/apis/external.metrics.k8s.io/v1beta1",
        "/apis/metrics.k8s.io/v1beta1/pods",
        "/apis/custom.metrics.k8s.io/v1",
        "/openapi/v2",
        "/openapi/v3",
        "/openapi/v3/apis/custom.metrics.k8s.io/v1beta2",
        "/version",
        "/healthz",
        "/livez/ping",
        "/readyz/..",
        "/debug/pprof/heap",
        "/api/v1/namespaces",
        "/favicon.ico",
        "/%2e%2e/%2e%2e/etc/passwd",
        "*",
        "/?",
        "/;",
    ]);
    prop_oneof![
        3 => fixed,
        1 => vec(encoded(hostile()), 0..6).prop_map(|segments| format!("/{}", segments.join("/"))),
        1 => (1000..12_000_usize).prop_map(|length| format!("/apis/custom.metrics.k8s.io/v1beta2/{}", "x/".repeat(length / 2))),
    ]
    .boxed()
}

fn query() -> BoxedStrategy<String> {
    let name = prop_oneof![
        6 => one_of(&["labelSelector", "metricLabelSelector"]),
        1 => one_of(&["labelSelector%5B%5D", "LabelSelector", "fieldSelector", "match[]", "query", "namespace"]),
    ];
    let selector =
        (name, encoded(selector())).prop_map(|(name, value)| format!("{name}={}", value.replace("%20", "+")));
    let other = one_of(&[
        "limit=1",
        "limit=-1",
        "limit=99999999999999999999",
        "limit=abc",
        "continue=%7B%7D",
        "watch=true",
        "watch=0",
        "timeout=30s",
        "timeout=abc",
        "timeout=-1s",
        "timeout=0",
        "timeoutSeconds=5",
        "timeoutSeconds=x",
        "resourceVersion=0",
        "resourceVersionMatch=Exact",
        "fieldSelector=metadata.name%3Dp-0",
        "fieldSelector=spec.x%3Dy",
        "pretty=true",
        "pretty=%00",
        "dryRun=All",
        "as=Table",
        "=",
        "&",
        "a;b=c",
        "%zz=1",
        "sendInitialEvents=true",
        "allowWatchBookmarks=true",
    ]);
    let junk = vec("[a-z]{1,3}=[a-z]{0,3}", 60..80).prop_map(|pairs| pairs.join("&"));
    let parameter = prop_oneof![10 => selector, 4 => other, 1 => encoded(hostile()), 1 => junk];
    vec(parameter, 1..4)
        .prop_map(|parameters| parameters.join("&"))
        .boxed()
}

fn selector() -> BoxedStrategy<String> {
    let key = prop_oneof![
        8 => one_of(&["shard", "shard", "app", "number", "namespace", "pod", "kind"]),
        2 => one_of(&["example.com/x", "__name__", "_x", "le", "or", "by", "1", "a.b", "A-b", "job"]),
        1 => hostile(),
    ];
    let value = prop_oneof![
        8 => one_of(&["x", "y", "queue", "p-0", "p.2", "hostile-b-1", "hostile-a-0", ""]),
        2 => hostile(),
        1 => Just("v".repeat(63)),
        1 => Just("v".repeat(64)),
    ];
    let list = vec(value.clone(), 0..6).prop_map(|values| values.join(","));
    let operator = one_of(&["=", "=", "==", "!=", " in ", " notin ", "", "!", ">", "<", "=~"]);
    let requirement =
        (key, operator, value, list).prop_map(|(key, operator, value, list)| match operator.as_str() {
            "" => key,
            "!" => format!("!{key}"),
            " in " | " notin " => format!("{key}{operator}({list})"),
            operator => format!("{key}{operator}{value}"),
        });
    let huge = prop_oneof![
        (100..2000_usize).prop_map(|count| format!(
            "shard in ({})",
            (0..count).map(|n| format!("v{n}")).collect::<Vec<_>>().join(",")
        )),
        (10..400_usize).prop_map(|count| (0..count)
            .map(|n| format!("k{n}!=v"))
            .collect::<Vec<_>>()
            .join(",")),
        (10..2000_usize).prop_map(|count| format!(
            "a in ({})",
            (0..count).map(|n| format!("@{n}")).collect::<Vec<_>>().join(",")
        )),
        Just("(".repeat(3000)),
    ];
    prop_oneof![
        12 => vec(requirement, 1..4).prop_map(|requirements| requirements.join(",")),
        1 => hostile(),
        1 => huge,
    ]
    .boxed()
}

fn headers() -> BoxedStrategy<Vec<(String, Vec<u8>)>> {
    let word = |words| one_of(words).prop_map(String::into_bytes);
    let bytes = || prop_oneof![hostile().prop_map(String::into_bytes), vec(0x80..=0xff_u8, 1..8)];
    let header = prop_oneof![
        4 => word(&[
            "application/json", "*/*", "application/vnd.kubernetes.protobuf, */*", "text/html", "application/cbor", "", ";;q=x,,",
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "application/json;as=Table;v=v1;g=meta.k8s.io",
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "application/yaml", "application/json;q=0",
        ]).prop_map(|value| ("accept".to_owned(), value)),
        2 => (one_of(&["x-remote-user", "X-Remote-Group", "x-remote-extra-scopes", "x-remote-uid", "X-Remote-Extra-%zz"]), prop_oneof![word(&["system:masters", "system:admin", ""]), bytes()]),
        1 => (one_of(&["impersonate-user", "Impersonate-Group", "impersonate-extra-x", "impersonate-uid"]), word(&["system:masters", "a", ""])),
        2 => word(&["Bearer ", "Bearer hostile-s3cret", "bearer hostile-s3cret.a.b", "Basic aG9zdGlsZS1zM2NyZXQ=", "Bearer hostile-s3cret,x", "Negotiate hostile-s3cret"])
            .prop_map(|value| ("authorization".to_owned(), value)),
        2 => (one_of(&["user-agent", "audit-id", "x-request-id", "traceparent", "cookie", "referer", "accept-language", "if-none-match", "range"]), prop_oneof![word(&["curl/8", "Mozilla/5.0", "\"x\"", "*"]), bytes()]),
        1 => word(&["gzip", "gzip;q=0", "br, gzip", "identity", "*"]).prop_map(|value| ("accept-encoding".to_owned(), value)),
        1 => (one_of(&["x-forwarded-for", "x-forwarded-host", "x-original-url", "x-http-method-override", "x-rewrite-url"]), word(&["127.0.0.1", "DELETE", "/metrics"])),
        1 => (1000..20_000_usize).prop_map(|length| ("x-long".to_owned(), vec![b'x'; length])),
    ];
    vec(header, 0..5)
        .prop_map(|headers| {
            let plain = |value: Vec<u8>| {
                value
                    .into_iter()
                    .filter(|byte| *byte >= 0x20 && *byte != 0x7f)
                    .collect()
            };
            headers
                .into_iter()
                .map(|(name, value)| (name, plain(value)))
                .collect()
        })
        .boxed()
}
