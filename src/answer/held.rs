//! Answers of backends, held for as long as their rules let them be served again.

use std::{
    mem::size_of,
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use moka::future::Cache;
use tokio::time::Instant;

use crate::{
    backend::{Backend, Rows},
    metrics::Metrics,
    query::Ask,
};

/// About how many bytes all answers together may take; part of the sum in `backend::budget`.
const CAPACITY: u64 = 32 << 20;
/// An answer that takes more is not held: it would drive out those of many others.
const LARGEST: usize = 4 << 20;
/// What is larger makes room at once, and not when the cache next tidies up.
const TIDY: usize = 64 << 10;
/// The longest `refresh` of a rule; nothing is held for longer.
const LONGEST: Duration = Duration::from_mins(1);

/// An answer and when it was asked for.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) rows: Arc<Rows>,
    /// The instant of the evaluation.
    pub(super) at: Timestamp,
    /// The same on the clock that ages are read from.
    asked: Instant,
}

/// The answers that are held.
#[derive(Clone)]
pub(super) struct Held {
    answers: Cache<Key, Entry>,
    metrics: Metrics,
}

/// What must be the same for one answer to serve two requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    backend: Arc<str>,
    promql: Arc<str>,
    /// An answer within one bound may be beyond another.
    max_samples: Option<u64>,
    /// On whose behalf the backend is asked.
    namespace: Option<Arc<str>>,
}

#[derive(Clone)]
struct Entry {
    answer: Arc<Evaluated>,
    /// The client that it came from: one with other settings or credentials might say something else.
    client: Weak<dyn Backend>,
}

// === impl Evaluated ===

impl Evaluated {
    /// The answer to a query that was sent at `asked`.
    pub(super) fn new(rows: Arc<Rows>, at: Timestamp, asked: Instant) -> Self {
        Self { rows, at, asked }
    }

    /// About its size in memory, in bytes.
    fn weight(&self) -> usize {
        size_of::<Self>() + self.rows.weight()
    }
}

// === impl Held ===

impl Held {
    pub(super) fn new(metrics: Metrics) -> Self {
        let weigh = |key: &Key, entry: &Entry| {
            let weight = key.promql.len() + size_of::<Key>() + entry.answer.weight();
            u32::try_from(weight).unwrap_or(u32::MAX)
        };
        Self {
            answers: Cache::builder()
                .max_capacity(CAPACITY)
                .weigher(weigh)
                .time_to_live(LONGEST)
                .build(),
            metrics,
        }
    }

    /// An answer of `client` to this very query that is younger than the rule's `refresh`.
    pub(super) async fn get(
        &self,
        ask: &Ask,
        namespace: Option<&Arc<str>>,
        client: &Arc<dyn Backend>,
    ) -> Option<Arc<Evaluated>> {
        if ask.refresh.is_zero() {
            return None;
        }
        let entry = self.answers.get(&Key::of(ask, namespace)).await;
        let answer = entry
            .filter(|entry| entry.client.ptr_eq(&Arc::downgrade(client)))
            .map(|entry| entry.answer)
            .filter(|answer| answer.asked.elapsed() < ask.refresh);
        self.metrics.server.answer(answer.is_some());
        answer
    }

    /// Holds an answer, unless its rule wants every request to ask anew. An older one gives way to it.
    pub(super) async fn put(
        &self,
        ask: &Ask,
        namespace: Option<&Arc<str>>,
        client: &Arc<dyn Backend>,
        answer: &Arc<Evaluated>,
    ) {
        let weight = answer.weight();
        if ask.refresh.is_zero() || weight > LARGEST {
            return;
        }
        let entry = Entry {
            answer: answer.clone(),
            client: Arc::downgrade(client),
        };
        // From here on they count among what is held.
        answer.rows.count_elsewhere();
        self.answers.insert(Key::of(ask, namespace), entry).await;
        if weight > TIDY {
            self.answers.run_pending_tasks().await;
        }
        self.metrics.server.answers_held(self.answers.weighted_size());
    }
}

// === impl Key ===

impl Key {
    fn of(ask: &Ask, namespace: Option<&Arc<str>>) -> Self {
        Self {
            backend: ask.backend.name.clone(),
            promql: ask.promql.clone(),
            max_samples: ask.max_samples,
            namespace: namespace.cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::BoxFuture};

    use super::*;
    use crate::{
        backend::{BackendError, BuildInfo, Evaluation, InstantQuery, ListedSeries, SeriesQuery},
        rule::testing::{REQUESTS, compiled},
        sample::{InstantVector, Sample},
    };

    struct Silent;

    impl Backend for Silent {
        fn instant(&self, query: InstantQuery) -> BoxFuture<'_, Result<Evaluation, BackendError>> {
            async move {
                Ok(Evaluation {
                    rows: Arc::default(),
                    at: query.at,
                    asked: Instant::now(),
                })
            }
            .boxed()
        }

        fn series(&self, _: SeriesQuery) -> BoxFuture<'_, Result<ListedSeries, BackendError>> {
            async { Ok(ListedSeries::default()) }.boxed()
        }

        fn probe(&self, _: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
            async { Ok(BuildInfo::default()) }.boxed()
        }
    }

    fn ask(promql: &str, refresh: u64) -> Ask {
        let (_, rule) = compiled("shop/requests", REQUESTS);
        Ask {
            backend: rule.backend.clone().unwrap(),
            promql: promql.into(),
            max_samples: Some(10),
            refresh: Duration::from_secs(refresh),
        }
    }

    fn client() -> Arc<dyn Backend> {
        Arc::new(Silent)
    }

    fn now() -> Arc<Evaluated> {
        Arc::new(Evaluated::new(
            Arc::default(),
            Timestamp::UNIX_EPOCH,
            Instant::now(),
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_served_until_it_is_as_old_as_the_rule_allows() {
        let (held, client, ask) = (Held::new(Metrics::new()), client(), ask("up", 5));
        let answer = now();
        held.put(&ask, None, &client, &answer).await;
        tokio::time::advance(Duration::from_millis(4_999)).await;
        let served = held.get(&ask, None, &client).await.unwrap();
        assert!(Arc::ptr_eq(&served, &answer), "with the time of its query");
        let patient = Ask {
            refresh: Duration::from_mins(1),
            ..ask.clone()
        };
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(held.get(&ask, None, &client).await.is_none());
        assert!(
            held.get(&patient, None, &client).await.is_some(),
            "how long is each rule's own choice"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_may_want_every_request_to_ask() {
        let (held, client) = (Held::new(Metrics::new()), client());
        held.put(&ask("up", 0), None, &client, &now()).await;
        assert!(
            held.get(&ask("up", 60), None, &client).await.is_none(),
            "nothing was held"
        );
        held.put(&ask("up", 60), None, &client, &now()).await;
        assert!(held.get(&ask("up", 0), None, &client).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_same_question_to_the_same_client_has_the_same_answer() {
        let (held, client, shop) = (Held::new(Metrics::new()), client(), Arc::from("shop"));
        held.put(&ask("up", 60), Some(&shop), &client, &now()).await;
        let bound = Ask {
            max_samples: None,
            ..ask("up", 60)
        };
        assert!(held.get(&ask("up", 60), Some(&shop), &client).await.is_some());
        assert!(held.get(&ask("down", 60), Some(&shop), &client).await.is_none());
        assert!(held.get(&ask("up", 60), None, &client).await.is_none());
        assert!(held.get(&bound, Some(&shop), &client).await.is_none());
        let rebuilt = self::client();
        assert!(held.get(&ask("up", 60), Some(&shop), &rebuilt).await.is_none());
    }

    fn of_size(bytes: usize) -> Arc<Evaluated> {
        let labels = [("text", "x".repeat(bytes))].into_iter().collect();
        let sample = Sample {
            labels,
            value: 1.0,
            timestamp: Timestamp::UNIX_EPOCH,
        };
        let rows = InstantVector {
            samples: vec![sample],
            ..InstantVector::default()
        };
        Arc::new(Evaluated::new(
            Arc::new(rows.into()),
            Timestamp::UNIX_EPOCH,
            Instant::now(),
        ))
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_large_answers_stays_within_the_bound() {
        let (held, client) = (Held::new(Metrics::new()), client());
        for number in 0..60 {
            let ask = ask(&format!("q{number}"), 60);
            held.put(&ask, None, &client, &of_size(1 << 20)).await;
            assert!(held.answers.weighted_size() <= CAPACITY);
        }
        assert!(held.answers.weighted_size() > CAPACITY / 2);
        let huge = ask("huge", 60);
        held.put(&huge, None, &client, &of_size(LARGEST)).await;
        assert!(held.get(&huge, None, &client).await.is_none());
    }
}
