//! What a comparison came to.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::{answer::Answer, difference::Difference};
use crate::kubernetes::{
    hpa::{Demand, Question},
    rights::Right,
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
    /// Questions whose answers agreed in every sample.
    pub same: usize,
    /// Questions whose answers differed in a sample.
    pub different: usize,
    /// Every question, by its path.
    pub questions: BTreeMap<String, Asked>,
    /// Metrics that were not compared.
    pub skipped: Vec<Skipped>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The two answer alike.
    Same,
    /// An HPA could scale otherwise.
    Different,
    /// What was compared is alike, but not everything could be.
    Incomplete,
}

/// One question and what became of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// For people.
    pub question: String,
    #[serde(skip)]
    group: &'static str,
    /// The HPAs that ask it, as `namespace/name`.
    pub hpas: Vec<String>,
    /// The peer's last answer, in a few words.
    pub peer: String,
    /// Our last answer, in a few words.
    pub ours: String,
    /// How often it was asked.
    pub samples: u32,
    /// In how many samples the answers differed in something that matters.
    pub different: u32,
    /// What the last sample that differed had.
    pub differences: Vec<Difference>,
    /// Whether both last refused with one status.
    pub refused: bool,
    /// Why the last answers say nothing: a server did not let us in, or was not reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
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
    ) -> Self {
        let different = questions.values().filter(|asked| asked.different > 0).count();
        let unsaid = questions.values().any(|asked| asked.problem.is_some());
        let verdict = if different > 0 {
            Verdict::Different
        } else if unsaid || skipped.iter().any(|skipped| !skipped.expected) {
            Verdict::Incomplete
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
            same: questions
                .values()
                .filter(|asked| asked.different == 0 && asked.problem.is_none())
                .count(),
            different,
            questions,
            skipped,
        }
    }
}

/// For people: what differs first, what is alike as a count.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, peer) in &self.peers {
            writeln!(f, "peer of {group}: {peer}")?;
        }
        writeln!(f, "ours: {}", self.ours)?;
        let told =
            |asked: &&Asked| asked.different > 0 || asked.problem.is_some() || !asked.differences.is_empty();
        for (path, asked) in self.questions.iter().filter(|(_, asked)| told(asked)) {
            let word = if asked.different > 0 {
                "DIFFERENT"
            } else if asked.problem.is_some() {
                "NOT COMPARED"
            } else {
                "alike"
            };
            writeln!(f, "\n{word} {} (HPA {})", asked.question, asked.hpas.join(", "))?;
            writeln!(f, "  GET {path}")?;
            if asked.samples > 1 {
                writeln!(f, "  in {} of {} samples", asked.different, asked.samples)?;
            }
            for problem in asked.problem.iter().flat_map(|problem| problem.lines()) {
                writeln!(f, "  {problem}")?;
            }
            for difference in &asked.differences {
                writeln!(f, "  {difference}")?;
            }
        }
        let unexpected = self.skipped.iter().filter(|skipped| !skipped.expected);
        for Skipped {
            hpa, index, reason, ..
        } in unexpected
        {
            writeln!(
                f,
                "\nNOT COMPARED spec.metrics[{index}] of the HPA {hpa}: {reason}"
            )?;
        }
        self.summary(f)
    }
}

impl Report {
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = self
            .questions
            .values()
            .filter(|asked| asked.different == 0 && asked.problem.is_none() && asked.refused);
        let refused: Vec<&Asked> = refused.collect();
        if !refused.is_empty() {
            writeln!(f, "\nrefused by both:")?;
            for asked in refused {
                writeln!(
                    f,
                    "  {} (HPA {}): {}",
                    asked.question,
                    asked.hpas.join(", "),
                    asked.ours
                )?;
            }
        }
        let verdict = match self.verdict {
            Verdict::Same if self.asked == 0 => "nothing to compare",
            Verdict::Same => "the same",
            Verdict::Different => "DIFFERENT",
            Verdict::Incomplete => "INCOMPLETE",
        };
        let expected = self.skipped.iter().filter(|skipped| skipped.expected).count();
        writeln!(
            f,
            "\n{verdict}: {} HPAs, {} questions, {} answered alike, {} differently; {} metrics not compared, {expected} more \
             are of metrics.k8s.io",
            self.hpas,
            self.asked,
            self.same,
            self.different,
            self.asked - self.same - self.different + self.skipped.len() - expected,
        )
    }
}

// === impl Asked ===

impl Asked {
    pub(super) fn new(question: &Question) -> Self {
        Self {
            question: question.to_string(),
            group: question.api_group(),
            hpas: Vec::new(),
            peer: String::new(),
            ours: String::new(),
            samples: 0,
            different: 0,
            differences: Vec::new(),
            refused: false,
            problem: None,
        }
    }

    pub(super) fn add(&mut self, demand: &Demand) {
        let hpa = format!("{}/{}", demand.namespace, demand.hpa);
        if !self.hpas.contains(&hpa) {
            self.hpas.push(hpa);
        }
    }

    pub(super) fn group(&self) -> &'static str {
        self.group
    }

    /// Notes what both answered; whether that says anything at all.
    pub(super) fn answered(&mut self, peer: &Answer, ours: &Answer) {
        self.peer = peer.summary();
        self.ours = ours.summary();
        self.refused = matches!(
            (peer, ours),
            (Answer::Refused { code: peer, .. }, Answer::Refused { code: ours, .. }) if peer == ours
        );
        let problems = [("the peer", peer), ("our server", ours)];
        let problems: Vec<String> = problems
            .iter()
            .filter_map(|(who, answer)| problem(who, answer))
            .collect();
        self.problem = (!problems.is_empty()).then(|| problems.join("\n"));
    }

    /// Notes what a sample came to.
    pub(super) fn sample(&mut self, differences: Vec<Difference>) {
        self.samples += 1;
        // Who was not let in has nothing to compare.
        let matters = self.problem.is_none() && differences.iter().any(Difference::matters);
        self.different += u32::from(matters);
        if matters || self.different == 0 {
            self.differences = differences;
        }
    }
}

fn problem(who: &str, answer: &Answer) -> Option<String> {
    match answer {
        Answer::Unreachable(message) => Some(format!("{who} was not reached: {message}")),
        Answer::Refused { code: 401, message } => Some(format!(
            "{who} does not take the token (401 {message}); see --as-service-account and --token-file"
        )),
        Answer::Refused { code: 403, message } => Some(match Right::of_refusal(message) {
            Some(right) => format!("{who} refuses: {right}; {}", right.grant()),
            None => format!("{who} refuses: 403 {message}"),
        }),
        Answer::Refused { .. } | Answer::Values(_) | Answer::Malformed(_) => None,
    }
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

/// `value Pod shop/web-1: 100 there, 102 here (2.0 %)`
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            aspect,
            of,
            peer,
            ours,
            relative,
        } = self;
        write!(f, "{} {of}: {peer} there, {ours} here", aspect.as_str())?;
        match relative {
            Some(relative) => write!(f, " ({:.1} %)", relative * 100.0),
            None => Ok(()),
        }
    }
}
