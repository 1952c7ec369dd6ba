//! Outcome of a request, as the logbook records it.

use jiff::Timestamp;

use super::{Answerer, Placed};
use crate::{
    catalog::Served,
    logbook::Query,
    outcome::is_warning,
    query::{Answer, Failure, Tally},
    reason::Reason,
};

// === impl Answerer ===

impl Answerer {
    /// Notes how a request for a metric of a rule ended.
    pub(super) fn note<T>(
        &self,
        served: &Served,
        outcome: Result<Placed<Answer<T>>, Failure>,
    ) -> Result<Placed<Answer<T>>, Failure> {
        let (query, now) = (query(served), Timestamp::now());
        let tally = match &outcome {
            Ok(answer) => &answer.tally,
            Err(failure) => {
                // No row is an answer, too.
                if failure.reason == Reason::NoData {
                    self.logbook.succeeded(query, now);
                }
                let words = failure.words.as_ref();
                let said = words.and_then(|words| words.said.as_deref());
                let detail = words.map_or(failure.cause.as_str(), |words| &words.detail);
                self.logbook
                    .failed(query, failure.reason, &failure.cause, (said, detail), now);
                &failure.tally
            }
        };
        self.note_dropped(served, tally, now);
        outcome
    }

    /// Notes that the query of a rule gave an answer.
    pub(super) fn note_answered(&self, served: &Served) {
        self.logbook.succeeded(query(served), Timestamp::now());
    }

    /// Notes the warnings that the backend's own answer carries.
    pub(super) fn note_warnings(&self, served: &Served, warnings: &[String]) {
        if let Some(said) = warnings.first() {
            self.logbook.warned(
                query(served),
                Reason::BackendWarning,
                Some(said),
                Timestamp::now(),
            );
        }
    }

    fn note_dropped(&self, served: &Served, tally: &Tally, now: Timestamp) {
        for reason in tally.dropped.keys() {
            if is_warning(*reason) {
                self.logbook.warned(query(served), *reason, None, now);
            }
        }
    }
}

fn query(served: &Served) -> Query<'_> {
    Query {
        rule: &served.rule,
        metric: &served.metric.name,
    }
}
