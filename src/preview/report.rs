//! Report of a preview, for people and programs alike.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{query::Failure, reason::Reason};

/// The whole.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// In the order of the files.
    pub rules: Vec<RuleReport>,
    /// What holds for all of them.
    pub notes: Vec<String>,
}

/// One rule.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    /// Kind, namespace and name.
    pub rule: String,
    /// Where it stands.
    pub file: String,
    /// Whether the compiler takes it.
    pub accepted: bool,
    /// Errors first.
    pub findings: Vec<Finding>,
    /// The backend that it uses, where there is one.
    pub backend: Option<BackendReport>,
    /// Its series; none for a static rule.
    pub series: Option<SeriesReport>,
    /// Its metrics, in order.
    pub metrics: Vec<MetricReport>,
    /// The HPAs that use its metrics; `None` without a cluster.
    pub hpas: Option<Vec<HpaReport>>,
}

/// Something that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The reason's code.
    pub reason: &'static str,
    /// The file.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// The field.
    pub path: String,
    /// The cause and the next step.
    pub message: String,
}

/// A backend, and how it was reached.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendReport {
    /// Its name.
    pub name: String,
    /// Its address, or the port-forward to it.
    pub way: String,
    /// Why it was not reached.
    pub problem: Option<String>,
}

/// What became of a rule's series.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeriesReport {
    /// What the backend was asked for.
    pub selector: String,
    /// How many it has.
    pub found: usize,
    /// Why there are none.
    pub problem: Option<String>,
    /// What came to nothing.
    pub dropped: Vec<Dropped>,
}

/// Series that came to nothing for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Dropped {
    /// The reason's code.
    pub reason: &'static str,
    /// How many.
    pub count: usize,
    /// Some of them.
    pub sample: Vec<String>,
    /// What the reason means.
    pub meaning: &'static str,
}

/// A metric of the rule.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricReport {
    /// As requests name it.
    pub metric: String,
    /// The kind that it describes; `None`: External.
    pub resource: Option<String>,
    /// The series that it is made from; empty for a static rule.
    pub series: String,
    /// Who answers for it, by namespace.
    pub answered_by: Vec<Claim>,
    /// Who answers for it now, where that is another rule.
    pub takes_over: Vec<Claim>,
    /// What the backend is asked.
    pub queries: Vec<QueryReport>,
    /// What it answered.
    pub values: Vec<ValueReport>,
    /// Rows that give no value, by reason.
    pub rows_dropped: Vec<Dropped>,
    /// Requests that fail as a whole, with what the client is told.
    pub failures: Vec<String>,
    /// Those of them that say no more than that there is no value.
    #[serde(skip)]
    pub(super) without_value: usize,
    /// What the operator would log.
    pub warnings: Vec<String>,
    /// Why no value is shown.
    pub note: Option<String>,
}

/// A rule that answers in some namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Kind, namespace and name; `None`: nobody answers.
    pub rule: Option<String>,
    /// Where; empty for requests without a namespace.
    pub namespaces: Vec<String>,
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueryReport {
    /// The request that it is for: `shop: pods web-1`.
    pub request: String,
    /// What is sent.
    pub query: Option<String>,
    /// Why nothing is.
    pub problem: Option<String>,
}

/// The value of an object, or of a series of an external metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueReport {
    /// The object, or the labels.
    pub of: String,
    /// As an HPA reads it.
    pub value: String,
}

/// A metric of an HPA that the rule has a claim to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HpaReport {
    /// As `namespace/name`.
    pub hpa: String,
    /// Its place in `spec.metrics`, from 0.
    pub index: usize,
    /// What it asks.
    pub question: String,
    /// Who answers it, then.
    pub answered_by: Option<String>,
    /// Whether that is this rule.
    pub uses: bool,
    /// What the backend is asked for it, where it is this rule.
    pub query: Option<String>,
    /// Why nothing is asked.
    pub problem: Option<String>,
}

// === impl Report ===

impl Report {
    /// Whether every rule is accepted, every backend was reached, and everything that is shown could be answered.
    pub fn is_good(&self) -> bool {
        self.rules.iter().all(|rule| {
            let reached = rule
                .backend
                .as_ref()
                .is_some_and(|backend| backend.problem.is_none());
            let listed = rule.series.as_ref().is_none_or(|series| series.problem.is_none());
            let errors = rule.findings.iter().any(|finding| finding.severity == "error");
            rule.accepted && reached && listed && !errors && !rule.fails()
        })
    }
}

// === impl RuleReport ===

impl RuleReport {
    /// Whether a request for what is shown fails, or a metric has no value where one was to be had.
    fn fails(&self) -> bool {
        let hpas = self.hpas.iter().flatten().any(|hpa| hpa.problem.is_some());
        hpas || self.metrics.iter().any(MetricReport::fails) || self.empty().next().is_some()
    }

    /// The metrics that have no value at all, although there were rows or an object that was asked for by name. By their names: what
    /// has none for a namespace may have some for its pods.
    pub(super) fn empty(&self) -> impl Iterator<Item = &str> {
        let mut values: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for metric in &self.metrics {
            let (none, some) = values.entry(&metric.metric).or_default();
            *none += metric.rows_dropped.iter().map(|rows| rows.count).sum::<usize>() + metric.without_value;
            *some += metric.values.len();
        }
        values
            .into_iter()
            .filter(|(_, (none, some))| *none > 0 && *some == 0)
            .map(|(name, _)| name)
    }
}

// === impl Dropped ===

impl Dropped {
    /// Counts one more for `reason`, and shows it unless `most` are shown.
    pub(super) fn add(all: &mut Vec<Self>, reason: Reason, most: usize, show: impl FnOnce() -> String) {
        let code = reason.code();
        let at = all.iter().position(|dropped| dropped.reason == code);
        let at = at.unwrap_or_else(|| {
            all.push(Self {
                reason: code,
                count: 0,
                sample: Vec::new(),
                meaning: reason.text(),
            });
            all.len() - 1
        });
        if let Some(dropped) = all.get_mut(at) {
            dropped.count += 1;
            if dropped.sample.len() < most {
                dropped.sample.push(show());
            }
        }
    }
}

// === impl MetricReport ===

impl MetricReport {
    /// Notes what a client is told; of a backend's error what the log is told.
    pub(super) fn fail(&mut self, failure: &Failure) {
        self.without_value += usize::from(failure.reason == Reason::NoData);
        self.failures.push(match &failure.words {
            Some(words) => format!("{}: {}", failure.reason.code(), words.detail),
            None => failure.to_string(),
        });
    }

    fn fails(&self) -> bool {
        self.failures.len() > self.without_value || self.queries.iter().any(|query| query.problem.is_some())
    }
}
