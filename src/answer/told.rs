//! Outcome of a request, as the operator's own metrics, the log and the logbook record it.

use jiff::Timestamp;

use super::{Answerer, Trace};
use crate::{
    catalog::Served,
    logbook::Query,
    outcome::is_warning,
    query::{Failure, Tally},
    reason::Reason,
};

// === impl Answerer ===

impl Answerer {
    /// Tells what the backend said, and what the projection made of its rows.
    pub(super) async fn tell(&self, trace: &Trace) {
        let (Ok(served), Some(outcome), Some(projection)) =
            (&trace.resolved, &trace.outcome, &trace.projection)
        else {
            return;
        };
        if let Some(said) = outcome.rows.warnings.first() {
            let (query, now) = (query(served), Timestamp::now());
            self.logbook
                .warned(query, Reason::BackendWarning, Some(said), now);
        }
        self.count(&projection.tally());
        if projection.items.is_ok() {
            self.warn(served, &projection.warnings).await;
        }
    }

    /// Notes how a request for a metric of a rule ended. `asked`: its backend has answered.
    pub(super) fn note(&self, served: &Served, asked: bool, tally: &Tally, failure: Option<&Failure>) {
        let (query, now) = (query(served), Timestamp::now());
        // No row is an answer, too.
        if failure.map_or(asked, |failure| failure.reason == Reason::NoData) {
            self.logbook.succeeded(query, now);
        }
        if let Some(failure) = failure {
            let words = failure.words.as_ref();
            let said = words.and_then(|words| words.said.as_deref());
            let detail = words.map_or(failure.cause.as_str(), |words| &words.detail);
            self.logbook
                .failed(query, failure.reason, &failure.cause, (said, detail), now);
        }
        for reason in tally.dropped.keys() {
            if is_warning(*reason) {
                self.logbook.warned(query, *reason, None, now);
            }
        }
    }

    fn count(&self, tally: &Tally) {
        for (reason, count) in &tally.dropped {
            self.metrics.server.rows_dropped(reason.code(), *count);
        }
        if tally.clamped > 0 {
            self.metrics.server.values_clamped(tally.clamped);
        }
        if tally.negative > 0 {
            self.metrics.server.values_negative(tally.negative);
        }
    }

    async fn warn(&self, served: &Served, warnings: &[String]) {
        if warnings.is_empty() {
            return;
        }
        let rule = served.rule.key().to_string();
        if self.warned.entry(rule.clone()).or_insert(()).await.is_fresh() {
            let warnings = warnings.join("; ");
            tracing::warn!(rule, metric = %served.metric.name, warnings, "query answered with warnings");
        }
    }
}

fn query(served: &Served) -> Query<'_> {
    Query {
        rule: &served.rule,
        metric: &served.metric.name,
    }
}
