//! The testbed's own parts on the real thing: if these fail, what the other suites say means nothing.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use testbed::balancer::Balancer;
use testbed::control_plane::NODE;
use testbed::reference::Reference;
use testbed::{PATIENCE, Shared, Testbed, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

static TESTBED: Shared = Shared::new(Testbed::builder);

fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"nodeName": NODE, "containers": [{"name": "web", "image": "web"}]},
            },
        },
    })
}

async fn ready_replicas(deployments: &Api<Deployment>, name: &str, want: i32) -> Result<()> {
    eventually(PATIENCE, "the Deployment's pods are ready", || async {
        let status = deployments.get(name).await?.status.unwrap_or_default();
        let ready = status.ready_replicas.unwrap_or_default();
        ensure!(ready == want, "{ready} of {want} are ready");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn pods_run_and_their_rates_arrive_in_prometheus() -> Result<()> {
    let start = Instant::now();
    let testbed = TESTBED.get().await?;
    let booted = start.elapsed();
    testbed
        .with_namespace("rates", async |namespace| {
            testbed
                .apply(&namespace, &deployment("web", 2).to_string())
                .await?;
            let deployments: Api<Deployment> = Api::namespaced(testbed.client().await?, &namespace);
            ready_replicas(&deployments, "web", 2).await?;
            testbed.exporter().set_requests(&namespace, "web", 50.0);
            let expression = format!("rate(http_requests_total{{namespace=\"{namespace}\"}}[4s])");
            per_pod(&testbed, &expression, 2, 25.0).await?;

            // scaling out lowers each pod's share and not the total
            let five = Patch::Merge(json!({"spec": {"replicas": 5}}));
            deployments.patch("web", &PatchParams::default(), &five).await?;
            ready_replicas(&deployments, "web", 5).await?;
            per_pod(&testbed, &expression, 5, 10.0).await
        })
        .await?;
    // generous: a build may run beside the test
    ensure!(
        start.elapsed() < Duration::from_secs(90),
        "booted after {booted:?}, done after {:?}",
        start.elapsed()
    );
    Ok(())
}

async fn per_pod(testbed: &Testbed, expression: &str, pods: usize, rate: f64) -> Result<()> {
    eventually(PATIENCE, "the rate of each pod is in Prometheus", || async {
        let rows = testbed.prometheus().query(expression).await?;
        let close = rows
            .iter()
            .filter(|row| (row.value - rate).abs() < rate * 0.1)
            .count();
        ensure!(
            rows.len() == pods && close == pods,
            "want {pods} pods at {rate}/s: {rows:?}"
        );
        Ok(())
    })
    .await
}

#[tokio::test]
async fn series_of_any_kind_arrive_as_they_were_set() -> Result<()> {
    let testbed = TESTBED.get().await?;
    let labels = [("namespace", "victim"), ("pod", "a\"},b"), ("instance", "theirs")];
    testbed.exporter().gauge("queue_length", &labels, 17.5);
    eventually(PATIENCE, "the gauge is in Prometheus", || async {
        let rows = testbed
            .prometheus()
            .query("queue_length{namespace=\"victim\"}")
            .await?;
        let row = rows.first().context("no row yet")?;
        ensure!(
            row.labels["pod"] == "a\"},b" && row.labels["instance"] == "theirs",
            "labels were changed: {row:?}"
        );
        ensure!((row.value - 17.5).abs() < f64::EPSILON, "{row:?}");
        Ok(())
    })
    .await?;
    testbed.exporter().remove_namespace("victim");
    ensure!(
        !testbed.exporter().page().contains("victim"),
        "the series is still exposed"
    );
    Ok(())
}

#[tokio::test]
async fn a_prometheus_that_was_absent_freezes_stops_and_comes_back_on_its_port() -> Result<()> {
    let testbed = Testbed::builder().prometheus(false).start().await?;
    let prometheus = testbed.prometheus();
    ensure!(
        prometheus.query("vector(1)").await.is_err(),
        "it answers before it was started"
    );
    prometheus.start().await?;
    ensure!(prometheus.query("vector(1)").await?.len() == 1, "no answer");
    prometheus.freeze()?;
    let url = format!("{}/-/ready", prometheus.url());
    ensure!(
        testbed::http::get(&url, Duration::from_millis(500))
            .await
            .is_err(),
        "it answers while frozen"
    );
    prometheus.thaw()?;
    ensure!(
        prometheus.query("vector(1)").await?.len() == 1,
        "no answer after the freeze"
    );
    prometheus.stop().await?;
    ensure!(
        prometheus.query("vector(1)").await.is_err(),
        "it answers after its end"
    );
    prometheus.start().await?;
    ensure!(
        prometheus.query("vector(1)").await?.len() == 1,
        "no answer after the second start"
    );

    let folder = testbed.folder().to_path_buf();
    let pids: Vec<u32> = testbed
        .control_plane()
        .processes()
        .iter()
        .filter_map(|process| process.pid())
        .collect();
    ensure!(pids.len() == 4, "not all processes run: {pids:?}");
    drop(testbed);
    ensure!(!folder.exists(), "{} is still there", folder.display());
    let left: Vec<u32> = pids
        .into_iter()
        .filter(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
        .collect();
    ensure!(left.is_empty(), "processes still run: {left:?}");
    Ok(())
}

#[tokio::test]
async fn gos_own_server_serves_what_was_written_to_it() -> Result<()> {
    let testbed = TESTBED.get().await?;
    let reference = Reference::start(&testbed).await?;
    let client = testbed::kubeconfig::client(reference.kubeconfig()).await?;
    let get = async |path: &str| -> Result<Value> {
        let request = axum::http::Request::get(format!("/apis/{path}")).body(Vec::new())?;
        client.request(request).await.with_context(|| path.to_owned())
    };
    let custom = "custom.metrics.k8s.io/v1beta2";
    let queues = "external.metrics.k8s.io/v1beta1/namespaces/anywhere";

    reference.write("default", "pods", "web", "load", 1500).await?;
    reference
        .write_labelled("default", "deployments.apps", "web", "load", "verb=GET", 7000)
        .await?;
    reference.write("", "nodes", NODE, "load", -250).await?;
    reference
        .write("", "namespaces", "default", "load", 42_000)
        .await?;
    for (path, value) in [
        ("namespaces/default/pods/web/load", "1500m"),
        (
            "namespaces/default/deployments.apps/web/load?metricLabelSelector=verb%3DGET",
            "7",
        ),
        (&format!("nodes/{NODE}/load"), "-250m"),
        ("nodes/*/load", "-250m"),
        ("namespaces/default/metrics/load", "42"),
    ] {
        let list = get(&format!("{custom}/{path}")).await?;
        ensure!(
            list["items"][0]["value"] == value,
            "{path} is not {value}: {list}"
        );
    }
    let list = get(&format!("{queues}/my-external-metric")).await?;
    ensure!(
        list["items"][0]["value"] == "42" && list["items"][1]["value"] == "43",
        "{list}"
    );
    let list = get(&format!("{queues}/other-external-metric")).await?;
    ensure!(list["items"][0]["value"] == "44", "{list}");
    Ok(())
}

/// A backend that greets with its name, and a probe that says what it is told.
async fn backend(name: &'static str) -> Result<(u16, u16, Arc<AtomicBool>)> {
    let greeter = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let prober = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let ports = (greeter.local_addr()?.port(), prober.local_addr()?.port());
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = greeter.accept().await {
            tokio::spawn(async move {
                // echoes one byte at a time behind the name, for as long as the peer sends
                let mut byte = [0];
                while peer.write_all(name.as_bytes()).await.is_ok()
                    && peer.read_exact(&mut byte).await.is_ok()
                {}
            });
        }
    });
    let green = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&green);
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = prober.accept().await {
            let mut request = [0; 1024];
            let _ = peer.read(&mut request).await;
            let code = if told.load(Ordering::Relaxed) { 200 } else { 503 };
            let _ = peer
                .write_all(
                    format!("HTTP/1.1 {code} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").as_bytes(),
                )
                .await;
        }
    });
    Ok((ports.0, ports.1, green))
}

async fn greeting(port: u16) -> Result<(char, TcpStream)> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let name = stream.read_u8().await?;
    Ok((name.into(), stream))
}

#[tokio::test]
async fn the_balancer_gives_new_connections_to_ready_backends_only_and_keeps_old_ones() -> Result<()> {
    let balancer = Balancer::start().await?;
    let port = balancer.port();
    ensure!(greeting(port).await.is_err(), "a connection without any backend");
    let (a, a_probe, a_green) = backend("a").await?;
    let (b, b_probe, b_green) = backend("b").await?;
    balancer.add("a", a, a_probe)?;
    balancer.add("b", b, b_probe)?;
    let ready = async |want: &[&str]| {
        eventually(PATIENCE, "the balancer has followed the probes", || async {
            ensure!(
                balancer.ready() == want,
                "ready: {:?}, want {want:?}",
                balancer.ready()
            );
            Ok(())
        })
        .await
    };
    ensure!(
        greeting(port).await.is_err(),
        "a connection to a backend that is not ready"
    );

    a_green.store(true, Ordering::Relaxed);
    ready(&["a"]).await?;
    let (name, mut old) = greeting(port).await?;
    ensure!(name == 'a', "got {name}");
    b_green.store(true, Ordering::Relaxed);
    ready(&["a", "b"]).await?;
    let mut names = Vec::new();
    for _ in 0..10 {
        names.push(greeting(port).await?.0);
    }
    ensure!(
        names.contains(&'a') && names.contains(&'b'),
        "not in turn: {names:?}"
    );

    a_green.store(false, Ordering::Relaxed);
    ready(&["b"]).await?;
    for _ in 0..5 {
        ensure!(
            greeting(port).await?.0 == 'b',
            "a new connection to a backend that has left"
        );
    }
    old.write_all(b"x").await?;
    ensure!(old.read_u8().await? == b'a', "the old connection was cut");
    balancer.remove("b");
    ensure!(
        greeting(port).await.is_err(),
        "a connection without any ready backend"
    );
    Ok(())
}
