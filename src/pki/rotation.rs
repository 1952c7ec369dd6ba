//! Rotation of the CA: when it takes its next step.

use std::str::FromStr;

use jiff::Timestamp;

use super::{CaPair, CaState, LEAF_LIFE, PkiError, SETTLE, later, state::Next};

/// Former CAs that are still trusted; with more of them no rotation is begun on request. Each makes the `caBundle` of every
/// `APIService` longer.
pub const MAX_FORMER: usize = 8;

/// What a step depends on besides the CA itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Since when every `APIService` that points to us has carried the whole bundle of the present state; `None` while
    /// one does not, or while that is not known.
    pub carried_since: Option<Timestamp>,
    /// What a person asked for.
    pub asked: Option<Asked>,
}

/// A rotation that does not wait for the CA's age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A new CA; the former one stays trusted until its last leaf has run out.
    Rotate,
    /// The same, and the former one is trusted only until every replica has a new leaf ([`SETTLE`] after the promotion):
    /// for a key that has leaked. A next CA, whose key lies beside it, is replaced too.
    Revoke,
}

/// Not a word for a rotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a known value: `now` rotates, `revoke` rotates and drops the former CA")]
pub struct UnknownRequest(String);

/// One step of the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new CA joins the bundle.
    Publish,
    /// The same because of a key that has leaked; a next CA that waits leaves the bundle.
    Revoke,
    /// The next CA becomes the current one; the former stays in the bundle.
    Promote,
    /// The former CAs leave the bundle.
    Retire,
    /// The current CA has ended, and there is no next one: a new one at once.
    Replace,
}

/// The step that is due at `now`, if one is. One at a time: after it has been written, ask again.
///
/// Where an `APIService` never carries the next CA (its `caBundle` is someone else's to write), the current one issues for as
/// long as it is valid, though its leaves become shorter in its last [`LEAF_LIFE`]: by the next one kube-apiserver would not
/// verify us. The next CA is promoted all the same minutes before the end, when nothing is lost by it any more.
pub fn due(state: &CaState, now: Timestamp, facts: Facts) -> Option<Step> {
    let current = state.current.certificate();
    let ended = now >= current.not_after();
    if facts.asked == Some(Asked::Revoke) && !ended {
        return Some(Step::Revoke);
    }
    if let Some(next) = &state.next {
        if ended {
            let usable = now < next.pair.certificate().not_after();
            return Some(if usable { Step::Promote } else { Step::Replace });
        }
        let settled = |since: Timestamp| now >= later(since.max(next.published_at), SETTLE);
        let carried = facts.carried_since.is_some_and(settled);
        let forced = now >= state.forced_at() && settled(next.published_at);
        if carried || forced {
            return Some(Step::Promote);
        }
    } else if ended {
        return Some(Step::Replace);
    }
    // While a revocation waits for its promotion, the current CA is the one that is to go: nothing is gained by a retirement.
    let trusted = if state.revoking && state.next.is_none() {
        SETTLE
    } else {
        LEAF_LIFE
    };
    if !state.former.is_empty() && now >= later(state.current_since, trusted) {
        return Some(Step::Retire);
    }
    let asked = facts.asked == Some(Asked::Rotate) && state.former.len() < MAX_FORMER;
    (state.next.is_none() && (asked || now >= current.ages_at())).then_some(Step::Publish)
}

// === impl Asked ===

impl FromStr for Asked {
    type Err = UnknownRequest;

    fn from_str(text: &str) -> Result<Self, UnknownRequest> {
        match text {
            "now" => Ok(Self::Rotate),
            "revoke" => Ok(Self::Revoke),
            other => Err(UnknownRequest(other.chars().take(64).collect())),
        }
    }
}

// === impl CaState ===

impl CaState {
    /// The state after `step`, taken at `now`. A step that makes no sense in this state changes nothing.
    pub fn after(&self, step: Step, now: Timestamp) -> Result<Self, PkiError> {
        let mut state = self.clone();
        match step {
            Step::Publish | Step::Revoke => {
                state.revoking |= step == Step::Revoke;
                state.next = Some(Next {
                    pair: CaPair::generate(now)?,
                    published_at: now,
                });
            }
            Step::Promote => {
                if let Some(next) = state.next.take() {
                    let former = std::mem::replace(&mut state.current, next.pair);
                    state.former.push(former.certificate().clone());
                    state.current_since = now;
                }
            }
            Step::Retire => {
                state.former.clear();
                state.revoking = false;
            }
            Step::Replace => return Self::new(now),
        }
        Ok(state)
    }
}
