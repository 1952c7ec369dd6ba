//! Authentication configuration of the cluster: the CAs in the ConfigMap `kube-system/extension-apiserver-authentication`, as it
//! changes.

mod config;

use std::{sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use http::StatusCode;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, core::DeserializeGuard};
use tokio::{
    sync::watch::{Receiver, Sender, channel},
    time::{sleep, timeout},
};

pub use self::config::{AuthenticationConfig, CaBundle, Problem, RequestHeader, VerifyError};
use super::watch::{self, Change};
use crate::metrics::ControllerMetrics;

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
/// The name under which the watch is counted.
const KIND: &str = "authentication";
/// Of the read at the start.
const READ: Duration = Duration::from_secs(10);

/// Keeps the configuration up to date.
pub struct AuthenticationWatch {
    client: Client,
    sender: Sender<Option<Arc<AuthenticationConfig>>>,
    metrics: ControllerMetrics,
}

/// Why the configuration cannot be kept up to date.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// Not allowed to read the ConfigMap.
    #[error(
        "the ConfigMap {NAMESPACE}/{NAME} cannot be read: bind the Role extension-apiserver-authentication-reader in \
         {NAMESPACE} to this service account with a RoleBinding ({0})"
    )]
    Forbidden(String),
}

// === impl AuthenticationWatch ===

impl AuthenticationWatch {
    /// A watch that publishes to the receiver; `None` until the ConfigMap was read.
    pub fn new(
        client: Client,
        metrics: ControllerMetrics,
    ) -> (Self, Receiver<Option<Arc<AuthenticationConfig>>>) {
        let (sender, receiver) = channel(None);
        let watch = Self {
            client,
            sender,
            metrics,
        };
        (watch, receiver)
    }

    /// Runs until it is dropped; gives back only what cannot be mended by waiting.
    ///
    /// To be refused at the start is final. Later refusals, errors and a deletion keep the last good configuration: a rotation
    /// of the cluster's CAs must not lock everyone out because one event was lost.
    pub async fn run(self) -> AuthenticationError {
        if let Err(error) = self.read().await {
            return error;
        }
        let config = watch::config().fields(&format!("metadata.name={NAME}"));
        let guarded: Api<DeserializeGuard<ConfigMap>> = Api::namespaced(self.client.clone(), NAMESPACE);
        match watch::drive(guarded, config, KIND, &self.metrics, |change| self.follow(change)).await {}
    }

    fn follow(&self, change: Change<ConfigMap>) {
        let entries = match change {
            Change::Reset(entries) => entries,
            Change::Apply(entry) => vec![entry],
            Change::Delete(_) => {
                tracing::warn!("the ConfigMap {NAMESPACE}/{NAME} was deleted; its last content stays in use");
                return;
            }
            // Logged and counted by the watch.
            Change::Failed(_) => return,
        };
        for entry in entries {
            match entry {
                Ok(map) => self.take(&map),
                Err(error) => tracing::warn!(%error, "the ConfigMap {NAMESPACE}/{NAME} cannot be decoded"),
            }
        }
    }

    /// The first read, again and again until there is an answer.
    async fn read(&self) -> Result<(), AuthenticationError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let mut delays = ExponentialBuilder::default()
            .with_max_delay(Duration::from_secs(30))
            .without_max_times()
            .with_jitter()
            .build();
        loop {
            match timeout(READ, api.get_opt(NAME)).await {
                Ok(Ok(Some(map))) => {
                    self.take(&map);
                    return Ok(());
                }
                Ok(Ok(None)) => {
                    tracing::warn!(
                        "the ConfigMap {NAMESPACE}/{NAME} does not exist: until it appears, the operator trusts \
                         neither the front proxy nor client certificates"
                    );
                    return Ok(());
                }
                Ok(Err(kube::Error::Api(status))) if status.code == StatusCode::FORBIDDEN.as_u16() => {
                    return Err(AuthenticationError::Forbidden(status.message.clone()));
                }
                Ok(Err(error)) => self.failed(&error),
                Err(elapsed) => self.failed(&elapsed),
            }
            sleep(delays.next().unwrap_or(READ)).await;
        }
    }

    fn take(&self, map: &ConfigMap) {
        self.metrics
            .authentication_read(jiff::Timestamp::now().as_second());
        let empty = std::collections::BTreeMap::new();
        let last = self.sender.borrow().clone();
        let (config, problems) =
            AuthenticationConfig::read(map.data.as_ref().unwrap_or(&empty), last.as_deref());
        for problem in problems {
            tracing::warn!(%problem, "in the ConfigMap {NAMESPACE}/{NAME}");
        }
        if last.as_deref() != Some(&config) {
            tracing::info!(
                client_ca = config
                    .client_ca
                    .as_ref()
                    .map_or(0, |bundle| bundle.certificates().len()),
                front_proxy_ca = config
                    .requestheader
                    .as_ref()
                    .map_or(0, |proxy| proxy.ca.certificates().len()),
                "read the cluster's authentication"
            );
            self.sender.send_replace(Some(Arc::new(config)));
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) {
        self.metrics.watch_restart(KIND);
        tracing::warn!(%error, "the ConfigMap {NAMESPACE}/{NAME} could not be read; trying again");
    }
}

#[cfg(test)]
mod tests;
