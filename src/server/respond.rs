//! Replies: how they are written, and the one place that turns a reason into a code and a text.

mod accept;
mod pieces;
mod refusal;

#[cfg(test)]
mod tests;

use std::{fmt::Write as _, io::Write as _};

use self::pieces::Pieces;
pub(super) use self::{accept::Accepted, refusal::Refusal};
use super::router::room::Taken;
use crate::reason::Reason;
use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
        USER_AGENT, VARY, X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::Serialize;
use sha2::{Digest as _, Sha512};

/// The media type of everything here but text; without a charset, as Go's clients expect.
pub(super) const JSON: &str = "application/json";
/// The media type of texts.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// Larger bodies are compressed for those who ask (`defaultGzipThresholdBytes` of k8s.io/apiserver).
const GZIP_THRESHOLD: usize = 128 * 1024;
/// A longer id of a request is not repeated to its sender.
const AUDIT_ID_MAX: usize = 128;
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// How this client wants replies written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// With line breaks and two spaces.
    pub(super) pretty: bool,
    gzip: bool,
    head: bool,
    /// Names the request in the logs of all API servers that it passed.
    pub(super) audit_id: HeaderValue,
}

/// A reply before its common headers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) code: StatusCode,
    /// Why it is no success.
    pub(super) reason: Option<Reason>,
    headers: HeaderMap,
    body: Bytes,
    room: Option<Taken>,
}

/// A document that changes seldom, and the tag that says whether it did.
#[derive(Clone, Debug)]
pub(super) struct Tagged {
    pub(super) body: Bytes,
    /// Upper-case hexadecimal SHA-512 of the body, without quotes: the same on every replica.
    pub(super) hash: String,
}

// === impl Style ===

impl Style {
    /// What the request's head says; `pretty` is its parameter, which outdoes the look of the client.
    pub(super) fn of(method: &http::Method, headers: &HeaderMap, pretty: Option<bool>) -> Self {
        let agent = headers.get(USER_AGENT).map_or(&[][..], HeaderValue::as_bytes);
        let for_people = ["curl", "Wget", "Mozilla/5.0"]
            .iter()
            .any(|prefix| agent.starts_with(prefix.as_bytes()));
        Self {
            pretty: pretty.unwrap_or(for_people),
            gzip: takes_gzip(headers),
            head: method == http::Method::HEAD,
            audit_id: audit_id(headers),
        }
    }
}

/// The sender's id where it has one; the API server in front of us passes its own on.
fn audit_id(headers: &HeaderMap) -> HeaderValue {
    let sent = headers
        .get(AUDIT_ID)
        .filter(|id| !id.is_empty() && id.len() <= AUDIT_ID_MAX && id.to_str().is_ok());
    sent.cloned().unwrap_or_else(|| {
        let id = uuid::Uuid::new_v4().to_string();
        HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("-"))
    })
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named
            && !parts.any(
                |weight| matches!(weight.split_once('='), Some(("q" | "Q", q)) if q.parse() == Ok(0.0_f32)),
            )
    })
}

// === impl Reply ===

impl Reply {
    fn new(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            code,
            reason: None,
            headers,
            body: body.into(),
            room: None,
        }
    }

    /// A JSON body.
    pub(super) fn json(value: &impl Serialize, pretty: bool) -> Self {
        match encode(value, pretty) {
            Ok(body) => Self::new(StatusCode::OK, JSON, body),
            Err(error) => {
                tracing::error!(%error, "a reply could not be written");
                Refusal::internal("the reply could not be written").reply(pretty)
            }
        }
    }

    /// A body that was written before.
    pub(super) fn bytes(content_type: &'static str, body: Bytes) -> Self {
        Self::new(StatusCode::OK, content_type, body)
    }

    pub(super) fn into_body(self) -> Bytes {
        self.body
    }

    /// A text, which no browser takes for anything else.
    pub(super) fn text(code: StatusCode, content_type: &'static str, text: String) -> Self {
        Self::new(code, content_type, text).with(X_CONTENT_TYPE_OPTIONS, "nosniff")
    }

    /// A JSON document with its tag, or 304 for who has it already.
    pub(super) fn tagged(document: &Tagged, content_type: &'static str, request: &HeaderMap) -> Self {
        let etag = format!("\"{}\"", document.hash);
        let held = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok());
        let mut held = held.flat_map(|value| value.split(',')).map(str::trim);
        let mut reply = if held.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag) {
            Self {
                code: StatusCode::NOT_MODIFIED,
                reason: None,
                headers: HeaderMap::new(),
                body: Bytes::new(),
                room: None,
            }
        } else {
            Self::new(StatusCode::OK, content_type, document.body.clone())
        };
        if let Ok(etag) = HeaderValue::try_from(etag) {
            reply.headers.insert(ETAG, etag);
        }
        reply.with(VARY, "Accept")
    }

    /// With one more header.
    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// Bytes of the body.
    pub(super) fn len(&self) -> usize {
        self.body.len()
    }

    /// Keeps `room` until the body is sent.
    pub(super) fn holding(self, room: Taken) -> Self {
        Self {
            room: Some(room),
            ..self
        }
    }

    /// The response in full.
    pub(super) async fn finish(self, style: &Style) -> Response<Body> {
        let Self {
            code,
            mut headers,
            mut body,
            room,
            ..
        } = self;
        headers.insert(AUDIT_ID, style.audit_id.clone());
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-cache, private"));
        if body.len() > GZIP_THRESHOLD {
            headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
            if style.gzip
                && let Some(compressed) = compress(body.clone()).await
            {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                body = compressed;
            }
        }
        if code != StatusCode::NOT_MODIFIED {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let mut response = Response::new(if style.head {
            Body::empty()
        } else {
            Body::new(Pieces::new(body, room))
        });
        *response.status_mut() = code;
        *response.headers_mut() = headers;
        response
    }
}

/// Off the threads that serve: some megabytes take some tens of milliseconds.
async fn compress(body: Bytes) -> Option<Bytes> {
    let compressed = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
        encoder.write_all(&body)?;
        encoder.finish()
    });
    match compressed.await {
        Ok(Ok(bytes)) => Some(bytes.into()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a reply is sent uncompressed");
            None
        }
        // The runtime is going down.
        Err(_) => None,
    }
}

/// JSON as Go's encoder writes it: one line with a line break, or indented without; `<`, `>` and `&` escaped.
fn encode(value: &impl Serialize, pretty: bool) -> serde_json::Result<Vec<u8>> {
    let mut json = if pretty {
        serde_json::to_vec_pretty(value)?
    } else {
        serde_json::to_vec(value)?
    };
    if json.iter().any(|byte| b"<>&\xe2".contains(byte)) {
        json = escape(&json);
    }
    if !pretty {
        json.push(b'\n');
    }
    Ok(json)
}

/// Outside of its strings JSON has none of these bytes.
fn escape(json: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(json.len() + 64);
    let mut rest = json;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match (byte, tail) {
            (b'<', _) => extend(&mut escaped, b"\\u003c", tail),
            (b'>', _) => extend(&mut escaped, b"\\u003e", tail),
            (b'&', _) => extend(&mut escaped, b"\\u0026", tail),
            // The line separators of Unicode, which JavaScript takes for line ends.
            (0xe2, [0x80, 0xa8, tail @ ..]) => extend(&mut escaped, b"\\u2028", tail),
            (0xe2, [0x80, 0xa9, tail @ ..]) => extend(&mut escaped, b"\\u2029", tail),
            _ => extend(&mut escaped, &[byte], tail),
        };
    }
    escaped
}

fn extend<'a>(to: &mut Vec<u8>, bytes: &[u8], rest: &'a [u8]) -> &'a [u8] {
    to.extend_from_slice(bytes);
    rest
}

// === impl Tagged ===

impl Tagged {
    /// The document and its tag.
    pub(super) fn new(value: &impl Serialize) -> serde_json::Result<Self> {
        let body = Bytes::from(encode(value, false)?);
        let mut hash = String::with_capacity(128);
        for byte in Sha512::digest(&body) {
            // Writing to a String cannot fail.
            _ = write!(hash, "{byte:02X}");
        }
        Ok(Self { body, hash })
    }
}
