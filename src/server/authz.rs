//! Authorization of a request.

use std::sync::Arc;

use k8s_openapi::{
    api::authorization::v1 as authorization, apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement,
};
use language::quote::quote;

use super::{
    identity::Identity,
    route::attributes::{Attributes, ResourceAttributes},
};
use crate::kubernetes::reviews::{ReviewError, Reviewer};

/// Paths that anyone may read, exactly these (`AlwaysAllowPaths` of k8s.io/apiserver).
const ALWAYS_ALLOWED: [&str; 3] = ["/healthz", "/readyz", "/livez"];

/// Asks the cluster whether a request is allowed.
#[derive(Clone)]
pub struct Authorizer {
    reviewer: Arc<dyn Reviewer>,
}

/// Why a request is not let through.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthzError {
    /// It is not allowed: 403.
    #[error("{}", .0.message)]
    Denied(Forbidden),
    /// It is not known whether it is allowed: 500, never through.
    #[error("the SubjectAccessReview failed: {0}")]
    Failed(#[from] ReviewError),
}

/// The text and the `details` of a 403.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// For example `pods.custom.metrics.k8s.io "p1" is forbidden: User "u" cannot get resource …`.
    pub message: String,
    /// `details.name`; empty is left out.
    pub name: String,
    /// `details.group`; empty is left out.
    pub group: String,
    /// `details.kind`, which carries the resource; empty is left out.
    pub kind: String,
}

// === impl Authorizer ===

impl Authorizer {
    /// Asks `reviewer`, which caches.
    pub fn new(reviewer: Arc<dyn Reviewer>) -> Self {
        Self { reviewer }
    }

    /// Whether `identity` may do what `attributes` say.
    pub async fn authorize(&self, identity: &Identity, attributes: &Attributes) -> Result<(), AuthzError> {
        if identity.is_master() || always_allowed(attributes) {
            return Ok(());
        }
        let outcome = self.reviewer.access(&review(identity, attributes)).await?;
        if outcome.allowed {
            Ok(())
        } else {
            Err(AuthzError::Denied(Forbidden::new(
                &identity.user,
                attributes,
                &outcome.reason,
            )))
        }
    }
}

/// Whether a path is open to anyone who did not show bad credentials.
pub fn always_allowed(attributes: &Attributes) -> bool {
    matches!(attributes, Attributes::NonResource { path, .. } if ALWAYS_ALLOWED.contains(&path.as_str()))
}

/// The `spec` of the SubjectAccessReview, field for field what k8s.io/apiserver's webhook authorizer sends.
pub fn review(identity: &Identity, attributes: &Attributes) -> authorization::SubjectAccessReviewSpec {
    let mut spec = authorization::SubjectAccessReviewSpec {
        user: some(&identity.user),
        uid: some(&identity.uid),
        groups: (!identity.groups.is_empty()).then(|| identity.groups.clone()),
        extra: (!identity.extra.is_empty()).then(|| identity.extra.clone()),
        ..authorization::SubjectAccessReviewSpec::default()
    };
    match attributes {
        Attributes::Resource(attributes) => spec.resource_attributes = Some(resource(attributes)),
        Attributes::NonResource { path, verb } => {
            spec.non_resource_attributes = Some(authorization::NonResourceAttributes {
                path: some(path),
                verb: some(verb),
            });
        }
    }
    spec
}

fn resource(attributes: &ResourceAttributes) -> authorization::ResourceAttributes {
    let requirements: Vec<_> = attributes
        .label_selector
        .iter()
        .map(|requirement| LabelSelectorRequirement {
            key: requirement.key.clone(),
            operator: requirement.operator.as_str().to_owned(),
            values: (!requirement.values.is_empty()).then(|| requirement.values.clone()),
        })
        .collect();
    authorization::ResourceAttributes {
        verb: some(&attributes.verb),
        group: some(&attributes.group),
        version: some(&attributes.version),
        resource: some(&attributes.resource),
        subresource: some(&attributes.subresource),
        name: some(&attributes.name),
        namespace: some(&attributes.namespace),
        field_selector: None,
        label_selector: (!requirements.is_empty()).then_some(authorization::LabelSelectorAttributes {
            raw_selector: None,
            requirements: Some(requirements),
        }),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

// === impl Forbidden ===

impl Forbidden {
    /// The text of k8s.io/apiserver (`ForbiddenStatusError` and `errors.NewForbidden`), byte for byte; `reason` is the
    /// review's own, which may be empty.
    pub fn new(user: &str, attributes: &Attributes, reason: &str) -> Self {
        let mut refusal = sanitize(&refusal(user, attributes));
        if !reason.is_empty() {
            refusal.push_str(": ");
            refusal.push_str(reason);
        }
        match attributes {
            Attributes::NonResource { .. } => Self {
                message: format!("forbidden: {refusal}"),
                name: String::new(),
                group: String::new(),
                kind: String::new(),
            },
            Attributes::Resource(ResourceAttributes {
                group,
                resource,
                name,
                ..
            }) => {
                let qualified = if group.is_empty() {
                    resource.clone()
                } else {
                    format!("{resource}.{group}")
                };
                let message = if name.is_empty() {
                    format!("{qualified} is forbidden: {refusal}")
                } else {
                    format!("{qualified} {} is forbidden: {refusal}", quote(name))
                };
                Self {
                    message,
                    name: name.clone(),
                    group: group.clone(),
                    kind: resource.clone(),
                }
            }
        }
    }
}

fn refusal(user: &str, attributes: &Attributes) -> String {
    let user = quote(user);
    match attributes {
        Attributes::NonResource { path, verb } => format!("User {user} cannot {verb} path {}", quote(path)),
        Attributes::Resource(attributes) => {
            let ResourceAttributes { verb, group, .. } = attributes;
            let resource = if attributes.subresource.is_empty() {
                quote(&attributes.resource)
            } else {
                quote(&format!("{}/{}", attributes.resource, attributes.subresource))
            };
            let place = if attributes.namespace.is_empty() {
                "at the cluster scope".to_owned()
            } else {
                format!("in the namespace {}", quote(&attributes.namespace))
            };
            format!(
                "User {user} cannot {verb} resource {resource} in API group {} {place}",
                quote(group)
            )
        }
    }
}

fn sanitize(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
