//! Users that the front proxy names in headers.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use crate::{kubernetes::authentication::RequestHeader, server::identity::Identity};

/// The user that the headers name; `None` when they name none.
///
/// Only to be asked after the connection's certificate was found to be the front proxy's. The rules are those of
/// `pkg/authentication/request/headerrequest` of k8s.io/apiserver: the first non-empty user header, every non-empty value of
/// every group header (repeated headers; a comma is part of a value), extras by prefix with the key lower-cased and then
/// percent-decoded.
pub(super) fn identity(headers: &HeaderMap, config: &RequestHeader) -> Result<Option<Identity>, String> {
    let user = first(headers, &config.username_headers)?;
    if user.is_empty() {
        return Ok(None);
    }
    let mut groups = Vec::new();
    for name in &config.group_headers {
        for value in headers.get_all(name) {
            let group = text(name, value)?;
            if !group.is_empty() {
                groups.push(group.to_owned());
            }
        }
    }
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for prefix in &config.extra_prefixes {
        // http::HeaderMap keeps names in lower case, and so does the configuration.
        for (name, value) in headers {
            if let Some(key) = name.as_str().strip_prefix(prefix.as_str()) {
                let value = text(name, value)?.to_owned();
                extra.entry(unescape(key)).or_default().push(value);
            }
        }
    }
    Ok(Some(Identity {
        user: user.to_owned(),
        uid: first(headers, &config.uid_headers)?.to_owned(),
        groups,
        extra,
    }))
}

/// Removes every header that can name a user, so that nothing behind authentication can believe one.
pub(super) fn strip(headers: &mut HeaderMap, config: Option<&RequestHeader>) {
    let names_a_user = |name: &HeaderName| {
        let configured = config.is_some_and(|config| {
            config.username_headers.contains(name)
                || config.group_headers.contains(name)
                || config.uid_headers.contains(name)
                || config
                    .extra_prefixes
                    .iter()
                    .any(|prefix| name.as_str().starts_with(prefix))
        });
        configured || name.as_str().starts_with("x-remote-")
    };
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| names_a_user(name))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// The first value of the first of `names` that has a non-empty one; empty if there is none.
fn first<'a>(headers: &'a HeaderMap, names: &[HeaderName]) -> Result<&'a str, String> {
    for name in names {
        if let Some(value) = headers.get(name) {
            let value = text(name, value)?;
            if !value.is_empty() {
                return Ok(value);
            }
        }
    }
    Ok("")
}

fn text<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, String> {
    std::str::from_utf8(value.as_bytes()).map_err(|_| format!("the header {name} is not UTF-8"))
}

/// Percent-decoding as `url.PathUnescape` does it: a key that is not well escaped stays as it is.
fn unescape(key: &str) -> String {
    let bytes = key.as_bytes();
    let well_escaped = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| {
            let digits = bytes.get(at + 1..at + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        });
    if !well_escaped {
        return key.to_owned();
    }
    percent_decode_str(key)
        .decode_utf8()
        .map_or_else(|_| key.to_owned(), std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::testing;

    fn headers(rows: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in rows {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        headers
    }

    fn config() -> RequestHeader {
        testing::Pki::new().requestheader(&["front-proxy-client"])
    }

    #[test]
    fn reads_user_groups_uid_and_extras() {
        let headers = headers(&[
            ("X-Remote-User", "bob"),
            ("x-remote-group", "devs, not two"),
            ("X-Remote-Group", ""),
            ("X-REMOTE-GROUP", "ops"),
            ("X-Remote-Uid", "uid-7"),
            ("X-Remote-Extra-Scopes", "a"),
            ("X-Remote-Extra-Scopes", "b"),
            ("X-Remote-Extra-Acme.com%2Fproject", "p1"),
            ("X-Remote-Extra-bad%zz", "kept"),
            ("X-Remote-Extra-half%2", "kept"),
        ]);
        let identity = identity(&headers, &config()).unwrap().unwrap();
        assert_eq!(identity.user, "bob");
        assert_eq!(identity.uid, "uid-7");
        assert_eq!(identity.groups, ["devs, not two", "ops"]);
        let extra: Vec<_> = identity
            .extra
            .iter()
            .map(|(key, values)| (key.as_str(), values.join("|")))
            .collect();
        assert_eq!(
            extra,
            [
                ("acme.com/project", "p1".to_owned()),
                ("bad%zz", "kept".to_owned()),
                ("half%2", "kept".to_owned()),
                ("scopes", "a|b".to_owned())
            ]
        );
    }

    #[test]
    fn names_nobody_without_a_user_header() {
        let config = config();
        assert_eq!(
            identity(&headers(&[("X-Remote-Group", "devs")]), &config).unwrap(),
            None
        );
        assert_eq!(
            identity(&headers(&[("X-Remote-User", "")]), &config).unwrap(),
            None
        );
    }

    #[test]
    fn trusts_a_uid_only_where_the_cluster_lists_its_header() {
        let mut config = config();
        config.uid_headers.clear();
        let headers = headers(&[("X-Remote-User", "bob"), ("X-Remote-Uid", "0")]);
        assert_eq!(identity(&headers, &config).unwrap().unwrap().uid, "");
    }

    #[test]
    fn refuses_bytes_that_are_not_text() {
        let mut headers = HeaderMap::new();
        headers.insert("x-remote-user", HeaderValue::from_bytes(b"b\xf6b").unwrap());
        assert_eq!(
            identity(&headers, &config()).unwrap_err(),
            "the header x-remote-user is not UTF-8"
        );
    }

    #[test]
    fn takes_utf8_names_as_they_are() {
        let headers = headers(&[("X-Remote-User", "jürgen")]);
        assert_eq!(identity(&headers, &config()).unwrap().unwrap().user, "jürgen");
    }

    #[test]
    fn strips_what_names_users() {
        let mut config = config();
        config
            .username_headers
            .push(HeaderName::from_static("x-proxy-user"));
        let mut headers = headers(&[
            ("X-Remote-User", "a"),
            ("X-Remote-Group", "b"),
            ("X-Remote-Group", "c"),
            ("X-Remote-Extra-k", "d"),
            ("X-Proxy-User", "e"),
            ("Accept", "*/*"),
        ]);
        strip(&mut headers, Some(&config));
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["accept"]
        );
    }
}
