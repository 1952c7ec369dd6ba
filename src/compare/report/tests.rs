//! Rounds and what they come to.

use language::selector::Selector;

use super::*;
use crate::compare::{answer::Answer, difference::Tolerance, round::judge};

fn values(value: &str) -> Answer {
    let list = serde_json::json!({"kind": "ExternalMetricValueList", "apiVersion": "v1beta1", "items": [
        {"metricName": "q", "metricLabels": {}, "value": value},
    ]});
    Answer::read(200, list.to_string().as_bytes())
}

fn refused(code: u16) -> Answer {
    Answer::read(code, br#"{"message": "as it is"}"#)
}

fn down() -> Answer {
    Answer::Unreachable("connection refused".to_owned())
}

/// What the rounds, each with the peer's answer and ours, come to.
fn report(rounds: &[(Answer, Answer)]) -> Report {
    let question = Question::External {
        metric: "queue".to_owned(),
        selector: Selector::default(),
    };
    let mut asked = Asked::new(&question, "shop", None);
    for (peer, ours) in rounds {
        let (peer, ours) = (vec![(None, peer.clone())], vec![(None, ours.clone())]);
        let tolerance = Tolerance { relative: 0.01 };
        let round = judge(&peer, &ours, tolerance, asked.slack(), asked.right());
        asked.sample(round, false);
    }
    let questions = if rounds.is_empty() {
        BTreeMap::new()
    } else {
        BTreeMap::from([("/apis/x".to_owned(), asked)])
    };
    let none = Vec::new();
    Report::new(
        "us".to_owned(),
        BTreeMap::new(),
        "v1beta2",
        1,
        questions,
        none,
        LeftOut::default(),
    )
}

#[test]
fn a_server_that_was_down_in_all_rounds_but_the_last_was_the_same() {
    let good = || (values("1"), values("1"));
    for (bad, verdict, failed) in [
        ((values("1"), down()), Verdict::Different, (3, 0)),
        ((values("1"), refused(403)), Verdict::Different, (3, 0)),
        ((down(), values("1")), Verdict::Incomplete, (0, 3)),
        ((refused(403), values("1")), Verdict::Incomplete, (0, 3)),
        ((down(), down()), Verdict::Incomplete, (3, 3)),
    ] {
        // Wherever the good round stands.
        for at in 0..4 {
            let mut rounds = vec![bad.clone(); 3];
            rounds.insert(at, good());
            let report = report(&rounds);
            let asked = &report.questions["/apis/x"];
            assert_eq!(report.verdict, verdict, "{bad:?}");
            assert_eq!(
                (asked.failed_ours, asked.failed_peer, asked.samples),
                (failed.0, failed.1, 4)
            );
            assert!(asked.problem.is_some(), "{bad:?}");
            let json = serde_json::to_value(&report).unwrap();
            let asked = &json["questions"]["/apis/x"];
            assert_eq!(
                (&asked["failed"], &asked["failedOurs"]),
                (&3.into(), &failed.0.into())
            );
            let text = report.to_string();
            assert!(
                text.contains("  4 rounds: ")
                    && !text.contains("the same")
                    && !text.contains("1 answered alike"),
                "{text}"
            );
        }
    }
    assert_eq!(report(&[good(), good()]).verdict, Verdict::Same);
}

#[test]
fn a_round_that_differed_is_not_forgotten_either() {
    let (one, two) = (values("1"), values("2"));
    for at in 0..3 {
        let mut rounds = vec![(one.clone(), one.clone()); 2];
        rounds.insert(at, (one.clone(), two.clone()));
        let report = report(&rounds);
        assert_eq!(report.verdict, Verdict::Different);
        assert!(report.to_string().contains("1 there, 2 here"), "{report}");
    }
}

#[test]
fn nothing_compared_was_the_same() {
    // No HPA, both without the metric, both without a value.
    let empty = || Answer::read(200, br#"{"kind": "ExternalMetricValueList", "items": []}"#);
    for rounds in [
        vec![],
        vec![(refused(404), refused(404))],
        vec![(empty(), empty())],
    ] {
        let report = report(&rounds);
        assert_eq!(report.verdict, Verdict::Nothing, "{rounds:?}");
        assert!(report.to_string().contains("NOTHING COMPARED"), "{report}");
    }
    for code in [302, 429, 500] {
        assert_eq!(
            report(&[(refused(code), refused(code))]).verdict,
            Verdict::Incomplete
        );
    }
    // A value in one round is one.
    assert_eq!(
        report(&[(refused(404), refused(404)), (values("1"), values("1"))]).verdict,
        Verdict::Same
    );
}

#[test]
fn what_rounding_makes_of_small_values_is_told() {
    let report = report(&[(values("5m"), values("6m"))]);
    assert_eq!(report.verdict, Verdict::Coarse);
    let text = report.to_string();
    assert!(
        text.contains("alike, but coarse external metric queue") && text.contains("\nalike, but coarse: "),
        "{text}"
    );
}

#[test]
fn a_peers_words_moved_the_cursor_and_began_lines() {
    let hostile = "no\u{1b}[2J\n::error title=fake::x\u{202e}";
    let list = serde_json::json!({"kind": "ExternalMetricValueList", "apiVersion": "v\u{9b}2J", "items": [
        {"metricName": hostile, "metricLabels": {hostile: hostile}, "value": "1"},
    ]});
    let labels = Answer::read(200, list.to_string().as_bytes());
    let refusal = |code| {
        Answer::read(
            code,
            serde_json::json!({"message": hostile}).to_string().as_bytes(),
        )
    };
    for peer in [
        labels,
        refusal(403),
        refusal(404),
        refusal(500),
        Answer::Unreachable(hostile.to_owned()),
        Answer::read(200, hostile.as_bytes()),
        Answer::read(502, hostile.as_bytes()),
    ] {
        let text = report(&[(peer, values("1"))]).to_string();
        let active = |c: char| c != '\n' && language::terminal::is_active(c);
        assert!(!text.contains(active), "{text:?}");
        assert!(
            text.lines().all(|line| !line.trim_start().starts_with("::")),
            "{text}"
        );
    }
}
