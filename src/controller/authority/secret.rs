//! Secret of the CA: what is read of it, and what is written.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use serde_json::{Map, Value, json};

use super::ROTATE;
use crate::pki::{Asked, CaState, MAX_FORMER, PkiError, Step};

/// Whether it holds nothing of a CA; what holds a part of one is left alone.
pub(super) fn is_blank(secret: &Secret) -> bool {
    let mut data = secret.data.iter().flatten();
    !data.any(|(key, _)| CaState::KEYS.contains(&key.as_str()))
}

pub(super) fn encode(state: &CaState) -> BTreeMap<String, ByteString> {
    state
        .encode()
        .into_iter()
        .map(|(key, value)| (key, ByteString(value)))
        .collect()
}

pub(super) fn decode(secret: &Secret) -> Result<CaState, PkiError> {
    let data = secret.data.iter().flatten();
    CaState::decode(&data.map(|(key, value)| (key.clone(), value.0.clone())).collect())
}

/// A merge patch from what the Secret holds to `state`, for exactly that version of it. Keys that we know and do not need
/// any more are taken out, and a request for a rotation where it is answered; those of others stay.
pub(super) fn patch(secret: &Secret, state: &CaState, answered: bool) -> Value {
    let now = encode(state);
    let mut data: Map<String, Value> = now
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    for key in CaState::KEYS {
        if !now.contains_key(key) {
            data.insert(key.to_owned(), Value::Null);
        }
    }
    let mut metadata = json!({
        "uid": secret.metadata.uid,
        "resourceVersion": secret.metadata.resource_version,
    });
    if answered {
        metadata["annotations"] = json!({ROTATE: null});
    }
    json!({"metadata": metadata, "data": data})
}

/// Says in the log what becomes of a request for a rotation that begins none.
pub(super) fn answer(request: &str, step: Option<Step>, before: &CaState) {
    match request.parse::<Asked>() {
        Err(error) => tracing::error!("removed the annotation {ROTATE} of the CA Secret: {error}"),
        Ok(_) if step.is_some() => {}
        Ok(_) if before.has_next() => {
            tracing::warn!("the operator issues no other CA: a rotation is already in progress");
        }
        Ok(_) => tracing::error!(
            "the operator issues no other CA: {MAX_FORMER} former ones are trusted until their last certificates \
             expire; {ROTATE}=revoke drops them"
        ),
    }
}
