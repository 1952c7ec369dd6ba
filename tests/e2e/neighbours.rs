//! Neighbours on one replica: what a namespace's slow queries and a backend that hangs cost those who have nothing to do with them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use testbed::figures::hang::{deployment, hpa};
use testbed::stand_in::{SLOW, StandIn};
use testbed::{PATIENCE, Shared, Testbed, eventually};
use tokio::time::{Instant, sleep};

use crate::ask::{ask, backend, create, external, rule, took, turn, until_value};
use crate::support::builder;

/// A control plane of their own: its HPA controller is what is held up.
static CROWDED: Shared = Shared::new(|| builder().replicas(1));

/// What a query may take beside any crowd, on a machine that builds and tests besides: far less than one slow query.
const SOON: Duration = Duration::from_secs(3);
/// After this time of a hang nobody else is late any more.
const SETTLED: Duration = Duration::from_secs(10);
/// How long an HPA takes to show a change while all is well, at most.
const FOLLOWS: Duration = Duration::from_secs(15);

/// An External rule whose query has that word.
fn external_rule(namespace: &str, name: &str, backend: &str, word: &str) -> Value {
    let spec = json!({
        "api": "External", "backendRef": {"name": backend}, "name": {"as": name},
        "metricsQuery": format!("sum({word}{{<<.LabelMatchers>>}})"),
    });
    rule(Some(namespace), name, &spec)
}

fn prometheus(url: &str) -> Value {
    json!({"type": "Prometheus", "prometheus": {"url": url}})
}

/// An External metric with a selector of its own.
fn metric(name: &str, who: &str) -> Value {
    json!({"type": "External", "external": {
        "metric": {"name": name, "selector": {"matchLabels": {"who": who}}},
        "target": {"type": "Value", "value": "1000"},
    }})
}

/// Finding 5.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbours_slow_queries_leave_a_fast_one_alone() -> Result<()> {
    let testbed = CROWDED.get().await?;
    let _turn = turn().await;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("slow", async |lab| {
            testbed
                .with_namespace("fast", async |other| {
                    beside_slow_queries(&testbed, &lab, &other).await
                })
                .await
        })
        .await;
    took("neighbours: slow queries", began);
    outcome
}

async fn beside_slow_queries(testbed: &Testbed, lab: &str, other: &str) -> Result<()> {
    let client = crate::ask::client(testbed).await?;
    let stand_in = StandIn::start().await?;
    create(&client, &backend(lab, &prometheus(&stand_in.url()))).await?;
    create(&client, &external_rule(lab, "dragging", lab, "slow")).await?;
    create(&client, &external_rule(other, "brisk", lab, "fast")).await?;
    until_value(&client, &external(other, "brisk", ""), 1.0, PATIENCE).await?;
    until_value(&client, &external(lab, "dragging", ""), 1.0, PATIENCE).await?;

    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let crowd = join_all((0..80).map(async |_| {
        while !stop.load(Ordering::Relaxed) {
            let turn = asked.fetch_add(1, Ordering::Relaxed);
            // What becomes of them is their own matter.
            let _ = ask(&client, &external(lab, "dragging", &format!("k%3Dv{turn}"))).await;
            sleep(Duration::from_millis(200)).await;
        }
    }));
    let guest = async {
        sleep(Duration::from_secs(2)).await;
        let mut worst = Duration::ZERO;
        let began = Instant::now();
        let mut number = 0;
        // For longer than two rounds of slow ones.
        while began.elapsed() < SLOW * 2 {
            let started = Instant::now();
            let answer = ask(&client, &external(other, "brisk", &format!("k%3Dw{number}"))).await;
            let (answer, took) = (answer?, started.elapsed());
            ensure!(answer.is(1.0), "{answer:?} after {took:?}");
            worst = worst.max(took);
            number += 1;
            sleep(Duration::from_millis(300)).await;
        }
        anyhow::Ok(worst)
    };
    let guest = async {
        let worst = guest.await;
        stop.store(true, Ordering::Relaxed);
        worst
    };
    let (_, worst) = tokio::join!(crowd, guest);
    let worst = worst?;
    ensure!(worst <= SOON, "a fast query took {worst:?}");
    Ok(())
}

/// Finding 6.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_hangs_holds_no_other_hpa_up() -> Result<()> {
    let testbed = CROWDED.get().await?;
    let _turn = turn().await;
    let began = Instant::now();
    let outcome = testbed
        .with_namespace("hangs", async |namespace| {
            beside_a_backend_that_hangs(&testbed, &namespace).await
        })
        .await;
    took("neighbours: a backend that hangs", began);
    outcome
}

async fn beside_a_backend_that_hangs(testbed: &Testbed, namespace: &str) -> Result<()> {
    let client = crate::ask::client(testbed).await?;
    let (good, bad) = (StandIn::start().await?, StandIn::start().await?);
    let hanging = format!("{namespace}-bad");
    create(&client, &backend(namespace, &prometheus(&good.url()))).await?;
    create(&client, &backend(&hanging, &prometheus(&bad.url()))).await?;
    create(
        &client,
        &external_rule(namespace, "followed", namespace, "followed"),
    )
    .await?;
    create(&client, &external_rule(namespace, "stuck", &hanging, "stuck")).await?;
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
    let crowd = (0..20).map(|number| (format!("stuck-{number}"), "stuck"));
    for (name, source) in crowd.chain([("followed".to_owned(), "followed")]) {
        testbed
            .apply(namespace, &deployment(&name, 1).to_string())
            .await?;
        let hpa = serde_json::from_value(hpa(&name, &metric(source, &name), 1, 1))?;
        hpas.create(&PostParams::default(), &hpa).await?;
    }
    let stuck = external(namespace, "stuck", "who%3Dnobody");
    until_value(&client, &stuck, 1.0, PATIENCE).await?;
    follows(&client, namespace, &good, 10.0, PATIENCE).await?;

    bad.hang(true);
    sleep(SETTLED).await;
    // Whoever asks for it is told at once, and why.
    let started = Instant::now();
    let answer = ask(&client, &stuck).await?;
    let took = started.elapsed();
    ensure!(answer.refuses(503, "BackendTimeout"), "{answer:?}");
    ensure!(
        answer.message.contains("the backend has not answered since"),
        "{answer:?}"
    );
    ensure!(took <= SOON, "it took {took:?}");
    for value in [11.0, 12.0, 13.0] {
        follows(&client, namespace, &good, value, FOLLOWS).await?;
    }
    let (_, metrics) = testbed
        .replicas()
        .first()
        .context("no replica")?
        .get("/metrics")
        .await?;
    let open = format!("metricrule_backend_circuit{{backend=\"{hanging}\",state=\"closed\"}} 0");
    ensure!(metrics.contains(&open), "the metrics do not say {open}");

    bad.hang(false);
    until_value(
        &client,
        &external(namespace, "stuck", "who%3Dsomebody"),
        1.0,
        SETTLED,
    )
    .await
}

/// The HPA shows a new value in time.
async fn follows(
    client: &Client,
    namespace: &str,
    source: &StandIn,
    value: f64,
    within: Duration,
) -> Result<()> {
    source.set(value);
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
    eventually(within, &format!("the HPA shows {value}"), || async {
        let hpa = serde_json::to_value(hpas.get("followed").await?)?;
        let shown = hpa
            .pointer("/status/currentMetrics/0/external/current/value")
            .and_then(Value::as_str)
            .context("no value yet")?;
        ensure!(shown == value.to_string(), "it shows {shown}");
        Ok(())
    })
    .await
}
