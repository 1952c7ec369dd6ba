//! Meter of an answer while it is decoded: rows, labels and bytes against their bounds and the budget.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    sync::Arc,
};

use serde::de;

use super::{Undecodable, json::Element};
use crate::{
    backend::{NoRoom, Place, prometheus::body::TooLong, redact::Redactor},
    sample::{Full, Labels, Sample},
};

/// The longest name of a label, in bytes.
pub(super) const MAX_NAME: usize = 1 << 10;
/// The longest value of a label, in bytes.
pub(super) const MAX_VALUE: usize = 8 << 10;
/// The most labels of a row.
const MAX_LABELS: usize = 256;
/// The most bytes of a row's labels.
const MAX_ROW: usize = 32 << 10;
/// The most memory of an answer, in bytes. 50,000 rows, the default of `limits.maxSamples`, with six labels each take
/// less.
const MAX_ANSWER: usize = 32 << 20;
/// The longest text of any kind that is read as a whole, in bytes.
pub(in super::super) const MAX_TEXT: usize = 64 << 10;
/// The most memory that is kept of one listing, in bytes.
pub(in super::super) const MAX_LISTING: usize = 8 << 20;
/// The most series of one listing that are read.
pub(in super::super) const MAX_SERIES: usize = 500_000;

/// Which bound an answer is beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Over {
    #[error("the backend's answer has more than {0} rows, which is limits.maxSamples of the rule")]
    Rows(u64),
    #[error("a label of the backend's answer has a name of more than {} bytes", MAX_NAME)]
    Name,
    #[error("a label of the backend's answer has a value of more than {} KiB; aggregate it away", MAX_VALUE >> 10)]
    Value,
    #[error(
        "a row of the backend's answer has more than {} labels, or more than {} KiB of them; aggregate some away",
        MAX_LABELS,
        MAX_ROW >> 10
    )]
    Labels,
    #[error("the backend's answer contains a text of more than {} KiB", MAX_TEXT >> 10)]
    Text,
    #[error("the rows of the backend's answer take more than {} MiB of memory; aggregate more", MAX_ANSWER >> 20)]
    Answer,
    #[error("the backend lists more than {} series; narrow seriesQuery", MAX_SERIES)]
    Series,
    #[error(
        "the names of the series that the backend lists, and of their labels, take more than {} MiB of memory; narrow \
         seriesQuery, or lower limits.maxSeries",
        MAX_LISTING >> 20
    )]
    Listing,
    #[error("{0}; ask for fewer rows at a time")]
    Room(NoRoom),
}

/// Counts one answer.
#[derive(Default)]
pub(in super::super) struct Meter {
    max_rows: Option<u64>,
    redactor: Redactor,
    place: RefCell<Place>,
    bytes: Cell<usize>,
    /// Rows have the same labels.
    names: RefCell<HashSet<Arc<str>>>,
    failed: RefCell<Option<Undecodable>>,
}

// === impl Meter ===

impl Meter {
    /// For at most `max_rows` rows, whose bytes take `place`.
    pub(in super::super) fn new(max_rows: Option<u64>, redactor: Redactor, place: Place) -> Self {
        Self {
            max_rows,
            redactor,
            place: RefCell::new(place),
            ..Self::default()
        }
    }

    /// What was taken of the budget.
    pub(in super::super) fn into_place(self) -> Place {
        self.place.into_inner()
    }

    pub(super) const fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Ends the reading with a reason that the decoder's error cannot carry.
    pub(super) fn fail<E: de::Error>(&self, failure: Undecodable) -> E {
        *self.failed.borrow_mut() = Some(failure);
        E::custom("the query was cancelled")
    }

    pub(super) fn over<E: de::Error>(&self, over: Over) -> E {
        self.fail(Undecodable::Over(over))
    }

    /// What an error of the decoder means. Its own words quote the body, so the place is all that is told of it.
    pub(super) fn cause(&self, error: &serde_json::Error, page: bool) -> Undecodable {
        if let Some(failed) = self.failed.take() {
            return failed;
        }
        if error.io_error_kind().is_some() && error.to_string().starts_with(&TooLong.to_string()) {
            return Undecodable::Over(Over::Text);
        }
        if page {
            return Undecodable::Page;
        }
        let what = if error.is_eof() {
            "it ends early"
        } else if error.is_data() {
            "the answer does not have the form of the API"
        } else {
            "it is not valid JSON"
        };
        Undecodable::Garbage(format!(
            "{what} at line {} column {}",
            error.line(),
            error.column()
        ))
    }

    /// One more row; the rows of a vector alone count against the bound.
    pub(super) fn row<E: de::Error>(&self) -> Result<(), E> {
        self.take(size_of::<Element>() * 2 + size_of::<Sample>())
    }

    pub(super) fn bound<E: de::Error>(&self, rows: usize) -> Result<(), E> {
        match self.max_rows {
            Some(max) if rows as u64 > max => Err(self.over(Over::Rows(max))),
            _ => Ok(()),
        }
    }

    /// The labels of a row: their number, and the bytes of their values.
    pub(super) fn labels<E: de::Error>(&self, labels: usize, values: usize) -> Result<(), E> {
        if labels > MAX_LABELS || values > MAX_ROW {
            return Err(self.over(Over::Labels));
        }
        Ok(())
    }

    pub(super) fn keep<E: de::Error>(&self, labels: &Labels) -> Result<(), E> {
        self.take(labels.weight())
    }

    /// The name of a label, in one copy for all rows.
    pub(super) fn name<E: de::Error>(&self, name: &str) -> Result<Arc<str>, E> {
        if let Some(known) = self.names.borrow().get(name) {
            return Ok(known.clone());
        }
        if name.len() > MAX_NAME {
            return Err(self.over(Over::Name));
        }
        self.show(name)?;
        self.take(name.len() + 64)?;
        let name: Arc<str> = name.into();
        self.names.borrow_mut().insert(name.clone());
        Ok(name)
    }

    pub(super) fn value<E: de::Error>(&self, value: &str) -> Result<Box<str>, E> {
        if value.len() > MAX_VALUE {
            return Err(self.over(Over::Value));
        }
        self.show(value)?;
        Ok(value.into())
    }

    /// A text in the place of a row: a scalar has one.
    pub(super) fn text<E: de::Error>(&self, text: &str) -> Result<Box<str>, E> {
        self.take(text.len())?;
        self.value(text)
    }

    /// What goes on to those who ask may not hold a credential.
    pub(super) fn show<E: de::Error>(&self, data: &str) -> Result<(), E> {
        if self.redactor.betrayed_by(data) {
            return Err(self.fail(Undecodable::Betrayal));
        }
        Ok(())
    }

    /// So many bytes are kept of a listing now.
    pub(super) fn listing<E: de::Error>(&self, read: usize, kept: Result<usize, Full>) -> Result<(), E> {
        if read > MAX_SERIES {
            return Err(self.over(Over::Series));
        }
        let bytes = kept.map_err(|Full| self.over(Over::Listing))?;
        self.cover(bytes)
    }

    /// The answer is decoded and takes so many bytes.
    pub(super) fn settle(&self, bytes: usize) {
        self.place.borrow_mut().shrink(bytes);
    }

    fn take<E: de::Error>(&self, bytes: usize) -> Result<(), E> {
        let bytes = self.bytes.get() + bytes;
        self.bytes.set(bytes);
        if bytes > MAX_ANSWER {
            return Err(self.over(Over::Answer));
        }
        self.cover(bytes)
    }

    fn cover<E: de::Error>(&self, bytes: usize) -> Result<(), E> {
        let covered = self.place.borrow_mut().cover(bytes);
        covered.map_err(|no_room| self.over(Over::Room(no_room)))
    }
}
