//! Replies without an answer: one place turns status, error type and connection errors into reasons.

use std::io::{self, ErrorKind};

use http::StatusCode;

use super::decode::{Complaint, Undecodable};
use crate::{
    backend::{BackendError, Said, redact::Redactor},
    reason::Reason,
};

/// A reply whose status is no success. `location` is where a redirect leads. A body that is no complaint of the API is not
/// quoted: its status says what there is to know, and a proxy's page may hold anything.
pub(super) fn refusal(
    status: StatusCode,
    location: Option<&Said>,
    complaint: Option<&Complaint>,
) -> BackendError {
    let code = status.as_u16();
    let kind = complaint.map_or("", |complaint| complaint.kind);
    let (reason, cause) = match (code, kind) {
        (300..=399, _) => (
            Reason::RedirectRefused,
            "the backend answered with a redirect, which the operator does not follow",
        ),
        (401 | 403, _) => (
            Reason::Unauthenticated,
            "the backend refused the operator's credentials",
        ),
        (_, "bad_data") => (Reason::QueryRejected, "the backend refused the query as invalid"),
        (_, "execution") => (Reason::QueryRejected, "the backend could not execute the query"),
        (408 | 504, _) | (_, "timeout" | "canceled") => (
            Reason::BackendTimeout,
            "the backend aborted the query after its timeout",
        ),
        (_, "unavailable") | (502 | 503, _) => (Reason::BackendDown, "the backend is unavailable"),
        (400 | 422, _) if complaint.is_some() => (Reason::QueryRejected, "the backend refused the query"),
        (413 | 414, _) => (
            Reason::QueryRejected,
            "the query is too long for the backend, or for a proxy in front of it",
        ),
        (404 | 405, _) => (
            Reason::BackendError,
            "the backend's address does not serve the Prometheus API",
        ),
        (429, _) => (Reason::BackendError, "the backend received too many queries"),
        _ => (Reason::BackendError, "the backend answered with an error"),
    };
    let said = match (complaint, location) {
        (_, Some(location)) => format!("leads to {location}"),
        (Some(complaint), _) if complaint.kind.is_empty() => complaint.text.to_string(),
        (Some(complaint), _) => format!("{}: {}", complaint.kind, complaint.text),
        (None, None) => String::new(),
    };
    let status = status.to_string();
    let said = format!("{status}: {said}");
    let error = BackendError::new(reason, cause).with_detail(&Said::ours(said.trim_end_matches(": ")));
    match complaint {
        Some(complaint) => error.with_said(&complaint.text),
        None => error,
    }
}

/// A reply with a success status whose body is no answer.
pub(super) fn undecodable(error: Undecodable) -> BackendError {
    match error {
        Undecodable::Failed(complaint) => refusal(StatusCode::OK, None, Some(&complaint)),
        Undecodable::Type(kind) => BackendError::new(
            Reason::UnexpectedResult,
            format!("the query returns a {kind}, not an instant vector"),
        ),
        Undecodable::Over(over) => BackendError::new(Reason::LimitExceeded, over.to_string()),
        Undecodable::Page => BackendError::new(
            Reason::BackendError,
            "the backend answered with an HTML page, not with the Prometheus API",
        ),
        Undecodable::Garbage(words) => BackendError::new(
            Reason::BackendError,
            "the backend's answer is not a valid answer of the Prometheus API",
        )
        .with_detail(&Said::ours(words)),
        Undecodable::Betrayal => BackendError::new(
            Reason::BackendError,
            "the backend's answer repeats the operator's credentials, so the operator does not pass it on",
        ),
    }
}

/// A request that got no reply, or half of one.
pub(super) fn broken(error: reqwest::Error, redactor: &Redactor) -> BackendError {
    let words = unconnected(&error);
    let error = error.without_url();
    let detail = redactor.said(&words.unwrap_or_else(|| chain(&error)));
    // A server that wants a client certificate says so after the handshake; HTTP/2 hands only the words of that on.
    let alerted = detail.as_str().contains("received fatal alert");
    if alerted || caused_by::<tokio_rustls::rustls::Error>(&error) {
        return BackendError::new(Reason::TlsFailed, "the TLS handshake with the backend failed")
            .with_detail(&detail);
    }
    if error.is_decode() {
        return BackendError::new(
            Reason::BackendError,
            "the backend's answer cannot be decompressed",
        )
        .with_detail(&detail);
    }
    let cause = if error.is_connect() {
        "the backend cannot be reached"
    } else {
        "the backend closed the connection"
    };
    BackendError::new(Reason::BackendDown, cause).with_detail(&detail)
}

/// Why no connection was made, in the system's words and with the server that it should have led to: `connection refused:
/// prometheus.monitoring.svc:9090`. `None` where the system has no word of its own for it, such as for a name that does not exist.
fn unconnected(error: &reqwest::Error) -> Option<String> {
    if !error.is_connect() {
        return None;
    }
    let kind = find::<io::Error>(error)?.kind();
    let named = matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::TimedOut
    );
    let url = error.url().filter(|_| named)?;
    Some(format!(
        "{kind}: {}:{}",
        url.host_str()?,
        url.port_or_known_default()?
    ))
}

/// The first error of a type in a chain.
fn find<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |error| error.source()).find_map(|error| error.downcast_ref())
}

/// The messages of an error and its sources; reqwest's own says only that there was one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let message = error.to_string();
        if words.last().is_none_or(|last| !last.contains(&message)) {
            words.push(message);
        }
        next = error.source();
    }
    // The outermost says "error sending request".
    let skip = usize::from(words.len() > 1);
    words.get(skip..).unwrap_or_default().join(": ")
}

fn caused_by<E: std::error::Error + 'static>(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        // An io::Error's own source skips the error that it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<E>() || wrapped.is_some_and(|wrapped| caused_by::<E>(wrapped)) {
            return true;
        }
        next = error.source();
    }
    false
}

/// A redirect to a log-in page carries state in its query.
pub(super) fn without_query(location: &str) -> &str {
    location.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::prometheus::decode::{Over, complaint};

    fn expect(status: u16, body: &str, reason: Reason, detail: &str) {
        let code = StatusCode::from_u16(status).unwrap();
        let complaint = complaint(body.as_bytes(), &Redactor::default());
        let error = refusal(code, None, complaint.as_ref());
        assert_eq!(
            (error.reason(), error.detail()),
            (reason, detail),
            "{status} {body}"
        );
        assert!(
            !error.cause().contains("why"),
            "clients do not see the backend's words"
        );
    }

    #[test]
    fn error_types_have_their_reasons() {
        for (status, kind, reason) in [
            ("400 Bad Request", "bad_data", Reason::QueryRejected),
            ("422 Unprocessable Entity", "execution", Reason::QueryRejected),
            ("503 Service Unavailable", "timeout", Reason::BackendTimeout),
            ("503 Service Unavailable", "canceled", Reason::BackendTimeout),
            ("503 Service Unavailable", "unavailable", Reason::BackendDown),
            ("500 Internal Server Error", "internal", Reason::BackendError),
            ("401 Unauthorized", "bad_data", Reason::Unauthenticated),
        ] {
            let body = format!(r#"{{"status":"error","errorType":"{kind}","error":"why"}}"#);
            expect(
                status[..3].parse().unwrap(),
                &body,
                reason,
                &format!("{status}: {kind}: why"),
            );
        }
        let google = r#"{"error":{"code":400,"message":"Unknown name"}}"#;
        expect(
            400,
            google,
            Reason::QueryRejected,
            "400 Bad Request: Unknown name",
        );
    }

    #[test]
    fn statuses_without_one_have_their_reasons_and_their_bodies_are_not_quoted() {
        for (status, body, reason, detail) in [
            (401, "no org id\n", Reason::Unauthenticated, "401 Unauthorized"),
            (
                403,
                "<html>Forbidden</html>",
                Reason::Unauthenticated,
                "403 Forbidden",
            ),
            (404, "404 page not found", Reason::BackendError, "404 Not Found"),
            (429, "slow down", Reason::BackendError, "429 Too Many Requests"),
            (
                502,
                "<html><h1>Bad gateway</h1>",
                Reason::BackendDown,
                "502 Bad Gateway",
            ),
            (503, "", Reason::BackendDown, "503 Service Unavailable"),
            (
                504,
                "upstream timed out",
                Reason::BackendTimeout,
                "504 Gateway Timeout",
            ),
            (400, "<html>", Reason::BackendError, "400 Bad Request"),
            (413, "", Reason::QueryRejected, "413 Payload Too Large"),
        ] {
            expect(status, body, reason, detail);
        }
    }

    #[test]
    fn a_redirect_names_its_target_without_state() {
        let target = without_query("https://u:p@sso.corp/login?state=s3cr3t#x");
        let error = refusal(StatusCode::FOUND, Some(&Redactor::default().said(target)), None);
        assert_eq!(error.reason(), Reason::RedirectRefused);
        assert_eq!(error.detail(), "302 Found: leads to https://sso.corp/login");
    }

    #[test]
    fn bodies_that_are_no_answer_have_their_reasons() {
        for (error, reason) in [
            (Undecodable::Type("matrix"), Reason::UnexpectedResult),
            (Undecodable::Over(Over::Rows(5)), Reason::LimitExceeded),
            (Undecodable::Garbage("x".into()), Reason::BackendError),
            (Undecodable::Page, Reason::BackendError),
            (Undecodable::Betrayal, Reason::BackendError),
        ] {
            assert_eq!(undecodable(error.clone()).reason(), reason, "{error:?}");
        }
        assert!(undecodable(Undecodable::Page).cause().contains("an HTML page"));
    }
}
