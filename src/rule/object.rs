//! Rules and backends as they were read, by a watch or from a file.

use std::sync::Arc;

use jiff::Timestamp;
use kube::{
    Resource,
    api::{DynamicObject, ObjectMeta},
};
use serde::de::DeserializeOwned;

use crate::api::{
    MetricBackend,
    invariant::Violation,
    metric_backend::MetricBackendSpec,
    metric_rule::{RuleKey, RuleResource},
    rule_spec::RuleSpec,
};

/// A rule, decoded or not.
#[derive(Clone, Debug)]
pub struct RuleObject {
    /// Namespace and name; no namespace for a `ClusterMetricRule`.
    pub key: RuleKey,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.creationTimestamp`.
    pub created: Option<Timestamp>,
    /// The spec, or why the object could not be decoded.
    pub spec: Result<Arc<RuleSpec>, String>,
    /// What the schema in force now would have refused.
    pub violations: Vec<Violation>,
}

/// A backend, decoded or not.
#[derive(Clone, Debug)]
pub struct BackendObject {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// Whether it carries the annotation of the default backend.
    pub is_default: bool,
    /// The spec, or why the object could not be decoded.
    pub spec: Result<Arc<MetricBackendSpec>, String>,
    /// What the schema in force now would have refused.
    pub violations: Vec<Violation>,
}

// === impl RuleObject ===

impl RuleObject {
    /// Of a rule that decoded. Its key is [`RuleResource::rule_key`].
    pub fn of<K: RuleResource>(rule: &K) -> Self {
        Self {
            spec: Ok(Arc::new(rule.to_rule_spec())),
            violations: rule.violations(),
            ..Self::undecoded(rule.meta(), String::new())
        }
    }

    /// Of an object that has this metadata and does not decode, for that reason.
    pub fn undecoded(meta: &ObjectMeta, reason: String) -> Self {
        Self {
            key: RuleKey {
                namespace: meta.namespace.clone(),
                name: meta.name.clone().unwrap_or_default(),
            },
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            created: meta.creation_timestamp.as_ref().map(|time| time.0),
            spec: Err(reason),
            violations: Vec::new(),
        }
    }

    /// Of a `K` as an API server stores it.
    pub fn read<K: RuleResource + DeserializeOwned>(mut object: DynamicObject) -> Self {
        match decode::<K>(&mut object) {
            Ok(rule) => Self::of(&rule),
            Err(reason) => Self::undecoded(&object.metadata, reason),
        }
    }
}

// === impl BackendObject ===

impl BackendObject {
    /// Of a backend that decoded.
    pub fn of(backend: &MetricBackend) -> Self {
        Self {
            is_default: backend.is_default(),
            spec: Ok(Arc::new(backend.spec.clone())),
            violations: backend.violations(),
            ..Self::undecoded(backend.meta(), String::new())
        }
    }

    /// Of an object that has this metadata and does not decode, for that reason.
    pub fn undecoded(meta: &ObjectMeta, reason: String) -> Self {
        Self {
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            is_default: false,
            spec: Err(reason),
            violations: Vec::new(),
        }
    }

    /// Of a `MetricBackend` as an API server stores it.
    pub fn read(mut object: DynamicObject) -> Self {
        match decode::<MetricBackend>(&mut object) {
            Ok(backend) => Self::of(&backend),
            Err(reason) => Self::undecoded(&object.metadata, reason),
        }
    }
}

/// Without the status: one written by a newer operator must not make the object undecodable.
fn decode<K: DeserializeOwned>(object: &mut DynamicObject) -> Result<K, String> {
    if let Some(data) = object.data.as_object_mut() {
        data.remove("status");
    }
    serde_json::to_value(object)
        .and_then(serde_json::from_value)
        .map_err(|error| format!("the object cannot be decoded: {error}; apply the CRDs of this version"))
}
