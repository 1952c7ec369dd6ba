//! A neighbour on the pod network does its worst while an HPA's requests go on: every one of them is answered.
//!
//! `make attack` sets `METRICRULE_ATTACK` to the file for its table and takes half a minute; otherwise a few connections show for
//! a few seconds that all of it works, and nothing is said of time.

mod floods;
mod intruder;
mod probe;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use testbed::{PATIENCE, Testbed, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use self::intruder::{Attack, Score};
use self::probe::{Probe, Span};
use crate::ask::{CALM, create, custom, rule, took, turn, until_series, until_value};

const POD: &str = "web-0";
/// What the series of the probe is worth at first.
const FIRST: f64 = 1000.0;
/// How much slower a request may become.
const GOAL: f64 = 10.0;

/// How much of it, for how long.
#[derive(Clone, Copy, Debug)]
struct Scale {
    idle: usize,
    half_open: usize,
    slow: usize,
    resets: usize,
    floods: usize,
    quiet: Duration,
    attack: Duration,
}

const SMALL: Scale = Scale {
    idle: 30,
    half_open: 20,
    slow: 5,
    resets: 1,
    floods: 1,
    quiet: Duration::from_secs(2),
    attack: Duration::from_secs(4),
};
const FULL: Scale = Scale {
    idle: 500,
    half_open: 200,
    slow: 50,
    resets: 1,
    floods: 1,
    quiet: Duration::from_secs(15),
    attack: Duration::from_secs(20),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_answered_under_attack() -> Result<()> {
    let table = std::env::var_os("METRICRULE_ATTACK").map(PathBuf::from);
    let scale = if table.is_some() { FULL } else { SMALL };
    let testbed = CALM.get().await?;
    let _turn = turn().await;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("attack", async |namespace| {
            run(&testbed, &namespace, scale, table).await
        })
        .await;
    took("attack", began);
    outcome
}

async fn run(testbed: &Testbed, namespace: &str, scale: Scale, table: Option<PathBuf>) -> Result<()> {
    let client = crate::ask::client(testbed).await?;
    let set = |value: f64| {
        let labels = [("namespace", namespace), ("pod", POD)];
        testbed.exporter().gauge("attack_gauge", &labels, value);
    };
    set(FIRST);
    let spec = json!({
        "seriesQuery": "attack_gauge",
        "resources": {"overrides": {"namespace": {"resource": "namespaces"}, "pod": {"resource": "pods"}}},
        "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
        // Each answer shall be asked for anew: what is measured is the whole way.
        "refresh": "1ms",
    });
    until_series(testbed, "attack_gauge", 1).await?;
    create(&client, &rule(Some(namespace), "attack", &spec)).await?;
    let path = custom(namespace, "pods", POD, "attack_gauge");
    until_value(&client, &path, FIRST, PATIENCE).await?;
    let replica = testbed.replicas().first().context("no replica")?;
    let target = SocketAddr::from((Ipv4Addr::LOCALHOST, replica.secure_port()));

    // Every second the series has another value, so that an old answer would show.
    let changing = async {
        let mut seconds = interval(Duration::from_secs(1));
        let mut value = FIRST;
        loop {
            seconds.tick().await;
            value += 1.0;
            set(value);
        }
    };
    let memory = || memory(replica.process().pid());
    let before = memory()?;
    let measured = async {
        let probe = Probe::start(client.clone(), path.clone());
        sleep(scale.quiet).await;
        let quiet = probe.stop().await?;

        let score = Arc::new(Score::default());
        let mut attackers = JoinSet::new();
        let attack = Attack::new(target, Arc::clone(&score))?;
        attack.launch(&mut attackers, scale.idle, Attack::idle);
        attack.launch(&mut attackers, scale.half_open, Attack::half_open);
        attack.launch(&mut attackers, scale.slow, Attack::slow_head);
        attack.launch(&mut attackers, scale.resets, Attack::rapid_reset);
        attack.launch(&mut attackers, scale.floods, Attack::continuation_flood);
        attack.launch(&mut attackers, scale.floods, Attack::ping_flood);
        attack.launch(&mut attackers, scale.floods, Attack::settings_flood);
        let probe = Probe::start(client.clone(), path.clone());
        sleep(scale.attack).await;
        let attacked = probe.stop().await?;
        ensure!(attackers.try_join_next().is_none(), "an attacker gave up");
        attackers.shutdown().await;
        anyhow::Ok((quiet, attacked, score))
    };
    let (quiet, attacked, score) = tokio::select! {
        measured = measured => measured?,
        () = changing => unreachable!("it changes for ever"),
    };

    let mut text = report(&quiet, &attacked, &score, scale)?;
    writeln!(
        text,
        "memory of the replica: {before} MiB before, {} MiB after",
        memory()?
    )?;
    if let Some(table) = table {
        std::fs::write(&table, &text).with_context(|| format!("writing {}", table.display()))?;
    }
    for span in [&quiet, &attacked] {
        ensure!(
            span.failures.is_empty(),
            "{} of {} failed: {:?}\n{text}",
            span.failures.len(),
            span.sent,
            span.failures.first()
        );
        ensure!(span.values_seen > 1, "the value never changed\n{text}");
    }
    ensure!(
        score.idle.opened() >= scale.idle,
        "the idle connections were not opened\n{text}"
    );
    ensure!(
        score.half_open.opened() >= scale.half_open,
        "the handshakes were not begun\n{text}"
    );
    ensure!(score.resets() > 100, "no streams were reset\n{text}");
    // It is none the worse for it.
    eventually(PATIENCE, "the replica is ready", || async {
        let (status, text) = replica.get("/readyz").await?;
        ensure!(status == 200, "{status}: {text}");
        Ok(())
    })
    .await
}

/// Resident memory of a process, in MiB.
fn memory(pid: Option<u32>) -> Result<u64> {
    let pid = pid.context("the replica does not run")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024)
}

fn report(quiet: &Span, attacked: &Span, score: &Score, scale: Scale) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{:<14} {:>6} {:>9} {:>9} {:>9}",
        "requests", "sent", "answered", "p50 ms", "p99 ms"
    )?;
    for (name, span) in [("quiet", quiet), ("under attack", attacked)] {
        let (p50, p99) = (span.percentile(50), span.percentile(99));
        writeln!(
            text,
            "{name:<14} {:>6} {:>9} {p50:>9.1} {p99:>9.1}",
            span.sent,
            span.answered()
        )?;
    }
    let ratio = attacked.percentile(99) / quiet.percentile(99).max(0.001);
    let verdict = if ratio <= GOAL { "ok" } else { "short" };
    let all = quiet.failures.is_empty() && attacked.failures.is_empty();
    let answered = if all { "ok" } else { "short" };
    writeln!(
        text,
        "{:<36} {:<22} {answered}",
        "every request is answered 200",
        format!("{} failed", quiet.failures.len() + attacked.failures.len())
    )?;
    writeln!(
        text,
        "{:<36} {:<22} {verdict}",
        format!("p99 at most {GOAL:.0} times the quiet one"),
        format!("{ratio:.1} times")
    )?;
    writeln!(text, "attackers, for {} s:", scale.attack.as_secs())?;
    for (name, tally) in score.tallies() {
        writeln!(
            text,
            "  {name:<34} {:>6} opened {:>6} closed by the server",
            tally.opened(),
            tally.closed()
        )?;
    }
    writeln!(text, "  {:<34} {:>6} streams", "reset", score.resets())?;
    Ok(text)
}
