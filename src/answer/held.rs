//! Answers of backends, held for as long as their rules let them be served again.

use std::{
    mem::size_of,
    sync::{Arc, Weak},
    time::Duration,
};

use moka::future::Cache;

use crate::{
    backend::{Backend, Evaluation, InstantQuery, QueryKey},
    metrics::Metrics,
};

/// About how many bytes all answers together may take; part of the sum in `backend::budget`.
const CAPACITY: u64 = 32 << 20;
/// An answer that takes more is not held: it would drive out those of many others.
const LARGEST: usize = 4 << 20;
/// What is larger makes room at once, and not when the cache next tidies up.
const TIDY: usize = 64 << 10;
/// The longest `refresh` of a rule; nothing is held for longer.
const LONGEST: Duration = Duration::from_mins(1);

/// The answers that are held.
#[derive(Clone)]
pub(super) struct Held {
    answers: Cache<Key, Entry>,
    metrics: Metrics,
}

/// What must be the same for one answer to serve two requests: the backend's name, and the query.
type Key = (Arc<str>, QueryKey);

#[derive(Clone)]
struct Entry {
    answer: Evaluation,
    /// The client that it came from: one with other settings or credentials might say something else.
    client: Weak<dyn Backend>,
}

// === impl Held ===

impl Held {
    pub(super) fn new(metrics: Metrics) -> Self {
        let weigh = |key: &Key, entry: &Entry| {
            let weight = key.1.promql.len() + size_of::<Key>() + weight(&entry.answer);
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

    /// An answer of `client`, that of `backend`, to this very query that is younger than the rule's `refresh`.
    pub(super) async fn get(
        &self,
        backend: &Arc<str>,
        query: &InstantQuery,
        client: &Arc<dyn Backend>,
    ) -> Option<Evaluation> {
        if query.refresh.is_zero() {
            return None;
        }
        let entry = self.answers.get(&(backend.clone(), query.key())).await;
        let answer = entry
            .filter(|entry| entry.client.ptr_eq(&Arc::downgrade(client)))
            .map(|entry| entry.answer)
            .filter(|answer| answer.asked.elapsed() < query.refresh);
        self.metrics.server.answer(answer.is_some());
        answer
    }

    /// Holds an answer, unless its rule wants every request to ask anew. An older one gives way to it.
    pub(super) async fn put(
        &self,
        backend: &Arc<str>,
        query: &InstantQuery,
        client: &Arc<dyn Backend>,
        answer: &Evaluation,
    ) {
        let weight = weight(answer);
        if query.refresh.is_zero() || weight > LARGEST {
            return;
        }
        let entry = Entry {
            answer: answer.clone(),
            client: Arc::downgrade(client),
        };
        // From here on they count among what is held.
        answer.rows.count_elsewhere();
        let key = (backend.clone(), query.key());
        self.answers.insert(key, entry).await;
        if weight > TIDY {
            self.answers.run_pending_tasks().await;
        }
        self.metrics.server.answers_held(self.answers.weighted_size());
    }
}

/// About the size of an answer in memory, in bytes.
fn weight(answer: &Evaluation) -> usize {
    size_of::<Evaluation>() + answer.rows.weight()
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::BoxFuture};
    use jiff::Timestamp;
    use tokio::time::Instant;

    use super::*;
    use crate::{
        backend::{BackendError, BuildInfo, ListedSeries, Rows, SeriesQuery},
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

    fn query(promql: &str, refresh: u64) -> InstantQuery {
        InstantQuery {
            promql: promql.into(),
            at: Timestamp::UNIX_EPOCH,
            deadline: Instant::now(),
            max_samples: Some(10),
            namespace: Some("shop".into()),
            rule: None,
            refresh: Duration::from_secs(refresh),
        }
    }

    fn name() -> Arc<str> {
        "default".into()
    }

    fn client() -> Arc<dyn Backend> {
        Arc::new(Silent)
    }

    fn now() -> Evaluation {
        of(Arc::default())
    }

    fn of(rows: Arc<Rows>) -> Evaluation {
        Evaluation {
            rows,
            at: Timestamp::UNIX_EPOCH,
            asked: Instant::now(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_served_until_it_is_as_old_as_the_rule_allows() {
        let (held, name, client) = (Held::new(Metrics::new()), name(), client());
        let answer = now();
        held.put(&name, &query("up", 5), &client, &answer).await;
        tokio::time::advance(Duration::from_millis(4_999)).await;
        let served = held.get(&name, &query("up", 5), &client).await.unwrap();
        assert!(
            Arc::ptr_eq(&served.rows, &answer.rows),
            "with the time of its query"
        );
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(held.get(&name, &query("up", 5), &client).await.is_none());
        assert!(
            held.get(&name, &query("up", 60), &client).await.is_some(),
            "how long is each rule's own choice"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_may_want_every_request_to_ask() {
        let (held, name, client) = (Held::new(Metrics::new()), name(), client());
        held.put(&name, &query("up", 0), &client, &now()).await;
        assert!(
            held.get(&name, &query("up", 60), &client).await.is_none(),
            "nothing was held"
        );
        held.put(&name, &query("up", 60), &client, &now()).await;
        assert!(held.get(&name, &query("up", 0), &client).await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_same_question_to_the_same_client_has_the_same_answer() {
        let (held, name, client) = (Held::new(Metrics::new()), name(), client());
        let asked = query("up", 60);
        held.put(&name, &asked, &client, &now()).await;
        assert!(held.get(&name, &asked, &client).await.is_some());
        let unbounded = InstantQuery {
            max_samples: None,
            ..asked.clone()
        };
        let of = |namespace: Option<&str>| InstantQuery {
            namespace: namespace.map(Into::into),
            ..asked.clone()
        };
        for other in [query("down", 60), unbounded, of(None), of(Some("bank"))] {
            assert!(held.get(&name, &other, &client).await.is_none(), "{other:?}");
        }
        assert!(held.get(&"second".into(), &asked, &client).await.is_none());
        assert!(held.get(&name, &asked, &self::client()).await.is_none());
    }

    fn of_size(bytes: usize) -> Evaluation {
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
        of(Arc::new(rows.into()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_large_answers_stays_within_the_bound() {
        let (held, name, client) = (Held::new(Metrics::new()), name(), client());
        for number in 0..60 {
            let query = query(&format!("q{number}"), 60);
            held.put(&name, &query, &client, &of_size(1 << 20)).await;
            assert!(held.answers.weighted_size() <= CAPACITY);
        }
        assert!(held.answers.weighted_size() > CAPACITY / 2);
        let huge = query("huge", 60);
        held.put(&name, &huge, &client, &of_size(LARGEST)).await;
        assert!(held.get(&name, &huge, &client).await.is_none());
    }
}
