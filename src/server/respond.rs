//! Replies: what they say, and how they are written once it is known how the client wants them.

mod accept;
mod json;
mod pieces;
mod refusal;
mod style;

#[cfg(test)]
mod tests;

use std::{io::Write as _, sync::Arc};

use axum::body::Body;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderName, HeaderValue, Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

pub(super) use self::{
    accept::Accepted,
    json::{Json, Kept, Tagged},
    refusal::Refusal,
    style::Style,
};
use self::{pieces::Pieces, style::AUDIT_ID};
use super::admission::Taken;
use crate::reason::Reason;

/// The media type of everything here but text; without a charset, as Go's clients expect.
pub(super) const JSON: &str = "application/json";
/// The media type of texts.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// Larger bodies are compressed for those who ask (`defaultGzipThresholdBytes` of k8s.io/apiserver).
const GZIP_THRESHOLD: usize = 128 * 1024;

/// A reply before its common headers, whoever asks.
pub(super) struct Reply {
    code: StatusCode,
    reason: Option<Reason>,
    headers: HeaderMap,
    body: Content,
}

enum Content {
    Text(Bytes),
    Json {
        document: Arc<dyn Json>,
        /// Whoever asks.
        indented: bool,
    },
}

/// A reply as one client wants it.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) code: StatusCode,
    /// Why it is no success.
    pub(super) reason: Option<Reason>,
    headers: HeaderMap,
    body: Bytes,
    room: Option<Taken>,
}

// === impl Reply ===

impl Reply {
    fn new(code: StatusCode, content_type: &'static str, body: Content) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self {
            code,
            reason: None,
            headers,
            body,
        }
    }

    /// A JSON body.
    pub(super) fn json(document: impl Json + 'static) -> Self {
        Self::shared(Arc::new(document))
    }

    /// A JSON body that others are answered with as well.
    pub(super) fn shared(document: Arc<dyn Json>) -> Self {
        let body = Content::Json {
            document,
            indented: false,
        };
        Self::new(StatusCode::OK, JSON, body)
    }

    /// The same with its JSON indented, whoever asks.
    pub(super) fn indented(mut self) -> Self {
        if let Content::Json { indented, .. } = &mut self.body {
            *indented = true;
        }
        self
    }

    /// A text, which no browser takes for anything else.
    pub(super) fn text(code: StatusCode, content_type: &'static str, text: String) -> Self {
        Self::new(code, content_type, Content::Text(text.into())).with(X_CONTENT_TYPE_OPTIONS, "nosniff")
    }

    /// A JSON document with its tag, or 304 for who has it already. It is never indented: the tag is that of its bytes.
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
                body: Content::Text(Bytes::new()),
            }
        } else {
            Self::new(StatusCode::OK, content_type, Content::Text(document.body.clone()))
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

    /// As what it counts where it is no success.
    pub(super) fn because(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The reply with its body written, once, as the client wants it.
    pub(super) fn write(self, style: &Style) -> Written {
        let body = match self.body {
            Content::Text(body) => body,
            Content::Json { document, indented } => match document.encode(indented || style.pretty) {
                Ok(body) => body,
                Err(error) => {
                    tracing::error!(%error, "a reply could not be written");
                    // A Status can always be.
                    return Refusal::internal("the reply could not be written")
                        .reply()
                        .write(style);
                }
            },
        };
        Written {
            code: self.code,
            reason: self.reason,
            headers: self.headers,
            body,
            room: None,
        }
    }
}

// === impl Written ===

impl Written {
    /// Bytes of the body.
    pub(super) const fn len(&self) -> usize {
        self.body.len()
    }

    /// Keeps `room` until the body is sent.
    pub(super) fn holding(self, room: Option<Taken>) -> Self {
        Self { room, ..self }
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
