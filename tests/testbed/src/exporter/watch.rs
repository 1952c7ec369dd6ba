//! Follows the pods of the cluster.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod as KubePod;
use kube::api::Api;
use kube::runtime::watcher::{Config, Event};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, ResourceExt as _};

use super::load::Pod;

type Pods = BTreeMap<(String, String), Pod>;

/// Calls `changed` with all running pods whenever they change. Never ends by itself.
pub(super) async fn follow(client: Client, mut changed: impl FnMut(Vec<Pod>) + Send) {
    let pods: Api<KubePod> = Api::all(client);
    let mut stream = std::pin::pin!(watcher(pods, Config::default()).default_backoff());
    let mut known = Pods::new();
    let mut relisted = None;
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => {
                if apply(&mut known, &mut relisted, &event) {
                    changed(known.values().cloned().collect());
                }
            }
            // the watcher is tried again after its back-off; the pods known so far go on
            Err(_) => {}
            Ok(None) => return,
        }
    }
}

/// Whether the running pods changed.
fn apply(known: &mut Pods, relisted: &mut Option<Pods>, event: &Event<KubePod>) -> bool {
    match event {
        Event::Init => {
            *relisted = Some(Pods::new());
            false
        }
        Event::InitApply(pod) => {
            if let (Some(relisted), Some((key, pod))) = (relisted, running(pod)) {
                relisted.insert(key, pod);
            }
            false
        }
        Event::InitDone => {
            let new = relisted.take().unwrap_or_default();
            let differs = new != *known;
            *known = new;
            differs
        }
        Event::Apply(pod) => match running(pod) {
            Some((key, pod)) => {
                known.get(&key) != Some(&pod) && {
                    known.insert(key, pod);
                    true
                }
            }
            None => known.remove(&key(pod)).is_some(),
        },
        Event::Delete(pod) => known.remove(&key(pod)).is_some(),
    }
}

fn key(pod: &KubePod) -> (String, String) {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

/// The pod if it runs and is not being deleted: then a load balancer would send it requests.
fn running(pod: &KubePod) -> Option<((String, String), Pod)> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if phase != Some("Running") || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let (namespace, name) = key(pod);
    let known = Pod {
        namespace: namespace.clone(),
        name: name.clone(),
        labels: pod.labels().clone(),
    };
    Some(((namespace, name), known))
}
