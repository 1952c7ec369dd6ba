//! Report of a comparison.

mod text;

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    difference::Difference,
    round::{Outcome, Round},
};
use crate::{
    kubernetes::{
        hpa::{Demand, Question},
        rights::Right,
    },
    metrics_api::MetricsApi,
};

/// The whole.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// In one word.
    pub verdict: Verdict,
    /// Where we were asked.
    pub ours: String,
    /// Where the other servers were asked, by API group.
    pub peers: BTreeMap<&'static str, String>,
    /// The version of custom.metrics.k8s.io.
    pub version: String,
    /// HPAs that were read.
    pub hpas: usize,
    /// Different questions.
    pub asked: usize,
    /// Questions whose answers agreed in every round.
    pub same: usize,
    /// Questions whose answers differed in a round, or that we gave no answer to.
    pub different: usize,
    /// Values that both had, over all rounds.
    pub values: usize,
    /// Every question, by its path.
    pub questions: BTreeMap<String, Asked>,
    /// Metrics that were not compared.
    pub skipped: Vec<Skipped>,
    /// What was not meant to be compared.
    pub left_out: LeftOut,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The two answer alike, and had values.
    Same,
    /// The two answer alike but for a thousandth, and that is more than an HPA passes over.
    Coarse,
    /// An HPA could scale otherwise.
    Different,
    /// What was compared is alike, but not everything could be.
    Incomplete,
    /// There was no value to compare.
    Nothing,
}

/// One question and what became of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// For people.
    pub question: String,
    #[serde(skip)]
    api: MetricsApi,
    /// What has to be granted to who asks it.
    #[serde(skip)]
    right: Right,
    /// The HPAs that ask it, as `namespace/name`.
    pub hpas: Vec<String>,
    /// What all of these HPAs pass over, in thousandths.
    #[serde(skip)]
    slack: Option<u64>,
    /// The peer's last answer, in a few words.
    pub peer: String,
    /// Our last answer, in a few words.
    pub ours: String,
    /// How often it was asked: every round counts.
    pub samples: u32,
    /// In how many rounds the answers differed in something that matters, or we gave none.
    pub different: u32,
    /// In how many rounds they differed by a thousandth that is more than an HPA passes over.
    pub coarse: u32,
    /// In how many rounds they differed at first, and were alike two seconds later.
    pub unsteady: u32,
    /// In how many rounds we gave no answer that says anything.
    pub failed_ours: u32,
    /// In how many rounds the peer gave none.
    pub failed_peer: u32,
    /// In how many rounds at least one of the two gave none.
    pub failed: u32,
    /// Values that both had, over all rounds.
    pub values: usize,
    /// What the last round that differed had.
    pub differences: Vec<Difference>,
    /// Whether both said in every round that there is no such metric.
    pub refused: bool,
    /// Why the last round without an answer had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What was not meant to be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftOut {
    /// HPAs that KEDA made: they ask for KEDA's metrics.
    pub keda_hpas: usize,
    /// Metrics of the other API, by `--api`.
    pub of_other_api: usize,
}

/// A metric that was not compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// As `namespace/name`.
    pub hpa: String,
    /// Its place in `spec.metrics`, from 0.
    pub index: usize,
    /// Why.
    pub reason: String,
    /// Whether that is as it should be.
    pub expected: bool,
}

// === impl Report ===

impl Report {
    pub(super) fn new(
        ours: String,
        peers: BTreeMap<&'static str, String>,
        version: &str,
        hpas: usize,
        questions: BTreeMap<String, Asked>,
        skipped: Vec<Skipped>,
        left_out: LeftOut,
    ) -> Self {
        let count = |counts: fn(&Asked) -> bool| questions.values().filter(|asked| counts(asked)).count();
        let (same, different) = (count(Asked::is_alike), count(Asked::is_different));
        let values = questions.values().map(|asked| asked.values).sum();
        let unsaid = same + different < questions.len() || skipped.iter().any(|skipped| !skipped.expected);
        let verdict = if different > 0 {
            Verdict::Different
        } else if unsaid {
            Verdict::Incomplete
        } else if values == 0 {
            Verdict::Nothing
        } else if count(|asked| asked.coarse > 0) > 0 {
            Verdict::Coarse
        } else {
            Verdict::Same
        };
        Self {
            verdict,
            ours,
            peers,
            version: version.to_owned(),
            hpas,
            asked: questions.len(),
            same,
            different,
            values,
            questions,
            skipped,
            left_out,
        }
    }
}

// === impl Asked ===

impl Asked {
    /// A question that is asked in a namespace; `user` is who asks, where that is known.
    pub(super) fn new(question: &Question, namespace: &str, user: Option<String>) -> Self {
        let mut right = right(question, namespace);
        right.user = user;
        Self {
            question: question.to_string(),
            api: question.api(),
            right,
            hpas: Vec::new(),
            slack: None,
            peer: String::new(),
            ours: String::new(),
            samples: 0,
            different: 0,
            coarse: 0,
            unsteady: 0,
            failed_ours: 0,
            failed_peer: 0,
            failed: 0,
            values: 0,
            differences: Vec::new(),
            refused: false,
            problem: None,
        }
    }

    /// Adds an HPA that asks it and what that passes over.
    pub(super) fn add(&mut self, demand: &Demand, slack: u64) {
        let hpa = format!("{}/{}", demand.namespace, demand.hpa);
        if !self.hpas.contains(&hpa) {
            self.hpas.push(hpa);
        }
        self.slack = Some(self.slack.unwrap_or(u64::MAX).min(slack));
    }

    pub(super) const fn api(&self) -> MetricsApi {
        self.api
    }

    pub(super) fn right(&self) -> &Right {
        &self.right
    }

    /// In thousandths.
    pub(super) fn slack(&self) -> u64 {
        self.slack.unwrap_or(0)
    }

    /// Notes what a round came to, and whether that is a second look. None is forgotten for a better one after it.
    pub(super) fn sample(&mut self, round: Round, again: bool) {
        let Round {
            outcome,
            differences,
            problems,
            values,
            peer,
            ours,
        } = round;
        self.refused = outcome == Outcome::Absent && (self.refused || self.samples == 0);
        self.samples += 1;
        (self.peer, self.ours) = (peer, ours);
        self.values += values;
        let ours_failed = matches!(outcome, Outcome::OursFailed | Outcome::NoneFailed);
        let peer_failed = matches!(outcome, Outcome::PeerFailed | Outcome::NoneFailed);
        let different = matches!(outcome, Outcome::Different | Outcome::OursFailed);
        let before = (self.different, self.coarse);
        self.failed_ours += u32::from(ours_failed);
        self.failed_peer += u32::from(peer_failed);
        self.failed += u32::from(ours_failed || peer_failed);
        self.different += u32::from(different);
        self.coarse += u32::from(outcome == Outcome::Coarse);
        self.unsteady += u32::from(again && outcome == Outcome::Alike);
        if !problems.is_empty() {
            self.problem = Some(problems.join("\n"));
        }
        // What differs is told rather than what is coarse, and that rather than what does not matter.
        let worst = match outcome {
            Outcome::Different | Outcome::OursFailed => true,
            Outcome::Coarse => before.0 == 0,
            Outcome::Alike => before == (0, 0),
            Outcome::Absent | Outcome::NoneFailed | Outcome::PeerFailed => false,
        };
        if worst {
            self.differences = differences;
        }
    }

    pub(super) fn is_different(&self) -> bool {
        self.different > 0
    }

    pub(super) fn is_alike(&self) -> bool {
        self.different == 0 && self.failed == 0
    }
}

/// The right that the metrics API asks for, in the words of RBAC.
fn right(question: &Question, namespace: &str) -> Right {
    let (group, metric) = (question.api().group(), question.metric());
    let (verb, resource) = match question {
        Question::Pods { .. } => ("get", format!("pods/{metric}")),
        Question::Object { resource, .. } => match resource.group_resource.to_string().as_str() {
            // The path of a namespace's own metric ends in `metrics/NAME`.
            "namespaces" => ("get", "metrics".to_owned()),
            resource => ("get", format!("{resource}/{metric}")),
        },
        Question::External { .. } => ("list", metric.to_owned()),
    };
    Right::new(verb, group, &resource, Some(namespace))
}

// === impl Skipped ===

impl Skipped {
    pub(super) fn new(namespace: &str, hpa: &str, index: usize, reason: String, expected: bool) -> Self {
        Self {
            hpa: format!("{namespace}/{hpa}"),
            index,
            reason,
            expected,
        }
    }
}

#[cfg(test)]
mod tests;
