//! Errors of a backend: why it gave no answer.

use std::{borrow::Cow, sync::Arc};

use super::Said;
use crate::reason::Reason;

/// The longest [`BackendError::detail`], in bytes.
const MAX_DETAIL: usize = 256;
/// The longest [`BackendError::whole`] and [`BackendError::said`], in bytes.
const MAX_WHOLE: usize = 2048;

/// A failed query, in two voices: the cause is for any client and names no address, credential or `PromQL`; the detail is
/// for logs and the `MetricBackend`'s status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub struct BackendError {
    reason: Reason,
    cause: Cow<'static, str>,
    detail: Arc<str>,
    whole: Arc<str>,
    said: Option<Arc<str>>,
}

// === impl BackendError ===

impl BackendError {
    /// `cause`: a sentence without capital and full stop, fit for any client.
    pub fn new(reason: Reason, cause: impl Into<Cow<'static, str>>) -> Self {
        let cause = cause.into();
        let detail: Arc<str> = Arc::from(&*cause);
        Self {
            reason,
            cause,
            whole: detail.clone(),
            detail,
            said: None,
        }
    }

    /// Adds what the backend or the connection said: one line of at most 256 bytes, without user-info of addresses. That it
    /// holds no credential is what [`Said`] is for.
    #[must_use]
    pub fn with_detail(mut self, said: &Said) -> Self {
        let line = tidy(said.as_str(), MAX_DETAIL);
        if !line.is_empty() {
            self.detail = line.into();
            self.whole = tidy(said.as_str(), MAX_WHOLE).into();
        }
        self
    }

    /// Adds what the backend's API gave as its `error`, redacted: one line. Other words of a body are none.
    #[must_use]
    pub fn with_said(mut self, error: &Said) -> Self {
        let line = tidy(error.as_str(), MAX_WHOLE);
        if !line.is_empty() {
            self.said = Some(line.into());
        }
        self
    }

    /// The code for condition, HTTP reply and metric.
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// What went wrong, fit for any client.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// What went wrong, for those who run the backend; the cause where nothing more is known.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// [`Self::detail`] at full length, at most 2 KiB, for the log and for a preview.
    pub fn whole(&self) -> &str {
        &self.whole
    }

    /// The `error` of the backend's API, if it gave one; it may name addresses, and series of any namespace.
    pub fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}

/// One line of at most `max` bytes, in which no address keeps its user-info.
pub(super) fn tidy(text: &str, max: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    let mut line = without_user_info(&line);
    if line.len() > max {
        line.truncate(line.floor_char_boundary(max - '…'.len_utf8()));
        line.push('…');
    }
    line
}

/// `http://user:password@host/` becomes `http://host/`.
fn without_user_info(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, authority) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = authority
            .find(['/', '?', '#', '"', '\'', ' '])
            .unwrap_or(authority.len());
        rest = authority
            .get(..end)
            .and_then(|authority| authority.rfind('@'))
            .map_or(authority, |at| &authority[at + 1..]);
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_one_short_line_without_user_info() {
        for (text, expected) in [
            ("a\n  b\tc", "a b c"),
            (
                r#"Get "http://admin:s3cr3t@prom:9090/api": refused"#,
                r#"Get "http://prom:9090/api": refused"#,
            ),
            ("http://a@b@c/x http://u@v", "http://c/x http://v"),
            ("mail to a@b", "mail to a@b"),
            ("see http://host/path@2", "see http://host/path@2"),
            ("://", "://"),
        ] {
            let error = BackendError::new(Reason::BackendError, "failed").with_detail(&Said::ours(text));
            assert_eq!(error.detail(), expected, "{text:?}");
        }
        assert_eq!(
            BackendError::new(Reason::BackendError, "x")
                .with_detail(&Said::ours(" \n"))
                .detail(),
            "x"
        );

        let long = BackendError::new(Reason::BackendError, "x").with_detail(&Said::ours("é".repeat(500)));
        let detail = long.detail();
        assert!(detail.len() <= 256 && detail.ends_with("é…"), "{}", detail.len());
    }

    #[test]
    fn the_detail_is_not_what_clients_see() {
        let error = BackendError::new(Reason::BackendDown, "it cannot be reached")
            .with_detail(&Said::ours("dns error: prom.corp"));
        assert_eq!(error.to_string(), "it cannot be reached");
    }
}
