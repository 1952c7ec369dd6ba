//! Status of an object, from the facts about it. Pure: whoever writes it adds the times.

mod backend;
mod discovered;
mod queries;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

pub use self::backend::{DesiredBackend, Heard, Probe, desired_backend, failing_of};
use self::{
    discovered::{counts, discovered_condition},
    queries::{failing, failing_text, met},
};
use crate::{
    api::rule_status::{Discovered, RuleCondition, Warning},
    catalog::{Catalog, Conflict, Entry, Listing},
    outcome::{Outcome, Outcomes},
    reason::Reason,
    rule::{CompiledRule, Problem, RuleTable},
};

/// How many problems one condition's message spells out.
const NAMED: usize = 3;
/// How many warnings a status carries.
const WARNINGS: usize = 16;
/// Longest message of a condition or a warning, in characters; the API server's own limit is 32768 bytes.
const MESSAGE_MAX: usize = 1024;

/// Whether the cluster's API server forwards a metrics API to us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Registration {
    /// Not looked at yet.
    #[default]
    Pending,
    /// Its APIService points to our Service.
    Registered,
    /// `--register never`: somebody else sees to it.
    NotManaged,
    /// Its APIService points to our Service and lacks a CA of ours.
    Untrusted {
        /// Whether the API server does not take our certificate now; else it will not after a time.
        broken: bool,
        /// What is missing, until when, and the next step.
        message: String,
    },
    /// Its APIService points elsewhere.
    OwnedByOther {
        /// Names the owner and the next step.
        message: String,
    },
    /// It cannot be registered, or the API server says that it is not available.
    Unavailable {
        /// The cause and the next step.
        message: String,
    },
}

/// What is known about a rule.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The table that the rule stands in.
    pub table: &'a RuleTable,
    /// The rule as it is now.
    pub rule: &'a CompiledRule,
    /// Its place in the catalog, once it has one.
    pub entry: Option<&'a Entry>,
    /// What it lost to other rules.
    pub conflict: Option<&'a Conflict>,
    /// The state of the API that it serves.
    pub registration: &'a Registration,
    /// What its queries came to lately, where that is worth a word.
    pub outcome: Option<&'a Outcome>,
}

/// The status that a rule should carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// In the order of [`RuleCondition::ALL`].
    pub conditions: Vec<DesiredCondition>,
    /// What its series came to; `None` until the first listing has succeeded.
    pub discovered: Option<Discovered>,
    /// At most 16.
    pub warnings: Vec<Warning>,
    /// What fails now, if anything does, and since when where that is known.
    pub error: Option<(Reason, Option<Timestamp>)>,
    /// The generation that all this speaks of.
    pub generation: i64,
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredCondition {
    /// Its type.
    pub condition: RuleCondition,
    /// `None`: unknown.
    pub status: Option<bool>,
    /// Its code.
    pub reason: Reason,
    /// The cause and the next step.
    pub message: String,
}

/// The status that the facts call for.
pub fn desired(facts: Facts<'_>) -> Desired {
    let discovered = facts
        .entry
        .filter(|entry| entry.metrics.rule.object.generation == facts.rule.object.generation);
    let conditions = vec![
        accepted(facts.rule),
        resolved_refs(facts),
        discovered_condition(facts.rule, discovered),
        conflicted(facts.conflict),
        registered(facts),
        ready(facts, discovered),
    ];
    let listing = match discovered.map(|entry| &entry.listing) {
        Some(Listing::Failed { reason, .. }) => Some((*reason, None)),
        _ => None,
    };
    let error = failing(facts)
        .map(|failing| (failing.reason, Some(failing.since)))
        .or(listing);
    Desired {
        conditions,
        discovered: discovered.and_then(counts),
        warnings: warnings(facts.rule, facts.outcome),
        error,
        generation: facts.rule.object.generation,
    }
}

/// The facts about one rule of a catalog.
pub fn facts<'a>(
    catalog: &'a Catalog,
    rule: &'a CompiledRule,
    registration: &'a Registration,
    outcomes: &'a Outcomes,
) -> Facts<'a> {
    Facts {
        table: &catalog.table,
        rule,
        entry: catalog.entry(rule.key()),
        conflict: catalog.conflict(rule.key()),
        registration,
        // Of what the rule is now: a rule that was edited is not judged by its former queries.
        outcome: outcomes
            .get(rule.key())
            .filter(|outcome| outcome.uid == rule.object.uid && outcome.generation == rule.object.generation),
    }
}

fn accepted(rule: &CompiledRule) -> DesiredCondition {
    match rule.refusals.as_slice() {
        [] => condition(
            RuleCondition::Accepted,
            Some(true),
            Reason::Accepted,
            "the spec compiles",
        ),
        problems @ [first, ..] => condition(
            RuleCondition::Accepted,
            Some(false),
            first.reason,
            listed(problems),
        ),
    }
}

fn resolved_refs(facts: Facts<'_>) -> DesiredCondition {
    let kind = RuleCondition::ResolvedRefs;
    if let Some(problem) = facts.table.unresolved_backend(facts.rule) {
        return condition(kind, Some(false), problem.reason, problem.to_string());
    }
    let unresolved = facts
        .rule
        .naming
        .iter()
        .flat_map(|naming| naming.association.unresolved());
    let unresolved: Vec<Problem> = unresolved.cloned().collect();
    match unresolved.first() {
        Some(first) => condition(kind, Some(false), first.reason, listed(&unresolved)),
        None => condition(
            kind,
            Some(true),
            Reason::ResolvedRefs,
            "the backend and all kinds exist",
        ),
    }
}

fn conflicted(conflict: Option<&Conflict>) -> DesiredCondition {
    let kind = RuleCondition::Conflicted;
    let Some(conflict) = conflict else {
        return condition(
            kind,
            Some(false),
            Reason::NoConflict,
            "no other rule claims its metrics",
        );
    };
    let names: Vec<&str> = conflict.metrics.iter().map(AsRef::as_ref).collect();
    let message = format!(
        "other rules answer {} claims of this rule, first {}: {}; raise spec.priority, or rename the metrics",
        conflict.total,
        conflict.winner,
        names.join(", ")
    );
    condition(kind, Some(true), Reason::NameTaken, message)
}

fn registered(facts: Facts<'_>) -> DesiredCondition {
    let kind = RuleCondition::Registered;
    match facts.registration {
        Registration::Pending => condition(
            kind,
            None,
            Reason::Pending,
            "the operator has not checked the APIService yet",
        ),
        Registration::Registered => condition(
            kind,
            Some(true),
            Reason::Registered,
            "the APIService points to this installation",
        ),
        Registration::NotManaged => condition(
            kind,
            Some(true),
            Reason::NotManaged,
            "the operator runs with --register never, so somebody else manages the APIService",
        ),
        Registration::Untrusted { broken, message } => {
            condition(kind, Some(!broken), Reason::CaBundleOutdated, message.clone())
        }
        Registration::OwnedByOther { message } => {
            condition(kind, Some(false), Reason::OwnedByOther, message.clone())
        }
        Registration::Unavailable { message } => {
            condition(kind, Some(false), Reason::Unavailable, message.clone())
        }
    }
}

fn ready(facts: Facts<'_>, entry: Option<&Entry>) -> DesiredCondition {
    let kind = RuleCondition::Ready;
    if let Some(problem) = facts.rule.refusals.first() {
        return condition(kind, Some(false), problem.reason, problem.to_string());
    }
    if let Some(problem) = facts.table.unresolved_backend(facts.rule) {
        return condition(kind, Some(false), problem.reason, problem.to_string());
    }
    if let Some(conflict) = facts.conflict.filter(|conflict| conflict.serves_nothing) {
        let message = format!(
            "other rules answer every metric of this rule, first {}",
            conflict.winner
        );
        return condition(kind, Some(false), Reason::NameTaken, message);
    }
    if let Some(failing) = failing(facts) {
        return condition(kind, Some(false), failing.reason, failing_text(failing));
    }
    let Some(entry) = entry else {
        return condition(kind, None, Reason::Pending, "the operator is listing the series");
    };
    let metrics = entry.metrics.discovered.metrics;
    match &entry.listing {
        Listing::Pending | Listing::Edited { .. } => {
            condition(kind, None, Reason::Pending, "the operator is listing the series")
        }
        Listing::Failed { reason, message } if metrics == 0 => condition(
            kind,
            Some(false),
            *reason,
            backend::named(facts.rule, *reason, message),
        ),
        Listing::Failed { reason, message } => {
            let message = backend::named(facts.rule, *reason, message);
            let message = format!(
                "{metrics} metrics of the last successful listing are served; the latest listing failed: {message}"
            );
            condition(kind, Some(true), Reason::Stale, message)
        }
        Listing::NotNeeded | Listing::Current if metrics == 0 => condition(
            kind,
            Some(true),
            Reason::Idle,
            "the rule is active, but has no metric now",
        ),
        Listing::NotNeeded | Listing::Current => condition(
            kind,
            Some(true),
            Reason::Serving,
            format!("{metrics} metrics are served"),
        ),
    }
}

/// A list-map by reason and path, so two findings of one kind at one place become one.
fn warnings(rule: &CompiledRule, outcome: Option<&Outcome>) -> Vec<Warning> {
    let mut warnings: Vec<Warning> = Vec::new();
    for problem in &rule.warnings {
        let path = bounded(problem.place());
        if warnings.len() < WARNINGS
            && !warnings
                .iter()
                .any(|w| w.reason == problem.reason && w.path == path)
        {
            warnings.push(Warning {
                reason: problem.reason,
                path,
                message: bounded(problem.text()),
            });
        }
    }
    // Of what its answers were warned of there is one each, so they fit beside what the compiler found.
    let met: Vec<Warning> = outcome
        .iter()
        .flat_map(|outcome| &outcome.warned)
        .map(met)
        .take(WARNINGS)
        .collect();
    warnings.truncate(WARNINGS - met.len());
    warnings.extend(met);
    warnings
}

fn listed(problems: &[Problem]) -> String {
    let mut texts: Vec<String> = problems.iter().take(NAMED).map(ToString::to_string).collect();
    if problems.len() > NAMED {
        texts.push(format!("and {} more", problems.len() - NAMED));
    }
    texts.join("; ")
}

fn condition(
    condition: RuleCondition,
    status: Option<bool>,
    reason: Reason,
    message: impl Into<String>,
) -> DesiredCondition {
    DesiredCondition {
        condition,
        status,
        reason,
        message: bounded(message.into()),
    }
}

fn bounded(message: String) -> String {
    match message.char_indices().nth(MESSAGE_MAX) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message,
    }
}
