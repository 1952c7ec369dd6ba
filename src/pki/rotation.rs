//! When the CA takes its next step.

use jiff::Timestamp;

use super::{CaPair, CaState, LEAF_LIFE, PkiError, SETTLE, later, state::Next};

/// What a step depends on besides the CA itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Since when every `APIService` that points to us has carried the whole bundle of the present state; `None` while
    /// one does not, or while that is not known.
    pub carried_since: Option<Timestamp>,
}

/// One step of the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A new CA joins the bundle.
    Publish,
    /// The next CA becomes the current one; the former stays in the bundle.
    Promote,
    /// The former CAs leave the bundle.
    Retire,
    /// The current CA has ended, and there is no next one: a new one at once.
    Replace,
}

/// The step that is due at `now`, if one is. One at a time: after it has been written, ask again.
///
/// Where an `APIService` never carries the next CA (its `caBundle` is someone else's to write), the next CA is promoted
/// all the same [`LEAF_LIFE`] before the current one ends, since after that no leaf would be worth issuing.
pub fn due(state: &CaState, now: Timestamp, facts: Facts) -> Option<Step> {
    let current = state.current.certificate();
    let ended = now >= current.not_after();
    if let Some(next) = &state.next {
        if ended {
            let usable = now < next.pair.certificate().not_after();
            return Some(if usable { Step::Promote } else { Step::Replace });
        }
        let settled = |since: Timestamp| now >= later(since.max(next.published_at), SETTLE);
        let carried = facts.carried_since.is_some_and(settled);
        let forced = now >= later(current.not_after(), -LEAF_LIFE) && settled(next.published_at);
        if carried || forced {
            return Some(Step::Promote);
        }
    } else if ended {
        return Some(Step::Replace);
    }
    if !state.former.is_empty() && now >= later(state.current_since, LEAF_LIFE) {
        return Some(Step::Retire);
    }
    (state.next.is_none() && now >= current.ages_at()).then_some(Step::Publish)
}

// === impl CaState ===

impl CaState {
    /// The state after `step`, taken at `now`. A step that makes no sense in this state changes nothing.
    pub fn after(&self, step: Step, now: Timestamp) -> Result<Self, PkiError> {
        let mut state = self.clone();
        match step {
            Step::Publish => {
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
            Step::Retire => state.former.clear(),
            Step::Replace => return Self::new(now),
        }
        Ok(state)
    }
}
