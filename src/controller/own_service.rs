//! Service of the operator, as Events about what it serves name it.

use k8s_openapi::api::core::v1::{ObjectReference, Service};
use kube::{Api, Client};

use super::call::within;

/// Where it is.
#[derive(Clone)]
pub struct OwnService {
    client: Client,
    namespace: String,
    name: String,
}

// === impl OwnService ===

impl OwnService {
    /// The Service `name` in `namespace`.
    pub fn new(client: Client, namespace: String, name: String) -> Self {
        Self {
            client,
            namespace,
            name,
        }
    }

    /// A reference to it. `kubectl describe` finds Events by the uid; one without is still found by `kubectl get events`.
    pub(super) async fn reference(&self) -> ObjectReference {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let uid = match within(services.get(&self.name)).await {
            Ok(service) => service.metadata.uid,
            Err(error) => {
                tracing::debug!(%error, service = self.name, "the Event will have no UID");
                None
            }
        };
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Service".to_owned()),
            namespace: Some(self.namespace.clone()),
            name: Some(self.name.clone()),
            uid,
            ..ObjectReference::default()
        }
    }
}
