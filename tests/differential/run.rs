//! Both adapters beside each other, one configuration after the other.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use testbed::exporter::Exporter;
use testbed::peer::{Peer, Started};
use testbed::programs::Programs;
use testbed::prometheus::Prometheus;
use testbed::recorder::Source;
use testbed::{PATIENCE, eventually};

use crate::bench::{Bench, SETTLE};
use crate::cluster::{Discovery, configurations, name};
use crate::compare::differences;
use crate::made_up::{MadeUp, made_up};
use crate::requests::paths;
use crate::say;
use crate::standard::{Tally, WAYS};

/// So many requests make a comparison.
const ENOUGH: usize = 300;
/// Differences of one configuration that are shown.
const SHOWN: usize = 6;
/// Values that tell rounding, NaN and sign apart.
const VALUES: [f64; 7] = [1.0005, 0.0009, 2.5, f64::NAN, 1e12, 7.0, -0.5];

/// Counts over all configurations.
#[derive(Default)]
struct Totals {
    requests: usize,
    same: usize,
    refused: usize,
    other: usize,
    standard: Tally,
}

/// Compares over a folder's configurations; whether all is as it has to be.
///
/// # Errors
/// A part does not start.
pub(crate) async fn run(peer: &Path, folder: &Path) -> Result<bool> {
    let comparison = Comparison {
        bench: Box::pin(Bench::start()).await?,
        programs: Programs::locate().await?,
    };
    let mut totals = Totals::default();
    say(&format!(
        "{:<28} {:>8} {:>6} {:>9}",
        "configuration", "requests", "same", "standard"
    ));
    let given = configurations(folder)?;
    for config in &given {
        if let Err(error) = Box::pin(comparison.compare(peer, config, &mut totals)).await {
            totals.other += 1;
            say(&format!("{:<28} {error:#}", name(config)));
        }
    }
    say(&format!(
        "\n{} configurations, {} of them refused by the other and diagnosed here; {} of {} requests answered the same, {} other differences",
        given.len(),
        totals.refused,
        totals.same,
        totals.requests,
        totals.other
    ));
    say("in Standard semantics the answers differ in these ways and no others (times are not compared):");
    for (way, meaning) in WAYS {
        say(&format!("  {:>5}  {way}: {meaning}", totals.standard.count(way)));
    }
    let unknown = totals.standard.unknown();
    if unknown > 0 {
        say(&format!("  {unknown:>5}  in no way that is listed"));
    }
    let enough = totals.requests >= ENOUGH;
    if !enough {
        say(&format!(
            "{} requests are too few: at least {ENOUGH} make a comparison",
            totals.requests
        ));
    }
    Ok(enough && totals.same == totals.requests && totals.other == 0 && unknown == 0)
}

/// A comparison over a folder.
struct Comparison {
    bench: Bench,
    programs: Programs,
}

impl Comparison {
    async fn compare(&self, peer: &Path, config: &Path, totals: &mut Totals) -> Result<()> {
        let title = name(config);
        let made = made_up(&std::fs::read_to_string(config)?);
        self.bench.clear().await?;
        let (_exporter, prometheus) = self.serve(&title, &made).await?;
        // both take their time
        let url = self.bench.recorder.url();
        let started = Peer::start(&self.bench.testbed, peer, config, &url);
        let (started, ()) = futures::try_join!(started, self.scraped(&prometheus))?;
        let peer = match started {
            Started::Serves(peer) => peer,
            Started::Refused(why) => {
                // a kind that this cluster lacks stops the other adapter; here it is worth a warning
                let said = match self.bench.import(config, "PrometheusAdapter").await? {
                    Ok(imported) => imported.warning,
                    Err(said) => Some(said),
                };
                if said.is_some() {
                    totals.refused += 1;
                } else {
                    totals.other += 1;
                }
                let said = said.unwrap_or_else(|| "accepted without a word".to_owned());
                let short = |text: &str| {
                    text.lines()
                        .next()
                        .unwrap_or_default()
                        .chars()
                        .take(90)
                        .collect::<String>()
                };
                say(&format!(
                    "{title:<28} refused: {}; here: {}",
                    short(&why),
                    short(&said)
                ));
                return Ok(());
            }
        };
        let theirs = peer.client().await?;
        // without series there is nothing to wait for
        let patience = if made.series.is_empty() {
            Duration::from_secs(4)
        } else {
            SETTLE
        };
        let discovery = Discovery::settled(&theirs, patience).await?;
        let paths = paths(&discovery.custom, &discovery.external);
        let expected = self.bench.put(&theirs, &paths).await?;
        peer.stop().await?;
        let (mut found, mut ways) = (Vec::new(), Tally::default());
        let (mut same, mut others) = (0, 0);
        match self.bench.import(config, "PrometheusAdapter").await? {
            Err(said) => {
                others += 1;
                found.push(format!("not imported: {said}"));
            }
            Ok(imported) => {
                self.bench.apply(&imported.rules).await?;
                let here = Discovery::until(&self.bench.ours, SETTLE, |now| *now == discovery).await?;
                if here != discovery {
                    others += 1;
                    found.push(discovery.difference(&here));
                }
                let got = self.bench.put(&self.bench.ours, &paths).await?;
                let wrong = differences(&expected, &got);
                same = paths.len() - wrong.len();
                found.extend(wrong);
            }
        }
        self.bench.clear().await?;
        if let Ok(imported) = self.bench.import(config, "Standard").await? {
            let all = self.bench.apply(&imported.rules).await;
            let here = Discovery::settled(&self.bench.ours, Duration::from_secs(6)).await?;
            let got = self.bench.put(&self.bench.ours, &paths).await?;
            ways.judge(&expected, &got, &here, all.is_err());
        }
        say(&format!(
            "{title:<28} {:>8} {same:>6} {:>9}",
            paths.len(),
            ways.differing()
        ));
        found.splice(0..0, ways.unknowns());
        for line in found.iter().take(SHOWN) {
            say(&format!("    {line}"));
        }
        if found.len() > SHOWN {
            say(&format!("    and {} more", found.len() - SHOWN));
        }
        totals.requests += paths.len();
        totals.same += same;
        totals.other += others;
        totals.standard.add(ways);
        Ok(())
    }

    /// A Prometheus that has these series and no others, behind the recorder.
    async fn serve(&self, title: &str, made: &MadeUp) -> Result<(Exporter, Prometheus)> {
        let exporter = Exporter::start(self.bench.testbed.control_plane().kubeconfig()).await?;
        for (index, series) in made.series.iter().enumerate() {
            let name = series.get("__name__").map_or("", String::as_str);
            let labels = series.iter().filter(|(label, _)| *label != "__name__");
            let labels: Vec<(&str, &str)> = labels
                .map(|(label, value)| (label.as_str(), value.as_str()))
                .collect();
            let value = VALUES.get(index % VALUES.len()).copied().unwrap_or_default();
            if ["_total", "_count", "_sum", "_bucket"]
                .iter()
                .any(|end| name.ends_with(end))
                && value.is_finite()
            {
                exporter.counter(name, &labels, value.abs().min(1e6) + 1.0);
            } else {
                exporter.gauge(name, &labels, value);
            }
        }
        let folder = self.bench.testbed.folder().join("differential").join(title);
        let logs = self.bench.testbed.folder().join("logs");
        let prometheus = Prometheus::new(&self.programs, &folder, &logs, &exporter.address())?;
        prometheus.start().await?;
        self.bench
            .recorder
            .set(Source::Upstream(prometheus.url().to_owned(), now()?));
        Ok((exporter, prometheus))
    }

    /// Waits for three scrapes, which a rate can go by, and stops time there.
    async fn scraped(&self, prometheus: &Prometheus) -> Result<()> {
        eventually(PATIENCE, "the series are in Prometheus", || async {
            let rows = prometheus.query("count_over_time(up[1m])").await?;
            anyhow::ensure!(rows.iter().any(|row| row.value >= 3.0), "{rows:?}");
            Ok(())
        })
        .await?;
        self.bench
            .recorder
            .set(Source::Upstream(prometheus.url().to_owned(), now()?));
        Ok(())
    }
}

/// In seconds since 1970.
fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64())
}
