//! Helm release as Helm stores it: the Secret `sh.helm.release.v1.NAME.vN`.

use std::io::Read as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::GzDecoder;
use serde_json::Value as Json;

use crate::document;

/// Releases are at most a Secret of 1 MiB, packed; text packs by 20 at most.
const MOST: u64 = 32 << 20;

/// Why a release cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It is not base64.
    #[error("the release is not valid base64")]
    Base64,
    /// It does not unpack, or comes to more than 32 MiB.
    #[error("the release cannot be unpacked: it is not gzip, is truncated, or contains more than 32 MiB")]
    Gzip,
    /// It is not JSON.
    #[error("the release is not valid JSON of Helm")]
    Json,
}

/// The values of a release as YAML: the chart's own, overlaid by those of the user. `data` is what the Secret's key
/// `release` holds: base64 of gzip of JSON.
///
/// # Errors
///
/// What is not of that form.
pub fn release_text(data: &[u8]) -> Result<String, ReleaseError> {
    let packed = BASE64_STANDARD
        .decode(data.trim_ascii())
        .map_err(|_| ReleaseError::Base64)?;
    let mut text = Vec::new();
    // Helm 2 and the first of 3 kept it unpacked.
    if packed.starts_with(&[0x1f, 0x8b]) {
        let read = GzDecoder::new(packed.as_slice())
            .take(MOST)
            .read_to_end(&mut text);
        if read.is_err() || text.len() as u64 >= MOST {
            return Err(ReleaseError::Gzip);
        }
    } else {
        text = packed;
    }
    let release: Json = serde_json::from_slice(&text).map_err(|_| ReleaseError::Json)?;
    let mut values = release.pointer("/chart/values").cloned().unwrap_or_default();
    overlay(&mut values, release.get("config").unwrap_or(&Json::Null));
    Ok(document::to_yaml(&values, &["rules", "prometheus"]))
}

/// The same of a manifest of the Secret, in which every value is base64 once more.
pub(super) fn from_secret(data: &[u8]) -> Result<String, ReleaseError> {
    let once = BASE64_STANDARD
        .decode(data.trim_ascii())
        .map_err(|_| ReleaseError::Base64)?;
    release_text(&once)
}

/// As Helm merges values: mappings key by key, anything else replaces. `null` takes the chart's own value away; it stays, since
/// what is absent here has the chart's default.
fn overlay(values: &mut Json, over: &Json) {
    match (values, over) {
        (_, Json::Null) => {}
        (Json::Object(values), Json::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    values.insert(key.clone(), Json::Null);
                } else {
                    overlay(values.entry(key.clone()).or_insert(Json::Null), value);
                }
            }
        }
        (values, over) => *values = over.clone(),
    }
}
