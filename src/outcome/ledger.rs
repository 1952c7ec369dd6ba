//! Ledger of one replica: the last outcome of each rule's queries, while there is something to say of it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use super::{Failing, Outcome, Outcomes, Warned, is_of_query, is_warning};
use crate::{api::metric_rule::RuleKey, reason::Reason};

/// A success does not end a failure that is younger: where one object's query fails and another's does not, the rule fails.
/// An HPA asks every 15 s.
pub const HOLD: SignedDuration = SignedDuration::from_secs(30);
/// A failure that nobody has met again for this long is over: nobody asks any more.
pub const FORGET: SignedDuration = SignedDuration::from_mins(5);
/// A warning stays for this long after it was met last.
pub const WARNED: SignedDuration = SignedDuration::from_mins(15);
/// Between two lines of the log about a failure that goes on.
pub const AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// Between two looks at what has run out.
pub const LOOK: Duration = Duration::from_secs(10);

/// The most rules in a ledger, and of one namespace. A rule more is told to the log of requests alone.
const RULES: usize = 1000;
const OF_NAMESPACE: usize = 100;
/// The most metrics of a rule that are told apart.
const METRICS: usize = 8;
/// The longest name of a metric that is kept, in bytes.
const METRIC_MAX: usize = 128;

/// Whose query it was.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The rule.
    pub rule: &'a RuleKey,
    /// Its uid.
    pub uid: &'a str,
    /// Its generation.
    pub generation: i64,
    /// The metric that was asked for.
    pub metric: &'a str,
    /// The backend that was asked.
    pub backend: &'a str,
}

/// How a query failed.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Why.
    pub reason: Reason,
    /// What went wrong, fit for any client.
    pub cause: String,
    /// The words of the backend's API, as [`super::quoted`].
    pub said: Option<String>,
    /// All that is known, without credentials.
    pub detail: String,
}

/// Something for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A rule's queries fail from now on, fail otherwise than before, or go on to fail.
    Fails {
        /// The rule.
        rule: RuleKey,
        /// How.
        failing: Box<Failing>,
        /// How often since then.
        count: u64,
    },
    /// They do not fail any more.
    Over {
        /// The rule.
        rule: RuleKey,
        /// Why they did.
        reason: Reason,
        /// Since when.
        since: Timestamp,
        /// How often.
        count: u64,
    },
}

/// The outcomes of this replica's queries.
#[derive(Debug, Default)]
pub struct Ledger {
    rules: HashMap<RuleKey, Record>,
}

#[derive(Debug)]
struct Record {
    uid: String,
    generation: i64,
    failures: BTreeMap<String, Failure>,
    warnings: BTreeMap<Reason, (Warned, Timestamp)>,
    /// What the log was told, and when.
    told: Option<(Reason, Timestamp)>,
}

#[derive(Debug)]
struct Failure {
    failing: Failing,
    last: Timestamp,
    count: u64,
}

// === impl Ledger ===

impl Ledger {
    /// Whether there is nothing to say of any rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// A query failed. Reasons that are not the query's are none of the rule's.
    pub fn failed(&mut self, about: About<'_>, failed: Failed, now: Timestamp) -> Option<News> {
        if !is_of_query(failed.reason) {
            return None;
        }
        let record = self.record(about)?;
        let metric = shortened(about.metric);
        if record.failures.len() >= METRICS && !record.failures.contains_key(&metric) {
            return record.tell(about.rule, now);
        }
        let failing = Failing {
            reason: failed.reason,
            metric: metric.clone(),
            backend: about.backend.to_owned(),
            cause: failed.cause,
            said: failed.said,
            detail: failed.detail,
            since: second(now),
        };
        match record.failures.get_mut(&metric) {
            Some(known) if known.failing.reason == failed.reason => {
                known.last = now;
                known.count += 1;
            }
            _ => {
                let failure = Failure {
                    failing,
                    last: now,
                    count: 1,
                };
                record.failures.insert(metric, failure);
            }
        }
        record.tell(about.rule, now)
    }

    /// A query was answered.
    pub fn succeeded(&mut self, about: About<'_>, now: Timestamp) -> Option<News> {
        let record = self.rules.get_mut(about.rule)?;
        if record.uid != about.uid || record.generation != about.generation {
            return None;
        }
        let metric = shortened(about.metric);
        let over = record.failures.get(&metric)?;
        if now.duration_since(over.last) < HOLD {
            return None;
        }
        let over = record.failures.remove(&metric)?;
        let news = record.ends(about.rule, &over);
        self.rules.retain(|_, record| !record.is_empty());
        news
    }

    /// An answer came with a warning.
    pub fn warned(&mut self, about: About<'_>, reason: Reason, said: Option<&str>, now: Timestamp) {
        if !is_warning(reason) {
            return;
        }
        let Some(record) = self.record(about) else {
            return;
        };
        let warned = || Warned {
            reason,
            metric: shortened(about.metric),
            said: said.map(ToOwned::to_owned),
        };
        record.warnings.entry(reason).or_insert_with(|| (warned(), now)).1 = now;
    }

    /// Lets go of what is over, and of rules that are gone or were edited: those for which `is` does not hold.
    pub fn expire(&mut self, now: Timestamp, is: impl Fn(&RuleKey, &str, i64) -> bool) -> Vec<News> {
        let mut news = Vec::new();
        self.rules.retain(|key, record| {
            if !is(key, &record.uid, record.generation) {
                return false;
            }
            record
                .warnings
                .retain(|_, (_, last)| now.duration_since(*last) < WARNED);
            let over: Vec<String> = record
                .failures
                .iter()
                .filter(|(_, failure)| now.duration_since(failure.last) >= FORGET)
                .map(|(metric, _)| metric.clone())
                .collect();
            for metric in over {
                if let Some(over) = record.failures.remove(&metric) {
                    news.extend(record.ends(key, &over));
                }
            }
            !record.is_empty()
        });
        news
    }

    /// What there is to say now.
    pub fn outcomes(&self) -> Outcomes {
        let outcome = |record: &Record| Outcome {
            uid: record.uid.clone(),
            generation: record.generation,
            failing: record.oldest().map(|failure| failure.failing.clone()),
            warned: record
                .warnings
                .values()
                .map(|(warned, _)| warned.clone())
                .collect(),
        };
        self.rules
            .iter()
            .map(|(key, record)| (key.clone(), outcome(record)))
            .collect()
    }

    /// The record of a rule, empty where it was of another generation; `None` where there is no room for one.
    fn record(&mut self, about: About<'_>) -> Option<&mut Record> {
        if !self.rules.contains_key(about.rule) {
            let namespace = &about.rule.namespace;
            let of_namespace = self.rules.keys().filter(|key| key.namespace == *namespace);
            if self.rules.len() >= RULES || of_namespace.count() >= OF_NAMESPACE {
                return None;
            }
        }
        let empty = || Record {
            uid: about.uid.to_owned(),
            generation: about.generation,
            failures: BTreeMap::new(),
            warnings: BTreeMap::new(),
            told: None,
        };
        let record = self.rules.entry(about.rule.clone()).or_insert_with(empty);
        if record.uid != about.uid || record.generation < about.generation {
            *record = empty();
        }
        // A request that began before the edit says nothing about what is there now.
        (record.generation == about.generation).then_some(record)
    }
}

// === impl Record ===

impl Record {
    fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.warnings.is_empty()
    }

    fn oldest(&self) -> Option<&Failure> {
        self.failures
            .values()
            .min_by_key(|failure| (failure.failing.since, failure.failing.reason))
    }

    fn tell(&mut self, rule: &RuleKey, now: Timestamp) -> Option<News> {
        let oldest = self.oldest()?;
        let reason = oldest.failing.reason;
        let due = self
            .told
            .is_none_or(|(told, at)| told != reason || now.duration_since(at) >= AGAIN);
        let news = due.then(|| News::Fails {
            rule: rule.clone(),
            failing: Box::new(oldest.failing.clone()),
            count: oldest.count,
        });
        if due {
            self.told = Some((reason, now));
        }
        news
    }

    /// The news that the last failure is over.
    fn ends(&mut self, rule: &RuleKey, over: &Failure) -> Option<News> {
        if !self.failures.is_empty() || self.told.take().is_none() {
            return None;
        }
        Some(News::Over {
            rule: rule.clone(),
            reason: over.failing.reason,
            since: over.failing.since,
            count: over.count,
        })
    }
}

fn shortened(metric: &str) -> String {
    metric[..metric.floor_char_boundary(METRIC_MAX)].to_owned()
}

/// In whole seconds, as times in a status are.
fn second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
