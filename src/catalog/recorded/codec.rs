//! Codec of the record: JSON, gzipped. The checksum at the end of gzip's format is checked on reading, and so is every bound.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    sync::Arc,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use super::{ClaimKey, Origin, Record, RecordedClaim, RecordedRule};
use crate::{api::metric_rule::RuleKey, resource::GroupResource};

/// The format that this version writes, and the only one that it reads.
pub const VERSION: u32 = 1;
/// The most bytes that a record takes as it is stored: half of what a `ConfigMap` may hold.
pub const PACKED_MAX: usize = 512 * 1024;
/// The most bytes of its text.
pub const UNPACKED_MAX: usize = 4 * 1024 * 1024;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is larger than what is ever written.
    #[error("it has more than {0} bytes")]
    TooLarge(usize),
    /// Another version of the operator wrote it.
    #[error("it has the format {0}, but this version reads only {VERSION}")]
    Version(u32),
    /// It is no gzip, or its sum is wrong.
    #[error("its bytes are damaged: {0}")]
    Damaged(#[from] std::io::Error),
    /// It is not what was written.
    #[error("its text is not a valid record: {0}")]
    Text(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    rules: Vec<RuleText>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    crowded: BTreeSet<Option<String>>,
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct RuleText {
    uid: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    generation: i64,
    origin: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    priority: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    selector: Option<LabelSelector>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    claims: Vec<ClaimText>,
}

/// Kind, metric, series, label, since when it is idle.
type ClaimText = (Option<String>, String, String, String, Option<i64>);

/// The bytes of a record.
///
/// # Errors
///
/// `TooLarge` where its text is; not to be met after [`share`](super::share).
pub fn pack(record: &Record) -> Result<Vec<u8>, RecordError> {
    let rules = record.rules.iter().map(|(uid, rule)| RuleText::of(uid, rule));
    let text = serde_json::to_vec(&Document {
        version: VERSION,
        rules: rules.collect(),
        crowded: record.crowded.clone(),
    })?;
    if text.len() > UNPACKED_MAX {
        return Err(RecordError::TooLarge(UNPACKED_MAX));
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&text)?;
    Ok(encoder.finish()?)
}

/// The record of bytes.
///
/// # Errors
///
/// See [`RecordError`].
pub fn unpack(bytes: &[u8]) -> Result<Record, RecordError> {
    if bytes.len() > PACKED_MAX {
        return Err(RecordError::TooLarge(PACKED_MAX));
    }
    let mut text = Vec::new();
    let limit = u64::try_from(UNPACKED_MAX).unwrap_or(u64::MAX);
    GzDecoder::new(bytes)
        .take(limit.saturating_add(1))
        .read_to_end(&mut text)?;
    if text.len() > UNPACKED_MAX {
        return Err(RecordError::TooLarge(UNPACKED_MAX));
    }
    let Header { version } = serde_json::from_slice(&text)?;
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let document: Document = serde_json::from_slice(&text)?;
    Ok(Record {
        rules: document.rules.into_iter().map(RuleText::into_rule).collect(),
        crowded: document.crowded,
    })
}

// === impl RuleText ===

impl RuleText {
    fn of(uid: &str, rule: &RecordedRule) -> Self {
        let claims = rule.claims.iter().map(|(key, claim)| {
            (
                key.resource.as_ref().map(ToString::to_string),
                key.name.to_string(),
                claim.series.to_string(),
                claim.label.to_string(),
                claim.idle_since,
            )
        });
        Self {
            uid: uid.to_owned(),
            namespace: rule.key.namespace.clone(),
            name: rule.key.name.clone(),
            generation: rule.generation,
            origin: rule.origin.0,
            priority: rule.priority,
            selector: rule.selector.clone(),
            cut: rule.cut,
            claims: claims.collect(),
        }
    }

    fn into_rule(self) -> (Arc<str>, Arc<RecordedRule>) {
        let claims = self
            .claims
            .into_iter()
            .map(|(kind, name, series, label, idle_since)| {
                let key = ClaimKey {
                    resource: kind.map(|kind| GroupResource::parse(&kind)),
                    name: name.into(),
                };
                let claim = RecordedClaim {
                    series: series.into(),
                    label: label.into(),
                    idle_since,
                };
                (key, claim)
            });
        let rule = RecordedRule {
            key: RuleKey {
                namespace: self.namespace,
                name: self.name,
            },
            generation: self.generation,
            origin: Origin(self.origin),
            priority: self.priority,
            selector: self.selector,
            claims: claims.collect(),
            cut: self.cut,
        };
        (self.uid.into(), Arc::new(rule))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}
