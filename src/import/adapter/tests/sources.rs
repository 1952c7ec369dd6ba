//! Sources of a configuration.

use std::io::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use super::*;

const CONFIG: &str = "rules:\n- seriesQuery: a_total{pod!=\"\"}\n  resources: {template: <<.Resource>>}\n  metricsQuery: a{<<.LabelMatchers>>}\n  typo: b\n- seriesQuery: b_total\n  resources: {template: <<.Resource>>}\n  metricsQuery: b{<<.LabelMatchers>>}\n";

fn indented(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    format!(
        "{margin}{}\n",
        text.trim_end().replace('\n', &format!("\n{margin}"))
    )
}

#[test]
fn a_configuration_is_found_where_it_is_kept() {
    let config_map = |key: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  {key}: |\n{}",
            indented(CONFIG, 4)
        )
    };
    let values = |key: &str| format!("{key}\n{}", indented("rules:\n  default: false\n  custom:\n", 2));
    let custom = CONFIG.strip_prefix("rules:\n").unwrap_or_default();
    let cases = [
        (CONFIG.to_owned(), "5:3"),
        (format!("---\n# first\n---\n{CONFIG}"), "8:3"),
        (config_map("config.yaml"), "9:7"),
        (config_map("other-name"), "9:7"),
        (
            format!(
                "apiVersion: v1\nkind: List\nitems:\n- {}",
                config_map("config.yaml").replace('\n', "\n  ")
            ),
            "12:9",
        ),
        (
            format!("rules:\n  default: false\n  custom:\n{}", indented(custom, 2)),
            "7:5",
        ),
        (
            format!("{}{}", values("prometheus-adapter:"), indented(custom, 4)),
            "8:7",
        ),
        (
            format!(
                "stack:\n{}",
                indented(
                    &format!("{}{}", values("prometheus-adapter:"), indented(custom, 4)),
                    2
                )
            ),
            "9:9",
        ),
        (
            format!(
                "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  values:\n    rules:\n      default: false\n      custom:\n{}",
                indented(custom, 6)
            ),
            "11:9",
        ),
        (
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm:\n      values: |\n        rules:\n          default: false\n          custom:\n{}",
                indented(custom, 10)
            ),
            "13:13",
        ),
    ];
    for (text, place) in cases {
        let import = imported(&text);
        assert!(
            names(&import).contains(&"ClusterMetricRule b-total".to_owned()),
            "{text}: {:?}",
            import.notes
        );
        assert_eq!(notes(&import), [format!("{place} error Undecodable")], "{text}");
    }
}

#[test]
fn values_in_a_config_map_are_refused_and_read() {
    let text = "apiVersion: v1\nkind: ConfigMap\ndata:\n  config.yaml: |\n    rules:\n      custom:\n      - seriesQuery: a\n        resources: {template: <<.Resource>>}\n        metricsQuery: a{<<.LabelMatchers>>}\n";
    let import = imported(text);
    assert_eq!(notes(&import), ["5:5 error Undecodable"]);
    assert_eq!(names(&import), ["ClusterMetricRule a"]);
}

#[test]
fn the_chart_adds_its_own_rules() {
    let count = |text: &str| {
        let import = imported(text);
        assert!(
            !import.has(Severity::Error) && !import.has(Severity::Unsupported),
            "{text}: {:?}",
            import.notes
        );
        names(&import)
            .iter()
            .filter(|name| name.starts_with("ClusterMetricRule"))
            .count()
    };
    assert_eq!(count("rules: {default: true}"), 6);
    assert_eq!(count("rules: {custom: []}"), 6);
    assert_eq!(count("prometheus: {url: 'http://p'}"), 6);
    assert_eq!(count("rules: {default: false}"), 0);
    assert_eq!(count("rules: {default: true, existing: mine}"), 0);
    let import = imported(
        "rules: {default: false}\nprometheus: {url: 'http://p', port: 0, path: /x}\nmetricsRelistInterval: 30s\nextraArguments: [--prometheus-verb=POST]",
    );
    let want = json!({"type": "Prometheus", "prometheus": {"url": "http://p/x"}, "discovery": {"interval": "30s", "lookback": "30s"}});
    assert_eq!(
        import.objects.first().map(|object| object.json()["spec"].clone()),
        Some(want)
    );
}

fn release(json: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(json.as_bytes()).unwrap();
    BASE64_STANDARD.encode(gzip.finish().unwrap()).into_bytes()
}

#[test]
fn a_release_is_unpacked() {
    let helm = json!({
        "chart": {"values": {"rules": {"default": true, "custom": []}, "prometheus": {"url": "http://p", "port": 9090}}},
        "config": {"rules": {"default": false, "custom": [{"seriesQuery": "a", "resources": {"template": "<<.Resource>>"}, "metricsQuery": "a{<<.LabelMatchers>>}"}]}, "prometheus": {"port": null}},
    });
    let data = release(&helm.to_string());
    let import = imported(&release_text(&data).unwrap());
    assert_eq!(names(&import), ["MetricBackend default", "ClusterMetricRule a"]);
    assert_eq!(import.objects[0].json()["spec"]["prometheus"]["url"], "http://p");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "data": {"release": BASE64_STANDARD.encode(&data)}});
    assert_eq!(names(&imported(&secret.to_string())), names(&import));

    assert_eq!(release_text(b"%"), Err(ReleaseError::Base64));
    assert_eq!(release_text(&release("text")), Err(ReleaseError::Json));
    let cut = BASE64_STANDARD.decode(&data).unwrap();
    assert_eq!(
        release_text(BASE64_STANDARD.encode(&cut[..cut.len() / 2]).as_bytes()),
        Err(ReleaseError::Gzip)
    );
    assert_eq!(
        release_text(&release(&" ".repeat(33 << 20))),
        Err(ReleaseError::Gzip)
    );
}

#[test]
fn what_is_something_else_is_said_to_be() {
    for text in [
        "",
        "a: b",
        "apiVersion: v1\nkind: Service",
        "apiVersion: v1\nkind: ConfigMap\ndata: {a: 'b: c'}",
    ] {
        let import = imported(text);
        assert_eq!(notes(&import), [" warning Imported"], "{text:?}");
    }
}

#[test]
fn only_the_revision_that_is_deployed_counts() {
    let secret = |status: &str, name: &str| {
        let rule = json!({"seriesQuery": name, "resources": {"template": "<<.Resource>>"}, "metricsQuery": "a{<<.LabelMatchers>>}"});
        let helm = json!({
            "chart": {"values": {"prometheus": {"url": "http://p", "port": 9090}}},
            "config": {"prometheus": {"port": null}, "rules": {"default": false, "custom": [rule]}},
        });
        let data = BASE64_STANDARD.encode(release(&helm.to_string()));
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
            "metadata": {"labels": {"owner": "helm", "status": status}}, "data": {"release": data},
        })
    };
    let items = [
        secret("superseded", "old"),
        secret("deployed", "new"),
        secret("failed", "newer"),
    ];
    let import = imported(&json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    assert_eq!(names(&import), ["MetricBackend default", "ClusterMetricRule new"]);
    // The chart leaves the port out where its own value is taken away.
    assert_eq!(import.objects[0].json()["spec"]["prometheus"]["url"], "http://p");
}

#[test]
fn values_inside_of_what_installs_the_chart() {
    let flux =
        |more: &str| format!("apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  {more}\n");
    let argo = |more: &str| {
        format!("apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    {more}\n")
    };
    let rules = "rules: {default: false}";
    let cases = [
        (
            argo("helm:\n      values: |\n        prometheus: {url: ["),
            vec!["7:27 error Undecodable"],
            0,
        ),
        (
            argo(&format!(
                "helm:\n      parameters: [{{name: prometheus.url, value: x}}]\n      values: |\n        {rules}"
            )),
            vec!["6:19 unsupported Unsupported"],
            1,
        ),
        (
            argo("chart: grafana\n    helm: {parameters: [{name: a, value: x}], values: 'a: b'}"),
            vec![" warning Imported"],
            0,
        ),
        (
            argo(&format!("helm: {{valuesObject: {{{rules}}}, values: '{rules}'}}")),
            vec![],
            1,
        ),
        (
            flux("chart: {spec: {chart: prometheus-adapter}}\n  valuesFrom: [{kind: ConfigMap, name: x}]"),
            vec!["5:15 unsupported Unsupported"],
            0,
        ),
        (
            flux(
                "chart: {spec: {chart: kiali}}\n  values: {external_services: {prometheus: {url: 'http://p'}}}",
            ),
            vec![" warning Imported"],
            0,
        ),
        (
            format!(
                "apiVersion: v1\nkind: ConfigMap\ndata:\n  x: |\n    prometheus-adapter:\n      {rules} # seriesQuery\n"
            ),
            vec![],
            1,
        ),
        (
            format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  values.yaml: |\n    {rules}\n"),
            vec![],
            1,
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\ndata:\n  x: |\n    a: seriesQuery\n".to_owned(),
            vec!["5:5 error Undecodable"],
            0,
        ),
    ];
    for (text, said, made) in cases {
        let import = imported(&text);
        assert_eq!(
            (notes(&import), import.objects.len()),
            (said.iter().map(ToString::to_string).collect(), made),
            "{text}"
        );
    }
}

#[test]
fn values_that_are_switched_off_are_read_and_that_is_said() {
    let rules = "rules: {custom: [{seriesQuery: a, resources: {template: <<.Resource>>}, metricsQuery: b}]}";
    for (switch, said) in [("false", vec!["1:31 warning Ineffective"]), ("true", vec![])] {
        let import = imported(&format!("prometheus-adapter: {{enabled: {switch}, {rules}}}\n"));
        let ineffective: Vec<String> = notes(&import)
            .into_iter()
            .filter(|note| note.contains("Ineffective"))
            .collect();
        assert_eq!(ineffective, said);
        assert!(
            import.objects.iter().any(|object| object.name() == "a"),
            "{switch}"
        );
    }
}
