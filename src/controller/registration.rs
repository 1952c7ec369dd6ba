//! Registration of our metrics APIs: `APIService`s that point to our Service, made and withdrawn as the rules need.
//!
//! **Whose is an `APIService`?** Ours is what points to our Service. Of those, one with the label
//! `app.kubernetes.io/managed-by: metricrule` is *managed*: kept as it should be, withdrawn when no rule has needed it for
//! [`WITHDRAW_AFTER`]. One without is *adopted* (a `GitOps` tool or a person made it): only a `caBundle` that lacks our CA
//! is put right, and it is never withdrawn. One that points elsewhere, or nowhere (served by kube-apiserver itself), is
//! *another's* and never written to, not even without a change, unless it carries [`TAKE_OVER`] with the uid of our
//! Service: then it is taken once, and what it was is kept in [`FORMER`]. With [`GIVE_BACK`] it becomes that again, and is another's.
//!
//! **Together.** Both versions of `custom.metrics.k8s.io` are made, taken and withdrawn together: with two owners the
//! version that clients prefer would decide whose metrics they see. While one is another's, none is made; one that is
//! ours already is kept working.
//!
//! **The way out.** A managed `APIService` is owned by the install's `ClusterRole`, so that the garbage collector removes it
//! after `helm uninstall`; an orphan would break discovery for the whole cluster. Before each write the `ClusterRole` and
//! our Service are read again, and without either nothing is written: a replica that outlives the uninstall cannot bring
//! an `APIService` back.
//!
//! **Across restarts and leaders.** When a rule was last needed is kept on the object itself, in [`UNNEEDED_SINCE`].

mod action;
mod give_back;
mod install;
mod ownership;
mod plan;
mod shell;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

pub(super) use self::install::{InstallError, owner};
pub use self::shell::Registration;
use crate::metrics_api::{ApiVersion, MetricsApi, PerApi};

/// The annotation by which an `APIService` of another is given to us: the uid of our Service.
pub const TAKE_OVER: &str = "metricrule.dev/take-over";

/// The annotation that keeps what a taken `APIService` was: JSON of `spec`, `labels` and `ownerReferences`, for the way
/// back.
pub const FORMER: &str = "metricrule.dev/former";

/// The annotation, `"true"`, by which what was taken is given back: it becomes what [`FORMER`] says. On one version of
/// `custom.metrics.k8s.io` it counts for both.
pub const GIVE_BACK: &str = "metricrule.dev/give-back";

/// The annotation that says since when no rule has needed a managed `APIService` (RFC 3339).
pub const UNNEEDED_SINCE: &str = "metricrule.dev/unneeded-since";

/// How long an API that no rule needs stays registered.
pub const WITHDRAW_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// When APIs are registered (`--register`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegisterMode {
    /// What the rules need.
    #[default]
    Auto,
    /// All.
    Always,
    /// None: somebody else does it.
    Never,
}

/// What the registration is about.
#[derive(Clone, Debug)]
pub struct RegistrationConfig {
    /// When APIs are registered.
    pub mode: RegisterMode,
    /// The operator's namespace.
    pub namespace: String,
    /// The name of our Service, whose port named `https` is registered.
    pub service: String,
    /// The install's `ClusterRole`, which owns what we make. Without it an uninstall leaves the `APIService`s behind.
    pub cluster_role: Option<String>,
}

/// Where a `caBundle` comes from.
#[derive(Clone, Debug)]
pub enum CaBundle {
    /// It is ours to write: this, in PEM, once there is one (our own CA's, or that of `--ca-bundle-file`).
    Published(watch::Receiver<Option<Arc<[u8]>>>),
    /// It is somebody else's to write (cert-manager's cainjector, with `--tls-cert-file`).
    LeaveAlone,
}

/// What the rules need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Every watch that rules depend on has been listed. Until then nothing counts as unneeded.
    pub synced: bool,
    /// The APIs that a rule is for.
    pub apis: BTreeSet<MetricsApi>,
}

/// How each API stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationState {
    /// Each with all its versions.
    pub apis: PerApi<ApiState>,
    /// The `caBundle` (empty where there is none) of each `APIService` that points to us and by which kube-apiserver verifies
    /// us.
    pub verified_by: BTreeMap<ApiVersion, Arc<[u8]>>,
}

/// How one API stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ApiState {
    /// Not looked yet, being made, or waiting for kube-apiserver's first check.
    #[default]
    Pending,
    /// No rule needs it.
    NotNeeded,
    /// `--register never`.
    NotManaged,
    /// It points to us, and kube-apiserver reaches us.
    Registered,
    /// It could not be made, or kube-apiserver does not reach us; the cause and next step.
    Unavailable {
        /// For a condition's message.
        message: String,
    },
    /// It is another's.
    OwnedByOther(OtherOwner),
}

/// Who has an API that we need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherOwner {
    /// The `APIService`.
    pub api_service: &'static str,
    /// Its uid.
    pub uid: String,
    /// Namespace and name of the Service that it points to; `None` where kube-apiserver serves it itself.
    pub service: Option<(String, String)>,
    /// Namespace and name of ours, for the next step.
    pub ours: (String, String),
}

/// Every `APIService` that points to us carries a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Which, in PEM.
    pub bundle: Arc<[u8]>,
    /// Since when, as far as this replica saw.
    pub since: Timestamp,
}

// === impl OtherOwner ===

impl fmt::Display for OtherOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.api_service;
        match &self.service {
            Some((namespace, service)) => write!(
                f,
                "the APIService {name} points to the Service {namespace}/{service}"
            )?,
            None => write!(f, "kube-apiserver itself serves the APIService {name}")?,
        }
        let (namespace, service) = &self.ours;
        write!(
            f,
            "; remove that adapter, or hand the APIService over: kubectl annotate apiservice {name} \
             {TAKE_OVER}=$(kubectl -n {namespace} get service {service} -o jsonpath='{{.metadata.uid}}')"
        )
    }
}

#[cfg(test)]
mod tests;
