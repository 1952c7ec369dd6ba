//! The recordings once more: the whole of metricrule is asked what the other adapter was asked, of the same made-up series.

use std::path::Path;

use anyhow::Result;

use crate::bench::{Bench, SETTLE};
use crate::cluster::{Discovery, configurations, name};
use crate::compare::differences;
use crate::played::source;
use crate::record::Recording;
use crate::say;

/// Whether every answer is as it was recorded, with the same queries.
///
/// # Errors
/// A part does not start.
pub(crate) async fn replay(folder: &Path) -> Result<bool> {
    let bench = Box::pin(Bench::start()).await?;
    let (mut requests, mut wrong) = (0, 0);
    for config in configurations(folder)? {
        let recording: Recording =
            serde_json::from_str(&std::fs::read_to_string(config.with_extension("json"))?)?;
        bench.clear().await?;
        bench.recorder.set(source(recording.series, recording.labels));
        let mut found = Vec::new();
        match bench.import(&config, "PrometheusAdapter").await? {
            Err(said) => found.push(format!("not imported: {said}")),
            Ok(imported) => {
                bench.apply(&imported.rules).await?;
                let here = Discovery::until(&bench.ours, SETTLE, |now| *now == recording.discovery).await?;
                if here != recording.discovery {
                    found.push(recording.discovery.difference(&here));
                }
                let paths: Vec<String> = recording
                    .answers
                    .iter()
                    .map(|answer| answer.path.clone())
                    .collect();
                found.extend(differences(
                    &recording.answers,
                    &bench.put(&bench.ours, &paths).await?,
                ));
            }
        }
        say(&format!(
            "{:<28} {:>4} requests, {} differences",
            name(&config),
            recording.answers.len(),
            found.len()
        ));
        for line in found.iter().take(10) {
            say(&format!("    {line}"));
        }
        requests += recording.answers.len();
        wrong += found.len();
    }
    say(&format!("{requests} recorded requests, {wrong} differences"));
    if wrong > 0 {
        bench
            .testbed
            .keep_logs("the recordings are not answered as they were");
    }
    Ok(wrong == 0)
}
