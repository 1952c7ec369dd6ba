//! Logbook of this replica's queries: what they come to, told to the log, to the own metrics, and to whoever writes
//! statuses. Any replica may be the one that kube-apiserver asks, so each keeps one.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use crate::{
    metrics::RuleMetrics,
    outcome::{
        About, Failed, Ledger, News, Outcomes, Quotable,
        ledger::{AGAIN, LOOK},
        quoted,
    },
    reason::Reason,
    rule::{CompiledRule, RuleTable},
};

/// A burst of outcomes is published once.
const SETTLE: Duration = Duration::from_secs(1);
/// Lines about rules that fail in one minute; a neighbour's broken rules must not drown what else is to be read.
const LINES: u32 = 60;
/// Of those, the most about one namespace's rules.
const LINES_OF_NAMESPACE: u32 = 20;
/// The longest cause and detail that are kept, in bytes.
const CAUSE_MAX: usize = 512;
const DETAIL_MAX: usize = 2048;

/// Where outcomes are written. A clone is the same book.
#[derive(Clone, Debug)]
pub struct Logbook(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Mutex<Ledger>,
    /// Whether the ledger holds anything: a query that is answered need not look otherwise.
    any: AtomicBool,
    news: Notify,
    published: watch::Sender<Arc<Outcomes>>,
    lines: Mutex<Lines>,
    metrics: RuleMetrics,
}

/// What was written in the present minute.
#[derive(Debug)]
struct Lines {
    minute: Instant,
    written: u32,
    /// By the namespace of the rule.
    by: BTreeMap<Option<String>, u32>,
    left_out: u32,
}

/// A query of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The rule.
    pub rule: &'a CompiledRule,
    /// The metric that was asked for.
    pub metric: &'a str,
}

// === impl Logbook ===

impl Logbook {
    /// An empty one, and what it publishes.
    pub fn new(metrics: RuleMetrics) -> (Self, watch::Receiver<Arc<Outcomes>>) {
        let (published, receiver) = watch::channel(Arc::default());
        let inner = Inner {
            ledger: Mutex::default(),
            any: AtomicBool::new(false),
            news: Notify::new(),
            published,
            lines: Mutex::new(Lines {
                minute: Instant::now(),
                written: 0,
                by: BTreeMap::new(),
                left_out: 0,
            }),
            metrics,
        };
        (Self(Arc::new(inner)), receiver)
    }

    /// Publishes what is written, and lets go of what is over or belongs to no rule of `tables`, for as long as it is polled.
    pub async fn run(self, mut tables: watch::Receiver<Arc<RuleTable>>) -> Infallible {
        loop {
            self.look(&tables.borrow_and_update().clone());
            tokio::select! {
                () = self.0.news.notified() => {}
                () = sleep(LOOK) => {}
                changed = tables.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                }
            }
            sleep(SETTLE).await;
        }
    }

    /// A query failed at `now`. `said`: the `error` of the backend's API; `detail`: all that is known, without credentials.
    pub fn failed(
        &self,
        query: Query<'_>,
        reason: Reason,
        cause: &str,
        (said, detail): (Option<&str>, &str),
        now: Timestamp,
    ) {
        let failed = Failed {
            reason,
            cause: cut(cause, CAUSE_MAX).to_owned(),
            said: said.map(|said| query.quote(said)),
            detail: cut(detail, DETAIL_MAX).to_owned(),
        };
        let news = self.ledger().failed(query.about(), failed, now);
        if let Some(news) = news {
            self.0.any.store(true, Ordering::Relaxed);
            self.tell(&news);
            self.0.news.notify_one();
        }
    }

    /// A query was answered at `now`.
    pub fn succeeded(&self, query: Query<'_>, now: Timestamp) {
        if !self.0.any.load(Ordering::Relaxed) {
            return;
        }
        let news = self.ledger().succeeded(query.about(), now);
        if let Some(news) = news {
            self.tell(&news);
            self.0.news.notify_one();
        }
    }

    /// An answer came with a warning. `said`: the backend's words.
    pub fn warned(&self, query: Query<'_>, reason: Reason, said: Option<&str>, now: Timestamp) {
        let said = said.map(|said| query.quote(said));
        self.ledger().warned(query.about(), reason, said.as_deref(), now);
        if !self.0.any.swap(true, Ordering::Relaxed) {
            self.0.news.notify_one();
        }
    }

    fn look(&self, table: &RuleTable) {
        let (news, outcomes) = {
            let mut ledger = self.ledger();
            let news = ledger.expire(Timestamp::now(), |key, uid, generation| {
                !table.synced
                    || table
                        .get(key)
                        .is_some_and(|rule| rule.object.uid == uid && rule.object.generation <= generation)
            });
            self.0.any.store(!ledger.is_empty(), Ordering::Relaxed);
            (news, ledger.outcomes())
        };
        for news in &news {
            self.tell(news);
        }
        self.0
            .metrics
            .failing(outcomes.iter().filter_map(|(key, outcome)| {
                let failing = outcome.failing.as_ref()?;
                Some((
                    key.namespace.as_deref().unwrap_or_default(),
                    key.name.as_str(),
                    failing.reason.code(),
                ))
            }));
        self.0.published.send_if_modified(|known| {
            let changed = **known != outcomes;
            if changed {
                *known = Arc::new(outcomes);
            }
            changed
        });
    }

    fn tell(&self, news: &News) {
        let (News::Fails { rule, .. } | News::Over { rule, .. }) = news;
        if !self.has_a_line(rule.namespace.as_deref()) {
            return;
        }
        match news {
            News::Fails { rule, failing, count } => tracing::warn!(
                %rule,
                metric = failing.metric,
                backend = failing.backend,
                reason = failing.reason.code(),
                since = %failing.since,
                count,
                detail = failing.detail,
                "the queries of a rule fail; this message repeats at most once in {} minutes",
                AGAIN.as_mins()
            ),
            News::Over {
                rule,
                reason,
                since,
                count,
            } => tracing::info!(
                %rule,
                reason = reason.code(),
                %since,
                count,
                "the queries of a rule no longer fail, or nobody requests its metrics"
            ),
        }
    }

    fn has_a_line(&self, namespace: Option<&str>) -> bool {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.minute.elapsed() >= Duration::from_mins(1) {
            if lines.left_out > 0 {
                tracing::warn!(
                    left_out = lines.left_out,
                    "more messages about rules with failing queries were suppressed"
                );
            }
            *lines = Lines {
                minute: Instant::now(),
                written: 0,
                by: BTreeMap::new(),
                left_out: 0,
            };
        }
        let namespace = namespace.map(ToOwned::to_owned);
        let of_namespace = lines.by.get(&namespace).copied().unwrap_or(0);
        if lines.written >= LINES || of_namespace >= LINES_OF_NAMESPACE {
            lines.left_out += 1;
            return false;
        }
        lines.written += 1;
        lines.by.insert(namespace, of_namespace + 1);
        true
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Query ===

impl Query<'_> {
    fn about(&self) -> About<'_> {
        About {
            rule: self.rule.key(),
            uid: &self.rule.object.uid,
            generation: self.rule.object.generation,
            metric: self.metric,
            backend: self.rule.backend.as_ref().map_or("", |backend| &*backend.name),
        }
    }

    /// What the backend said, for those who may read the rule.
    fn quote(&self, said: &str) -> String {
        let key = self.rule.key();
        let mut known = vec![self.metric, key.name.as_str()];
        known.extend(key.namespace.as_deref());
        if let Ok(spec) = &self.rule.object.spec {
            known.push(&spec.metrics_query);
            known.extend(spec.series_query.as_deref());
        }
        quoted(said, Quotable(&known))
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests;
