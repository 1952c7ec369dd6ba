//! Caller identity: user name, UID, groups and extra.

use std::collections::BTreeMap;

/// The user of a request without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of such requests.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group of every request with valid credentials.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group that is allowed everything without being asked about.
pub const MASTERS: &str = "system:masters";

/// The HPA controller, with credentials of its own and with those of the controller manager.
const AUTOSCALERS: [&str; 2] = [
    "system:serviceaccount:kube-system:horizontal-pod-autoscaler",
    "system:kube-controller-manager",
];

/// `user.Info` of k8s.io/apiserver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// For example `system:serviceaccount:kube-system:horizontal-pod-autoscaler`.
    pub user: String,
    /// Empty where the authenticator knows none.
    pub uid: String,
    /// In the order of the credential.
    pub groups: Vec<String>,
    /// What else the authenticator knows, for example the credential's id.
    pub extra: BTreeMap<String, Vec<String>>,
}

// === impl Identity ===

impl Identity {
    /// The identity of a request without credentials.
    pub fn anonymous() -> Self {
        Self {
            user: ANONYMOUS.to_owned(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            ..Self::default()
        }
    }

    /// Whether this is the anonymous user, our own or one that the front proxy passed on.
    pub fn is_anonymous(&self) -> bool {
        self.user == ANONYMOUS
    }

    /// Whether every request is allowed.
    pub fn is_master(&self) -> bool {
        self.in_group(MASTERS)
    }

    /// Whether this is the HPA controller: replicas depend on what it gets.
    pub fn is_autoscaler(&self) -> bool {
        AUTOSCALERS.contains(&self.user.as_str())
    }

    /// With the group `system:authenticated`, where that applies (`AuthenticatedGroupAdder` of k8s.io/apiserver).
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        if !self.is_anonymous() && !self.in_group(AUTHENTICATED) && !self.in_group(UNAUTHENTICATED) {
            self.groups.push(AUTHENTICATED.to_owned());
        }
        self
    }

    fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}
