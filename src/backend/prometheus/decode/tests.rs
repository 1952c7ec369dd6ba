use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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
    let sorted: Vec<f64> = vector.by_labels().iter().map(|row| row.value).collect();
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
            Undecodable::Type("matrix".into()),
        ),
        (
            r#"{"status":"success","data":{"resultType":"string","result":[1,"x"]}}"#,
            Undecodable::Type("string".into()),
        ),
        (
            r#"{"status":"error","errorType":"execution","error":"boom","data":null}"#,
            Undecodable::Failed(Complaint {
                kind: "execution".into(),
                text: "boom".into(),
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
            matches!(error, Undecodable::Garbage(_) | Undecodable::Failed(_)),
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
    assert_eq!(answer.partial.as_deref(), Some(said[0]));
    assert!(answer.value.partial);
    let cut = json!({"status": "success", "warnings": said, "data": [{"__name__": "a"}]});
    let answer = series(cut.to_string().as_bytes(), 10).unwrap();
    assert_eq!(
        answer.partial.as_deref(),
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
            Undecodable::TooMany,
            "{max}"
        );
    }
    let one =
        vector_of(&json!([{"metric": {}, "value": [1, "1"]}, {"metric": {"a": "b"}, "value": [1, "1"]}]));
    assert_eq!(instant(&one, Some(1)).unwrap_err(), Undecodable::TooMany);

    // The bound holds while reading: what comes after the row too many is not even looked at.
    let mut cut = body.clone();
    cut.truncate(cut.len() - 10);
    assert_eq!(instant(&cut, Some(3)).unwrap_err(), Undecodable::TooMany);
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
            .as_deref()
            .map(|text| partial.is_some_and(|partial| text.starts_with(partial)));
        assert_eq!(starts, partial.map(|_| true), "{body}: {:?}", answer.partial);
        let said = warnings.as_array().map_or(0, Vec::len) + infos.as_array().map_or(0, Vec::len);
        assert_eq!(answer.value.warnings.len(), said);
    }

    let many: Vec<_> = (0..100).map(|_| "w ".repeat(1000)).collect();
    let body = json!({"status": "success", "warnings": many, "data": []});
    let answer = series(body.to_string().as_bytes(), 10).unwrap();
    assert_eq!(answer.warnings.len(), 16);
    assert!(answer.warnings.iter().all(|warning| warning.len() <= 256));
}

#[test]
fn series_are_sorted_and_bounded() {
    let body = json!({"status": "success", "data": [
        {"__name__": "b", "pod": "x"}, {"__name__": "a"}, {"__name__": "b", "pod": "x"},
    ]});
    let body = body.to_string();
    let answer = series(body.as_bytes(), 3).unwrap();
    let names: Vec<_> = answer.value.iter().filter_map(Labels::name).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(series(body.as_bytes(), 2).unwrap_err(), Undecodable::TooMany);
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
            kind: kind.into(),
            text: text.into(),
        };
        assert_eq!(complaint(body.as_bytes()), Some(expected));
    }
    for body in ["", "no org id", "<html></html>", "{}", r#"{"message":"x"}"#] {
        assert_eq!(complaint(body.as_bytes()), None, "{body}");
    }
}
