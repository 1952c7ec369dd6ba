//! Asks another server of the metrics APIs and ours for every metric that every HPA uses, both directly and not through the
//! API server's aggregation, and says what they differ in.
//!
//! Which paths an HPA asks ([`hpa`](crate::kubernetes::hpa)) and what two answers differ in ([`difference`]) are pure; this
//! file reads the HPAs and does the asking.

pub mod answer;
pub mod difference;
pub mod report;
mod round;
mod scales;
mod servers;
mod side;
mod targets;
mod token;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, core::v1::Namespace};
use kube::{Api, Client, ResourceExt as _};
use reqwest::Url;
use tokio::time::sleep;

use self::{
    answer::Answer,
    difference::Tolerance,
    report::{Asked, LeftOut, Report, Skipped},
    round::{Round, judge},
    servers::Servers,
};
use crate::{
    kubernetes::{
        client::Connection,
        hpa::{Demand, Unasked, demands},
        mapper,
        port_forward::ServicePort,
        rights::{ClusterError, Right, ask, list},
    },
    metrics_api::MetricsApi,
};

/// Requests in flight at a time, to each side.
const CONCURRENCY: usize = 8;
/// How KEDA labels the HPAs that it makes.
const KEDA_LABEL: &str = "scaledobject.keda.sh/name";
/// Between the first asking and the one that decides: values that move are not the same at two instants.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// How to compare.
#[derive(Debug)]
pub struct Options {
    /// The HPAs of one namespace; `None`: of all.
    pub namespace: Option<String>,
    /// The metrics of one API; `None`: of all.
    pub api: Option<MetricsApi>,
    /// As whom to ask.
    pub credential: Credential,
    /// Ours.
    pub ours: Place,
    /// The other one.
    pub peer: Place,
    /// Certificates are not checked, of either side.
    pub insecure: bool,
    /// The token may go over plain http to other machines.
    pub insecure_plain_http: bool,
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
    let Read {
        demands,
        hpas,
        mut skipped,
        left_out,
    } = read(client, options).await?;
    progress(&format!(
        "{hpas} HPAs use {} metrics of the metrics APIs",
        demands.len()
    ));
    let (demands, slacks): (Vec<Demand>, Vec<u64>) = demands.into_iter().unzip();
    let selectors = scales::selectors(client, &demands).await;
    let servers = Servers::open(client, options, &demands, progress).await?;

    let mut questions: BTreeMap<String, Asked> = BTreeMap::new();
    for (demand, slack) in demands.into_iter().zip(slacks) {
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
            .or_insert_with(|| Asked::new(&demand.question, &demand.namespace, servers.user.clone()))
            .add(&demand, slack);
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
        left_out,
    ))
}

/// What the HPAs ask for.
struct Read {
    /// Each with what its HPA passes over, in thousandths.
    demands: Vec<(Demand, u64)>,
    hpas: usize,
    skipped: Vec<Skipped>,
    left_out: LeftOut,
}

async fn read(client: &Client, options: &Options) -> Result<Read, CompareError> {
    let resources = mapper::read(client)
        .await
        .map_err(|error| ClusterError::failed("the cluster's kinds", error.to_string()))?;
    let namespace = options.namespace.as_deref();
    let api: Api<HorizontalPodAutoscaler> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let right = Right::new("list", "autoscaling", "horizontalpodautoscalers", namespace);
    let hpas = list("the list of HorizontalPodAutoscalers", right, api, None).await?;
    if let (Some(namespace), []) = (namespace, hpas.as_slice()) {
        exists(client, namespace).await?;
    }
    let mut read = Read {
        demands: Vec::new(),
        hpas: hpas.len(),
        skipped: Vec::new(),
        left_out: LeftOut::default(),
    };
    for hpa in &hpas {
        if is_kedas(hpa) {
            read.left_out.keda_hpas += 1;
            continue;
        }
        for demand in demands(hpa, &resources) {
            match demand {
                Ok(demand) if options.api.is_some_and(|api| api != demand.question.api()) => {
                    read.left_out.of_other_api += 1;
                }
                Ok(demand) => {
                    let slack = targets::slack(hpa, demand.index);
                    read.demands.push((demand, slack));
                }
                Err(Unasked {
                    namespace,
                    hpa,
                    index,
                    reason,
                    expected,
                }) => read
                    .skipped
                    .push(Skipped::new(&namespace, &hpa, index, reason, expected)),
            }
        }
    }
    Ok(read)
}

/// A list of the objects in a namespace that does not exist is empty, and no error.
async fn exists(client: &Client, namespace: &str) -> Result<(), ClusterError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let right = Right::new("get", "", "namespaces", None);
    match ask(&format!("the namespace {namespace:?}"), right, api.get(namespace)).await {
        Err(error) if error.is_not_found() => Err(error),
        // Who may not look at it is told that nothing was compared.
        _ => Ok(()),
    }
}

/// An HPA that KEDA made asks for metrics of KEDA's own server.
fn is_kedas(hpa: &HorizontalPodAutoscaler) -> bool {
    let owners = hpa.metadata.owner_references.iter().flatten();
    let owned = owners
        .into_iter()
        .any(|owner| owner.api_version.starts_with("keda.sh/"));
    owned || hpa.labels().contains_key(KEDA_LABEL)
}

/// Asks every question once, and once more where values differ.
async fn round(servers: &Servers, questions: &mut BTreeMap<String, Asked>, tolerance: Tolerance) {
    let asked = stream::iter(questions.iter_mut()).map(|(path, asked)| async move {
        let mut found = once(servers, asked, path, tolerance).await;
        let uncertain = found.is_uncertain();
        if uncertain {
            sleep(AGAIN_AFTER).await;
            found = once(servers, asked, path, tolerance).await;
        }
        asked.sample(found, uncertain);
    });
    let at_a_time = (CONCURRENCY / servers.width()).max(1);
    asked.buffer_unordered(at_a_time).collect::<()>().await;
}

/// Both at the same time, so that a value that moves has little time to.
async fn once(servers: &Servers, asked: &Asked, path: &str, tolerance: Tolerance) -> Round {
    let peer = async {
        match servers.peer(asked.api()) {
            Some(peer) => peer.ask(path).await,
            None => vec![(
                None,
                Answer::Unreachable("the peer for this API is unknown".to_owned()),
            )],
        }
    };
    let (peer, ours) = futures::join!(peer, servers.ours.ask(path));
    judge(&peer, &ours, tolerance, asked.slack(), asked.right())
}
