//! The JSON of the Prometheus HTTP API, read with bounds: <https://prometheus.io/docs/prometheus/latest/querying/api/>.
//!
//! Rows are counted while they are read, so that an answer that is too large costs no more memory than one that is not.

mod json;

use std::cell::Cell;

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeSeed};

use self::json::{Bound, Element, EnvelopeSeed, FloatText, ResultData, ResultSeed, Row, SeriesSeed};
use crate::{
    backend::error::tidy,
    sample::{InstantVector, Labels, Sample, SeriesSet},
};

/// How many warnings of an answer are kept, and how long each may be, in bytes.
const MAX_WARNINGS: usize = 16;
const MAX_WARNING: usize = 256;

/// Warnings of `PromQL` itself, about the query and not about missing data: Prometheus' `util/annotations` begins them so.
const PROMQL: [&str; 2] = ["PromQL warning: ", "PromQL info: "];

/// What an answer holds, and what the backend said beside it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) warnings: Vec<String>,
    /// Why the answer may lack data, in the backend's words.
    pub(super) partial: Option<String>,
}

/// Why a body is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// It is not the JSON of the API; the decoder's words.
    Garbage(String),
    /// `status` is not `success`.
    Failed(Complaint),
    /// The result is of another type, for example `matrix`.
    Type(String),
    /// There are more rows than asked for.
    TooMany,
}

/// What a failed query is answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// `errorType`, for example `bad_data`; empty where there is none.
    pub(super) kind: String,
    /// `error`.
    pub(super) text: String,
}

/// What `/api/v1/status/buildinfo` holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Build {
    pub(super) version: String,
    /// Prometheus and what is made of it have it; `VictoriaMetrics` gives a version alone.
    #[serde(rename = "goVersion")]
    pub(super) go_version: String,
    /// Only Mimir has it: `Grafana Mimir`.
    pub(super) application: String,
}

/// Reads the answer of `/api/v1/query`. A scalar is one sample without labels.
pub(super) fn instant(body: &[u8], max: Option<u64>) -> Result<Answer<InstantVector>, Undecodable> {
    let over = Cell::new(false);
    let answer = envelope(body, ResultSeed(Bound { max, over: &over }), &over)?;
    let Answer {
        value: ResultData { kind, elements },
        mut warnings,
        partial,
    } = answer;
    let (samples, histograms) = match kind.as_str() {
        "vector" => vector(elements)?,
        "scalar" => (vec![scalar(elements)?], 0),
        _ => return Err(Undecodable::Type(tidy(&kind, 32))),
    };
    if histograms > 0 {
        warnings.push(format!(
            "{histograms} rows are native histograms and were left out: use histogram_quantile, histogram_count, …"
        ));
    }
    let value = InstantVector {
        samples,
        warnings: warnings.clone(),
        scalar: kind == "scalar",
        histograms,
        partial: partial.is_some(),
    };
    Ok(Answer {
        value,
        warnings,
        partial,
    })
}

/// Reads the answer of `/api/v1/series`.
pub(super) fn series(body: &[u8], max: u64) -> Result<Answer<SeriesSet>, Undecodable> {
    let over = Cell::new(false);
    let bound = Bound {
        max: Some(max),
        over: &over,
    };
    let answer = envelope(body, SeriesSeed(bound), &over)?;
    Ok(Answer {
        value: answer.value.into_iter().map(Labels::from).collect(),
        warnings: answer.warnings,
        partial: answer.partial,
    })
}

/// Reads the answer of `/api/v1/status/buildinfo`.
pub(super) fn build(body: &[u8]) -> Option<Build> {
    envelope(body, std::marker::PhantomData::<Build>, &Cell::new(false))
        .ok()
        .map(|answer| answer.value)
}

/// Reads the body of a failed query: Prometheus' own form, or Google's with an object under `error`.
pub(super) fn complaint(body: &[u8]) -> Option<Complaint> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ErrorText {
        Plain(String),
        Google { message: String },
    }
    #[derive(Deserialize)]
    struct Failure {
        #[serde(default, rename = "errorType")]
        kind: String,
        error: ErrorText,
    }
    let failure: Failure = serde_json::from_slice(body).ok()?;
    let (ErrorText::Plain(text) | ErrorText::Google { message: text }) = failure.error;
    Some(Complaint {
        kind: failure.kind,
        text,
    })
}

/// The rows with a number, and how many are native histograms.
fn vector(elements: Vec<Element>) -> Result<(Vec<Sample>, u64), Undecodable> {
    let (mut samples, mut histograms) = (Vec::with_capacity(elements.len()), 0);
    for element in elements {
        match element {
            Element::Row(Row {
                labels,
                value: Some((timestamp, FloatText(value))),
                ..
            }) => samples.push(Sample {
                labels,
                value,
                timestamp: instant_of(timestamp)?,
            }),
            Element::Row(row) if row.histogram => histograms += 1,
            _ => return Err(Undecodable::Garbage("a row without a value".to_owned())),
        }
    }
    Ok((samples, histograms))
}

fn scalar(elements: Vec<Element>) -> Result<Sample, Undecodable> {
    let mut elements = elements.into_iter();
    match (elements.next(), elements.next()) {
        (Some(Element::Number(timestamp)), Some(Element::Text(value))) => Ok(Sample {
            labels: Labels::default(),
            value: float(&value)
                .ok_or_else(|| Undecodable::Garbage("a value that is no number".to_owned()))?,
            timestamp: instant_of(timestamp)?,
        }),
        _ => Err(Undecodable::Garbage("a scalar that is none".to_owned())),
    }
}

/// Go's `strconv.FormatFloat`: `1`, `1e+06`, `NaN`, `+Inf`; all of it is in the grammar of Rust's parser.
fn float(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Seconds since 1970 with a fraction; Prometheus knows milliseconds.
fn instant_of(seconds: f64) -> Result<Timestamp, Undecodable> {
    let garbage = || Undecodable::Garbage(format!("a timestamp out of range: {seconds}"));
    let millis = (seconds * 1000.0).round();
    // Within this range a float is exact, and so is the cast.
    if millis.is_nan() || millis.abs() >= 1e15 {
        return Err(garbage());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was just checked")]
    Timestamp::from_millisecond(millis as i64).map_err(|_| garbage())
}

fn envelope<'de, S>(body: &'de [u8], seed: S, over: &Cell<bool>) -> Result<Answer<S::Value>, Undecodable>
where
    S: DeserializeSeed<'de>,
{
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = EnvelopeSeed(seed).deserialize(&mut deserializer);
    let envelope = read
        .and_then(|envelope| deserializer.end().map(|()| envelope))
        .map_err(|error| {
            if over.get() {
                Undecodable::TooMany
            } else {
                Undecodable::Garbage(error.to_string())
            }
        })?;
    if envelope.status != "success" {
        let complaint = complaint(body).unwrap_or_default();
        return Err(Undecodable::Failed(complaint));
    }
    let value = envelope
        .data
        .ok_or_else(|| Undecodable::Garbage("no data".to_owned()))?;
    // `results truncated due to limit` (`web/api/v1` of Prometheus) is one of them, whoever set the limit.
    let missing = |warning: &&String| !PROMQL.iter().any(|prefix| warning.starts_with(prefix));
    let partial = if envelope.partial {
        Some("isPartial: true".to_owned())
    } else {
        envelope.warnings.iter().find(missing).cloned()
    };
    let said = envelope.warnings.iter().chain(&envelope.infos);
    Ok(Answer {
        value,
        warnings: said
            .take(MAX_WARNINGS)
            .map(|text| tidy(text, MAX_WARNING))
            .collect(),
        partial,
    })
}

#[cfg(test)]
mod tests;
