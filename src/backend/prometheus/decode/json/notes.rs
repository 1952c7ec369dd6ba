//! Texts that a backend says beside its data, cut and redacted.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::super::{Meter, meter::MAX_TEXT};
use crate::backend::{Said, error::tidy};

/// How many warnings of an answer are kept, and how long each may be, in bytes.
pub(in super::super) const MAX_WARNINGS: usize = 16;
const MAX_WARNING: usize = 256;

/// Warnings of `PromQL` itself, about the query and not about missing data: Prometheus' `util/annotations` begins them so.
const PROMQL: [&str; 2] = ["PromQL warning: ", "PromQL info: "];

/// What a backend says beside its data.
#[derive(Default)]
pub(in super::super) struct Notes {
    pub(in super::super) said: Vec<String>,
    /// The first that says that data are missing.
    pub(in super::super) missing: Option<Said>,
}

/// A text, or nothing of what is none; at most a line of it. Google has an object with a `message` for an error.
pub(super) struct Text;

impl<'de> DeserializeSeed<'de> for Text {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<String, E> {
        Ok(text
            .get(..text.floor_char_boundary(MAX_TEXT))
            .unwrap_or_default()
            .to_owned())
    }

    fn visit_unit<E>(self) -> Result<String, E> {
        Ok(String::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut message = String::new();
        while let Some(field) = map.next_key_seed(Self)? {
            if field == "message" {
                message = map.next_value_seed(Self)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(message)
    }
}

pub(super) struct NotesSeed<'m>(pub(super) &'m Meter);

impl<'de> DeserializeSeed<'de> for NotesSeed<'_> {
    type Value = Notes;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Notes, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NotesSeed<'_> {
    type Value = Notes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_unit<E>(self) -> Result<Notes, E> {
        Ok(Notes::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Notes, A::Error> {
        let mut notes = Notes::default();
        while let Some(text) = seq.next_element_seed(Text)? {
            let of_promql = PROMQL.iter().any(|prefix| text.starts_with(prefix));
            // `results truncated due to limit` (`web/api/v1` of Prometheus) is one of them, whoever set the limit.
            let missing = notes.missing.is_none() && !of_promql;
            // The others are not even looked through.
            if !missing && notes.said.len() >= MAX_WARNINGS {
                continue;
            }
            let said = self.0.redactor().said(&text);
            if notes.said.len() < MAX_WARNINGS {
                notes.said.push(tidy(said.as_str(), MAX_WARNING));
            }
            if missing {
                notes.missing = Some(said);
            }
        }
        Ok(notes)
    }
}
