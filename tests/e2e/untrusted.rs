//! Backends that are not to be trusted: their answers are far too large, they quote what they were sent, their clock is wrong.

mod quoting;
mod relay;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use kube::Client;
use serde_json::json;
use testbed::adapter::Replica;
use testbed::stand_in::StandIn;
use testbed::{PATIENCE, Testbed, eventually};

use self::quoting::Quoting;
use self::relay::Relay;
use crate::ask::{
    CALM, ask, backend, client, create, external, objects, rule, say, sweep, turn, until_condition,
};

/// Above rest; the whole system's own goal is 150, and the machine of the tests is not alone.
const ANSWERS_MIB: f64 = 200.0;
const LISTING_MIB: f64 = 60.0;

#[tokio::test]
async fn eight_small_rules_whose_answers_are_48_mb_take_no_memory_from_others() -> Result<()> {
    let _turn = turn().await;
    let testbed = CALM.get().await?;
    let client = client(&testbed).await?;
    let stand_in = StandIn::start().await?;
    let outcome = testbed
        .with_namespace("large-answers", async |namespace| {
            large_answers(&testbed, &client, &stand_in, &namespace).await
        })
        .await;
    sweep(&client, "untrusted-large").await?;
    outcome
}

async fn large_answers(
    testbed: &Testbed,
    client: &Client,
    stand_in: &StandIn,
    namespace: &str,
) -> Result<()> {
    let backend_name = "untrusted-large";
    create(
        client,
        &backend(
            backend_name,
            &json!({"type": "Prometheus", "prometheus": {"url": stand_in.url()}}),
        ),
    )
    .await?;
    let names: Vec<String> = (0..8).map(|number| format!("large{number}")).collect();
    let small = "small".to_owned();
    for name in names.iter().chain([&small]) {
        let spec = json!({
            "api": "External", "backendRef": {"name": backend_name}, "name": {"as": name},
            "metricsQuery": format!("sum(label_replace(vector(1), \"kind\", \"{name}\", \"\", \"\"))"),
        });
        create(client, &rule(Some(namespace), name, &spec)).await?;
    }
    eventually(PATIENCE, "the small rule answers", || async {
        let answer = ask(client, &external(namespace, &small, "")).await?;
        ensure!(answer.is(1.0), "{answer:?}");
        Ok(())
    })
    .await?;
    let pid = pid(testbed.replicas().first().context("no replica")?)?;
    let rest = resident(pid)?;
    forget_peak(pid)?;
    let large = join_all(
        names
            .iter()
            .map(|name| async move { ask(client, &external(namespace, name, "")).await }),
    );
    let beside = async {
        let mut answers = Vec::new();
        for _ in 0..10 {
            answers.push(ask(client, &external(namespace, &small, "")).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        answers
    };
    let (large, beside) = tokio::join!(large, beside);
    for answer in large {
        let answer = answer?;
        ensure!(answer.refuses(500, "LimitExceeded"), "{answer:?}");
        ensure!(
            answer.message.contains("text of more than"),
            "it names the bound: {answer:?}"
        );
    }
    for answer in beside {
        let answer = answer?;
        ensure!(answer.is(1.0), "a small answer beside them: {answer:?}");
    }
    let grown = peak(pid)? - rest;
    say(&format!(
        "eight answers of 48 MB at once: {grown:.0} MiB above {rest:.0}"
    ));
    ensure!(grown < ANSWERS_MIB, "{grown} MiB above {rest}");
    Ok(())
}

#[tokio::test]
async fn a_listing_is_kept_as_its_names_and_a_refused_one_takes_no_more() -> Result<()> {
    let _turn = turn().await;
    let testbed = CALM.get().await?;
    let client = client(&testbed).await?;
    let stand_in = StandIn::start().await?;
    let outcome = testbed
        .with_namespace("large-listings", async |namespace| {
            large_listings(&testbed, &client, &stand_in, &namespace).await
        })
        .await;
    sweep(&client, "untrusted-wide").await?;
    outcome
}

async fn large_listings(
    testbed: &Testbed,
    client: &Client,
    stand_in: &StandIn,
    namespace: &str,
) -> Result<()> {
    let backend_name = "untrusted-wide";
    let spec = json!({"type": "Prometheus", "prometheus": {"url": stand_in.url(), "timeout": "30s"}});
    create(client, &backend(backend_name, &spec)).await?;
    let pid = pid(testbed.replicas().first().context("no replica")?)?;
    let rules = objects(client, "MetricRule", Some(namespace));
    for (name, status, reason) in [
        ("wide", "True", "Truncated"),
        ("refused", "False", "LimitExceeded"),
    ] {
        let rest = resident(pid)?;
        forget_peak(pid)?;
        let spec = json!({
            "backendRef": {"name": backend_name},
            "seriesQuery": format!("{name}{{pod!=\"\"}}"),
            "resources": {"overrides": {"pod": {"resource": "pods"}}},
            "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
            "limits": {"maxSeries": 1000},
        });
        create(client, &rule(Some(namespace), name, &spec)).await?;
        until_condition(&rules, name, "Discovered", status, reason).await?;
        let grown = peak(pid)? - rest;
        say(&format!("the listing {name}: {grown:.0} MiB above {rest:.0}"));
        ensure!(grown < LISTING_MIB, "{name}: {grown} MiB above {rest}");
        let series = rules.get(name).await?;
        let series = &series.data["status"]["discovered"]["series"];
        ensure!(name == "refused" || *series == 100_000, "{series}");
    }
    Ok(())
}

#[tokio::test]
async fn credentials_that_a_backend_quotes_reach_no_status_event_log_or_reply() -> Result<()> {
    let testbed = CALM.get().await?;
    let client = client(&testbed).await?;
    let quoting = Quoting::start().await?;
    let outcome = testbed
        .with_namespace("quoting", async |namespace| {
            quoting.run(&testbed, &client, &namespace).await
        })
        .await;
    sweep(&client, quoting::NAME).await?;
    outcome
}

#[tokio::test]
async fn a_rate_is_right_though_the_backends_clock_is_a_minute_off() -> Result<()> {
    let testbed = CALM.get().await?;
    let client = client(&testbed).await?;
    let relay = Relay::start(testbed.prometheus().url(), -60).await?;
    let outcome = testbed
        .with_namespace("skewed", async |namespace| {
            relay.run(&testbed, &client, &namespace).await
        })
        .await;
    sweep(&client, relay::NAME).await?;
    outcome
}

fn pid(replica: &Replica) -> Result<u32> {
    replica.process().pid().context("the replica does not run")
}

fn resident(pid: u32) -> Result<f64> {
    field(pid, "VmRSS:")
}

fn peak(pid: u32) -> Result<f64> {
    field(pid, "VmHWM:")
}

/// See proc(5).
fn forget_peak(pid: u32) -> Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").context("clearing the peak of the memory")
}

/// In MiB.
fn field(pid: u32, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib: f64 = line
        .context("no such field")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    Ok(kib / 1024.0)
}
