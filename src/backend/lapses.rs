//! Queries that time out although their backend answers others, and namespaces that have many of those.
//!
//! Pure. A query that lapsed is not asked again for some seconds, then ever more rarely; and whoever asks for it then waits for a
//! moment only, while it runs on behind their back: so a slow query costs an HPA's worker one timeout, once. In a namespace with
//! several of them lately only what is known to answer is asked as usual, and of the rest one query at a time.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::QueryKey;
use crate::api::RuleKey;

/// For how long a query is not asked again that lapsed once, doubled up to the longest.
const FIRST_HOLD: Duration = Duration::from_secs(5);
const LONGEST_HOLD: Duration = Duration::from_mins(1);
/// A lapse after a calm of this length is a first one again.
const CALM: Duration = Duration::from_mins(5);
/// So many lapses in so short a time make a namespace a slow one.
const STRIKES: usize = 3;
const STRIKE: Duration = Duration::from_mins(1);
/// A try that has not ended by then never will.
const LONGEST_TRY: Duration = Duration::from_mins(3);
/// What is remembered: queries and rules of one namespace, and namespaces.
const QUERIES: usize = 256;
const RULES: usize = 256;
const NAMESPACES: usize = 1024;

/// How a query is to be asked now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As usual.
    Ask,
    /// Once more, without making anyone wait for long.
    Try(Lapse),
    /// Not at all.
    Refuse(Lapse),
}

/// Why a query is not asked as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lapse {
    /// How often the query lapsed; 0 where it is other queries of the namespace that do.
    pub(super) times: u32,
    /// How long it will not be asked yet.
    pub(super) left: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Lapses {
    namespaces: HashMap<Option<Arc<str>>, Slow>,
}

#[derive(Debug, Default)]
struct Slow {
    queries: HashMap<QueryKey, Record>,
    /// The last lapses.
    strikes: VecDeque<Instant>,
    /// Whether the rule's last query was answered.
    rules: HashMap<Arc<RuleKey>, bool>,
    /// The one query that finds out whether the namespace is still slow.
    attempt: Option<(QueryKey, Instant)>,
}

#[derive(Debug)]
struct Record {
    times: u32,
    last: Instant,
    until: Instant,
    attempt: Option<Instant>,
}

// === impl Lapses ===

impl Lapses {
    /// Whether a query is to be asked; who is told to try says later what became of it.
    pub(super) fn ask(&mut self, key: &QueryKey, rule: Option<&Arc<RuleKey>>, now: Instant) -> Verdict {
        let Some(slow) = self.namespaces.get_mut(&key.namespace) else {
            return Verdict::Ask;
        };
        let is_tried = |since: Option<Instant>| since.is_some_and(|since| now < since + LONGEST_TRY);
        if let Some(record) = slow.queries.get_mut(key) {
            let lapse = Lapse {
                times: record.times,
                left: record.until.saturating_duration_since(now),
            };
            if !lapse.left.is_zero() || is_tried(record.attempt) {
                return Verdict::Refuse(lapse);
            }
            record.attempt = Some(now);
            return Verdict::Try(lapse);
        }
        let known = rule.and_then(|rule| slow.rules.get(rule)).copied();
        if !slow.is_slow(now) || known == Some(true) {
            return Verdict::Ask;
        }
        let lapse = Lapse::OF_NAMESPACE;
        if is_tried(slow.attempt.as_ref().map(|(_, since)| *since)) {
            return Verdict::Refuse(lapse);
        }
        slow.attempt = Some((key.clone(), now));
        Verdict::Try(lapse)
    }

    /// Whether a query that waited for its turn is not to be asked any more: its namespace has become a slow one meanwhile.
    pub(super) fn is_overtaken(&self, key: &QueryKey, rule: Option<&Arc<RuleKey>>, now: Instant) -> bool {
        self.namespaces.get(&key.namespace).is_some_and(|slow| {
            let is_tried = slow.attempt.as_ref().is_some_and(|(tried, _)| tried == key);
            let answers = rule.is_some_and(|rule| slow.rules.get(rule) == Some(&true));
            slow.is_slow(now) && !is_tried && !answers && !slow.queries.contains_key(key)
        })
    }

    /// The backend answered the query, with whatever.
    pub(super) fn answered(&mut self, key: &QueryKey, rule: Option<&Arc<RuleKey>>) {
        let Some(slow) = self.namespaces.get_mut(&key.namespace) else {
            return;
        };
        slow.queries.remove(key);
        if slow.end_attempt(key) {
            slow.strikes.clear();
        }
        slow.note(rule, true);
        if slow.queries.is_empty() && slow.strikes.is_empty() {
            self.namespaces.remove(&key.namespace);
        }
    }

    /// The query took longer than it may. `spread`, of 0 to 1, is this replica's jitter.
    pub(super) fn lapsed(&mut self, key: &QueryKey, rule: Option<&Arc<RuleKey>>, now: Instant, spread: f64) {
        if self.namespaces.len() >= NAMESPACES && !self.namespaces.contains_key(&key.namespace) {
            self.namespaces.retain(|_, slow| slow.is_slow(now));
            if self.namespaces.len() >= NAMESPACES {
                return;
            }
        }
        let slow = self.namespaces.entry(key.namespace.clone()).or_default();
        slow.end_attempt(key);
        slow.note(rule, false);
        slow.strikes.push_back(now);
        if slow.strikes.len() > STRIKES {
            slow.strikes.pop_front();
        }
        let before = slow
            .queries
            .remove(key)
            .filter(|record| now < record.last + LONGEST_HOLD + CALM)
            .map_or(0, |record| record.times);
        if slow.queries.len() >= QUERIES {
            slow.queries
                .retain(|_, record| now < record.until || record.attempt.is_some());
            if slow.queries.len() >= QUERIES {
                return;
            }
        }
        let hold = FIRST_HOLD.saturating_mul(1 << before.min(8)).min(LONGEST_HOLD);
        let record = Record {
            times: before.saturating_add(1),
            last: now,
            until: now + hold.mul_f64(0.9 + spread.clamp(0.0, 1.0) / 5.0),
            attempt: None,
        };
        slow.queries.insert(key.clone(), record);
    }

    /// It is not known what the query would have come to: it was not asked, or given up.
    pub(super) fn ended(&mut self, key: &QueryKey) {
        if let Some(slow) = self.namespaces.get_mut(&key.namespace) {
            slow.end_attempt(key);
            if let Some(record) = slow.queries.get_mut(key) {
                record.attempt = None;
            }
        }
    }

    /// It was the backend, not the queries.
    pub(super) fn clear(&mut self) {
        self.namespaces.clear();
    }

    /// How many queries are remembered.
    pub(super) fn len(&self) -> usize {
        self.namespaces.values().map(|slow| slow.queries.len()).sum()
    }
}

// === impl Slow ===

impl Slow {
    fn is_slow(&self, now: Instant) -> bool {
        let lately = self.strikes.iter().filter(|at| now < **at + STRIKE);
        lately.count() >= STRIKES
    }

    /// Whether the query was the one that finds out.
    fn end_attempt(&mut self, key: &QueryKey) -> bool {
        self.attempt.take_if(|(tried, _)| tried == key).is_some()
    }

    fn note(&mut self, rule: Option<&Arc<RuleKey>>, was_answered: bool) {
        let Some(rule) = rule else { return };
        if self.rules.len() >= RULES && !self.rules.contains_key(rule) {
            self.rules.clear();
        }
        self.rules.insert(rule.clone(), was_answered);
    }
}

// === impl Lapse ===

impl Lapse {
    pub(super) const OF_NAMESPACE: Self = Self {
        times: 0,
        left: Duration::ZERO,
    };

    /// What happened, fit for any client. The words stay the same while it lasts: they go into conditions and Events.
    pub(super) fn cause(self) -> &'static str {
        if self.times == 0 {
            "several queries of this namespace recently took longer than the backend's timeout, so the operator \
             sends queries that are not known to work one at a time; make the slow ones cheaper"
        } else {
            "this query took longer than the backend's timeout, and the operator tries it again within a minute; make it cheaper"
        }
    }
}
