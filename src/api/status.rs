//! `metav1.Status`: the body of every error.

use serde::Serialize;

use super::list_meta::ListMeta;

/// An error as the Kubernetes API writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the name on the wire")]
pub struct Status {
    kind: &'static str,
    api_version: &'static str,
    metadata: ListMeta,
    status: &'static str,
    /// For people; an HPA shows it in its condition.
    pub message: String,
    /// For programs; empty is left out.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub reason: &'static str,
    /// What the error is about; some errors have an empty one, others none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// The HTTP status.
    pub code: u16,
}

/// `metav1.StatusDetails`; what is empty or zero is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDetails {
    /// The name of what was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Its kind, or its resource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What is wrong with its fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// When to try again.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// `metav1.StatusCause`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusCause {
    /// For programs, for example `FieldValueForbidden`.
    pub reason: &'static str,
    /// For people.
    pub message: &'static str,
    /// The field.
    pub field: &'static str,
}

// === impl Status ===

impl Status {
    /// A failure with the reason that `metav1` knows for the HTTP status `code`.
    pub fn failure(code: u16, message: impl Into<String>, details: Option<StatusDetails>) -> Self {
        Self {
            kind: "Status",
            api_version: "v1",
            metadata: ListMeta {},
            status: "Failure",
            message: message.into(),
            reason: reason(code),
            details,
            code,
        }
    }
}

/// The `metav1.StatusReason` of an HTTP status; empty where it has none.
const fn reason(code: u16) -> &'static str {
    match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        405 => "MethodNotAllowed",
        406 => "NotAcceptable",
        422 => "Invalid",
        429 => "TooManyRequests",
        500 => "InternalError",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "",
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_the_reference_and_empty_ones_are_left_out() {
        let cases = [
            (
                Status::failure(404, "the server could not find the metric missing for pods", None),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"the server could not find the metric missing for pods","reason":"NotFound","code":404}"#,
            ),
            (
                Status::failure(405, "no", Some(StatusDetails::default())),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"MethodNotAllowed","details":{},"code":405}"#,
            ),
            (
                Status::failure(
                    403,
                    "no",
                    Some(StatusDetails {
                        name: "p1".to_owned(),
                        group: "custom.metrics.k8s.io".to_owned(),
                        kind: "pods".to_owned(),
                        causes: vec![StatusCause {
                            reason: "R",
                            message: "m",
                            field: "f",
                        }],
                        retry_after_seconds: 1,
                    }),
                ),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","reason":"Forbidden","details":{"name":"p1","group":"custom.metrics.k8s.io","kind":"pods","causes":[{"reason":"R","message":"m","field":"f"}],"retryAfterSeconds":1},"code":403}"#,
            ),
            (
                Status::failure(418, "no", None),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"no","code":418}"#,
            ),
        ];
        for (status, json) in cases {
            assert_eq!(serde_json::to_string(&status).unwrap(), json);
        }
    }
}
