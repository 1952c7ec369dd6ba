//! Merge of the present status and the desired one: the status to write.

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
    /// Whether nothing but conditions moved: the object is the one that it was, and no condition came or went.
    pub only_moved: bool,
}

/// How much two statuses differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    None,
    /// In counts, samples, messages.
    Minor,
    /// In the status or reason of a condition, in the generation that one speaks of, in the last error, or in which warnings
    /// there are.
    Major,
}

/// A condition that moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The status that it had: `True`, `False`, `Unknown`; `None` where there was no such condition.
    pub from: Option<String>,
    /// The reason that it had.
    pub from_reason: Option<String>,
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
                from_reason: from.map(|from| from.reason.clone()),
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
        carry(status, observed, &merged, now);
    }
    let field =
        |status: Option<&Value>| status.map_or(Value::Null, |status| status["observedGeneration"].clone());
    let same_object = generations(&before) == generations(&merged) && field(observed) == field(Some(&status));
    let news = incidents(observed) != incidents(Some(&status));
    let change = if observed.is_some_and(|observed| normal(observed) == normal(&status)) {
        Change::None
    } else if transitions.is_empty() && same_object && !news {
        Change::Minor
    } else {
        Change::Major
    };
    Merged {
        status,
        change,
        transitions,
        only_moved: same_object,
    }
}

/// The last error's reason, and which warnings there are: what a person wants to see at once.
fn incidents(status: Option<&Value>) -> (Value, Vec<String>) {
    let Some(status) = status else {
        return (Value::Null, Vec::new());
    };
    let warnings = status["warnings"].as_array().into_iter().flatten();
    let mut warnings: Vec<String> = warnings
        .map(|warning| format!("{} {}", warning["reason"], warning["path"]))
        .collect();
    warnings.sort_unstable();
    (status["lastError"]["reason"].clone(), warnings)
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

fn carry(
    status: &mut Map<String, Value>,
    observed: Option<&Value>,
    conditions: &[Condition],
    now: Timestamp,
) {
    if status.contains_key("conditions") {
        let conditions = conditions
            .iter()
            .filter_map(|condition| serde_json::to_value(condition).ok());
        status.insert("conditions".to_owned(), conditions.collect());
    }
    if let Some(error) = status.get_mut("lastError").filter(|error| error.is_object()) {
        let observed = observed.map(|observed| &observed["lastError"]);
        let known = observed
            .filter(|observed| observed["reason"] == error["reason"])
            .and_then(|observed| time(&observed["time"]));
        let at = known.or_else(|| time(&error["time"])).unwrap_or(now);
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        error["time"] = Value::String(at.to_string());
    }
}

/// The epoch is the time of nothing: earlier versions wrote it.
fn time(value: &Value) -> Option<Timestamp> {
    let time: Timestamp = value.as_str()?.parse().ok()?;
    (time > Timestamp::UNIX_EPOCH).then_some(time)
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
