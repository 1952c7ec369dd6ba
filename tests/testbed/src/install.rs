//! The chart, installed by the real helm, and its Service turned into the way to the testbed's balancer.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use crate::command;
use crate::programs::{Programs, repository};

/// The namespace that the chart is installed into.
pub const NAMESPACE: &str = "metricrule-system";
/// The name of the helm release.
pub const RELEASE: &str = "metricrule";

/// Longer than any test or demo.
const TOKEN_SECONDS: i64 = 24 * 3600;

/// How helm is run.
#[derive(Clone, Debug)]
pub(crate) struct Helm {
    program: PathBuf,
    home: PathBuf,
    kubeconfig: PathBuf,
}

/// An installed chart: what a replica has to know of it.
#[derive(Clone, Debug)]
pub struct Install {
    /// The Service's name.
    pub service: String,
    /// The `ServiceAccount`'s name.
    pub service_account: String,
    /// The Deployment, whose arguments and environment the replicas get.
    pub deployment: Deployment,
}

// === impl Helm ===

impl Helm {
    pub(crate) fn new(programs: &Programs, folder: &Path, kubeconfig: &Path) -> Result<Self> {
        let program = programs.path("helm")?.to_path_buf();
        Ok(Self {
            program,
            home: folder.join("helm"),
            kubeconfig: kubeconfig.to_path_buf(),
        })
    }

    /// Runs helm against the control plane.
    ///
    /// # Errors
    /// It fails; with what it said.
    pub(crate) async fn run(&self, args: &[&str]) -> Result<String> {
        let folders = ["cache", "config", "data"].map(|name| self.home.join(name));
        let envs = [
            ("KUBECONFIG", self.kubeconfig.as_path()),
            ("HELM_CACHE_HOME", folders[0].as_path()),
            ("HELM_CONFIG_HOME", folders[1].as_path()),
            ("HELM_DATA_HOME", folders[2].as_path()),
        ];
        command::run(&self.program, args, &envs, "")
            .await?
            .ok(&format!("helm {}", args.join(" ")))
    }

    /// Installs `charts/metricrule` without replicas, `values` (`name=value`) set besides.
    ///
    /// # Errors
    /// The chart is refused, or its Deployment or Service is not there afterwards.
    pub(crate) async fn install(&self, client: &Client, values: &[String]) -> Result<Install> {
        let chart = repository().join("charts/metricrule").display().to_string();
        let mut args = vec![
            "install",
            RELEASE,
            &chart,
            "--namespace",
            NAMESPACE,
            "--create-namespace",
        ];
        args.extend(["--set", "replicas=0"]);
        for value in values {
            args.extend(["--set", value]);
        }
        self.run(&args).await?;
        Install::read(client).await
    }
}

// === impl Install ===

impl Install {
    async fn read(client: &Client) -> Result<Self> {
        let ours = ListParams::default().labels(&format!("app.kubernetes.io/instance={RELEASE}"));
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
        let deployment = deployments
            .list(&ours)
            .await?
            .items
            .into_iter()
            .next()
            .context("the chart has no Deployment")?;
        let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
        let service = services
            .list(&ours)
            .await?
            .items
            .into_iter()
            .find(|service| https_port(service).is_some());
        let pod = deployment
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref())
            .context("no pod template")?;
        Ok(Self {
            service: service
                .context("the chart has no Service with a port named https")?
                .name_any(),
            service_account: pod
                .service_account_name
                .clone()
                .context("the Deployment names no ServiceAccount")?,
            deployment,
        })
    }

    /// Makes the Service lead to `localhost:port`. The object stays the same one (uid, labels, owner helm), so `helm uninstall`
    /// still deletes it.
    ///
    /// # Errors
    /// The API server refuses it.
    pub(crate) async fn route(&self, client: &Client, port: u16) -> Result<()> {
        let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
        let service = services.get(&self.service).await?;
        let mut ports = service.spec.and_then(|spec| spec.ports).unwrap_or_default();
        for entry in ports
            .iter_mut()
            .filter(|entry| entry.name.as_deref() == Some("https"))
        {
            entry.port = i32::from(port);
        }
        let spec = json!({
            "type": "ExternalName", "externalName": "localhost", "ports": ports,
            "clusterIP": null, "clusterIPs": null, "selector": null, "ipFamilies": null, "ipFamilyPolicy": null,
            "internalTrafficPolicy": null,
        });
        let patch = Patch::Merge(json!({ "spec": spec }));
        services
            .patch(&self.service, &PatchParams::default(), &patch)
            .await
            .context("routing the Service")?;
        Ok(())
    }

    /// A token of the chart's `ServiceAccount`, as its pods would have.
    ///
    /// # Errors
    /// The API server refuses it.
    pub async fn token(&self, client: &Client) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(&self.service_account, &PostParams::default(), &request)
            .await?;
        Ok(answer.status.context("a token request without a status")?.token)
    }
}

fn https_port(service: &Service) -> Option<i32> {
    let ports = service.spec.as_ref()?.ports.as_ref()?;
    ports
        .iter()
        .find(|port| port.name.as_deref() == Some("https"))
        .map(|port| port.port)
}
