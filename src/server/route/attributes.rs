//! Attributes that a request is authorized by.

/// What a request asks for, in the terms of authorization.
///
/// The parser of routes makes it in the same step as the route, so that what is authorized is what is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attributes {
    /// A resource of an API group.
    Resource(ResourceAttributes),
    /// A path outside the resources: discovery, health, metrics.
    NonResource {
        /// The decoded path, for example `/apis`.
        path: String,
        /// The HTTP method in lower case.
        verb: String,
    },
}

/// `authorization.k8s.io/v1` `ResourceAttributes`; a field that does not apply is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceAttributes {
    /// `get`, `list`, `create`, …
    pub verb: String,
    /// For example `custom.metrics.k8s.io`.
    pub group: String,
    /// For example `v1beta2`.
    pub version: String,
    /// As it stands in the path: `pods`, `deployments.apps`; an external metric's name.
    pub resource: String,
    /// A custom metric's name.
    pub subresource: String,
    /// An object's name, or `*`.
    pub name: String,
    /// Empty for what is cluster-scoped.
    pub namespace: String,
    /// The request's label selector where the verb is `list`; all requirements must hold.
    pub label_selector: Vec<SelectorRequirement>,
}

/// One requirement of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorRequirement {
    /// The label's name.
    pub key: String,
    /// How the label is compared.
    pub operator: SelectorOperator,
    /// Empty for `Exists` and `DoesNotExist`.
    pub values: Vec<String>,
}

/// The operators that a `SubjectAccessReview` can carry; `>` and `<` are left out of it, as the reference does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectorOperator {
    /// `=`, `==`, `in`.
    In,
    /// `!=`, `notin`.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

// === impl SelectorOperator ===

impl SelectorOperator {
    /// As a `LabelSelectorRequirement` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
        }
    }
}
