//! A real Prometheus that scrapes the exporter every second.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::process::Process;
use crate::programs::Programs;
use crate::{http, ports};

const START: Duration = Duration::from_mins(1);
const STOP: Duration = Duration::from_secs(20);

/// Prometheus on a port of its own that stays the same whether it runs or not, so that it can be absent first and come later.
#[derive(Debug)]
pub struct Prometheus {
    process: Process,
    url: String,
}

/// One row of an instant query's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The labels, `__name__` among them where the expression keeps it.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

// === impl Prometheus ===

impl Prometheus {
    /// Prepares it in `folder` to scrape `target` (`host:port`); it is not started yet.
    ///
    /// # Errors
    /// The configuration cannot be written.
    pub fn new(programs: &Programs, folder: &Path, logs: &Path, target: &str) -> Result<Self> {
        let folder = folder.join("prometheus");
        std::fs::create_dir_all(&folder).context("Prometheus' folder")?;
        let config = folder.join("prometheus.yml");
        // honor_labels: `namespace` and `pod` are those that the exporter writes, as with kube-state-metrics
        let text = format!(
            "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n- job_name: exporter\n  honor_labels: true\n  \
             static_configs:\n  - targets: ['{target}']\n"
        );
        std::fs::write(&config, text).with_context(|| format!("writing {}", config.display()))?;
        let port = ports::free()?;
        let process = Process::new("prometheus", programs.path("prometheus")?, logs).args([
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--storage.tsdb.retention.time=1d".to_owned(),
            "--log.level=warn".to_owned(),
        ]);
        Ok(Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
        })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Starts it, again if need be on the same port with the same data, and waits until it is ready.
    ///
    /// # Errors
    /// It ended, or was not ready within a minute.
    pub async fn start(&self) -> Result<()> {
        self.process.start()?;
        let url = format!("{}/-/ready", self.url);
        self.process
            .ready(START, || async {
                let (status, _) = http::get(&url, Duration::from_secs(2)).await?;
                ensure!(status == 200, "/-/ready answers {status}");
                Ok(())
            })
            .await
    }

    /// Ends it in order; its port refuses connections then.
    ///
    /// # Errors
    /// It still runs after 20 s.
    pub async fn stop(&self) -> Result<()> {
        self.process.stop(STOP).await.map(drop)
    }

    /// Freezes it: connections are accepted by the kernel and never answered.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&self) -> Result<()> {
        self.process.freeze()
    }

    /// Ends [`Self::freeze`].
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self) -> Result<()> {
        self.process.thaw()
    }

    /// The rows of an instant query, now.
    ///
    /// # Errors
    /// It cannot be reached, refuses the query, or the answer is no vector.
    pub async fn query(&self, expression: &str) -> Result<Vec<Row>> {
        let url =
            reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.url), [("query", expression)])?;
        let (status, text) = http::get(url.as_str(), Duration::from_secs(10)).await?;
        ensure!(status == 200, "Prometheus answers {status}: {text}");
        let answer: Value = serde_json::from_str(&text)?;
        let rows = answer["data"]["result"]
            .as_array()
            .context("the answer has no result")?;
        rows.iter().map(Row::parse).collect()
    }
}

// === impl Row ===

impl Row {
    fn parse(row: &Value) -> Result<Self> {
        let labels = row["metric"].as_object().context("a row without labels")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Self {
            labels: labels
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
            value: text(&row["value"][1]).parse().context("a row's value")?,
        })
    }
}
