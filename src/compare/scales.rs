//! Selectors of the pods that HPAs scale, from the `scale` subresource, as their controller reads them.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::autoscaling::v1::Scale;
use kube::Client;
use language::selector::Selector;

use crate::kubernetes::{
    hpa::{Demand, Question, ScaleTarget},
    rights::{self, Right},
};

const CONCURRENCY: usize = 8;

/// By namespace and target: the selector, or why there is none.
#[derive(Debug, Default)]
pub(super) struct Selectors(BTreeMap<(String, ScaleTarget), Result<String, String>>);

/// Reads those that the demands need.
pub(super) async fn selectors(client: &Client, demands: &[Demand]) -> Selectors {
    let targets: BTreeSet<(String, ScaleTarget)> = demands
        .iter()
        .filter_map(|demand| Some((demand.namespace.clone(), target(demand)?.clone())))
        .collect();
    let read = stream::iter(targets).map(|(namespace, target)| async move {
        let selector = read(client, &namespace, &target).await;
        ((namespace, target), selector)
    });
    Selectors(read.buffer_unordered(CONCURRENCY).collect().await)
}

async fn read(client: &Client, namespace: &str, target: &ScaleTarget) -> Result<String, String> {
    let what = format!("the scale of {} {namespace}/{}", target.resource, target.name);
    let resource = format!("{}/scale", target.resource.resource);
    let right = Right::new("get", &target.resource.group, &resource, Some(namespace));
    let scale: Scale = rights::get(client, &what, right, &target.scale_path(namespace))
        .await
        .map_err(|error| error.to_string())?;
    let text = scale
        .status
        .and_then(|status| status.selector)
        .unwrap_or_default();
    if text.is_empty() {
        return Err(format!(
            "{what} has no status.selector, so its HPA requests no pods"
        ));
    }
    let selector = Selector::parse(&text).map_err(|error| format!("{what}: {error}"))?;
    Ok(selector.to_string())
}

fn target(demand: &Demand) -> Option<&ScaleTarget> {
    match &demand.question {
        Question::Pods { target, .. } => Some(target),
        Question::Object { .. } | Question::External { .. } => None,
    }
}

// === impl Selectors ===

impl Selectors {
    /// The selector of the pods that a demand is about; empty where it is about none.
    pub(super) fn of(&self, demand: &Demand) -> Result<&str, String> {
        let Some(target) = target(demand) else {
            return Ok("");
        };
        match self.0.get(&(demand.namespace.clone(), target.clone())) {
            Some(Ok(selector)) => Ok(selector),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("its scale could not be read".to_owned()),
        }
    }
}
