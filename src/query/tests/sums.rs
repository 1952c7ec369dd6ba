//! Sums that an HPA makes.

use super::*;
use language::quantity::Milli;

const ADAPTER: &str = "semantics: PrometheusAdapter";

fn external(more: &str) -> Plan {
    let route = request::External {
        namespace: "shop".to_owned(),
        metric: "queue_length".to_owned(),
        selector: Selector::default(),
    };
    plan_external(&served("all", &format!("{EXTERNAL}\n{more}")), &route).unwrap()
}

/// The values of queues `a`, `b`, … that are served.
fn sent(more: &str, given: &[f64]) -> Result<Vec<Milli>, Reason> {
    project(more, &queues(given))
}

fn project(more: &str, rows: &InstantVector) -> Result<Vec<Milli>, Reason> {
    match project_external(&external(more), rows, at()) {
        Ok(answer) => Ok(answer.items.iter().map(|item| item.value).collect()),
        Err(failure) => Err(failure.reason),
    }
}

fn queues(given: &[f64]) -> InstantVector {
    let lines: Vec<String> = (b'a'..)
        .zip(given)
        .map(|(queue, _)| format!(r#"{{queue="{}"}}"#, char::from(queue)))
        .collect();
    let given: Vec<_> = lines
        .iter()
        .map(String::as_str)
        .zip(given.iter().copied())
        .collect();
    rows(&given)
}

fn milli(values: &[i64]) -> Vec<Milli> {
    values.iter().map(|value| Milli::new(*value)).collect()
}

/// What the HPA controller of 1.36 makes of them (`GetExternalPerPodMetricReplicas`): below 0 is taken for an overflow.
fn usage(values: &[Milli]) -> i64 {
    let mut usage = 0_i64;
    for value in values {
        usage = usage.wrapping_add(value.get());
        if usage < 0 {
            return i64::MAX;
        }
    }
    usage
}

#[test]
fn zero_is_for_the_sum_and_not_for_each_row() {
    for (given, sum) in [
        (&[10.0, -8.0][..], 2000),
        (&[-8.0, 10.0][..], 2000),
        (&[-10.0, 8.0][..], 0),
        (&[8.0, -10.0][..], 0),
        (&[-1.0, 3.0, -1.0, 1.0][..], 2000),
        (&[-1e300, 5.0][..], 0),
        (&[-3.0][..], 0),
        (&[10.0, -10.0][..], 0),
    ] {
        let values = sent("", given).unwrap();
        assert_eq!(usage(&values), sum, "{given:?}: {values:?}");
        assert_eq!(values.len(), given.len());
    }
    assert_eq!(
        sent("", &[-8.0, 10.0]).unwrap(),
        milli(&[10_000, -8000]),
        "rows are what they are, and those below 0 come last"
    );
    assert_eq!(sent("", &[-10.0, 8.0]).unwrap(), milli(&[0, 0]));
}

#[test]
fn a_negative_row_that_passes_is_no_overflow_to_an_hpa() {
    let values = sent("negative: Pass", &[-8.0, 10.0]).unwrap();
    assert_eq!(usage(&values), 2000);
    let values = sent(&format!("{ADAPTER}\nnegative: Zero"), &[-8.0, 10.0]).unwrap();
    assert_eq!(usage(&values), 2000);
    assert_eq!(
        sent(ADAPTER, &[-8.0, 10.0]).unwrap(),
        milli(&[-8000, 10_000]),
        "prometheus-adapter keeps the order of the answer"
    );
    assert_eq!(sent("negative: Error", &[-8.0, 10.0]), Err(Reason::NegativeValue));
}

#[test]
fn four_values_of_9e15_do_not_scale_to_the_minimum() {
    for value in [9e15, 1e30] {
        for more in ["", "negative: Pass", ADAPTER] {
            assert_eq!(sent(more, &[value; 4]), Err(Reason::NotFinite), "{more}: {value}");
            assert_eq!(
                sent(more, &[value]).unwrap().len(),
                1,
                "alone it overflows nothing"
            );
        }
        for more in ["", ADAPTER] {
            let plan = plan("all", &format!("{REQUESTS}\n{more}"), &["a", "b", "c", "d"], "").unwrap();
            let pods = ["a", "b", "c", "d"].map(|pod| format!(r#"{{pod="{pod}"}}"#));
            let given: Vec<_> = pods.iter().map(|labels| (labels.as_str(), value)).collect();
            let answer = project_custom(&plan, &rows(&given), at()).unwrap();
            assert!(answer.items.is_empty(), "an HPA holds: {:?}", answer.items);
            assert_eq!(answer.tally.dropped.get(&Reason::NotFinite), Some(&4));
            assert_eq!(answer.tally.clamped, 0, "what is not served is not cut");
            assert!(answer.warnings[0].contains("9.2e15"), "{:?}", answer.warnings);
        }
    }
    assert_eq!(sent("negative: Pass", &[-9e15; 2]), Err(Reason::NotFinite));
    assert_eq!(
        sent("negative: Pass", &[1e30, -9e15]),
        Err(Reason::NotFinite),
        "1e30 is not 9.2e15"
    );
}

#[test]
fn replicas_that_an_int32_cannot_hold_do_not_scale_to_the_minimum() {
    for more in ["", ADAPTER] {
        let spec = format!("{REQUESTS}\n{more}");
        let mut all = plan("all", &spec, &["a", "b"], "").unwrap();
        let given = rows(&[(r#"{pod="a"}"#, 9e15), (r#"{pod="b"}"#, 20.0)]);
        assert_eq!(
            project_custom(&all, &given, at()).unwrap().items.len(),
            2,
            "without an HPA"
        );
        all.target = Some(10_000);
        let answer = project_custom(&all, &given, at()).unwrap();
        assert_eq!(values(&answer), [("b".to_owned(), "20".to_owned())]);
        assert!(
            answer.warnings[0].contains("target of an HPA"),
            "{:?}",
            answer.warnings
        );

        let mut one = plan("all", &spec, &["a"], "").unwrap();
        one.target = Some(10_000);
        let failure = project_custom(&one, &given, at()).unwrap_err();
        assert_eq!(failure.reason, Reason::NotFinite);
        assert!(failure.cause.contains("target of an HPA"), "{failure}");
    }
}

#[test]
fn one_pod_with_a_number_too_large_takes_no_other_with_it() {
    let plan = plan("all", REQUESTS, &["a", "b", "c"], "").unwrap();
    let given = [
        (r#"{pod="a"}"#, 1e30),
        (r#"{pod="b"}"#, 2.0),
        (r#"{pod="c"}"#, 3.0),
    ];
    let answer = project_custom(&plan, &rows(&given), at()).unwrap();
    let found: Vec<_> = answer
        .items
        .iter()
        .map(|item| (&*item.name, item.value.get()))
        .collect();
    assert_eq!(found, [("b", 2000), ("c", 3000)]);
}

#[test]
fn an_external_answer_is_all_or_nothing() {
    assert_eq!(sent("", &[]).unwrap(), []);
    assert_eq!(sent("", &[1.0, f64::INFINITY]), Err(Reason::NotFinite));
    assert_eq!(sent("", &[1.0, f64::NEG_INFINITY]), Err(Reason::NotFinite));
}

#[test]
fn an_answer_that_lacks_rows_is_not_served_as_whole() {
    let nan = queues(&[1.0, f64::NAN, 3.0]);
    let histograms = InstantVector {
        histograms: 2,
        ..queues(&[1.0, 3.0])
    };
    let partial = InstantVector {
        partial: true,
        ..queues(&[1.0, 3.0])
    };
    let mut stale = queues(&[1.0, 2.0, 3.0]);
    stale.samples[1].timestamp = "2026-01-02T01:59:04Z".parse().unwrap();
    for (what, rows) in [
        ("1 rows are not a number", nan),
        ("2 rows are native histograms", histograms),
        ("rows are missing", partial),
        ("1 rows are too old", stale),
    ] {
        let failure = project_external(&external(""), &rows, at()).unwrap_err();
        assert_eq!(failure.reason, Reason::MissingRows, "{what}");
        let text = failure.to_string();
        assert!(
            text.contains(what) && text.contains("`missingRows: Accept`"),
            "{text}"
        );
        let answer = project_external(&external("missingRows: Accept"), &rows, at()).unwrap();
        assert_eq!(answer.items.len(), 2, "{what}");
        assert!(
            answer.warnings.iter().any(|text| text.contains(what)),
            "{:?}",
            answer.warnings
        );
    }
    let both = queues(&[1.0, f64::NAN]);
    assert_eq!(
        project(ADAPTER, &both).unwrap(),
        milli(&[1000]),
        "as in prometheus-adapter"
    );
    let strict = format!("{ADAPTER}\nmissingRows: Fail");
    assert_eq!(project(&strict, &both), Err(Reason::MissingRows));
}

#[test]
fn an_answer_without_any_number_is_no_data_still() {
    let histograms = InstantVector {
        histograms: 2,
        partial: true,
        ..InstantVector::default()
    };
    for rows in [queues(&[f64::NAN, f64::NAN]), histograms] {
        assert_eq!(project("", &rows).unwrap(), []);
    }
}
