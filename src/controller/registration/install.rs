//! Installation objects that must exist before anything is written: the operator's Service and its `ClusterRole`.

use k8s_openapi::{
    api::{core::v1::Service, rbac::v1::ClusterRole},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Client, Resource as _};

use super::{RegistrationConfig, ownership::Install};
use crate::controller::call::{CallError, within};

/// The name of the Service's port.
const PORT: &str = "https";

/// Why nothing may be written now.
#[derive(Debug, thiserror::Error)]
pub(in crate::controller) enum InstallError {
    #[error("{0} does not exist: the operator is being uninstalled, or has the wrong name for it")]
    Absent(String),
    #[error("{0} is being deleted: the operator is being uninstalled")]
    Leaving(String),
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, CallError),
    #[error("{0} has no port named `{PORT}`")]
    NoPort(String),
}

/// Reads both, now.
pub(super) async fn read(client: &Client, config: &RegistrationConfig) -> Result<Install, InstallError> {
    let name = format!("the Service {}/{}", config.namespace, config.service);
    let services: Api<Service> = Api::namespaced(client.clone(), &config.namespace);
    let service = match within(services.get_opt(&config.service)).await {
        Ok(Some(service)) if service.metadata.deletion_timestamp.is_some() => {
            return Err(InstallError::Leaving(name));
        }
        Ok(Some(service)) => service,
        Ok(None) => return Err(InstallError::Absent(name)),
        Err(error) => return Err(InstallError::Unreadable(name, error)),
    };
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref());
    let port = ports
        .unwrap_or_default()
        .iter()
        .find(|port| port.name.as_deref() == Some(PORT))
        .map(|port| port.port)
        .ok_or(InstallError::NoPort(name))?;
    Ok(Install {
        service_uid: service.metadata.uid.unwrap_or_default(),
        port,
        owner: owner(client, config.cluster_role.as_deref()).await?,
    })
}

/// The owner reference to the install's `ClusterRole`, as it is now; `None` where none is configured.
pub(in crate::controller) async fn owner(
    client: &Client,
    cluster_role: Option<&str>,
) -> Result<Option<OwnerReference>, InstallError> {
    let Some(cluster_role) = cluster_role else {
        return Ok(None);
    };
    let name = format!("the ClusterRole {cluster_role}");
    match within(Api::<ClusterRole>::all(client.clone()).get_opt(cluster_role)).await {
        Ok(Some(role)) if role.metadata.deletion_timestamp.is_some() => Err(InstallError::Leaving(name)),
        // Neither controller nor blockOwnerDeletion: the latter would need the right to update its finalizers.
        Ok(Some(role)) => Ok(role.owner_ref(&())),
        Ok(None) => Err(InstallError::Absent(name)),
        Err(error) => Err(InstallError::Unreadable(name, error)),
    }
}
