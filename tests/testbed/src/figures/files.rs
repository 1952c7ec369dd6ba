//! Files that are far too large, or built to be: how long `check` and `import` take and what they hold.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::scene::peak;
use super::{Figure, Goal};
use crate::adapter;

/// How often the memory of a command is looked at; its peak is kept by the kernel.
const PERIOD: Duration = Duration::from_millis(5);
/// After this a command is ended.
const PATIENCE: Duration = Duration::from_mins(3);

/// 126 MB of YAML, a line of 649 KB, a bomb of aliases, and 1,000 to 4,000 rules in one `ConfigMap`.
///
/// # Errors
/// A file cannot be written, or the binary not be run.
pub async fn run() -> Result<Vec<Figure>> {
    let binary = adapter::binary()?;
    let folder = tempfile::tempdir().context("a folder for files")?;
    let many = folder.path().join("many");
    std::fs::create_dir(&many)?;
    for file in 0..2000 {
        std::fs::write(many.join(format!("{file}.yaml")), deployments(file))?;
    }
    let line = folder.path().join("line.json");
    std::fs::write(&line, one_line(2000))?;
    let bomb = folder.path().join("bomb.yaml");
    std::fs::write(&bomb, aliases())?;
    let mut cases = vec![
        ("126 MB of YAML in 2,000 files", "check", many.clone()),
        ("126 MB of YAML in 2,000 files", "import", many),
        ("2,000 bad rules on one line of 649 KB", "check", line),
        ("an alias bomb of 260 KB", "check", bomb.clone()),
        ("an alias bomb of 260 KB", "import", bomb),
    ];
    for rules in [1000, 2000, 4000] {
        let path = folder.path().join(format!("map-{rules}.yaml"));
        std::fs::write(&path, config_map(rules))?;
        let what = match rules {
            1000 => "1,000 rules in one ConfigMap",
            2000 => "2,000 rules in one ConfigMap",
            _ => "4,000 rules in one ConfigMap",
        };
        cases.push((what, "import", path));
    }
    let mut figures = Vec::new();
    for (what, command, path) in cases {
        let (seconds, memory) = measure(&binary, command, &path).await?;
        figures.push(Figure::new(
            format!("{command}: {what}"),
            seconds,
            "s",
            Goal::None,
        ));
        figures.push(Figure::new(
            format!("{command}: {what}"),
            memory,
            "MiB",
            Goal::AtMost(300.0),
        ));
    }
    Ok(figures)
}

/// Seconds and MiB of one command. What it says of the file is not looked at.
async fn measure(binary: &Path, command: &str, path: &Path) -> Result<(f64, f64)> {
    let began = Instant::now();
    let mut child = Command::new(binary)
        .arg(command)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting the binary")?;
    let pid = child.id().context("it has ended already")?;
    let mut most: f64 = 0.0;
    while child.try_wait()?.is_none() && began.elapsed() < PATIENCE {
        // it may end between the two looks
        most = most.max(peak(pid).unwrap_or_default());
        sleep(PERIOD).await;
    }
    Ok((began.elapsed().as_secs_f64(), most))
}

/// A file of 63 KB of what is nobody's business here.
fn deployments(file: usize) -> String {
    let mut text = String::new();
    for number in 0..300 {
        // writing into a String cannot fail
        let _ = write!(
            text,
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{file}-{number}\n  namespace: shop\n  labels: {{app: \
             web, tier: front}}\nspec:\n  replicas: 3\n  template: {{spec: {{containers: [{{name: main, image: main}}]}}}}\n"
        );
    }
    text
}

fn one_line(rules: usize) -> String {
    let rules: Vec<String> = (0..rules)
        .map(|number| {
            format!(
                r#"{{"apiVersion":"metricrule.dev/v1alpha1","kind":"MetricRule","metadata":{{"name":"rule-{number}","namespace":"shop"}},"spec":{{"api":"External","name":{{"as":"m{number}"}},"metricsQuery":"sum(<<.Seris>>{{<<.LabelMatchers>>}})","windw":"1m","negative":"Pass"}}}}"#
            )
        })
        .collect();
    format!(
        r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#,
        rules.join(",")
    )
}

/// A text of 200 KB and 20,000 aliases of it.
fn aliases() -> String {
    format!(
        "a: &a \"{}\"\nb: [{}]\n",
        "x".repeat(200_000),
        vec!["*a"; 20_000].join(",")
    )
}

/// A prometheus-adapter's `ConfigMap`.
fn config_map(rules: usize) -> String {
    let mut text = String::from(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: prometheus-adapter, namespace: monitoring}\ndata:\n  config.yaml: |\n    rules:\n",
    );
    for number in 0..rules {
        let _ = write!(
            text,
            "    - seriesQuery: requests_{number}_total{{pod!=\"\"}}\n      resources: {{overrides: {{namespace: {{resource: namespace}}, \
             pod: {{resource: pod}}}}}}\n      metricsQuery: sum(rate(<<.Series>>{{<<.LabelMatchers>>}}[2m])) by (<<.GroupBy>>)\n"
        );
    }
    text
}
