//! Outcomes of rules' queries: which rules' queries fail, and what their answers were warned of.
//!
//! Each replica keeps a [`Ledger`] of what it met itself, since any of them may be the one that kube-apiserver asks. What
//! stands in it travels to the leader as a bounded text ([`wire`]), is merged there, and becomes a condition.

pub mod ledger;
mod throttle;
pub mod wire;
mod words;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{api::metric_rule::RuleKey, reason::Reason};

pub use self::{
    ledger::{About, Failed, Ledger, News},
    throttle::{Throttle, Throttles},
    words::{Quotable, quoted},
};

/// Rules that there is something to say of.
pub type Outcomes = BTreeMap<RuleKey, Outcome>;

/// What a replica met, or several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// Rules that there is something to say of.
    pub rules: Outcomes,
    /// Backends whose ceilings hold queries up.
    pub throttled: Throttles,
}

/// What there is to say of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// `metadata.uid` of the rule: another of its name is another rule.
    pub uid: String,
    /// The generation whose queries these are.
    pub generation: i64,
    /// Its queries fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Failing>,
    /// Its answers come with warnings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warned: Vec<Warned>,
}

/// How the queries of a rule fail. Of several metrics that fail, the one that has for the longest time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failing {
    /// Why.
    pub reason: Reason,
    /// The metric that was asked for.
    pub metric: String,
    /// The `MetricBackend` that was asked.
    pub backend: String,
    /// What went wrong, fit for any client.
    pub cause: String,
    /// The `error` of the backend's API, fit for those who may read the rule: see [`quoted`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// All that is known, for those who run the backend: one line without credentials.
    pub detail: String,
    /// When it failed so for the first time.
    pub since: Timestamp,
}

/// What the answers to a rule's queries were warned of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Warned {
    /// `DuplicateRows`, `ForeignObject`, `ForeignNamespace`, `BackendWarning`.
    pub reason: Reason,
    /// The metric that was asked for when it was met first.
    pub metric: String,
    /// The backend's words of a `BackendWarning`, as [`quoted`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
}

/// Whether a request that failed so failed for its rule's query, and not for the client, for want of data, or for a backend as a
/// whole: the `MetricBackend` says that, once for all rules.
pub const fn is_of_query(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::QueryRejected
            | Reason::UnexpectedResult
            | Reason::LimitExceeded
            | Reason::NotFinite
            | Reason::NegativeValue
            | Reason::MissingRows
            | Reason::PartialResponse
            | Reason::InvalidTemplate
            | Reason::NotConfinable
            | Reason::RangeTooLong
    )
}

/// Whether rows that were left out for this reason are worth a warning of the rule.
pub const fn is_warning(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::DuplicateRows | Reason::ForeignObject | Reason::ForeignNamespace | Reason::BackendWarning
    )
}

/// What several replicas met, as one: of two that say different things of a rule, the newer generation's, then the older
/// failure, so that the outcome is the same whoever spoke last.
pub fn merged(all: impl IntoIterator<Item = Met>) -> Met {
    let mut merged = Met::default();
    for met in all {
        merge_rules(&mut merged.rules, met.rules);
        for (backend, throttle) in met.throttled {
            let throttle = match merged.throttled.remove(&backend) {
                Some(known) => known.or(throttle),
                None => throttle,
            };
            merged.throttled.insert(backend, throttle);
        }
    }
    merged
}

fn merge_rules(merged: &mut Outcomes, rules: Outcomes) {
    for (key, outcome) in rules {
        let Some(known) = merged.get_mut(&key) else {
            merged.insert(key, outcome);
            continue;
        };
        if known.uid != outcome.uid || known.generation != outcome.generation {
            // Two rules of one name: the table says which one is there, and a lower generation is over.
            if outcome.generation > known.generation {
                *known = outcome;
            }
            continue;
        }
        let age = |failing: &Failing| (failing.since, failing.reason, failing.metric.clone());
        known.failing = [known.failing.take(), outcome.failing]
            .into_iter()
            .flatten()
            .min_by_key(age);
        for warned in outcome.warned {
            if !known.warned.iter().any(|known| known.reason == warned.reason) {
                known.warned.push(warned);
            }
        }
        known.warned.sort_by_key(|warned| warned.reason);
    }
}

// === impl Met ===

impl Met {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.throttled.is_empty()
    }
}

#[cfg(test)]
mod tests;
