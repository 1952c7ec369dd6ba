//! Bearer tokens.

use http::{
    HeaderMap,
    header::{AUTHORIZATION, CONNECTION, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
};
use k8s_openapi::{ByteString, api::authentication::v1::UserInfo};

use crate::{kubernetes::reviews::Token, server::identity::Identity};

/// Longer tokens are refused unread; service account tokens are about 1 KiB, OIDC tokens with many groups some 10 KiB.
pub(super) const MAX_TOKEN: usize = 64 * 1024;

/// What a WebSocket client, which cannot set `Authorization` in a browser, offers its token as.
const SUBPROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// The bearer token of a request; `None` without one (another scheme is no credential to this server).
///
/// The rules are those of `pkg/authentication/request/bearertoken` of k8s.io/apiserver. A token that is not text is a
/// credential all the same, and a bad one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<Token>, String> {
    let Some(value) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let mut parts = value.as_bytes().trim_ascii().splitn(3, |byte| *byte == b' ');
    let (Some(scheme), Some(token)) = (parts.next(), parts.next()) else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case(b"bearer") || token.is_empty() {
        return Ok(None);
    }
    let token = std::str::from_utf8(token).map_err(|_| "not UTF-8".to_owned())?;
    Ok(Some(Token::new(token)))
}

/// The token among the subprotocols of a WebSocket handshake, beside at least one other; `None` without one.
///
/// The rules are those of `pkg/authentication/request/websocket` of k8s.io/apiserver. Nothing here speaks WebSocket; the
/// request is answered like any other.
pub(super) fn subprotocol(headers: &HeaderMap) -> Result<Option<Token>, String> {
    if !wants_websocket(headers) {
        return Ok(None);
    }
    let mut token = None;
    let mut others = false;
    for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        for protocol in value.as_bytes().split(|byte| *byte == b',') {
            let Some(encoded) = protocol.trim_ascii().strip_prefix(SUBPROTOCOL.as_bytes()) else {
                others = true;
                continue;
            };
            if token.is_some() {
                return Err("several among the WebSocket subprotocols".to_owned());
            }
            token = Some(decode(encoded).ok_or("not base64url of UTF-8 among the WebSocket subprotocols")?);
        }
    }
    match token {
        None => Ok(None),
        Some(token) if token.is_empty() => Ok(None),
        Some(_) if !others => Err("without another WebSocket subprotocol".to_owned()),
        Some(token) => Ok(Some(Token::new(token))),
    }
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && headers.get_all(CONNECTION).iter().any(|value| {
            let mut tokens = value.as_bytes().split(|byte| *byte == b',');
            tokens.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        })
}

/// Unpadded base64url (RFC 4648 §5) of UTF-8.
fn decode(encoded: &[u8]) -> Option<String> {
    if !encoded
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    {
        return None;
    }
    // The decoder at hand is that of Secrets, for the padded standard alphabet.
    let mut standard: String = encoded
        .iter()
        .map(|byte| match byte {
            b'-' => '+',
            b'_' => '/',
            byte => char::from(*byte),
        })
        .collect();
    while !standard.len().is_multiple_of(4) {
        standard.push('=');
    }
    let bytes: ByteString = serde_json::from_value(standard.into()).ok()?;
    String::from_utf8(bytes.0).ok()
}

/// The user that a TokenReview names; `None` when it names none.
pub(super) fn identity(user: UserInfo) -> Option<Identity> {
    let name = user.username.filter(|name| !name.is_empty())?;
    Some(Identity {
        user: name,
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn reads_the_bearer_scheme_only() {
        let cases: &[(&str, Option<&str>)] = &[
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("  BEARER abc  ", Some("abc")),
            ("Bearer abc def", Some("abc")),
            ("Bearer  abc", None),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic Zm9vOmJhcg==", None),
            ("", None),
        ];
        for (value, token) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            let read = bearer(&headers).unwrap();
            assert_eq!(read.as_ref().map(Token::expose), *token, "{value:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn a_token_that_is_not_text_is_a_bad_one_and_not_none() {
        let mut headers = HeaderMap::new();
        headers.insert(
            AUTHORIZATION,
            HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap(),
        );
        assert!(bearer(&headers).is_err());
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Basic \xff\xfe").unwrap());
        assert_eq!(bearer(&headers), Ok(None));
    }

    /// `Upgrade`, `Connection`, subprotocols, the token or `None` for an error.
    type Row<'a> = (&'a str, &'a str, Vec<String>, Option<Option<&'a str>>);

    #[test]
    fn reads_the_subprotocols_of_a_websocket_handshake() {
        let name = |encoded: &str| format!("{SUBPROTOCOL}{encoded}");
        let (abc, other) = (name("YWJj"), name("eHl6"));
        let two = |one: &str, two: &str| vec![format!("{one}, {two}")];
        let cases: Vec<Row<'_>> = vec![
            (
                "websocket",
                "Upgrade",
                two("v4.channel.k8s.io", &abc),
                Some(Some("abc")),
            ),
            (
                "WebSocket",
                "keep-alive, upgrade",
                two(&abc, "x"),
                Some(Some("abc")),
            ),
            (
                "websocket",
                "Upgrade",
                vec!["x".to_owned(), abc.clone()],
                Some(Some("abc")),
            ),
            ("websocket", "Upgrade", two("x", &name("fn5-_w")), None),
            (
                "websocket",
                "Upgrade",
                two("x", &name("w7_Dvw")),
                Some(Some("ÿÿ")),
            ),
            ("websocket", "Upgrade", two("x", &name("YWJj+")), None),
            ("websocket", "Upgrade", two("x", &name("YWJjZA==")), None),
            ("websocket", "Upgrade", two("x", &name("")), Some(None)),
            ("websocket", "Upgrade", vec![abc.clone()], None),
            (
                "websocket",
                "Upgrade",
                vec!["x".to_owned(), abc.clone(), other],
                None,
            ),
            ("websocket", "Upgrade", two("x", "y"), Some(None)),
            ("websocket", "close", two("x", &abc), Some(None)),
            ("h2c", "Upgrade", two("x", &abc), Some(None)),
        ];
        for (upgrade, connection, protocols, token) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(UPGRADE, HeaderValue::from_str(upgrade).unwrap());
            headers.insert(CONNECTION, HeaderValue::from_str(connection).unwrap());
            for protocol in &protocols {
                headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(protocol).unwrap());
            }
            let read = subprotocol(&headers).ok();
            let read = read.as_ref().map(|token| token.as_ref().map(Token::expose));
            assert_eq!(read, token, "{upgrade} {connection} {protocols:?}");
        }
    }
}
