//! Verdicts on rows, and the counts that are made of them.

use std::{collections::BTreeMap, sync::LazyLock};

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const POLICIES: [&str; 4] = [
    "",
    "negative: Zero",
    "negative: Error",
    "semantics: PrometheusAdapter",
];
const OLD: SignedDuration = SignedDuration::from_mins(10);

/// Plans for lists of pods and for an external metric.
static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    let lists =
        POLICIES.map(|more| plan("all", &format!("{REQUESTS}\n{more}"), &["a", "b", "c"], "").unwrap());
    let external = POLICIES.map(|more| {
        let route = request::External {
            namespace: "shop".to_owned(),
            metric: "queue_length".to_owned(),
            selector: Selector::default(),
        };
        let more = format!("{EXTERNAL}\nmissingRows: Accept\n{more}");
        plan_external(&served("all", &more), &route).unwrap()
    });
    lists.into_iter().chain(external).collect()
});

fn dropped(reason: Reason) -> RowVerdict {
    RowVerdict {
        dropped: Some(reason),
        ..RowVerdict::default()
    }
}

#[test]
fn every_row_has_a_verdict_and_the_counts_are_theirs() {
    let pods = ["a", "b", "c", "d", "e", "f"];
    let plan = plan("all", &format!("{REQUESTS}\nnegative: Error"), &pods, "").unwrap();
    let fine = RowVerdict::default();
    let table = [
        (r#"{pod="a",code="500"}"#, 5.0, dropped(Reason::DuplicateRows)),
        (r#"{pod="a",code="200"}"#, 2.0, fine),
        (r#"{pod="b"}"#, f64::NAN, dropped(Reason::NoData)),
        (r#"{pod="c"}"#, f64::INFINITY, dropped(Reason::NotFinite)),
        (
            r#"{pod="d",namespace="bank"}"#,
            -1.0,
            dropped(Reason::ForeignNamespace),
        ),
        (r#"{pod="z"}"#, -1.0, dropped(Reason::ForeignObject)),
        (
            r#"{pod="e"}"#,
            -1.0,
            RowVerdict {
                negative: true,
                ..dropped(Reason::NegativeValue)
            },
        ),
        (r#"{pod="f"}"#, 1.0, dropped(Reason::StaleRow)),
    ];
    let mut answer = rows(&table.map(|(labels, value, _)| (labels, value)));
    answer.samples[7].timestamp = at() - OLD;
    let projection = project(&plan, &answer, at());
    assert_eq!(projection.verdicts, table.map(|(_, _, verdict)| verdict));
    assert_eq!(
        projection.items.as_ref().unwrap_err().reason,
        Reason::NegativeValue
    );
    let tally = projection.tally();
    let reasons = table.iter().filter_map(|(_, _, verdict)| verdict.dropped);
    let expected: BTreeMap<Reason, u64> = reasons.map(|reason| (reason, 1)).collect();
    assert_eq!((tally.dropped, tally.negative, tally.clamped), (expected, 1, 0));

    let large = rows(&[(r#"{pod="a"}"#, 1e300)]);
    let projection = project(&plan, &large, at());
    let clamped = RowVerdict {
        clamped: true,
        ..fine
    };
    assert_eq!(projection.verdicts, [clamped]);
    assert_eq!(projection.tally().clamped, 1);
    let larger = rows(&[(r#"{pod="a"}"#, 1e300), (r#"{pod="b"}"#, 1.0)]);
    let projection = project(&plan, &larger, at());
    assert_eq!(projection.verdicts, [dropped(Reason::NotFinite), fine]);
}

#[test]
fn a_negative_value_that_is_an_error_is_one_whatever_else_is_in_the_list() {
    let plan = plan(
        "all",
        &format!("{REQUESTS}\nnegative: Error"),
        &["a", "b", "c"],
        "",
    )
    .unwrap();
    let mixed = rows(&[
        (r#"{pod="a"}"#, -1.0),
        (r#"{pod="b"}"#, f64::INFINITY),
        (r#"{pod="c"}"#, 1.0),
    ]);
    let failure = project_custom(&plan, &mixed, at()).unwrap_err();
    assert_eq!(failure.reason, Reason::NegativeValue);
}

fn a_row() -> impl Strategy<Value = Sample> {
    let label = |name: &'static str, values: &'static [&'static str]| {
        prop::option::of(prop::sample::select(values)).prop_map(move |value| (name, value))
    };
    let value = prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(1e300),
        Just(-1e300),
        -10.0..10.0,
        -9e15..9e15,
    ];
    let labels = (
        label("pod", &["a", "b", "c", "z"]),
        label("namespace", &["shop", "bank"]),
        label("code", &["200", "500"]),
    );
    (labels, value, prop::bool::weighted(0.1)).prop_map(|((pod, namespace, code), value, is_old)| {
        let labels = [pod, namespace, code].into_iter();
        Sample {
            labels: labels.filter_map(|(name, value)| Some((name, value?))).collect(),
            value,
            timestamp: if is_old { at() - OLD } else { at() },
        }
    })
}

/// What becomes of a row when it is the only one.
fn alone(plan: &Plan, row: &Sample) -> RowVerdict {
    let rows = InstantVector {
        samples: vec![row.clone()],
        ..InstantVector::default()
    };
    project(plan, &rows, at()).verdicts[0]
}

proptest! {
    #[test]
    fn verdicts_on_any_rows_add_up_to_what_each_comes_to_by_itself(
        plan in 0..PLANS.len(),
        samples in prop::collection::vec(a_row(), 0..12),
    ) {
        let plan = &PLANS[plan];
        let rows = InstantVector { samples, ..InstantVector::default() };
        let projection = project(plan, &rows, at());
        prop_assert_eq!(projection.verdicts.len(), rows.samples.len());
        let mut expected = Tally::default();
        let mut of_object: BTreeMap<Option<&str>, u64> = BTreeMap::new();
        for (row, verdict) in rows.samples.iter().zip(&projection.verdicts) {
            let alone = alone(plan, row);
            let foreign = [Reason::ForeignNamespace, Reason::ForeignObject, Reason::StaleRow];
            if alone.dropped.is_none_or(|reason| !foreign.contains(&reason)) {
                *of_object.entry(row.labels.get("pod")).or_default() += 1;
            }
            match verdict.dropped {
                // A second row is not read, and what is too large is so beside others.
                Some(Reason::DuplicateRows) => prop_assert!(!verdict.negative),
                Some(Reason::NotFinite) if alone.dropped.is_none() => prop_assert!(!verdict.clamped),
                dropped => {
                    prop_assert_eq!(dropped, alone.dropped);
                    prop_assert_eq!(verdict.negative, alone.negative);
                }
            }
            prop_assert!(!verdict.clamped || alone.clamped);
            if let Some(reason) = verdict.dropped {
                *expected.dropped.entry(reason).or_default() += 1;
            }
            expected.negative += u64::from(verdict.negative);
            expected.clamped += u64::from(verdict.clamped);
        }
        let tally = projection.tally();
        let second: u64 = of_object.values().map(|rows| rows - 1).sum();
        let doubled = if plan.subject.is_some() { second } else { 0 };
        prop_assert_eq!(tally.dropped(Reason::DuplicateRows), doubled);
        prop_assert_eq!(&tally, &expected);
        if let Ok(items) = projection.items {
            let served = projection.verdicts.iter().filter(|verdict| verdict.dropped.is_none());
            let items = match items {
                Items::Custom(items) => items.len(),
                Items::External(items) => items.len(),
            };
            prop_assert_eq!(items, served.count());
        }
    }
}
