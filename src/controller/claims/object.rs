//! `ConfigMap` of the record: what is read of it, and what is written.

use std::sync::Arc;

use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    catalog::recorded::{Record, RecordError, VERSION, unpack},
    kubernetes::watch::Entry,
};

/// The key of the record.
const RECORD: &str = "claims.json.gz";
/// The key of its format's number.
const FORMAT: &str = "version";
/// The key of its digest.
const DIGEST: &str = "sha256";

/// What is known of the object.
#[derive(Clone, Debug)]
pub(super) enum Stored {
    /// It was not read yet.
    Unread,
    /// It does not exist.
    Absent,
    /// It is empty: as the chart creates it, or somebody has put it back to that.
    Blank {
        /// `metadata.resourceVersion`.
        version: String,
    },
    /// It can be read.
    Present {
        /// `metadata.resourceVersion`.
        version: String,
        /// The record in it.
        record: Arc<Record>,
    },
    /// It cannot be read.
    Unreadable {
        /// `metadata.resourceVersion`, where it is ours to write over.
        version: Option<String>,
        /// The cause.
        error: Arc<str>,
    },
}

#[derive(Debug, thiserror::Error)]
enum StoredError {
    #[error("its checksum is wrong")]
    Sum,
    #[error("it has the format {0:?}, but this version reads only {VERSION}")]
    Format(String),
    #[error(transparent)]
    Record(#[from] RecordError),
}

// === impl Stored ===

impl Stored {
    pub(super) fn of(entry: Entry<ConfigMap>) -> Self {
        let map = match entry {
            Ok(map) => map,
            Err(invalid) => {
                return Self::Unreadable {
                    version: invalid.metadata.resource_version,
                    error: invalid.error.into(),
                };
            }
        };
        let version = map.metadata.resource_version.clone().unwrap_or_default();
        match read(&map) {
            Ok(Some(record)) => Self::Present {
                version,
                record: Arc::new(record),
            },
            Ok(None) => Self::Blank { version },
            Err(error) => Self::Unreadable {
                version: (!matches!(
                    error,
                    StoredError::Format(_) | StoredError::Record(RecordError::Version(_))
                ))
                .then_some(version),
                error: error.to_string().into(),
            },
        }
    }
}

/// The record in `map`; `None` where nothing was ever written.
fn read(map: &ConfigMap) -> Result<Option<Record>, StoredError> {
    let text = |key: &str| map.data.as_ref()?.get(key).map(String::as_str);
    let bytes = map.binary_data.as_ref().and_then(|data| data.get(RECORD));
    let format = text(FORMAT);
    let Some(ByteString(bytes)) = bytes else {
        return match format {
            None => Ok(None),
            Some(_) => Err(StoredError::Sum),
        };
    };
    if let Some(format) = format.filter(|format| *format != VERSION.to_string()) {
        return Err(StoredError::Format(format.chars().take(32).collect()));
    }
    if text(DIGEST) != Some(&digest(bytes)) {
        return Err(StoredError::Sum);
    }
    Ok(Some(unpack(bytes)?))
}

/// The patch that stores `bytes` over the version that they were made for.
pub(super) fn patch(version: &str, bytes: Vec<u8>) -> Value {
    json!({
        "metadata": {"resourceVersion": version},
        // A key may stand in one of the two alone: what somebody has moved is moved back.
        "data": {FORMAT: VERSION.to_string(), DIGEST: digest(&bytes), RECORD: null},
        "binaryData": {RECORD: ByteString(bytes)},
    })
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            use std::fmt::Write as _;
            // Writing into a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
