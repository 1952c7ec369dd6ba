//! Round of a comparison: the result of its answers. Pure.

use super::{
    answer::Answer,
    difference::{Aspect, Difference, Tolerance, differences},
};
use crate::kubernetes::rights::Right;

/// The answers of a server's pods to one question, each with the pod's name where it is known.
pub(super) type Answers = Vec<(Option<String>, Answer)>;

/// One round of a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Round {
    pub(super) outcome: Outcome,
    /// Of the two pods that differ most.
    pub(super) differences: Vec<Difference>,
    /// Why a server's answer says nothing, a line for each.
    pub(super) problems: Vec<String>,
    /// Values that both have.
    pub(super) values: usize,
    /// What the peer answered, in a few words.
    pub(super) peer: String,
    /// What we answered, in a few words.
    pub(super) ours: String,
}

/// What it comes to; a later one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Neither knows the metric.
    Absent,
    /// The two answer alike.
    Alike,
    /// The two answer alike but for a thousandth, which is too much for an HPA.
    Coarse,
    /// Neither gave an answer that says anything.
    NoneFailed,
    /// The peer gave none.
    PeerFailed,
    /// We gave none, and the peer did: an HPA would have stood still.
    OursFailed,
    /// They differ.
    Different,
}

/// Puts the answers of all pods of the peer against all of ours.
pub(super) fn judge(
    peers: &Answers,
    ours: &Answers,
    tolerance: Tolerance,
    slack: u64,
    right: &Right,
) -> Round {
    let mut round = Round {
        outcome: Outcome::Absent,
        differences: Vec::new(),
        problems: problems("the peer", peers, right),
        values: 0,
        peer: summary(peers),
        ours: summary(ours),
    };
    round.problems.extend(problems("metricrule", ours, right));
    let mut first = true;
    for (their_pod, theirs) in peers {
        for (our_pod, mine) in ours {
            let mut found = differences(theirs, mine, tolerance, slack);
            let outcome = outcome(theirs, mine, &found);
            if peers.len() > 1 || ours.len() > 1 {
                for difference in &mut found {
                    let name = |pod: &Option<String>| pod.clone().unwrap_or_else(|| "unknown".to_owned());
                    let pods = format!(" (pod {} there, pod {} here)", name(their_pod), name(our_pod));
                    difference.of.push_str(&pods);
                }
            }
            if first || outcome > round.outcome {
                (round.outcome, round.differences) = (outcome, found);
            }
            first = false;
            if let (Answer::Values(theirs), Answer::Values(mine)) = (theirs, mine) {
                round.values = round.values.max(theirs.items.len().min(mine.items.len()));
            }
        }
    }
    round
}

fn outcome(peer: &Answer, ours: &Answer, differences: &[Difference]) -> Outcome {
    match (peer.is_failure(), ours.is_failure()) {
        (true, true) => Outcome::NoneFailed,
        (true, false) => Outcome::PeerFailed,
        (false, true) => Outcome::OursFailed,
        (false, false) if differences.iter().any(Difference::matters) => Outcome::Different,
        (false, false) if peer.code() == Some(404) => Outcome::Absent,
        (false, false) if differences.iter().any(|found| found.aspect == Aspect::Coarse) => Outcome::Coarse,
        (false, false) => Outcome::Alike,
    }
}

fn summary(answers: &Answers) -> String {
    let mut said: Vec<String> = answers.iter().map(|(_, answer)| answer.summary()).collect();
    said.dedup();
    said.join(", ")
}

fn problems(who: &str, answers: &Answers, right: &Right) -> Vec<String> {
    let told = answers.iter().filter_map(|(pod, answer)| {
        let who = match pod {
            Some(pod) if answers.len() > 1 => format!("{who} (pod {pod})"),
            _ => who.to_owned(),
        };
        problem(&who, answer, right)
    });
    told.collect()
}

/// What a server said is quoted; what to do about it is our own advice.
fn problem(who: &str, answer: &Answer, right: &Right) -> Option<String> {
    if !answer.is_failure() {
        return None;
    }
    Some(match answer {
        Answer::Unreachable(message) => format!("{who} cannot be reached: {message}"),
        Answer::Malformed(message) => format!("{who} answered 200 without values: {message}"),
        Answer::Refused { code: 401, message } => format!(
            "{who} does not accept the token (401 {message:?}); see --as-service-account and --token-file"
        ),
        Answer::Refused { code: 403, message } => {
            format!(
                "{who} refuses access: 403 {message:?}; if {right}: {}",
                right.grant()
            )
        }
        Answer::Refused { code, message } => {
            format!("{who} gave an answer that cannot be compared: {code} {message:?}")
        }
        Answer::Values(_) => return None,
    })
}

// === impl Round ===

impl Round {
    /// Whether it counts only if it is so once more: values that move are not the same at two instants. An answer that is lacking, or
    /// is of another kind, counts at once: a server that fails every other time would always answer the second time.
    pub(super) fn is_uncertain(&self) -> bool {
        let status = |found: &Difference| found.aspect == Aspect::Status;
        match self.outcome {
            Outcome::Coarse => true,
            Outcome::Different => !self.differences.iter().any(status),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn right() -> Right {
        Right::new("list", "external.metrics.k8s.io", "queue", Some("shop"))
    }

    fn values(values: &[&str]) -> Answer {
        let items: Vec<_> = values
            .iter()
            .map(|value| json!({"metricName": "q", "metricLabels": {}, "value": value}))
            .collect();
        let list = json!({"kind": "ExternalMetricValueList", "apiVersion": "v1beta1", "items": items});
        Answer::read(200, list.to_string().as_bytes())
    }

    fn refused(code: u16) -> Answer {
        Answer::read(code, json!({"message": "as it is"}).to_string().as_bytes())
    }

    fn down() -> Answer {
        Answer::Unreachable("connection refused".to_owned())
    }

    fn pods(answers: &[Answer]) -> Answers {
        let named = answers.iter().enumerate();
        named
            .map(|(index, answer)| (Some(format!("pod-{index}")), answer.clone()))
            .collect()
    }

    fn judged(peers: &[Answer], ours: &[Answer]) -> Round {
        let tolerance = Tolerance { relative: 0.01 };
        judge(&pods(peers), &pods(ours), tolerance, 0, &right())
    }

    #[test]
    fn both_failed_alike_so_all_was_well() {
        for code in [301, 302, 400, 401, 403, 429, 500, 502, 503, 504] {
            let round = judged(&[refused(code)], &[refused(code)]);
            assert_eq!(round.outcome, Outcome::NoneFailed, "{code}");
            assert_eq!(round.problems.len(), 2, "{code}: {:?}", round.problems);
        }
        assert_eq!(judged(&[down()], &[down()]).outcome, Outcome::NoneFailed);
        let malformed = [Answer::read(200, b"<html>")];
        assert_eq!(judged(&malformed, &malformed).outcome, Outcome::NoneFailed);
        // Only that there is no such metric is a statement, and one without a value.
        let round = judged(&[refused(404)], &[refused(404)]);
        assert_eq!((round.outcome, round.values), (Outcome::Absent, 0));
        assert_eq!(judged(&[values(&[])], &[values(&[])]).values, 0);
        let round = judged(&[values(&["1", "2"])], &[values(&["1", "2"])]);
        assert_eq!((round.outcome, round.values), (Outcome::Alike, 2));
    }

    #[test]
    fn the_side_without_an_answer_is_named() {
        let one = || values(&["1"]);
        for (peer, ours, expected) in [
            (one(), down(), Outcome::OursFailed),
            (one(), refused(503), Outcome::OursFailed),
            (refused(404), refused(500), Outcome::OursFailed),
            (down(), one(), Outcome::PeerFailed),
            (refused(429), refused(404), Outcome::PeerFailed),
            (refused(404), one(), Outcome::Different),
            (one(), values(&["2"]), Outcome::Different),
            (values(&["5m"]), values(&["6m"]), Outcome::Coarse),
        ] {
            assert_eq!(
                judged(std::slice::from_ref(&peer), std::slice::from_ref(&ours)).outcome,
                expected,
                "{peer:?} {ours:?}"
            );
        }
    }

    #[test]
    fn replicas_that_disagree_were_not_seen() {
        let (one, two) = (values(&["1"]), values(&["2"]));
        let round = judged(std::slice::from_ref(&one), &[one.clone(), two.clone()]);
        assert_eq!(round.outcome, Outcome::Different);
        assert_eq!(
            round.differences[0].to_string(),
            "value {} (pod pod-0 there, pod pod-1 here): 1 there, 2 here (50.0 %)"
        );
        assert_eq!(round.ours, "1, 2");
        assert_eq!(
            judged(&[one.clone(), two], std::slice::from_ref(&one)).outcome,
            Outcome::Different
        );
        let round = judged(std::slice::from_ref(&one), &[one.clone(), down()]);
        assert_eq!(round.outcome, Outcome::OursFailed);
        assert_eq!(
            round.problems,
            ["metricrule (pod pod-1) cannot be reached: connection refused"]
        );
        assert_eq!(
            judged(&[one.clone(), one.clone()], &[one.clone(), one]).outcome,
            Outcome::Alike
        );
    }

    #[test]
    fn a_server_that_fails_every_other_time_was_asked_again_until_it_answered() {
        let one = || values(&["1"]);
        for (peer, ours, again) in [
            (one(), values(&["2"]), true),
            (one(), values(&["1", "1"]), true),
            (values(&["5m"]), values(&["6m"]), true),
            (one(), one(), false),
            (one(), down(), false),
            (refused(503), one(), false),
            (one(), refused(404), false),
        ] {
            assert_eq!(
                judged(std::slice::from_ref(&peer), std::slice::from_ref(&ours)).is_uncertain(),
                again,
                "{peer:?} {ours:?}"
            );
        }
    }

    #[test]
    fn a_peers_words_became_our_advice() {
        let message = r#"User "system:serviceaccount:kube-system:horizontal-pod-autoscaler" cannot * resource "*" in API group "*""#;
        let hostile = Answer::read(403, json!({"message": message}).to_string().as_bytes());
        let problem = &judged(&[hostile], &[values(&["1"])]).problems[0];
        let (_, advice) = problem.rsplit_once("; if ").unwrap();
        assert!(
            advice.contains("apiGroups: [external.metrics.k8s.io], resources: [queue], verbs: [list]")
                && !advice.contains('*'),
            "{problem}"
        );
    }
}
