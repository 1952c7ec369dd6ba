//! Listings of series at a backend that gives no answer: when a replica is ready, how often the backend is asked, and what
//! happens when it is back.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use testbed::{Testbed, eventually};
use tokio::time::Instant;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::ask::{backend, client, create, objects, rule, say, sweep, took, until_condition};

const BACKEND: &str = "listings-backend";
/// One for each rule.
const SELECTORS: usize = 300;
/// From the start of a process: before, each eight selectors took the timeout of 8 s.
const READY: Duration = Duration::from_secs(20);
/// How long it is counted how often the backend is asked.
const WINDOW: Duration = Duration::from_secs(40);
/// The longest wait between two questions to a backend that is down, and the longest window after its recovery.
const BACK: Duration = Duration::from_secs(75);

const HANGS: u8 = 0;
const REFUSES: u8 = 1;
const ANSWERS: u8 = 2;

/// A Prometheus that hangs, refuses at once, or answers with one series; it remembers when it was asked for series.
#[derive(Clone, Default)]
struct Scripted {
    mode: Arc<AtomicU8>,
    asked: Arc<Mutex<Vec<Instant>>>,
}

impl Respond for Scripted {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if request.url.path() == "/api/v1/series" {
            self.asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Instant::now());
        }
        let success =
            |data| ResponseTemplate::new(200).set_body_json(json!({"status": "success", "data": data}));
        match self.mode.load(Ordering::Relaxed) {
            HANGS => ResponseTemplate::new(200).set_delay(Duration::from_mins(10)),
            REFUSES => ResponseTemplate::new(503),
            _ if request.url.path() == "/api/v1/series" => success(json!([
                {"__name__": "listings", "namespace": "listings", "pod": "web-0"}
            ])),
            _ => success(json!({"resultType": "vector", "result": []})),
        }
    }
}

impl Scripted {
    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::Relaxed);
    }

    fn since(&self, begin: Instant) -> Vec<Duration> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked
            .iter()
            .filter_map(|at| at.checked_duration_since(begin))
            .collect()
    }
}

#[tokio::test]
async fn a_backend_that_hangs_keeps_no_replica_from_being_ready_and_is_spared_until_it_is_back() -> Result<()>
{
    let testbed = Testbed::builder()
        .prometheus(false)
        .binary(Path::new(env!("CARGO_BIN_EXE_metricrule")))
        .replicas(1)
        .start()
        .await?;
    let scripted = Scripted::default();
    let server = MockServer::start().await;
    Mock::given(any())
        .respond_with(scripted.clone())
        .mount(&server)
        .await;
    let client = client(&testbed).await?;
    let outcome = testbed
        .with_namespace("listings", async |namespace| {
            let spec = json!({
                "type": "Prometheus", "prometheus": {"url": server.uri()},
                "limits": {"maxConcurrent": 64, "queriesPerSecond": 2000},
            });
            create(&client, &backend(BACKEND, &spec)).await?;
            stream::iter(0..SELECTORS)
                .map(|number| {
                    let spec = json!({
                        "backendRef": {"name": BACKEND},
                        "seriesQuery": format!("listings_{number}{{pod!=\"\"}}"),
                        "resources": {"overrides": {"pod": {"resource": "pods"}}},
                        "metricsQuery": "sum by (<<.GroupBy>>) (<<.Series>>{<<.LabelMatchers>>})",
                    });
                    let manifest = rule(Some(&namespace), &format!("rule-{number}"), &spec);
                    let client = client.clone();
                    async move { create(&client, &manifest).await }
                })
                .buffer_unordered(16)
                .try_collect::<Vec<()>>()
                .await?;

            // ── a replica starts while the backend hangs ──
            let late = testbed.replica("late")?;
            let began = Instant::now();
            late.launch()?;
            eventually(READY * 2, "the replica is ready", || async {
                let (code, body) = late.get("/readyz").await?;
                ensure!(code == 200, "{code} {body}");
                Ok(())
            })
            .await?;
            let ready = began.elapsed();
            took("listings: ready while the backend of 300 selectors hangs", began);
            late.kill();
            ensure!(ready <= READY, "ready after {ready:?}");

            // ── it refuses at once ──
            scripted.set(REFUSES);
            let rules = objects(&client, "MetricRule", Some(&namespace));
            // The backend says so; its rules keep what their own last listing met.
            let backends = objects(&client, "MetricBackend", None);
            until_condition(&backends, BACKEND, "Reachable", "False", "BackendDown").await?;
            let since = Instant::now();
            tokio::time::sleep(WINDOW).await;
            let asked = scripted.since(since).len();
            say(&format!(
                "listings: asked {asked} times in {WINDOW:?} while it refuses"
            ));
            ensure!(
                asked <= 30,
                "asked {asked} times in {WINDOW:?}; each of 300 selectors every 5 s were 2400"
            );

            // ── it is back ──
            scripted.set(ANSWERS);
            let since = Instant::now();
            eventually(BACK, "every selector was listed", || async {
                let asked = scripted.since(since).len();
                ensure!(asked >= SELECTORS, "{asked} of {SELECTORS}");
                Ok(())
            })
            .await?;
            let asked = scripted.since(since);
            let most = (0..asked.len())
                .map(|first| {
                    let end = asked[first] + Duration::from_secs(1);
                    asked[first..].iter().take_while(|at| **at < end).count()
                })
                .max()
                .context("it was asked")?;
            say(&format!(
                "listings: the first {:?} after it was back, the last {:?}, at most {most} in a second",
                asked.first(),
                asked.last()
            ));
            ensure!(
                most <= SELECTORS * 2 / 3,
                "{most} of {SELECTORS} in one second: {asked:?}"
            );
            until_condition(&rules, "rule-0", "Discovered", "True", "Discovered").await?;
            Ok(())
        })
        .await;
    sweep(&client, "listings").await?;
    outcome
}
