//! Writes beside each of our own configurations what a prometheus-adapter lists, answers and sends. The expected text of a query
//! is never one of ours.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;
use testbed::Testbed;
use testbed::peer::{Peer, Started};
use testbed::recorder::Recorder;

use crate::answer::{Answer, ask};
use crate::cluster::{Discovery, configurations, name, start};
use crate::made_up::made_up;
use crate::played::source;
use crate::requests::paths;
use crate::say;
use crate::select::Labels;

/// What is committed.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Recording {
    /// What the stand-in for Prometheus holds.
    pub(crate) series: Vec<Labels>,
    /// The labels that name objects, with the kind.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) discovery: Discovery,
    pub(crate) answers: Vec<Answer>,
}

/// Records the folder's configurations, each with an adapter of its own.
///
/// # Errors
/// An adapter does not start.
pub(crate) async fn record(peer: &Path, folder: &Path) -> Result<()> {
    let testbed = start(Testbed::builder().prometheus(false)).await?;
    for config in configurations(folder)? {
        let made = made_up(&std::fs::read_to_string(&config)?);
        let recorder = Recorder::start(source(made.series.clone(), made.labels.clone())).await?;
        let peer = match Peer::start(&testbed, peer, &config, &recorder.url()).await? {
            Started::Serves(peer) => peer,
            Started::Refused(why) => bail!("{}: refused: {why}", config.display()),
        };
        let client = peer.client().await?;
        let discovery = Discovery::settled(&client, Duration::from_secs(15)).await?;
        let mut answers = Vec::new();
        for path in paths(&discovery.custom, &discovery.external) {
            recorder.take();
            let mut answer = ask(&client, &path).await?;
            answer.queries = recorder.take();
            answers.push(answer);
        }
        peer.stop().await?;
        let queries = answers.iter().filter(|answer| !answer.queries.is_empty()).count();
        say(&format!(
            "{}: {} requests, {queries} with a query",
            name(&config),
            answers.len()
        ));
        let recording = Recording {
            series: made.series,
            labels: made.labels,
            discovery,
            answers,
        };
        std::fs::write(config.with_extension("json"), lines(&recording)?)?;
    }
    Ok(())
}

/// JSON with one line for each request, which is how differences are read.
fn lines(recording: &Recording) -> Result<String> {
    let line = |value: serde_json::Value| serde_json::to_string(&value);
    let answers: Vec<String> = recording
        .answers
        .iter()
        .map(|answer| line(json!(answer)))
        .collect::<Result<_, _>>()?;
    let series: Vec<String> = recording
        .series
        .iter()
        .map(|series| line(json!(series)))
        .collect::<Result<_, _>>()?;
    Ok(format!(
        "{{\"series\": [\n{}\n],\n\"labels\": {},\n\"discovery\": {},\n\"answers\": [\n{}\n]}}\n",
        series.join(",\n"),
        line(json!(recording.labels))?,
        line(json!(recording.discovery))?,
        answers.join(",\n"),
    ))
}
