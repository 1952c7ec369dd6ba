//! JSON of an answer, read in one pass: everything is counted as it comes.

mod notes;
mod series;

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use self::notes::{NotesSeed, Text};
pub(super) use self::{
    notes::{MAX_WARNINGS, Notes},
    series::SeriesSeed,
};
use super::{Meter, float};
use crate::sample::Labels;

pub(super) struct Envelope<T> {
    pub(super) success: bool,
    pub(super) data: Option<T>,
    pub(super) warnings: Notes,
    pub(super) infos: Notes,
    pub(super) partial: bool,
    /// `errorType`.
    pub(super) kind: String,
    pub(super) error: String,
}

pub(super) struct EnvelopeSeed<'m, S> {
    pub(super) data: S,
    pub(super) meter: &'m Meter,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum EnvelopeField {
    Status,
    Data,
    Warnings,
    Infos,
    IsPartial,
    ErrorType,
    Error,
    #[serde(other)]
    Other,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for EnvelopeSeed<'_, S> {
    type Value = Envelope<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for EnvelopeSeed<'_, S> {
    type Value = Envelope<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of the Prometheus API")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seed = Some(self.data);
        let mut read = Envelope {
            success: false,
            data: None,
            warnings: Notes::default(),
            infos: Notes::default(),
            partial: false,
            kind: String::new(),
            error: String::new(),
        };
        while let Some(field) = map.next_key()? {
            match field {
                EnvelopeField::Status => read.success = map.next_value_seed(Text)? == "success",
                EnvelopeField::Data => {
                    let seed = seed.take().ok_or_else(|| A::Error::duplicate_field("data"))?;
                    read.data = map.next_value_seed(Nullable(seed))?;
                }
                EnvelopeField::Warnings => read.warnings = map.next_value_seed(NotesSeed(self.meter))?,
                EnvelopeField::Infos => read.infos = map.next_value_seed(NotesSeed(self.meter))?,
                EnvelopeField::IsPartial => read.partial = map.next_value()?,
                EnvelopeField::ErrorType => read.kind = map.next_value_seed(Text)?,
                EnvelopeField::Error => read.error = map.next_value_seed(Text)?,
                EnvelopeField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(read)
    }
}

/// `data` is null in some failures.
struct Nullable<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Nullable<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("data")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.deserialize(deserializer).map(Some)
    }
}

/// The types of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ResultKind {
    Vector,
    Scalar,
    Matrix,
    String,
    #[default]
    Other,
}

impl ResultKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Vector => "vector",
            Self::Scalar => "scalar",
            Self::Matrix => "matrix",
            Self::String => "string",
            Self::Other => "result of another type",
        }
    }

    fn of(text: &str) -> Self {
        [Self::Vector, Self::Scalar, Self::Matrix, Self::String]
            .into_iter()
            .find(|kind| kind.name() == text)
            .unwrap_or_default()
    }
}

pub(super) struct ResultSeed<'m>(pub(super) &'m Meter);

#[derive(Default)]
pub(super) struct ResultData {
    pub(super) kind: ResultKind,
    pub(super) elements: Vec<Element>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum ResultField {
    ResultType,
    Result,
    #[serde(other)]
    Other,
}

impl<'de> DeserializeSeed<'de> for ResultSeed<'_> {
    type Value = ResultData;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ResultSeed<'_> {
    type Value = ResultData;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result with its type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut data = ResultData::default();
        while let Some(field) = map.next_key()? {
            match field {
                ResultField::ResultType => data.kind = ResultKind::of(&map.next_value_seed(Text)?),
                ResultField::Result => data.elements = map.next_value_seed(Elements(self.0))?,
                ResultField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if data.kind == ResultKind::Vector {
            self.0.bound(data.elements.len())?;
        }
        Ok(data)
    }
}

struct Elements<'m>(&'m Meter);

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = Vec<Element>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Vec<Element>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(ElementSeed(self.0))? {
            elements.push(element);
            // A scalar's two parts come here as well, and must not count as rows.
            if elements.len() > 2 {
                self.0.bound(elements.len())?;
            }
            self.0.row()?;
        }
        Ok(elements)
    }
}

/// An element of `result`: a row of a vector or matrix, or one of the two parts of a scalar or string.
pub(super) enum Element {
    Row(Row),
    Number(f64),
    Text(String),
}

#[derive(Default)]
pub(super) struct Row {
    pub(super) labels: Labels,
    pub(super) value: Option<(f64, FloatText)>,
    pub(super) histogram: bool,
}

pub(super) struct FloatText(pub(super) f64);

impl<'de> Deserialize<'de> for FloatText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = FloatText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FloatText, E> {
                float(text)
                    .map(FloatText)
                    .ok_or_else(|| E::custom("a value that is not a number"))
            }
        }

        deserializer.deserialize_str(Number)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum RowField {
    Metric,
    Value,
    Histogram,
    #[serde(other)]
    Other,
}

struct ElementSeed<'m>(&'m Meter);

impl<'de> DeserializeSeed<'de> for ElementSeed<'_> {
    type Value = Element;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Element, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ElementSeed<'_> {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row, a number or a string")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Element, E> {
        Ok(Element::Number(number))
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970, far below 2^53")]
    fn visit_u64<E>(self, number: u64) -> Result<Element, E> {
        Ok(Element::Number(number as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970, far above -2^53")]
    fn visit_i64<E>(self, number: i64) -> Result<Element, E> {
        Ok(Element::Number(number as f64))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Element, E> {
        Ok(Element::Text(self.0.text::<E>(text)?.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
        let mut row = Row::default();
        while let Some(field) = map.next_key()? {
            match field {
                RowField::Metric => row.labels = map.next_value_seed(LabelsSeed(self.0))?,
                RowField::Value => row.value = Some(map.next_value()?),
                RowField::Histogram => {
                    map.next_value::<IgnoredAny>()?;
                    row.histogram = true;
                }
                RowField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Element::Row(row))
    }
}

/// The labels of a row.
struct LabelsSeed<'m>(&'m Meter);

impl<'de> DeserializeSeed<'de> for LabelsSeed<'_> {
    type Value = Labels;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Labels, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LabelsSeed<'_> {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut labels: Vec<(Arc<str>, Box<str>)> = Vec::new();
        let mut values = 0;
        while let Some(name) = map.next_key_seed(Shown(|name: &str| self.0.name(name)))? {
            let value = map.next_value_seed(Shown(|value: &str| self.0.value(value)))?;
            values += value.len();
            labels.push((name, value));
            self.0.labels(labels.len(), values)?;
        }
        let labels: Labels = labels.into_iter().collect();
        self.0.keep(&labels)?;
        Ok(labels)
    }
}

/// A text that a function makes something of, without a copy in between.
struct Shown<F>(F);

/// The error of a function that does not know which decoder calls it.
type Stopped = serde::de::value::Error;

impl<'de, T, F: FnOnce(&str) -> Result<T, Stopped>> DeserializeSeed<'de> for Shown<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> Result<T, Stopped>> Visitor<'_> for Shown<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}
