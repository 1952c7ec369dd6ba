//! Bearer tokens.

use http::{HeaderMap, header::AUTHORIZATION};
use k8s_openapi::api::authentication::v1::UserInfo;

use crate::{kubernetes::reviews::Token, server::identity::Identity};

/// Longer tokens are refused unread; service account tokens are about 1 KiB, OIDC tokens with many groups some 10 KiB.
pub(super) const MAX_TOKEN: usize = 64 * 1024;

/// The bearer token of a request; `None` without one (another scheme is no credential to this server).
///
/// The rules are those of `pkg/authentication/request/bearertoken` of k8s.io/apiserver.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Token> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let mut parts = value.splitn(3, ' ');
    let scheme = parts.next()?;
    let token = parts.next()?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| Token::new(token))
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
            let read = bearer(&headers);
            assert_eq!(read.as_ref().map(Token::expose), *token, "{value:?}");
        }
        assert!(bearer(&HeaderMap::new()).is_none());
    }
}
