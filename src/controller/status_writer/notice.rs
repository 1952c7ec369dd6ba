//! Events for transitions of conditions: which of them are worth one.

use super::{StatusKey, Transition};
use crate::{controller::events::Notice, reason::Reason};

/// At most one Event a reason: a broken template moves `Accepted` and `Ready` alike, and is told once. Conditions that
/// are as good as they were expected to be say nothing, but for `Ready`.
pub(super) fn notices(key: &StatusKey, uid: &str, transitions: &[Transition]) -> Vec<Notice> {
    let mut notices: Vec<Notice> = Vec::new();
    for transition in transitions {
        let to = &transition.to;
        let Some(warning) = severity(transition) else {
            continue;
        };
        if notices.iter().any(|notice| notice.reason == to.reason) {
            continue;
        }
        let note = match to.message.as_str() {
            "" => format!("{} is {}", to.type_, to.status),
            message => message.to_owned(),
        };
        notices.push(Notice {
            regarding: key.reference(uid),
            warning,
            reason: to.reason.clone(),
            action: "Reconcile",
            note,
        });
    }
    notices
}

/// Whether it is a warning; `None` where it is not worth telling.
fn severity(transition: &Transition) -> Option<bool> {
    let Transition { from, to, .. } = transition;
    let recovered = from.as_deref() == Some("False");
    match (to.type_.as_str(), to.status.as_str()) {
        // Told once about the APIService itself as well; every other state of it passes by itself.
        ("Registered", "False") => (to.reason == Reason::OwnedByOther.code()).then_some(true),
        ("Accepted" | "ResolvedRefs" | "Discovered" | "Ready" | "Reachable" | "Authenticated", "False")
        | ("Conflicted", "True") => Some(true),
        // It may have taken away a metric that an HPA uses.
        ("Discovered", "True") if to.reason == Reason::Truncated.code() => Some(true),
        ("Accepted" | "Discovered" | "Reachable" | "Authenticated", "True") => recovered.then_some(false),
        // Not from True: `Serving` and `Idle` take turns.
        ("Ready", "True") => (from.as_deref() != Some("True")).then_some(false),
        _ => None,
    }
}
