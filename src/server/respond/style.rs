//! Style of a reply: what a request's head says of how its reply is written.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT_ENCODING, USER_AGENT},
};

/// A longer id of a request is not repeated to its sender.
pub(super) const AUDIT_ID_MAX: usize = 128;
pub(super) const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// How this client wants replies written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::server) struct Style {
    /// With line breaks and two spaces.
    pub(super) pretty: bool,
    pub(super) gzip: bool,
    /// The method is HEAD: a reply has no body.
    pub(super) head: bool,
    /// Names the request in the logs of all API servers that it passed.
    pub(in crate::server) audit_id: HeaderValue,
}

// === impl Style ===

impl Style {
    /// What the request's head says; `pretty` is its parameter, which outdoes the look of the client.
    pub(in crate::server) fn of(method: &http::Method, headers: &HeaderMap, pretty: Option<bool>) -> Self {
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
