//! Series of a listing, one at a time.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::{super::Meter, Shown};
use crate::sample::{Collector, NAME_LABEL};

/// Series, of which the collector keeps what is needed.
pub(in super::super) struct SeriesSeed<'m> {
    pub(in super::super) collector: Collector,
    pub(in super::super) meter: &'m Meter,
}

impl<'de> DeserializeSeed<'de> for SeriesSeed<'_> {
    type Value = Collector;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Collector, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for SeriesSeed<'_> {
    type Value = Collector;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of series")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Collector, A::Error> {
        let mut name = String::new();
        loop {
            let one = OneSeries {
                collector: &mut self.collector,
                meter: self.meter,
                name: &mut name,
            };
            if seq.next_element_seed(one)?.is_none() {
                return Ok(self.collector);
            }
            let kept = self.collector.end().map(|()| self.collector.bytes());
            self.meter.listing(self.collector.total(), kept)?;
        }
    }
}

struct OneSeries<'c, 'm> {
    collector: &'c mut Collector,
    meter: &'m Meter,
    /// Of the label that is being read; one piece of memory for all.
    name: &'c mut String,
}

impl<'de> DeserializeSeed<'de> for OneSeries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneSeries<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a series")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self {
            collector,
            meter,
            name,
        } = self;
        loop {
            name.clear();
            let keep = |label: &str| {
                name.push_str(label);
                Ok(())
            };
            if map.next_key_seed(Shown(keep))?.is_none() {
                return Ok(());
            }
            let label = name.as_str();
            let take = |value: &str| {
                // Names alone go on to anyone.
                if label == NAME_LABEL {
                    meter.show(value)?;
                }
                meter.show(label)?;
                collector.label(label, value);
                Ok(())
            };
            map.next_value_seed(Shown(take))?;
        }
    }
}
