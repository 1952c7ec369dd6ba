//! Asks another server of the metrics APIs and ours for every metric that every HPA uses, both directly and not through the
//! API server's aggregation, and says what they differ in.
//!
//! Which paths an HPA asks ([`hpa`](crate::kubernetes::hpa)) and what two answers differ in ([`difference`]) are pure; this
//! file reads the HPAs and does the asking.

pub mod answer;
pub mod difference;
pub mod report;
mod scales;
mod servers;
mod side;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{Api, Client};
use reqwest::Url;
use tokio::time::sleep;

use self::{
    answer::Answer,
    difference::{Difference, Tolerance, differences},
    report::{Asked, Report, Skipped},
    servers::Servers,
};
use crate::kubernetes::{
    client::Connection,
    hpa::{Demand, Unasked, demands},
    mapper,
    port_forward::ServicePort,
    rights::{ClusterError, Right, list},
};

/// Questions in flight at a time, to each side.
const CONCURRENCY: usize = 8;
/// Between the first asking and the one that decides: values that move are not the same at two instants.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How to compare.
#[derive(Debug)]
pub struct Options {
    /// The HPAs of one namespace; `None`: of all.
    pub namespace: Option<String>,
    /// As whom to ask.
    pub credential: Credential,
    /// Ours.
    pub ours: Place,
    /// The other one.
    pub peer: Place,
    /// Certificates are not checked, of either side.
    pub insecure: bool,
    /// The version of custom.metrics.k8s.io; `None`: the one that HPAs ask now.
    pub version: Option<String>,
    /// What values may differ by.
    pub tolerance: Tolerance,
    /// How often everything is asked, from 1.
    pub samples: u32,
    /// Between two rounds.
    pub interval: Duration,
}

/// As whom both sides are asked.
#[derive(Debug)]
pub enum Credential {
    /// A token in a file.
    TokenFile(PathBuf),
    /// A token that the API server issues for a `ServiceAccount`.
    ServiceAccount {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Where a server is, as far as it was said.
#[derive(Debug, Default)]
pub struct Place {
    /// Its address: it is asked there and not through the cluster.
    pub url: Option<Url>,
    /// Its Service.
    pub service: Option<ServicePort>,
    /// The PEM certificates to trust.
    pub authorities: Option<Vec<u8>>,
}

/// Why nothing was compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// Something could not be read from the cluster, or reached in it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Something has to be said by a flag.
    #[error("{0}")]
    Unclear(String),
}

/// Is told what is being done, in a few words.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// Compares what two servers answer to the HPAs of a cluster.
///
/// # Errors
///
/// See [`CompareError`]. A server that refuses or does not answer is a finding and no error.
pub async fn compare(
    connection: &Connection,
    options: &Options,
    progress: Progress<'_>,
) -> Result<Report, CompareError> {
    let client = &connection.client;
    progress("reading the cluster's kinds and HPAs");
    let (demands, hpas, mut skipped) = read(client, options.namespace.as_deref()).await?;
    progress(&format!(
        "{hpas} HPAs use {} metrics of the metrics APIs",
        demands.len()
    ));
    let selectors = scales::selectors(client, &demands).await;
    let servers = Servers::open(client, options, &demands, progress).await?;

    let mut questions: BTreeMap<String, Asked> = BTreeMap::new();
    for demand in demands {
        let pods = match selectors.of(&demand) {
            Ok(pods) => pods,
            Err(reason) => {
                skipped.push(Skipped::new(
                    &demand.namespace,
                    &demand.hpa,
                    demand.index,
                    reason,
                    false,
                ));
                continue;
            }
        };
        let path = demand.question.path(&demand.namespace, &servers.version, pods);
        questions
            .entry(path)
            .or_insert_with(|| Asked::new(&demand.question))
            .add(&demand);
    }
    for sample in 1..=options.samples {
        if sample > 1 {
            sleep(options.interval).await;
        }
        if options.samples > 1 {
            progress(&format!("round {sample} of {}", options.samples));
        }
        round(&servers, &mut questions, options.tolerance).await;
    }
    let peers = servers.peers();
    Ok(Report::new(
        servers.ours.label(),
        peers,
        &servers.version,
        hpas,
        questions,
        skipped,
    ))
}

async fn read(
    client: &Client,
    namespace: Option<&str>,
) -> Result<(Vec<Demand>, usize, Vec<Skipped>), CompareError> {
    let resources = mapper::read(client)
        .await
        .map_err(|error| ClusterError::failed("the cluster's kinds", error.to_string()))?;
    let api: Api<HorizontalPodAutoscaler> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let right = Right::new("list", "autoscaling", "horizontalpodautoscalers", namespace);
    let hpas = list("the list of HorizontalPodAutoscalers", right, api, None).await?;
    let mut found = Vec::new();
    let mut skipped = Vec::new();
    for demand in hpas.iter().flat_map(|hpa| demands(hpa, &resources)) {
        match demand {
            Ok(demand) => found.push(demand),
            Err(Unasked {
                namespace,
                hpa,
                index,
                reason,
                expected,
            }) => skipped.push(Skipped::new(&namespace, &hpa, index, reason, expected)),
        }
    }
    Ok((found, hpas.len(), skipped))
}

/// Asks every question once, and once more where the answers differ in something that matters.
async fn round(servers: &Servers, questions: &mut BTreeMap<String, Asked>, tolerance: Tolerance) {
    let asked = stream::iter(questions.iter_mut()).map(|(path, asked)| async move {
        let mut found = once(servers, asked, path, tolerance).await;
        if found.iter().any(Difference::matters) {
            sleep(AGAIN_AFTER).await;
            found = once(servers, asked, path, tolerance).await;
        }
        asked.sample(found);
    });
    asked.buffer_unordered(CONCURRENCY).collect::<()>().await;
}

/// Both at the same time, so that a value that moves has little time to.
async fn once(servers: &Servers, asked: &mut Asked, path: &str, tolerance: Tolerance) -> Vec<Difference> {
    let peer = async {
        match servers.peer(asked.group()) {
            Some(peer) => peer.ask(path).await,
            None => Answer::Unreachable("no peer for this API is known".to_owned()),
        }
    };
    let (peer, ours) = futures::join!(peer, servers.ours.ask(path));
    let found = differences(&peer, &ours, tolerance);
    asked.answered(&peer, &ours);
    found
}
