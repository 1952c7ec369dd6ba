//! What is asked, given what discovery lists.

/// Metrics of one API of one configuration that are asked for.
const KEEP: usize = 25;
const CUSTOM: &str = "/apis/custom.metrics.k8s.io";
const EXTERNAL: &str = "/apis/external.metrics.k8s.io/v1beta1";

/// The paths, percent-encoded.
pub(crate) fn paths(custom: &[(String, bool)], external: &[(String, bool)]) -> Vec<String> {
    let mut all = Vec::new();
    for (name, namespaced) in thin(custom) {
        if let Some((resource, metric)) = name.split_once('/') {
            of_objects(&mut all, resource, &encoded(metric), *namespaced);
        }
    }
    for (metric, _) in thin(external) {
        let metric = encoded(metric);
        for selector in [
            "",
            "queue=orders",
            "queue in (orders,returns),zone!=a,!debug",
            "queue in (orders),tier",
            "queue notin (a,b)",
            "queue=nothing",
            "queue>5",
        ] {
            let selector = if selector.is_empty() {
                String::new()
            } else {
                format!("?labelSelector={}", encoded(selector))
            };
            all.push(format!("{EXTERNAL}/namespaces/shop/{metric}{selector}"));
        }
    }
    all.push(format!(
        "{CUSTOM}/v1beta2/namespaces/shop/pods/web-0/no_such_metric"
    ));
    all.push(format!(
        "{CUSTOM}/v1beta2/namespaces/shop/pods/*/no_such_metric?labelSelector=app%3Dweb"
    ));
    all.push(format!("{EXTERNAL}/namespaces/shop/no_such_metric"));
    all
}

fn of_objects(all: &mut Vec<String>, resource: &str, metric: &str, namespaced: bool) {
    if resource == "namespaces" {
        let path =
            |version: &str, rest: &str| format!("{CUSTOM}/{version}/namespaces/shop/metrics/{metric}{rest}");
        all.extend([
            path("v1beta2", ""),
            path("v1beta1", ""),
            path("v1beta2", "?metricLabelSelector=code%3D500"),
            path("v1beta2", "?metricLabelSelector=code%3Dnothing"),
        ]);
        return;
    }
    let one = match resource {
        "pods" => "web-0",
        "nodes" => "node-0",
        _ => "web",
    };
    let root = if namespaced { "namespaces/shop/" } else { "" };
    let path = |version: &str, name: &str, rest: &str| {
        format!("{CUSTOM}/{version}/{root}{resource}/{name}/{metric}{rest}")
    };
    all.extend([
        path("v1beta2", one, ""),
        path("v1beta1", one, ""),
        path("v1beta2", one, "?metricLabelSelector=code%3D500"),
        path("v1beta2", one, "?metricLabelSelector=code%3Dnothing"),
        path("v1beta2", "*", "?labelSelector=app%3Dweb"),
        path("v1beta1", "*", "?labelSelector=app%3Dweb"),
        path("v1beta2", "*", "?labelSelector=app%3Dnone"),
    ]);
    for selector in [
        "code=nothing",
        "code in (500,503),method notin (GET),path,!debug",
        "code in (500),zone notin (a)",
        "code>5",
        "code!=500",
    ] {
        all.push(path(
            "v1beta2",
            "*",
            &format!(
                "?labelSelector=app%3Dweb&metricLabelSelector={}",
                encoded(selector)
            ),
        ));
    }
}

/// Every so-many-th, so that few are left, from all parts.
fn thin<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(KEEP).max(1))
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
