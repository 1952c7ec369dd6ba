//! What is authorized is what is served (point 77): the refusal of who may nothing says what was asked about, the answer to who
//! may everything what would be served, and who may read one metric reads that one, however the path is written.

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testbed::{PATIENCE, eventually};

use super::{admin, cluster, direct, identity, list, target};
use crate::ask::Client;
use crate::expect::{same, values};
use crate::point::{Point, lab};
use crate::target::{EXTERNAL, Target, V1BETA2};

pub(super) const POINTS: &[Point] = &[lab(
    77,
    "the served route and the authorized attributes come from one parse, even for odd paths",
    || Box::pin(one_parse()),
)
.beyond(
    "Go's server parses a path twice: `…/metrics/foo/bar` is authorized as `metrics/bar` and served as `foo`, an empty segment \
     becomes a wildcard, `status` and `finalize` of an external metric are taken for subresources of the namespace",
)];

/// A path; what is authorized; the status that who may everything gets, and words of the answer.
type Row = (String, &'static str, u16, &'static str);

fn rows(target: &Target) -> Vec<Row> {
    let namespace = &target.data.first().name;
    let (pod, _) = target.data.first().pod();
    let metric = &target.data.metrics.pods;
    let of_namespaces = &target.data.metrics.namespaces;
    let c = |rest: &str| format!("/apis/{V1BETA2}/{rest}");
    let n = |rest: &str| format!("/apis/{V1BETA2}/namespaces/{namespace}/{rest}");
    let e = |rest: &str| format!("/apis/{EXTERNAL}/namespaces/{namespace}/{rest}");
    let pods = "get pods/http_requests in";
    let resource = "could not find the requested resource";
    vec![
        (n(&format!("pods/{pod}/{metric}")), pods, 200, pod_word()),
        (n(&format!("pods/{pod}/{metric}/")), pods, 200, pod_word()),
        (n(&format!("pods/%2A/{metric}")), pods, 200, pod_word()),
        (n(&format!("po%64s/{pod}/{metric}")), pods, 200, pod_word()),
        (n(&format!("pods/{pod}%2F{metric}")), pods, 200, pod_word()),
        (n(&format!("pods/{pod}/{metric}//")), pods, 404, resource),
        (n(&format!("pods/{pod}/{metric}/extra")), pods, 404, resource),
        (n(&format!("pods/../{metric}")), pods, 404, "for pods .."),
        (
            n(&format!("pods//{metric}")),
            "list pods/http_requests in",
            404,
            resource,
        ),
        (n(&format!("pods/{pod}")), "get pods in", 404, resource),
        (
            n(&format!("/{pod}/{metric}")),
            "get /http_requests in",
            404,
            resource,
        ),
        (n(metric), "list http_requests in", 400, "invalid request path"),
        (n("status/x/y"), "get status/y in", 404, "metric y for status"),
        (
            n("finalize/x/y"),
            "get finalize/y in",
            404,
            "metric y for finalize",
        ),
        (
            n(&format!("pods/{pod}/status")),
            "get pods/status in",
            404,
            "metric status for pods",
        ),
        (
            n("metrics/status"),
            "get metrics in",
            404,
            "metric status for namespaces",
        ),
        (
            n(&format!("metrics/{of_namespaces}")),
            "get metrics in",
            200,
            "Namespace",
        ),
        (
            n(&format!("metrics/{of_namespaces}/{metric}")),
            "get metrics/http_requests in",
            404,
            resource,
        ),
        (
            c(&format!("namespaces//pods/*/{metric}")),
            "get pods/http_requests at",
            404,
            resource,
        ),
        (
            c(&format!("namespaces/*/pods/*/{metric}")),
            pods,
            400,
            "invalid request path",
        ),
        (
            c(&format!("pods/{pod}/{metric}")),
            "get pods/http_requests at",
            404,
            "are namespaced",
        ),
        (c("watch/n1/cpu"), "get watch/cpu at", 400, "invalid request path"),
        (c("proxy/n1/cpu"), "get proxy/cpu at", 400, "invalid request path"),
        (e("status"), "list status in", 404, "metric status"),
        (e("finalize"), "list finalize in", 404, "metric finalize"),
        (e("watch"), "list watch in", 404, "metric watch"),
        (e("a/b"), "get a in", 404, resource),
        (
            format!("/apis/{EXTERNAL}/namespaces//q"),
            "list q at",
            404,
            resource,
        ),
        (
            format!("/apis/{EXTERNAL}/namespaces/*/q"),
            "list q in",
            400,
            "invalid request path",
        ),
    ]
}

/// All answers with values of pods have it.
const fn pod_word() -> &'static str {
    "\"kind\":\"Pod\""
}

async fn one_parse() -> Result<()> {
    let target = target().await?;
    let testbed = cluster().await?;
    let ca = &testbed.control_plane().pki().cluster;
    let client = |user| -> Result<_> { identity(&ca.client(user, None)?) };
    let anyone = direct(&testbed, 0).await?;
    let nobody = anyone.with_identity(client("quirk-nobody")?);
    let narrow = anyone.with_identity(client("quirk-narrow")?);
    let admin = admin(&testbed, 0).await?;
    let (namespace, metric) = (&target.data.first().name, &target.data.metrics.pods);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "quirk-narrow"},
        "rules": [{"apiGroups": ["custom.metrics.k8s.io"], "resources": [format!("pods/{metric}")], "verbs": ["get"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "quirk-narrow"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "quirk-narrow"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "quirk-narrow"}],
    });
    testbed.apply(namespace, &list(&[role, binding])).await?;
    eventually(PATIENCE, "the role counts", || async {
        narrow.get(&target.pods(V1BETA2, "*")).await?.list(V1BETA2)?;
        Ok(())
    })
    .await?;

    let mut wrong = Vec::new();
    for row in rows(&target) {
        if let Err(error) = fits(&row, &nobody, &narrow, &admin).await {
            wrong.push(format!("{}: {error:#}", row.0));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

async fn fits(row: &Row, nobody: &Client, narrow: &Client, admin: &Client) -> Result<()> {
    let (path, authorized, code, words) = row;
    let refusal = nobody.get(path).await?.failure(403, "Forbidden")?.message;
    let (verb, rest) = authorized.split_once(' ').context("a verb")?;
    let (resource, place) = rest.split_once(' ').context("a place")?;
    let attributes = format!("cannot {verb} resource \"{resource}\" in API group");
    ensure!(refusal.contains(&attributes), "{refusal}, not {attributes}");
    let place = if place == "in" {
        "in the namespace"
    } else {
        "at the cluster scope"
    };
    ensure!(refusal.contains(place), "{refusal}, not {place}");

    let reply = admin.get(path).await?;
    ensure!(
        reply.status == *code && reply.text().contains(words),
        "{} {}, not {code} with {words:?}",
        reply.status,
        reply.text()
    );
    // The one right gives what is authorized as that, and nothing else.
    let own = *authorized == "get pods/http_requests in" && !path.contains("namespaces/*");
    let narrowly = narrow.get(path).await?;
    let want = if own { *code } else { 403 };
    ensure!(
        narrowly.status == want,
        "{}, not {want}, with the right to one metric",
        narrowly.status
    );
    if narrowly.status == 200 {
        same(
            &values(&narrowly.list(V1BETA2)?),
            &values(&reply.list(V1BETA2)?),
            "the values",
        )?;
    }
    Ok(())
}
