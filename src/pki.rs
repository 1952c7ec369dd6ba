//! Certificate authority of the operator: what the CA Secret holds, when it is rotated, and the serving certificate
//! that each replica issues for itself.
//!
//! All of it is pure but for the randomness of new keys: the time comes in as a value, and nothing here reads or writes
//! the Secret (`controller::authority` does).
//!
//! The order of a rotation, so that no client ever meets a certificate that it cannot verify: the next CA joins the
//! bundle; the bundle becomes the `caBundle` of every `APIService`; once all carry it, and [`SETTLE`] later, the next CA
//! becomes the current one; every replica issues itself a new leaf; the old CA leaves the bundle after [`LEAF_LIFE`], or,
//! where its key has leaked, [`SETTLE`] after the promotion.

mod ca;
mod leaf;
mod rotation;
pub mod serving;
mod state;

use jiff::{SignedDuration, Timestamp};

pub use self::{
    ca::{CaCertificate, CaPair, carries},
    leaf::{Leaf, ServiceNames},
    rotation::{Asked, Facts, MAX_FORMER, Step, UnknownRequest, due},
    serving::{ServingCertificate, ServingError, check_bundle},
    state::{Anchors, BUNDLE_KEY, CaState},
};

/// How long a CA is valid.
pub const CA_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);

/// How long a serving certificate is valid, at most: none outlives its CA.
pub const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How far a certificate's life starts before its issue, for clients whose clock is behind.
pub const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How long the next CA waits after every `APIService` carries it: kube-apiservers take a new `caBundle` up on their own
/// time.
pub const SETTLE: SignedDuration = SignedDuration::from_secs(60);

/// Why a certificate could not be issued, or the CA Secret not be read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A key of the Secret is absent.
    #[error("the CA Secret has no key `{0}`; restore it, or delete the Secret to get a new CA at once")]
    Missing(&'static str),
    /// A key of the Secret does not hold what belongs there.
    #[error("`{key}` of the CA Secret {problem}; restore it, or delete the Secret to get a new CA at once")]
    Garbled {
        /// The key in the Secret's `data`.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A newer operator wrote the Secret.
    #[error(
        "the CA Secret has format {0}, from a newer version of the operator; run that version, or delete the Secret \
         to get a new CA at once"
    )]
    Format(u32),
    /// A key or certificate could not be made.
    #[error("cannot issue a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// The time is outside of what a certificate can say.
    #[error("cannot issue a certificate: the time {0} is out of range")]
    Time(Timestamp),
}

/// `from` plus `by`, at the end of time where that overflows.
fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    let end = if by.is_negative() {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    from.checked_add(by).unwrap_or(end)
}

/// The moment at which two thirds of a life are over.
fn two_thirds(from: Timestamp, to: Timestamp) -> Timestamp {
    later(from, to.duration_since(from) / 3 * 2)
}

/// Sets the validity, in whole seconds. rcgen's own time type is not exported by it, so it is built from its epoch.
fn set_life(params: &mut rcgen::CertificateParams, from: Timestamp, to: Timestamp) -> Result<(), PkiError> {
    let seconds = |at: Timestamp| {
        u64::try_from(at.as_second())
            .map(std::time::Duration::from_secs)
            .map_err(|_| PkiError::Time(at))
    };
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + seconds(from)?;
    params.not_after = epoch + seconds(to)?;
    Ok(())
}

#[cfg(test)]
mod tests;
