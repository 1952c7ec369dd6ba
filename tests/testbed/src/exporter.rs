//! A metrics exporter inside the test's process, whose series the test sets: counters per pod whose total rate over a
//! Deployment's pods is given, and any other series.

pub mod load;
pub mod series;
mod watch;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use load::Load;
use load::{LoadId, Loads, Pod};
use series::{Kind, Page, Series};

use crate::runtime;

/// The content type of the Prometheus text format; Prometheus 3 refuses a scrape without one.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A running exporter; it ends when it is dropped. All clones of its state are in memory.
#[derive(Debug)]
pub struct Exporter {
    state: Arc<Mutex<State>>,
    port: u16,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    start: Instant,
    loads: Loads,
    series: Vec<Series>,
}

// === impl Exporter ===

impl Exporter {
    /// Starts to serve `/metrics` on a free port, and to follow the pods of the cluster that `kubeconfig` names.
    ///
    /// # Errors
    /// The port cannot be bound, or the pods not be listed.
    pub async fn start(kubeconfig: &std::path::Path) -> Result<Self> {
        let state = Arc::new(Mutex::new(State {
            start: Instant::now(),
            loads: Loads::default(),
            series: Vec::new(),
        }));
        let kubeconfig = kubeconfig.to_path_buf();
        let shared = Arc::clone(&state);
        let (port, tasks) = runtime::run(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
                .await
                .context("the exporter's port")?;
            let port = listener.local_addr()?.port();
            let client = crate::kubeconfig::client(&kubeconfig).await?;
            let page = Arc::clone(&shared);
            let app = Router::new().route(
                "/metrics",
                get(async move || ([(CONTENT_TYPE, TEXT)], lock(&page).page())),
            );
            let serve = tokio::spawn(async move {
                // ends only with the listener
                let _ = axum::serve(listener, app).await;
            });
            let watch = tokio::spawn(watch::follow(client, move |pods| lock(&shared).set_pods(pods)));
            Ok((port, vec![serve, watch]))
        })
        .await?;
        Ok(Self { state, port, tasks })
    }

    /// Where it serves: `127.0.0.1:PORT`, path `/metrics`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Sets the load on a group of pods: from now on their counters rise by `load.rate` per second in total. The counters of a
    /// load that is set again go on from where they are.
    pub fn set_load(&self, load: &Load) {
        let mut state = self.lock();
        let now = state.now();
        state.loads.set(now, load);
    }

    /// Sets the load `http_requests_total` on the pods labelled `app=<app>` of a namespace, in requests per second over all of
    /// them.
    pub fn set_requests(&self, namespace: &str, app: &str, rate: f64) {
        self.set_load(&Load::requests(namespace, app, rate));
    }

    /// Takes a load away; its series end.
    pub fn remove_load(&self, load: &Load) {
        self.lock().loads.remove(&LoadId::of(load));
    }

    /// Sets a gauge to a value, which may be NaN or infinite.
    pub fn gauge(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.lock().set(Series::new(Kind::Gauge, name, labels), value);
    }

    /// Sets a counter's rate per second from now on. A new counter starts at 0.
    pub fn counter(&self, name: &str, labels: &[(&str, &str)], rate: f64) {
        self.lock().set(Series::new(Kind::Counter, name, labels), rate);
    }

    /// Takes one series away that [`Self::gauge`] or [`Self::counter`] set.
    pub fn remove(&self, name: &str, labels: &[(&str, &str)]) {
        let gone = Series::new(Kind::Gauge, name, labels);
        self.lock().series.retain(|series| !series.is_same(&gone));
    }

    /// Takes away all series of a namespace, by their label `namespace`, and its loads.
    pub fn remove_namespace(&self, namespace: &str) {
        let mut state = self.lock();
        state
            .series
            .retain(|series| series.label("namespace") != Some(namespace));
        state.loads.remove_namespace(namespace);
    }

    /// What a scrape gives now.
    pub fn page(&self) -> String {
        self.lock().page()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl State ===

impl State {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn set_pods(&mut self, pods: Vec<Pod>) {
        let now = self.now();
        self.loads.set_pods(now, pods);
    }

    fn set(&mut self, new: Series, value: f64) {
        let now = self.now();
        if let Some(series) = self.series.iter_mut().find(|series| series.is_same(&new)) {
            series.set(now, new.kind(), value);
        } else {
            let mut series = new;
            let kind = series.kind();
            series.set(now, kind, value);
            self.series.push(series);
        }
    }

    fn page(&mut self) -> String {
        let now = self.now();
        let mut page = Page::default();
        self.loads.write(now, &mut page);
        for series in &self.series {
            series.write(now, &mut page);
        }
        page.into_text()
    }
}
