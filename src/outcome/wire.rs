//! Text in which one replica tells its outcomes to the leader: a value of a `ConfigMap`, bounded, versioned, and checked
//! on reading.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Met, Outcome, Outcomes, Throttle};
use crate::api::metric_rule::RuleKey;

/// The longest text of one replica, in bytes. A `ConfigMap` holds a mebibyte, and there may be a dozen replicas.
pub const MAX: usize = 48 << 10;
/// The most rules in it.
const RULES: usize = 200;
/// The most backends in it.
const BACKENDS: usize = 64;
/// A longer text of one field is not ours.
const FIELD_MAX: usize = 4096;
const VERSION: u32 = 1;

/// What one replica says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When it said so.
    pub at: Timestamp,
    /// What.
    pub met: Met,
}

#[derive(Serialize, Deserialize)]
struct Text {
    version: u32,
    at: Timestamp,
    rules: Vec<Row>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    throttled: Vec<Throttled>,
}

#[derive(Serialize, Deserialize)]
struct Throttled {
    backend: String,
    #[serde(flatten)]
    throttle: Throttle,
}

#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    #[serde(flatten)]
    outcome: Outcome,
}

/// Not a text of ours.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Longer than we write.
    #[error("it is longer than {MAX} bytes")]
    Long,
    /// Not of this form. Not serde's words: they quote what is there.
    #[error("it does not contain valid outcomes (line {line}, column {column})")]
    Garbled {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// Of another version.
    #[error("it has version {0}")]
    Version(u32),
}

/// What has a place in a report. Of rules: failing ones before warned ones, and the namespaces in turns, so that none takes
/// another's place.
pub fn chosen(met: &Met) -> Met {
    let throttled = met.throttled.iter().take(BACKENDS);
    let throttled: Vec<Throttled> = throttled.map(Throttled::of).collect();
    let bytes = serde_json::to_string(&throttled).map_or(MAX, |text| text.len());
    Met {
        rules: chosen_rules(&met.rules, bytes),
        throttled: throttled.into_iter().map(Throttled::split).collect(),
    }
}

fn chosen_rules(outcomes: &Outcomes, mut bytes: usize) -> Outcomes {
    let mut chosen = Outcomes::new();
    for fails in [true, false] {
        let mut queues: BTreeMap<Option<&str>, VecDeque<(&RuleKey, &Outcome)>> = BTreeMap::new();
        for (key, outcome) in outcomes
            .iter()
            .filter(|(_, outcome)| outcome.failing.is_some() == fails)
        {
            queues
                .entry(key.namespace.as_deref())
                .or_default()
                .push_back((key, outcome));
        }
        while !queues.is_empty() && chosen.len() < RULES {
            queues.retain(|_, queue| {
                if let Some((key, outcome)) = queue.pop_front() {
                    let size = size(key, outcome);
                    // Room for what stands around the rows.
                    if chosen.len() < RULES && bytes + size + 128 <= MAX {
                        bytes += size;
                        chosen.insert(key.clone(), outcome.clone());
                    }
                }
                !queue.is_empty()
            });
        }
    }
    chosen
}

/// Writes a report down.
///
/// # Errors
///
/// None for what [`chosen`] gave.
pub fn encode(report: &Report) -> Result<String, serde_json::Error> {
    let rules = report.met.rules.iter().map(|(key, outcome)| Row {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        outcome: outcome.clone(),
    });
    serde_json::to_string(&Text {
        version: VERSION,
        at: report.at,
        rules: rules.collect(),
        throttled: report.met.throttled.iter().map(Throttled::of).collect(),
    })
}

/// Reads a report.
///
/// # Errors
///
/// What is wrong with the text.
pub fn decode(text: &str) -> Result<Report, WireError> {
    #[derive(Deserialize)]
    struct Head {
        version: u32,
    }
    if text.len() > MAX {
        return Err(WireError::Long);
    }
    let garbled = |error: &serde_json::Error| WireError::Garbled {
        line: error.line(),
        column: error.column(),
    };
    let head: Head = serde_json::from_str(text).map_err(|error| garbled(&error))?;
    if head.version != VERSION {
        return Err(WireError::Version(head.version));
    }
    let text: Text = serde_json::from_str(text).map_err(|error| garbled(&error))?;
    let rules = text.rules.into_iter().take(RULES).filter(Row::is_bounded);
    let outcomes = rules.map(|row| {
        let key = RuleKey {
            namespace: row.namespace,
            name: row.name,
        };
        (key, row.outcome)
    });
    let throttled = text.throttled.into_iter().take(BACKENDS);
    let throttled = throttled.filter(Throttled::is_bounded).map(Throttled::split);
    Ok(Report {
        at: text.at,
        met: Met {
            rules: outcomes.collect(),
            throttled: throttled.collect(),
        },
    })
}

fn size(key: &RuleKey, outcome: &Outcome) -> usize {
    let row = Row {
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        outcome: outcome.clone(),
    };
    serde_json::to_string(&row).map_or(usize::MAX / 2, |text| text.len() + 1)
}

// === impl Row ===

impl Row {
    fn is_bounded(&self) -> bool {
        let failing = self.outcome.failing.iter();
        let mut texts = failing.flat_map(|failing| {
            [&failing.metric, &failing.backend, &failing.cause, &failing.detail]
                .into_iter()
                .chain(&failing.said)
        });
        texts.all(|text| text.len() <= FIELD_MAX) && self.outcome.warned.len() <= 8
    }
}

// === impl Throttled ===

impl Throttled {
    fn of((backend, throttle): (&String, &Throttle)) -> Self {
        Self {
            backend: backend.clone(),
            throttle: throttle.clone(),
        }
    }

    fn split(self) -> (String, Throttle) {
        (self.backend, self.throttle)
    }

    /// A name of an object, and a path of two words.
    fn is_bounded(&self) -> bool {
        self.backend.len() <= 253 && self.throttle.field.len() <= 64
    }
}
