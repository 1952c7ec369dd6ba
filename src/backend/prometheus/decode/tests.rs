use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    backend::{Budget, Place},
    metrics::{BudgetKind, Metrics},
};

fn metered(max: Option<u64>) -> Meter {
    Meter::new(max, Redactor::default(), Place::default())
}

fn instant(body: &[u8], max: Option<u64>) -> Result<Answer<InstantVector>, Undecodable> {
    super::instant(Source::Whole(body.to_vec()), &metered(max))
}

fn series(body: &[u8]) -> Result<Answer<SeriesSet>, Undecodable> {
    let collector = Collector::new(None, 0, MAX_LISTING);
    super::series(Source::Whole(body.to_vec()), collector, &metered(None))
}

fn vector_of(rows: &Value) -> Vec<u8> {
    json!({"status": "success", "data": {"resultType": "vector", "result": rows}})
        .to_string()
        .into_bytes()
}

fn row(labels: &[(&str, &str)], value: f64, millis: i64) -> Sample {
    Sample {
        labels: labels.iter().copied().collect(),
        value,
        timestamp: Timestamp::from_millisecond(millis).unwrap(),
    }
}

#[test]
fn a_vector_keeps_the_order_of_the_answer() {
    let body = vector_of(&json!([
        {"metric": {"pod": "b"}, "value": [1_763_784_000.25, "2"]},
        {"metric": {"pod": "a", "__name__": "up"}, "value": [1_763_784_000, "1e+06"]},
        {"metric": {}, "value": [1_763_784_000.001, "-0.5"]},
    ]));
    assert_eq!(
        instant(&body, None).unwrap().value.samples,
        [
            row(&[("pod", "b")], 2.0, 1_763_784_000_250),
            row(&[("__name__", "up"), ("pod", "a")], 1e6, 1_763_784_000_000),
            row(&[], -0.5, 1_763_784_000_001),
        ]
    );
    let vector = instant(&body, None).unwrap().value;
    let sorted: Vec<f64> = vector.by_labels().iter().map(|(_, row)| row.value).collect();
    assert_eq!(sorted, [-0.5, 1e6, 2.0]);
}

#[test]
fn values_are_read_as_go_prints_them() {
    for (text, expected) in [
        ("0", 0.0),
        ("1.7976931348623157e+308", f64::MAX),
        ("5e-324", 5e-324),
        ("+Inf", f64::INFINITY),
        ("Inf", f64::INFINITY),
        ("-Inf", f64::NEG_INFINITY),
    ] {
        assert_eq!(float(text), Some(expected), "{text}");
    }
    assert!(float("NaN").unwrap().is_nan());
    for text in ["", "1,5", "0x1p-2", "one"] {
        assert_eq!(float(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn every_time_of_the_api_is_kept_to_the_millisecond(millis in 0_i64..4_102_444_800_000) {
        // Prometheus prints milliseconds after a point, without trailing zeros where there are none.
        let seconds: f64 = format!("{}.{:03}", millis / 1000, millis % 1000).parse().unwrap();
        prop_assert_eq!(instant_of(seconds).unwrap().as_millisecond(), millis);
    }
}

#[test]
fn a_scalar_is_one_sample_without_labels_whatever_the_bound() {
    for body in [
        r#"{"status":"success","data":{"resultType":"scalar","result":[1763784000.5,"42"]}}"#,
        r#"{"data":{"result":[1763784000.5,"42"],"resultType":"scalar"},"status":"success"}"#,
    ] {
        for max in [None, Some(1)] {
            let answer = instant(body.as_bytes(), max).unwrap();
            assert_eq!(answer.value.samples, [row(&[], 42.0, 1_763_784_000_500)]);
        }
    }
}

#[test]
fn other_types_are_told_apart_from_garbage() {
    for (body, expected) in [
        (
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]}}"#,
            Undecodable::Type("matrix"),
        ),
        (
            r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#,
            Undecodable::Type("string"),
        ),
        (
            r#"{"status":"error","errorType":"execution","error":"boom","data":null}"#,
            Undecodable::Failed(Complaint {
                kind: "execution",
                text: Said::ours("boom"),
            }),
        ),
    ] {
        assert_eq!(instant(body.as_bytes(), None).unwrap_err(), expected, "{body}");
    }
    for body in [
        "",
        "<html>",
        "[]",
        "{}x",
        r#"{"status":"success"}"#,
        r#"{"status":"success","data":null}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":["1","2"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1e99,"2"]}]}}"#,
        r#"{"status":"success","data":{"resultType":"scalar","result":[1]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[]}} {}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":["#,
    ] {
        let error = instant(body.as_bytes(), None).unwrap_err();
        assert!(
            matches!(
                error,
                Undecodable::Garbage(_) | Undecodable::Page | Undecodable::Failed(_)
            ),
            "{body}: {error:?}"
        );
    }
}

#[test]
fn native_histograms_are_left_out_with_a_warning() {
    let body = vector_of(&json!([
        {"metric": {"pod": "a"}, "histogram": [1, {"count": "3", "sum": "4", "buckets": [[0, "1", "2", "3"]]}]},
        {"metric": {"pod": "b"}, "value": [1, "2"]},
    ]));
    let answer = instant(&body, None).unwrap();
    assert_eq!(answer.value.samples, [row(&[("pod", "b")], 2.0, 1000)]);
    assert!(
        answer.value.warnings[0].starts_with("1 rows are native histograms"),
        "{:?}",
        answer.value.warnings
    );
    assert_eq!(answer.value.histograms, 1, "whoever adds the rows up has to know");
    assert_eq!(answer.partial, None);
}

#[test]
fn an_answer_that_a_limit_cut_counts_as_whole_no_more() {
    let said = ["results truncated due to limit"];
    let cut = json!({"status": "success", "warnings": said, "data": {"resultType": "vector", "result": [
        {"metric": {}, "value": [1, "5"]},
    ]}});
    let answer = instant(cut.to_string().as_bytes(), None).unwrap();
    assert_eq!(answer.partial.as_ref().map(Said::as_str), Some(said[0]));
    assert!(answer.value.partial);
    let cut = json!({"status": "success", "warnings": said, "data": [{"__name__": "a"}]});
    let answer = series(cut.to_string().as_bytes()).unwrap();
    assert_eq!(
        answer.partial.as_ref().map(Said::as_str),
        Some(said[0]),
        "or what was cut off loses its claims"
    );
}

#[test]
fn rows_are_bounded() {
    let rows: Vec<_> = (0..5)
        .map(|i| json!({"metric": {"i": i.to_string()}, "value": [1, "1"]}))
        .collect();
    let body = vector_of(&json!(rows));
    assert_eq!(instant(&body, Some(5)).unwrap().value.samples.len(), 5);
    for max in [0, 1, 2, 4] {
        assert_eq!(
            instant(&body, Some(max)).unwrap_err(),
            Undecodable::Over(Over::Rows(max)),
            "{max}"
        );
    }
    let one =
        vector_of(&json!([{"metric": {}, "value": [1, "1"]}, {"metric": {"a": "b"}, "value": [1, "1"]}]));
    assert_eq!(
        instant(&one, Some(1)).unwrap_err(),
        Undecodable::Over(Over::Rows(1))
    );

    // The bound holds while reading: what comes after the row too many is not even looked at.
    let mut cut = body.clone();
    cut.truncate(cut.len() - 10);
    assert_eq!(
        instant(&cut, Some(3)).unwrap_err(),
        Undecodable::Over(Over::Rows(3))
    );
}

#[test]
fn warnings_are_kept_short_and_say_whether_data_is_missing() {
    for (warnings, infos, is_partial, partial) in [
        (json!(null), json!(null), false, None),
        (
            json!(["PromQL warning: encountered a mix of histograms and floats"]),
            json!([]),
            false,
            None,
        ),
        (
            json!([]),
            json!(["PromQL info: metric might not be a counter"]),
            false,
            None,
        ),
        (
            json!(["results truncated due to limit"]),
            json!([]),
            false,
            Some("results truncated"),
        ),
        (
            json!(["PromQL warning: x", "No StoreAPIs matched for this query"]),
            json!([]),
            false,
            Some("No StoreAPIs"),
        ),
        (
            json!(["Query result may contain partial data"]),
            json!([]),
            false,
            Some("Query result may"),
        ),
        (
            json!(["remote_read: http://far returned 500"]),
            json!([]),
            false,
            Some("remote_read"),
        ),
        (json!([]), json!([]), true, Some("isPartial")),
    ] {
        let body = json!({"status": "success", "isPartial": is_partial, "warnings": warnings, "infos": infos,
            "data": {"resultType": "vector", "result": []}, "stats": {"seriesFetched": "1"}});
        let answer = instant(body.to_string().as_bytes(), None).unwrap();
        let starts = answer
            .partial
            .as_ref()
            .map(Said::as_str)
            .map(|text| partial.is_some_and(|partial| text.starts_with(partial)));
        assert_eq!(starts, partial.map(|_| true), "{body}: {:?}", answer.partial);
        let said = warnings.as_array().map_or(0, Vec::len) + infos.as_array().map_or(0, Vec::len);
        assert_eq!(answer.value.warnings.len(), said);
    }

    let many: Vec<_> = (0..100).map(|_| "w ".repeat(1000)).collect();
    let body = json!({"status": "success", "warnings": many, "data": {"resultType": "vector", "result": []}});
    let warnings = instant(body.to_string().as_bytes(), None).unwrap().value.warnings;
    assert_eq!(warnings.len(), 16);
    assert!(warnings.iter().all(|warning| warning.len() <= 256));
}

#[test]
fn series_are_counted_by_their_names_and_labels() {
    let body = json!({"status": "success", "data": [
        {"__name__": "b", "pod": "x"}, {"__name__": "a"}, {"__name__": "b", "pod": "y"},
    ]});
    let set = series(body.to_string().as_bytes()).unwrap().value;
    let names: Vec<(&str, usize)> = set
        .groups()
        .map(|group| (&**group.name(), group.count()))
        .collect();
    assert_eq!(
        (names.as_slice(), set.len()),
        ([("a", 1), ("b", 2)].as_slice(), 3)
    );
}

#[test]
fn a_listing_of_too_many_series_or_names_is_refused() {
    let many = |series: &dyn Fn(usize) -> String, count: usize| {
        let series: Vec<String> = (0..count).map(series).collect();
        format!(r#"{{"status":"success","data":[{}]}}"#, series.join(","))
    };
    let alike = many(&|_| r#"{"__name__":"a"}"#.to_owned(), meter::MAX_SERIES);
    assert_eq!(series(alike.as_bytes()).unwrap().value.len(), meter::MAX_SERIES);
    let more = alike.replace("]}", r#",{"__name__":"a"}]}"#);
    assert_eq!(
        series(more.as_bytes()).unwrap_err(),
        Undecodable::Over(Over::Series)
    );
    let different = many(
        &|number| format!(r#"{{"__name__":"name_{number}","l_{number}":"x"}}"#),
        100_000,
    );
    assert_eq!(
        series(different.as_bytes()).unwrap_err(),
        Undecodable::Over(Over::Listing)
    );
}

#[test]
fn texts_in_the_place_of_rows_take_their_room() {
    let text = "x".repeat(8000);
    let body = vector_of(&json!(vec![text.as_str(); 4500]));
    assert_eq!(instant(&body, None).unwrap_err(), Undecodable::Over(Over::Answer));
}

#[test]
fn a_number_out_of_range_is_not_quoted() {
    let body = vector_of(&json!([{"metric": {}, "value": [1_234_567_890_123_456_789_u64, "1"]}]));
    let error = format!("{:?}", instant(&body, None).unwrap_err());
    assert!(
        error.contains("out of range") && !error.contains("123"),
        "{error}"
    );
}

#[test]
fn labels_are_bounded() {
    let one = |labels: Value| instant(&vector_of(&json!([{"metric": labels, "value": [1, "1"]}])), None);
    let many = |count: usize, value: &str| -> Value {
        (0..count)
            .map(|number| (format!("l{number}"), json!(value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    for (labels, over) in [
        (json!({"a": "x".repeat(8192)}), None),
        (json!({"a": "x".repeat(8193)}), Some(Over::Value)),
        (json!({"x".repeat(1024): "a"}), None),
        (json!({"x".repeat(1025): "a"}), Some(Over::Name)),
        (many(256, "x"), None),
        (many(257, "x"), Some(Over::Labels)),
        (many(5, &"x".repeat(8000)), Some(Over::Labels)),
    ] {
        assert_eq!(one(labels).err(), over.map(Undecodable::Over));
    }
}

#[test]
fn rows_without_end_are_given_up_when_they_take_too_much() {
    let rows = (0..60_000).map(|number| {
        let value = format!("{number:06}{}", "x".repeat(500));
        json!({"metric": {"a": value, "b": "y".repeat(100)}, "value": [1, "1"]})
    });
    let body = vector_of(&rows.collect::<Vec<_>>().into());
    assert_eq!(instant(&body, None).unwrap_err(), Undecodable::Over(Over::Answer));
}

#[test]
fn an_answer_takes_its_place_in_the_budget_while_it_is_read() {
    let rows = (0..1000).map(|number| json!({"metric": {"a": number.to_string()}, "value": [1, "1"]}));
    let body = vector_of(&rows.collect::<Vec<_>>().into());
    let read = |budget: &Budget| {
        let meter = Meter::new(None, Redactor::default(), budget.place(Some("shop".into())));
        let answer = super::instant(Source::Whole(body.clone()), &meter)?;
        Ok((answer.value.weight(), meter.into_place()))
    };
    let budget = |bytes| Budget::new(BudgetKind::Answers, bytes, Metrics::new().backend);
    let large = budget(10 << 20);
    let (weight, place) = read(&large).unwrap();
    assert_eq!(large.used(), weight);
    drop(place);
    assert_eq!(large.used(), 0);
    let small = budget(100 << 10);
    let error: Undecodable = read(&small).map(|_| ()).unwrap_err();
    assert!(matches!(error, Undecodable::Over(Over::Room(_))), "{error:?}");
    assert_eq!(small.used(), 0);
}

#[test]
fn the_decoders_words_quote_nothing_of_the_body() {
    for body in [
        r#"{"status":"success","data":"hunter2"}"#,
        r#"{"status":"success","data":{"resultType":"hunter2","result":[]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":["hunter2"]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":5},"value":"hunter2"}]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"hunter2"]}]}}"#,
        r#"{"status":"success","isPartial":"hunter2"}"#,
        r#"{"status":"success","warnings":"hunter2"}"#,
        "hunter2",
    ] {
        let error = instant(body.as_bytes(), None).unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{body}: {error:?}");
    }
}

#[test]
fn complaints_are_read_in_both_forms() {
    for (body, kind, text) in [
        (
            r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
            "bad_data",
            "parse error",
        ),
        (
            r#"{"error":{"code":400,"message":"Unknown name \"limit\"","status":"X"}}"#,
            "",
            "Unknown name \"limit\"",
        ),
    ] {
        let expected = Complaint {
            kind,
            text: Said::ours(text),
        };
        assert_eq!(complaint(body.as_bytes(), &Redactor::default()), Some(expected));
    }
    for body in ["", "no org id", "<html></html>", "{}", r#"{"message":"x"}"#] {
        assert_eq!(complaint(body.as_bytes(), &Redactor::default()), None, "{body}");
    }
}
