//! The broken rules of `tests/fixtures/broken` in a cluster: what `metricrule check` says of a file is what the API server or the
//! rule's status says of the object.

use anyhow::{Context, Result, bail, ensure};
use kube::Client;
use kube::api::DynamicObject;
use metricrule::{
    check::{Diagnostic, Options, check},
    document::SourceFile,
};
use serde_json::Value;
use testbed::{PATIENCE, Testbed, eventually};

use crate::ask::{condition, objects};
use crate::support::builder;

/// The namespace of all of them.
const NAMESPACE: &str = "broken";

#[tokio::test]
async fn a_broken_rule_is_told_the_same_by_check_and_by_the_cluster() -> Result<()> {
    // of its own: some bring default backends
    let testbed = builder().replicas(1).start().await?;
    let outcome = all(&testbed).await;
    if outcome.is_err() {
        testbed.keep_logs("a broken rule was told something else");
    }
    outcome
}

async fn all(testbed: &Testbed) -> Result<()> {
    let client = testbed.client().await?;
    testbed
        .apply_anywhere("{apiVersion: v1, kind: Namespace, metadata: {name: broken, labels: {team: bank}}}")
        .await?;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/broken");
    let mut paths = std::fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    paths.sort();
    let (mut refused, mut wrong) = (0, Vec::new());
    for path in &paths {
        let text = std::fs::read_to_string(path)?;
        let name = path.display().to_string();
        match one(testbed, &client, &text).await {
            Ok(told) => refused += usize::from(told == Told::Refused),
            Err(error) => wrong.push(format!("{name}: {error:#}")),
        }
        // what others must not meet goes at once
        if text.contains("is-default") {
            let path = name.as_str();
            testbed.kubectl(&["delete", "--wait=true", "-f", path]).await?;
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(
        paths.len() > 60 && refused > 5,
        "{} files, {refused} refused",
        paths.len()
    );
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Refused,
    InStatus,
    Nothing,
}

async fn one(testbed: &Testbed, client: &Client, text: &str) -> Result<Told> {
    let expected = text
        .lines()
        .nth(1)
        .and_then(|line| line.strip_prefix("# cluster: "));
    let expected = expected.context("no `# cluster:` line")?;
    if expected == "offline" {
        return Ok(Told::Nothing);
    }
    let file = SourceFile {
        name: String::new(),
        text: text.to_owned(),
    };
    let report = check(std::slice::from_ref(&file), &Options::default());
    let found = report.diagnostics.first().context("check finds nothing")?;
    if let Some(message) = expected.strip_prefix("refused ") {
        let error = match testbed.apply_anywhere(text).await {
            Ok(_) => bail!("the API server takes it"),
            Err(error) => format!("{error:#}"),
        };
        ensure!(error.contains(message), "{error:?} does not say {message:?}");
        return Ok(Told::Refused);
    }
    testbed.apply_anywhere(text).await?;
    let object = found.object.as_deref().context("no object")?;
    let (kind, name) = object.split_once(' ').context("kind and name")?;
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    ensure!(
        namespace.is_none_or(|namespace| namespace == NAMESPACE),
        "{object}"
    );
    let api = objects(client, kind, namespace);
    eventually(PATIENCE, &format!("{object}: {expected}"), || async {
        says(&api.get(name).await?, expected, found)
    })
    .await?;
    Ok(Told::InStatus)
}

/// `Accepted=False InvalidTemplate`, or `warning ShortRange`; at the same place of the same field.
fn says(object: &DynamicObject, expected: &str, found: &Diagnostic) -> Result<()> {
    let place = found.problem.place();
    if let Some(reason) = expected.strip_prefix("warning ") {
        let warnings = object.data.pointer("/status/warnings").and_then(Value::as_array);
        let warnings = warnings.context("no warnings")?;
        let [warning] = &warnings[..] else {
            bail!("not one warning: {warnings:?}");
        };
        ensure!(
            warning["reason"] == reason && warning["path"] == place.as_str(),
            "{warning}, and check has {place}"
        );
        ensure!(
            warning["message"] == found.problem.text().as_str(),
            "{warning}, and check has {found:?}"
        );
        return Ok(());
    }
    let (kind, reason) = expected.split_once("=False ").context("a condition")?;
    let is = condition(object, kind);
    ensure!(is.status == "False" && is.reason == reason, "{is:?}");
    if kind == "Accepted" {
        ensure!(
            is.message == found.problem.to_string(),
            "{is:?}, and check has {}",
            found.problem
        );
    }
    Ok(())
}
