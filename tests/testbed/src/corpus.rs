//! A folder of prometheus-adapter configurations: each is imported, applied, and judged by the API server and the controller.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::{PATIENCE, Testbed, eventually};

/// Longer than any import takes.
const DEADLINE: Duration = Duration::from_mins(1);
/// `metricrule import`: something has no counterpart and was left out.
const LEFT_OUT: i32 = 3;

/// What became of one configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So many rules were accepted, by the API server and by the controller; what was left out is said with its place.
    Accepted {
        /// Rules.
        rules: usize,
        /// The first finding about something left out, `line:column: Reason: message`.
        left_out: Option<String>,
    },
    /// Nothing could be made of it, and the first finding says where and why.
    Diagnosed(String),
    /// None of these.
    Failed(String),
}

/// A configuration and its verdict.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The file.
    pub file: PathBuf,
    /// What became of it.
    pub verdict: Verdict,
}

/// The configurations of a folder, in the order of their names.
///
/// # Errors
/// It is no folder, or holds none.
pub fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| {
        path.extension()
            .is_some_and(|it| it == "yaml" || it == "yml" || it == "json")
    });
    files.sort();
    ensure!(
        !files.is_empty(),
        "no *.yaml, *.yml or *.json in {}",
        folder.display()
    );
    Ok(files)
}

/// Imports a configuration by `binary`, applies the rules, waits for the controller's word on each, and deletes them again.
///
/// # Errors
/// The cluster cannot be asked; what is wrong with the configuration is in the verdict.
pub async fn judge(testbed: &Testbed, binary: &Path, file: &Path) -> Result<Outcome> {
    let verdict = match import(binary, file).await? {
        Ok((rules, left_out)) if rules.is_empty() => match left_out {
            Some(finding) => Verdict::Diagnosed(finding),
            None => Verdict::Failed("nothing was imported, and nothing said".to_owned()),
        },
        Ok((rules, left_out)) => {
            let applied = testbed.apply_anywhere(&rules).await;
            let verdict = match applied {
                Err(error) => Verdict::Failed(format!("refused by the API server: {error:#}")),
                Ok(said) => {
                    let rules = said.lines().filter(|line| line.contains("metricrule.")).count();
                    match accepted(testbed, rules).await {
                        Ok(()) => Verdict::Accepted { rules, left_out },
                        Err(error) => Verdict::Failed(format!("{error:#}")),
                    }
                }
            };
            testbed
                .kubectl(&["delete", "clustermetricrules.metricrule.dev", "--all"])
                .await?;
            verdict
        }
        Err(verdict) => verdict,
    };
    Ok(Outcome {
        file: file.to_owned(),
        verdict,
    })
}

/// The rules as YAML, without a `MetricBackend`, and the first finding about something left out.
async fn import(binary: &Path, file: &Path) -> Result<Result<(String, Option<String>), Verdict>> {
    let mut command = Command::new(binary);
    command
        .args(["import", "--semantics=PrometheusAdapter", "--refresh=0s"])
        .arg(file)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(DEADLINE, command.output())
        .await
        .context("an import that does not end")??;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let place = format!("{}:", file.display());
    let finding = |level: &str| {
        let lines = said.lines().filter_map(|line| line.strip_prefix(&place));
        let level = format!(": {level}: ");
        let mut lines =
            lines.filter(|line| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(&level));
        lines
            .next()
            .map(|line| line.replacen(&format!(" {}", level.trim_start_matches(": ")), " ", 1))
    };
    let left_out = match output.status.code() {
        Some(0) => None,
        Some(LEFT_OUT) => finding("unsupported"),
        Some(1) => match finding("error") {
            Some(finding) => Some(finding),
            None => return Ok(Err(Verdict::Failed(format!("refused without a place: {said}")))),
        },
        code => return Ok(Err(Verdict::Failed(format!("ended with {code:?}: {said}")))),
    };
    let stream = String::from_utf8(output.stdout)?;
    let documents = stream
        .split("---\n")
        .filter(|document| document.contains("\nkind: ClusterMetricRule\n"));
    let rules: String = documents.flat_map(|document| ["---\n", document]).collect();
    Ok(Ok((rules, left_out)))
}

/// Waits until the controller has accepted all rules there are.
async fn accepted(testbed: &Testbed, count: usize) -> Result<()> {
    eventually(PATIENCE, "every rule is Accepted", || async {
        let text = testbed
            .kubectl(&["get", "clustermetricrules.metricrule.dev", "--output=json"])
            .await?;
        let list: Value = serde_json::from_str(&text)?;
        let items = list["items"].as_array().context("a list")?;
        ensure!(items.len() == count, "{} rules, not {count}", items.len());
        for item in items {
            let name = item["metadata"]["name"].as_str().unwrap_or_default();
            let conditions = item["status"]["conditions"].as_array();
            let condition = conditions
                .into_iter()
                .flatten()
                .find(|it| it["type"] == "Accepted");
            let condition = condition.with_context(|| format!("{name} has no condition Accepted"))?;
            ensure!(
                condition["status"] == "True",
                "{name}: {}: {}",
                condition["reason"].as_str().unwrap_or_default(),
                condition["message"].as_str().unwrap_or_default()
            );
        }
        Ok(())
    })
    .await
}

// === impl Outcome ===

impl Outcome {
    /// Neither accepted nor diagnosed.
    pub fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }
}

/// `010.yaml: 3 rules imported and Accepted`
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.file_name().unwrap_or_default();
        write!(f, "{}: ", name.display())?;
        match &self.verdict {
            Verdict::Accepted { rules, left_out } => {
                write!(f, "{rules} rules imported and Accepted")?;
                match left_out {
                    Some(finding) => write!(f, "; left out at {finding}"),
                    None => Ok(()),
                }
            }
            Verdict::Diagnosed(finding) => write!(f, "diagnosed at {finding}"),
            Verdict::Failed(why) => write!(f, "FAILED: {why}"),
        }
    }
}
