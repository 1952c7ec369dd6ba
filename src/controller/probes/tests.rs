use futures::{FutureExt as _, future::BoxFuture};

use super::*;
use crate::{
    backend::{Backend, BackendError, BuildInfo, Evaluation, InstantQuery, ListedSeries, SeriesQuery},
    controller::leadership::leadership,
    rule::testing::index,
};

/// A backend whose probe ends so.
struct Stub(Result<BuildInfo, BackendError>);

impl Backend for Stub {
    fn instant(&self, _: InstantQuery) -> BoxFuture<'_, Result<Evaluation, BackendError>> {
        async { Err(BackendError::new(Reason::Internal, "not asked")) }.boxed()
    }

    fn series(&self, _: SeriesQuery) -> BoxFuture<'_, Result<ListedSeries, BackendError>> {
        async { Err(BackendError::new(Reason::Internal, "not asked")) }.boxed()
    }

    fn probe(&self, _: Instant) -> BoxFuture<'_, Result<BuildInfo, BackendError>> {
        let outcome = self.0.clone();
        async { outcome }.boxed()
    }
}

fn stub(outcome: Result<BuildInfo, BackendError>) -> Arc<dyn Backend> {
    Arc::new(Stub(outcome))
}

#[tokio::test]
async fn a_probe_that_gets_no_slot_says_nothing_about_the_backend() {
    let waited = BackendError::new(Reason::Throttled, "limits.maxConcurrent (16) kept it waiting");
    assert_eq!(probe("default", Ok(stub(Err(waited)))).await, None);
    let down = BackendError::new(Reason::BackendDown, "the backend cannot be reached");
    let expected = Probe::Failed {
        reason: Reason::BackendDown,
        message: "the backend cannot be reached".to_owned(),
    };
    assert_eq!(probe("default", Ok(stub(Err(down)))).await, Some(expected));
    assert_eq!(
        probe("default", Ok(stub(Ok(BuildInfo::default())))).await,
        Some(Probe::Answered {
            version: None,
            clock_offset: None,
        })
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_former_term_found_out_is_forgotten_when_the_next_begins() {
    let table = index().table();
    let (claim, leadership) = leadership();
    let (probes, mut receiver) = watch::channel(Arc::default());
    claim.held(Instant::now() + Duration::from_mins(1));
    let first = leadership.term().unwrap();
    begin(&probes, first, &table);
    let answered = Probe::Answered {
        version: None,
        clock_offset: None,
    };
    publish(&probes, |known| {
        known.of.insert("default".into(), (1, answered.clone()));
        known.of.insert("gone".into(), (1, answered.clone()));
    });
    // A round of the same term keeps what the last one said until it has asked again.
    begin(&probes, first, &table);
    let known = receiver.borrow_and_update().clone();
    assert_eq!(
        (known.term, known.of.keys().map(|name| &**name).collect()),
        (Some(first), vec!["default"])
    );

    claim.lost();
    claim.held(Instant::now() + Duration::from_mins(1));
    let second = leadership.term().unwrap();
    begin(&probes, second, &table);
    let known = receiver.borrow_and_update().clone();
    assert_eq!((known.term, known.of.len()), (Some(second), 0));
}
