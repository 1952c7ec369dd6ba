//! What the chart renders: the rights that it grants are a committed list.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Context, Result, bail, ensure};
use metricrule::api::BackendLimits;
use serde_json::Value;

use crate::repository;

/// Release and namespace that the list is rendered for.
const RELEASE: &str = "metricrule";
const NAMESPACE: &str = "metricrule-system";

/// Where `tools/build` put helm. `make test` builds it first; a test that skipped itself could not fail.
fn helm() -> Result<PathBuf> {
    let output = Command::new(repository::root().join("tools/build"))
        .arg("--print")
        .output()
        .context("tools/build")?;
    let text = String::from_utf8(output.stdout)?;
    let path = text.lines().find_map(|line| line.strip_prefix("helm="));
    path.map(PathBuf::from).with_context(|| {
        format!(
            "helm is not built; run `make tools`\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}

fn run(arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(helm()?);
    command.args(arguments).current_dir(repository::root());
    command
        .output()
        .with_context(|| format!("helm {}", arguments.join(" ")))
}

/// The documents that the chart renders with these values besides the defaults.
pub(crate) fn template(values: &[&str]) -> Result<Vec<Value>> {
    let mut arguments = vec!["template", RELEASE, "charts/metricrule", "--namespace", NAMESPACE];
    arguments.extend(values.iter().flat_map(|value| ["--set-json", value]));
    let output = run(&arguments)?;
    ensure!(
        output.status.success(),
        "helm template {values:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let documents = text.split("\n---\n").filter(|text| {
        text.lines()
            .any(|line| !line.starts_with('#') && !line.is_empty())
    });
    documents
        .map(|text| serde_saphyr::from_str(text).with_context(|| text.to_owned()))
        .collect()
}

fn of_kind<'a>(documents: &'a [Value], kind: &str) -> Vec<&'a Value> {
    documents
        .iter()
        .filter(|document| document["kind"] == kind)
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .map(|value| format!("{:?}", text(value)).replace("\"\"", "core"))
        .collect()
}

fn list(value: &Value) -> String {
    let mut texts: Vec<String> = texts(value)
        .iter()
        .map(|text| text.trim_matches('"').to_owned())
        .collect();
    texts.sort();
    if texts.is_empty() {
        "*".to_owned()
    } else {
        texts.join(",")
    }
}

/// Every right that a role of the chart grants: where, to whom, and one line for each rule.
fn rights(documents: &[Value]) -> Result<BTreeSet<String>> {
    let mut rights = BTreeSet::new();
    for role in of_kind(documents, "ClusterRole")
        .into_iter()
        .chain(of_kind(documents, "Role"))
    {
        let namespace = role["metadata"]["namespace"].as_str();
        let place = namespace.map_or_else(
            || "cluster".to_owned(),
            |namespace| format!("namespace {namespace}"),
        );
        let name = text(&role["metadata"]["name"]);
        for rule in role["rules"]
            .as_array()
            .with_context(|| format!("{name} has no rules"))?
        {
            ensure!(
                rule["nonResourceURLs"].is_null(),
                "{name}: nonResourceURLs are not expected"
            );
            rights.insert(format!(
                "{place} | {name} | {} | {} | {} | {}",
                list(&rule["apiGroups"]),
                list(&rule["resources"]),
                list(&rule["resourceNames"]),
                list(&rule["verbs"])
            ));
        }
    }
    Ok(rights)
}

/// Who holds which role, one line for each subject.
fn bindings(documents: &[Value]) -> BTreeSet<String> {
    let all = of_kind(documents, "ClusterRoleBinding")
        .into_iter()
        .chain(of_kind(documents, "RoleBinding"));
    let lines = all.flat_map(|binding| {
        let place = binding["metadata"]["namespace"].as_str();
        let place = place.map_or_else(
            || "cluster".to_owned(),
            |namespace| format!("namespace {namespace}"),
        );
        let role = format!(
            "{} {}",
            text(&binding["roleRef"]["kind"]),
            text(&binding["roleRef"]["name"])
        );
        binding["subjects"]
            .as_array()
            .into_iter()
            .flatten()
            .map(move |subject| {
                let kind = text(&subject["kind"]);
                format!(
                    "{place} | {role} | {kind} {}/{}",
                    text(&subject["namespace"]),
                    text(&subject["name"])
                )
            })
    });
    lines.collect()
}

#[test]
fn the_committed_rights_are_up_to_date() -> Result<()> {
    let documents = template(&[])?;
    let mut lines = vec![
        "# The rights that the chart grants with its default values. Written by `make crds`; read every change of it.".to_owned(),
        "# place | role | API groups | resources | names | verbs".to_owned(),
    ];
    lines.extend(rights(&documents)?);
    lines.push(String::new());
    lines.push("# place | role | subject".to_owned());
    lines.extend(bindings(&documents));
    repository::up_to_date("tests/it/rbac.txt", &(lines.join("\n") + "\n"))
}

#[test]
fn no_right_is_wider_than_the_list_can_say() -> Result<()> {
    let wide = |line: &String| line.split(" | ").skip(2).take(2).any(|cell| cell == "*");
    let secrets_everywhere = |line: &String| line.starts_with("cluster") && line.contains("| secrets ");
    let rights = rights(&template(&[])?)?;
    // the HPA controller's own reading of the metrics APIs: their resources are metric names
    let found: Vec<_> = rights
        .iter()
        .filter(|line| !line.contains("metrics.k8s.io | * | * | get,list"))
        .collect();
    ensure!(
        found.len() + 1 == rights.len(),
        "exactly one rule for the metrics APIs: {rights:#?}"
    );
    let bad: Vec<_> = found
        .into_iter()
        .filter(|line| wide(line) || secrets_everywhere(line))
        .collect();
    ensure!(bad.is_empty(), "{bad:#?}");
    Ok(())
}

/// Each right to `get` that the operator holds: the resource, and the place in the code that reads one by name.
const READ_BY_NAME: &[(&str, &str, &str)] = &[
    (
        "clusterroles",
        "src/controller/registration/install.rs",
        "Api::<ClusterRole>::all(client.clone()).get_opt(",
    ),
    (
        "services",
        "src/controller/registration/install.rs",
        "services.get_opt(",
    ),
    ("leases", "src/controller/lease.rs", "self.api.get_opt("),
];

#[test]
fn every_get_of_the_chart_has_a_use() -> Result<()> {
    let documents = template(&["rbac.tokens=[\"reader\"]"])?;
    let mut granted = BTreeSet::new();
    for line in rights(&documents)? {
        let cells: Vec<&str> = line.split(" | ").collect();
        let [_, role, _, resources, names, verbs] = cells[..] else {
            bail!("{line}")
        };
        // The roles of people and of the HPA controller are not the operator's.
        let is_operators = role == "metricrule" || role == "metricrule-objects";
        if is_operators && verbs.split(',').any(|verb| verb == "get") {
            ensure!(names != "*", "{line}: whoever may get each object needs no list");
            granted.extend(resources.split(',').map(str::to_owned));
        }
    }
    let used: BTreeSet<String> = READ_BY_NAME
        .iter()
        .map(|(resource, ..)| (*resource).to_owned())
        .collect();
    ensure!(granted == used, "granted: {granted:?}, used: {used:?}");
    for (resource, file, call) in READ_BY_NAME {
        ensure!(
            repository::read(file)?.contains(call),
            "{file} reads no {resource} by name any more: take the right away"
        );
    }
    Ok(())
}

#[test]
fn no_token_of_another_service_account_can_be_had() -> Result<()> {
    let token = |line: &&String| line.contains("serviceaccounts/token");
    let by_default = rights(&template(&[])?)?;
    ensure!(!by_default.iter().any(|line| token(&line)), "{by_default:#?}");
    let named = rights(&template(&["rbac.tokens=[\"reader\"]"])?)?;
    let found: Vec<&String> = named.iter().filter(token).collect();
    ensure!(
        found
            == ["namespace metricrule-system | metricrule | core | serviceaccounts/token | reader | create"],
        "{found:#?}"
    );
    // A Secret of type service-account-token is one, too.
    let secrets = named
        .iter()
        .filter(|line| line.contains("| secrets |") && line.contains("create"));
    ensure!(secrets.count() == 0, "{named:#?}");
    Ok(())
}

#[test]
fn the_chart_makes_the_secret_of_the_ca_and_keeps_what_it_holds() -> Result<()> {
    let documents = template(&[])?;
    let secrets = of_kind(&documents, "Secret");
    ensure!(
        secrets.len() == 1 && secrets[0]["metadata"]["name"] == "metricrule-ca",
        "{secrets:?}"
    );
    // Helm takes away what a former manifest had, and this one never has anything.
    for field in ["data", "stringData", "immutable"] {
        ensure!(secrets[0].get(field).is_none(), "{:?}", secrets[0]);
    }
    let files = template(&["tls.secretName=\"tls\""])?;
    ensure!(
        of_kind(&files, "Secret").is_empty(),
        "somebody else's certificate needs no CA"
    );
    Ok(())
}

#[test]
fn a_digest_says_which_image_is_run() -> Result<()> {
    let image = |values: &[&str]| -> Result<String> {
        let documents = template(values)?;
        let deployment = of_kind(&documents, "Deployment");
        Ok(text(&deployment[0]["spec"]["template"]["spec"]["containers"][0]["image"]).to_owned())
    };
    let digest = format!("sha256:{}", "0".repeat(64));
    let plain = image(&[])?;
    ensure!(!plain.contains('@'), "{plain}");
    let pinned = image(&[&format!("image.digest=\"{digest}\"")])?;
    ensure!(pinned == format!("{plain}@{digest}"), "{pinned}");
    Ok(())
}

#[test]
fn the_chart_lints() -> Result<()> {
    let output = run(&["lint", "--strict", "charts/metricrule"])?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

#[test]
fn values_change_what_they_say() -> Result<()> {
    let backend = template(&["prometheus.url=\"http://prometheus.example:9090\""])?;
    let backend = of_kind(&backend, "MetricBackend");
    ensure!(
        backend.len() == 1 && backend[0]["spec"]["prometheus"]["url"] == "http://prometheus.example:9090"
    );
    // Written out: what an older chart's MetricBackend has stored as a default is not in force for ever.
    let defaults = serde_json::to_value(BackendLimits::default())?;
    ensure!(
        backend[0]["spec"]["limits"] == defaults,
        "{}",
        backend[0]["spec"]["limits"]
    );
    let other = template(&[
        "prometheus.url=\"http://prometheus.example:9090\"",
        "prometheus.limits={\"queriesPerSecond\":70}",
    ])?;
    let other = of_kind(&other, "MetricBackend");
    ensure!(other[0]["spec"]["limits"]["queriesPerSecond"] == 70);
    ensure!(other[0]["spec"]["limits"]["maxConcurrent"] == 16);
    ensure!(
        of_kind(&template(&[])?, "MetricBackend").is_empty(),
        "no URL, no backend"
    );

    let pods = template(&["rbac.objects=[{\"group\":\"\",\"resource\":\"pods\"}]"])?;
    let objects: Vec<String> = rights(&pods)?
        .into_iter()
        .filter(|line| line.contains("-objects |"))
        .collect();
    ensure!(
        objects == ["cluster | metricrule-objects | core | pods | * | list,watch"],
        "{objects:?}"
    );
    let flag = Value::from("--object-resources=pods");
    let deployment = of_kind(&pods, "Deployment");
    let arguments = &deployment[0]["spec"]["template"]["spec"]["containers"][0]["args"];
    ensure!(
        arguments
            .as_array()
            .is_some_and(|arguments| arguments.contains(&flag)),
        "{arguments}"
    );
    Ok(())
}

#[test]
fn the_schema_refuses_what_is_no_value() -> Result<()> {
    for wrong in [
        "register=\"sometimes\"",
        "replicas=\"two\"",
        "shutdownDelay=\"soon\"",
        "nonsense=1",
        "image.digest=\"latest\"",
        "rbac.tokens=[\"*\"]",
    ] {
        if template(&[wrong]).is_ok() {
            bail!("{wrong} was accepted");
        }
    }
    Ok(())
}

#[test]
fn the_versions_are_those_of_the_package() -> Result<()> {
    let chart: Value = serde_saphyr::from_str(&repository::read("charts/metricrule/Chart.yaml")?)?;
    ensure!(
        chart["appVersion"] == env!("CARGO_PKG_VERSION"),
        "appVersion: {}",
        chart["appVersion"]
    );
    Ok(())
}
