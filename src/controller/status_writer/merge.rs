//! The status to write, from the one that is and the one that should be.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Map, Value};

/// Lists that are maps by some key in the schema: the API server may give them back in another order.
const UNORDERED: [&str; 3] = ["conditions", "dropped", "warnings"];

/// What to write, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The status to write.
    pub status: Value,
    /// How it differs from the observed one.
    pub change: Change,
    /// The conditions whose status or reason moved.
    pub transitions: Vec<Transition>,
}

/// How much two statuses differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    None,
    /// In counts, samples, messages.
    Minor,
    /// In the status or reason of a condition, or in the generation that one speaks of.
    Major,
}

/// A condition that moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The status that it had: `True`, `False`, `Unknown`; `None` where there was no such condition.
    pub from: Option<String>,
    /// The condition as it is now.
    pub to: Condition,
}

/// Carries over from `observed` what must not move, and compares.
pub fn merge(observed: Option<&Value>, desired: &Value, now: Timestamp) -> Merged {
    let (before, after) = (conditions(observed), conditions(Some(desired)));
    let merged = merge_conditions(&before, &after, now);
    let transitions: Vec<Transition> = merged
        .iter()
        .filter_map(|to| {
            let from = before.iter().find(|from| from.type_ == to.type_);
            let moved = from.is_none_or(|from| (&from.status, &from.reason) != (&to.status, &to.reason));
            moved.then(|| Transition {
                from: from.map(|from| from.status.clone()),
                to: to.clone(),
            })
        })
        .collect();
    let generations = |conditions: &[Condition]| {
        let mut generations: Vec<_> = conditions
            .iter()
            .map(|condition| (condition.type_.clone(), condition.observed_generation))
            .collect();
        generations.sort();
        generations
    };
    let mut status = desired.clone();
    if let Some(status) = status.as_object_mut() {
        carry(status, observed, &merged);
    }
    let field =
        |status: Option<&Value>| status.map_or(Value::Null, |status| status["observedGeneration"].clone());
    let change = if observed.is_some_and(|observed| normal(observed) == normal(&status)) {
        Change::None
    } else if transitions.is_empty()
        && generations(&before) == generations(&merged)
        && field(observed) == field(Some(&status))
    {
        Change::Minor
    } else {
        Change::Major
    };
    Merged {
        status,
        change,
        transitions,
    }
}

/// The desired conditions with the times at which they took their status: the observed one where the status is the same
/// (Kubernetes' API conventions, "Typical status properties"), `now` in whole seconds elsewhere.
pub fn merge_conditions(observed: &[Condition], desired: &[Condition], now: Timestamp) -> Vec<Condition> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    desired
        .iter()
        .map(|desired| {
            let same = observed
                .iter()
                .find(|observed| observed.type_ == desired.type_ && observed.status == desired.status);
            Condition {
                last_transition_time: same.map_or(Time(now), |same| same.last_transition_time.clone()),
                ..desired.clone()
            }
        })
        .collect()
}

fn conditions(status: Option<&Value>) -> Vec<Condition> {
    let list = status.and_then(|status| status["conditions"].as_array());
    // One that does not decode counts as absent, and is written anew.
    list.into_iter()
        .flatten()
        .filter_map(|condition| serde_json::from_value(condition.clone()).ok())
        .collect()
}

fn carry(status: &mut Map<String, Value>, observed: Option<&Value>, conditions: &[Condition]) {
    if status.contains_key("conditions") {
        let conditions = conditions
            .iter()
            .filter_map(|condition| serde_json::to_value(condition).ok());
        status.insert("conditions".to_owned(), conditions.collect());
    }
    if let (Some(error), Some(observed)) = (status.get_mut("lastError"), observed)
        && error["reason"] == observed["lastError"]["reason"]
        && !observed["lastError"]["time"].is_null()
    {
        error["time"] = observed["lastError"]["time"].clone();
    }
}

/// The same value for two statuses that say the same.
fn normal(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let mut value = normal(value);
                if let (true, Some(list)) = (UNORDERED.contains(&name.as_str()), value.as_array_mut()) {
                    list.sort_by_cached_key(Value::to_string);
                }
                (name.clone(), value)
            })
            .collect(),
        Value::Array(list) => list.iter().map(normal).collect(),
        other => other.clone(),
    }
}
