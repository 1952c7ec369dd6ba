//! The shape of the JSON: one pass, elements counted as they come.

use std::{cell::Cell, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::float;
use crate::sample::Labels;

pub(super) struct Envelope<T> {
    pub(super) status: String,
    pub(super) data: Option<T>,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
    pub(super) partial: bool,
}

pub(super) struct EnvelopeSeed<S>(pub(super) S);

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum EnvelopeField {
    Status,
    Data,
    Warnings,
    Infos,
    IsPartial,
    #[serde(other)]
    Other,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for EnvelopeSeed<S> {
    type Value = Envelope<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for EnvelopeSeed<S> {
    type Value = Envelope<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer of the Prometheus API")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seed = Some(self.0);
        let (mut status, mut data) = (String::new(), None);
        let (mut warnings, mut infos, mut partial) = (None, None, false);
        while let Some(field) = map.next_key()? {
            match field {
                EnvelopeField::Status => status = map.next_value()?,
                EnvelopeField::Data => {
                    let seed = seed.take().ok_or_else(|| A::Error::duplicate_field("data"))?;
                    data = map.next_value_seed(Nullable(seed))?;
                }
                EnvelopeField::Warnings => warnings = map.next_value::<Option<Vec<String>>>()?,
                EnvelopeField::Infos => infos = map.next_value::<Option<Vec<String>>>()?,
                EnvelopeField::IsPartial => partial = map.next_value()?,
                EnvelopeField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Envelope {
            status,
            data,
            warnings: warnings.unwrap_or_default(),
            infos: infos.unwrap_or_default(),
            partial,
        })
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

/// How many elements a sequence may have, and the mark that it had more.
#[derive(Clone, Copy)]
pub(super) struct Bound<'c> {
    pub(super) max: Option<u64>,
    pub(super) over: &'c Cell<bool>,
}

impl Bound<'_> {
    fn read<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element()? {
            if self.max.is_some_and(|max| elements.len() as u64 >= max) {
                self.over.set(true);
                return Err(A::Error::custom("too many"));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}

pub(super) struct ResultSeed<'c>(pub(super) Bound<'c>);

#[derive(Default)]
pub(super) struct ResultData {
    pub(super) kind: String,
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
                ResultField::ResultType => data.kind = map.next_value()?,
                // A scalar's two parts come here as well, and must not count as rows.
                ResultField::Result => {
                    data.elements = map.next_value_seed(SequenceSeed::<Element>(
                        Bound {
                            max: self.0.max.map(|max| max.max(2)),
                            over: self.0.over,
                        },
                        std::marker::PhantomData,
                    ))?;
                }
                ResultField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if data.kind == "vector" && self.0.max.is_some_and(|max| data.elements.len() as u64 > max) {
            self.0.over.set(true);
            return Err(A::Error::custom("too many"));
        }
        Ok(data)
    }
}

pub(super) struct SeriesSeed<'c>(pub(super) Bound<'c>);

impl<'de> DeserializeSeed<'de> for SeriesSeed<'_> {
    type Value = Vec<BTreeMap<String, String>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        SequenceSeed(self.0, std::marker::PhantomData).deserialize(deserializer)
    }
}

struct SequenceSeed<'c, T>(Bound<'c>, std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for SequenceSeed<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for SequenceSeed<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        self.0.read(seq)
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
        struct Text;

        impl Visitor<'_> for Text {
            type Value = FloatText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in a string")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FloatText, E> {
                float(text)
                    .map(FloatText)
                    .ok_or_else(|| E::custom("a value that is no number"))
            }
        }

        deserializer.deserialize_str(Text)
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

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
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

            fn visit_str<E>(self, text: &str) -> Result<Element, E> {
                Ok(Element::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Element, A::Error> {
                let mut row = Row::default();
                while let Some(field) = map.next_key()? {
                    match field {
                        RowField::Metric => row.labels = map.next_value::<BTreeMap<String, String>>()?.into(),
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

        deserializer.deserialize_any(Any)
    }
}
