//! Decoder of the JSON of the Prometheus HTTP API, with bounds: <https://prometheus.io/docs/prometheus/latest/querying/api/>.
//!
//! Rows and their bytes are counted while they are read, so that an answer that is too large costs no more memory than one
//! that is not. Nothing of a body goes into an error but what the API has for that, and that without credentials.

mod json;
mod meter;

use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeSeed};

use self::json::{Element, EnvelopeSeed, FloatText, ResultData, ResultKind, ResultSeed, Row, SeriesSeed};
pub(super) use self::meter::{MAX_LISTING, MAX_TEXT, Meter, Over};
use super::body::Source;
use crate::{
    backend::{Said, redact::Redactor},
    sample::{Collector, InstantVector, Labels, Sample, SeriesSet},
};

/// What an answer holds, and what the backend said beside it.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) value: T,
    /// Why the answer may lack data, in the backend's words.
    pub(super) partial: Option<Said>,
}

/// Why a body is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// It is not the JSON of the API; where that shows.
    Garbage(String),
    /// It is a page for people.
    Page,
    /// `status` is not `success`.
    Failed(Complaint),
    /// The result is of another type.
    Type(&'static str),
    /// It is beyond a bound.
    Over(Over),
    /// It repeats a credential.
    Betrayal,
}

/// What a failed query is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// `errorType`, for example `bad_data`; empty where there is none that is known.
    pub(super) kind: &'static str,
    /// `error`.
    pub(super) text: Said,
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

/// The types of errors of Prometheus (`web/api/v1/api.go`) and Mimir.
const KINDS: [&str; 10] = [
    "bad_data",
    "execution",
    "timeout",
    "canceled",
    "unavailable",
    "internal",
    "not_found",
    "not_acceptable",
    "too_many_requests",
    "too_large_request",
];

/// Reads the answer of `/api/v1/query`. A scalar is one sample without labels.
pub(super) fn instant(source: Source, meter: &Meter) -> Result<Answer<InstantVector>, Undecodable> {
    let Envelope {
        value: ResultData { kind, elements },
        mut warnings,
        partial,
    } = envelope(source, ResultSeed(meter), meter)?;
    let (samples, histograms) = match kind {
        ResultKind::Vector => vector(elements)?,
        ResultKind::Scalar => (vec![scalar(elements)?], 0),
        other => return Err(Undecodable::Type(other.name())),
    };
    if histograms > 0 {
        warnings.push(format!(
            "{histograms} rows are native histograms and were dropped: use histogram_quantile, histogram_count, …"
        ));
    }
    let value = InstantVector {
        samples,
        warnings,
        scalar: kind == ResultKind::Scalar,
        histograms,
        partial: partial.is_some(),
    };
    meter.settle(value.weight());
    Ok(Answer { value, partial })
}

/// Reads the answer of `/api/v1/series` into `collector`.
pub(super) fn series(
    source: Source,
    collector: Collector,
    meter: &Meter,
) -> Result<Answer<SeriesSet>, Undecodable> {
    let Envelope { value, partial, .. } = envelope(source, SeriesSeed { collector, meter }, meter)?;
    meter.settle(value.bytes());
    Ok(Answer {
        value: value.finish(),
        partial,
    })
}

/// Reads the answer of `/api/v1/status/buildinfo`.
pub(super) fn build(body: Vec<u8>) -> Option<Build> {
    let meter = Meter::default();
    let seed = std::marker::PhantomData::<Build>;
    envelope(Source::Whole(body), seed, &meter)
        .ok()
        .map(|envelope| envelope.value)
}

/// Reads the body of a failed query: Prometheus' own form, or Google's with an object under `error`.
pub(super) fn complaint(body: &[u8], redactor: &Redactor) -> Option<Complaint> {
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
    Some(Complaint::new(&failure.kind, &text, redactor))
}

/// The data of a success, and what was said beside it.
struct Envelope<T> {
    value: T,
    warnings: Vec<String>,
    partial: Option<Said>,
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
                .ok_or_else(|| Undecodable::Garbage("a value that is not a number".to_owned()))?,
            timestamp: instant_of(timestamp)?,
        }),
        _ => Err(Undecodable::Garbage("a scalar without a value".to_owned())),
    }
}

/// Go's `strconv.FormatFloat`: `1`, `1e+06`, `NaN`, `+Inf`; all of it is in the grammar of Rust's parser.
fn float(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// Seconds since 1970 with a fraction; Prometheus knows milliseconds.
fn instant_of(seconds: f64) -> Result<Timestamp, Undecodable> {
    // The number itself may be a password of digits.
    let garbage = || Undecodable::Garbage("a timestamp out of range".to_owned());
    let millis = (seconds * 1000.0).round();
    // Within this range a float is exact, and so is the cast.
    if millis.is_nan() || millis.abs() >= 1e15 {
        return Err(garbage());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was just checked")]
    Timestamp::from_millisecond(millis as i64).map_err(|_| garbage())
}

fn envelope<S, T>(source: Source, seed: S, meter: &Meter) -> Result<Envelope<T>, Undecodable>
where
    S: for<'de> DeserializeSeed<'de, Value = T>,
{
    let seed = EnvelopeSeed { data: seed, meter };
    let (read, page) = match source {
        Source::Whole(body) => {
            let page = body.trim_ascii_start().starts_with(b"<");
            let mut json = serde_json::Deserializer::from_slice(&body);
            let read = seed.deserialize(&mut json);
            (read.and_then(|read| json.end().map(|()| read)), page)
        }
        Source::Pieces(reader) => {
            let mut json = serde_json::Deserializer::from_reader(reader);
            let read = seed.deserialize(&mut json);
            (read.and_then(|read| json.end().map(|()| read)), false)
        }
    };
    let read = read.map_err(|error| meter.cause(&error, page))?;
    if !read.success {
        return Err(Undecodable::Failed(Complaint::new(
            &read.kind,
            &read.error,
            meter.redactor(),
        )));
    }
    let value = read
        .data
        .ok_or_else(|| Undecodable::Garbage("no data".to_owned()))?;
    let partial = if read.partial {
        Some(Said::ours("isPartial: true"))
    } else {
        read.warnings.missing
    };
    let said = read.warnings.said.into_iter().chain(read.infos.said);
    Ok(Envelope {
        value,
        warnings: said.take(json::MAX_WARNINGS).collect(),
        partial,
    })
}

// === impl Complaint ===

impl Complaint {
    fn new(kind: &str, text: &str, redactor: &Redactor) -> Self {
        let known = KINDS.into_iter().find(|known| *known == kind);
        let text = if known.is_none() && !kind.is_empty() {
            redactor.said(&format!("{kind}: {text}"))
        } else {
            redactor.said(text)
        };
        Self {
            kind: known.unwrap_or_default(),
            text,
        }
    }
}

#[cfg(test)]
mod tests;
