//! `metricrule import` from a live cluster: a `ConfigMap`, a release of the real helm, and rights that are lacking.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use testbed::{
    Testbed,
    command::{self, Said},
};

use crate::support::CLUSTER;

const RULE: &str = r"
seriesQuery: orders_total{pod!=''}
resources: {template: <<.Resource>>}
metricsQuery: sum(rate(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)
";

#[tokio::test]
async fn a_cluster_is_imported_from() -> Result<()> {
    let testbed = CLUSTER.get().await?;
    testbed
        .with_namespace("import", async |namespace| play(&testbed, &namespace).await)
        .await
}

async fn play(testbed: &Testbed, namespace: &str) -> Result<()> {
    let rule = RULE.replace('\n', "\n  ");
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "adapter"},
        "data": {"config.yaml": format!("rules:\n- {}", rule.trim_start())},
    });
    testbed.apply(namespace, &config.to_string()).await?;
    let folder = testbed.folder().join("import");
    let chart = chart(&folder, &rule)?;
    testbed
        .helm(&[
            "install",
            "old",
            &chart,
            "--namespace",
            namespace,
            "--set",
            "prometheus.port=9090",
        ])
        .await?;

    let admin = testbed.control_plane().kubeconfig();
    let from = |flag: &str, name: &str| vec![flag.to_owned(), format!("{namespace}/{name}")];
    let made = import(admin, &from("--from-configmap", "adapter")).await?;
    ensure!(
        made.success && made.stdout.contains("\n  name: orders-total\n"),
        "{made:?}"
    );
    let made = import(admin, &from("--from-helm-release", "old")).await?;
    let expected = [
        "kind: MetricBackend",
        "http://prometheus.example:9090",
        "name: orders-total\n",
    ];
    ensure!(
        made.success && expected.iter().all(|text| made.stdout.contains(text)),
        "{made:?}"
    );

    let none = import(admin, &from("--from-helm-release", "none")).await?;
    ensure!(
        !none.success && none.stderr.contains("does not exist"),
        "{none:?}"
    );
    let nobody = impersonating(admin, &folder.join("nobody.kubeconfig"))?;
    let nobody = import(Path::new(&nobody), &from("--from-helm-release", "old")).await?;
    ensure!(
        !nobody.success && nobody.stderr.contains("nobody") && nobody.stderr.contains("list secrets"),
        "{nobody:?}"
    );
    Ok(())
}

/// A chart with values as the old adapter's chart has them.
fn chart(folder: &Path, rule: &str) -> Result<String> {
    let chart = folder.join("chart");
    fs::create_dir_all(chart.join("templates"))?;
    let values = format!(
        "prometheus: {{url: http://prometheus.example, port: 80}}\nrules:\n  default: false\n  custom:\n  - {}\n",
        rule.trim_start().replace("\n  ", "\n    ")
    );
    let note = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: made-by-helm}\n";
    for (name, text) in [
        ("Chart.yaml", "apiVersion: v2\nname: old\nversion: 1.0.0\n"),
        ("values.yaml", &values),
        ("templates/note.yaml", note),
    ] {
        fs::write(chart.join(name), text)?;
    }
    Ok(chart.display().to_string())
}

/// The same kubeconfig for a user without rights.
fn impersonating(admin: &Path, path: &Path) -> Result<String> {
    let mut config: Value = serde_json::from_slice(&fs::read(admin)?)?;
    config["users"][0]["user"]["as"] = "nobody".into();
    fs::write(path, config.to_string())?;
    path.to_str()
        .map(ToOwned::to_owned)
        .context("a path that is text")
}

async fn import(kubeconfig: &Path, args: &[String]) -> Result<Said> {
    let binary = Path::new(env!("CARGO_BIN_EXE_metricrule"));
    let args: Vec<&str> = ["import"]
        .into_iter()
        .chain(args.iter().map(String::as_str))
        .collect();
    command::run(binary, &args, &[("KUBECONFIG", kubeconfig)], "").await
}
