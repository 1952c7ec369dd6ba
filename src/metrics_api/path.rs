//! Paths of metrics below `/apis/{group}/{version}`: how requests name a metric, read and written.
//!
//! `pkg/apiserver/installer` of sigs.k8s.io/custom-metrics-apiserver and the clients of k8s.io/metrics are the source.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::MetricsApi;

/// What Go's `url.PathEscape` leaves alone in a path that was joined from segments.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

/// The path of a metric of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomPath<'a> {
    /// `namespaces/{namespace}/metrics/{metric}`: of the namespace itself.
    Namespace {
        /// The namespace.
        namespace: &'a str,
        /// The metric's name.
        metric: &'a str,
    },
    /// `namespaces/{namespace}/{resource}/{name}/{metric}`, or the same without the namespace.
    Object {
        /// `None`: root-scoped.
        namespace: Option<&'a str>,
        /// For example `deployments.apps`.
        resource: &'a str,
        /// The object's name, or [`ALL_OBJECTS`].
        name: &'a str,
        /// The metric's name.
        metric: &'a str,
    },
}

/// The path of an external metric: `namespaces/{namespace}/{metric}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExternalPath<'a> {
    /// The namespace of the request.
    pub namespace: &'a str,
    /// The metric's name.
    pub metric: &'a str,
}

/// The name that stands for all objects that a label selector matches.
pub const ALL_OBJECTS: &str = "*";

/// Why segments name no metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// There is no such path.
    #[error("no path of a metric")]
    Unknown,
    /// It has the form of a path, with a word of Kubernetes' own where a kind of objects belongs.
    #[error("no kind of objects has this name")]
    Reserved,
}

// === impl CustomPath ===

impl<'a> CustomPath<'a> {
    /// Reads decoded segments.
    ///
    /// # Errors
    ///
    /// See [`PathError`].
    pub fn parse(segments: &[&'a str]) -> Result<Self, PathError> {
        Ok(match *segments {
            // Root-scoped paths have three segments as well; these are no kinds of objects there.
            ["namespaces" | "watch" | "proxy", _, _] => return Err(PathError::Reserved),
            ["namespaces", namespace, "metrics", metric] => Self::Namespace { namespace, metric },
            // The reference serves the first of these as a metric of the namespace, yet authorizes another.
            ["namespaces", _, "metrics", _, _] => return Err(PathError::Unknown),
            ["namespaces", namespace, resource, name, metric] => Self::Object {
                namespace: Some(namespace),
                resource,
                name,
                metric,
            },
            [resource, name, metric] => Self::Object {
                namespace: None,
                resource,
                name,
                metric,
            },
            _ => return Err(PathError::Unknown),
        })
    }

    /// The whole path, percent-encoded as Go's clients encode it.
    pub fn print(&self, version: &str) -> String {
        let segments = match *self {
            Self::Namespace { namespace, metric } => vec!["namespaces", namespace, "metrics", metric],
            Self::Object {
                namespace: Some(namespace),
                resource,
                name,
                metric,
            } => vec!["namespaces", namespace, resource, name, metric],
            Self::Object {
                namespace: None,
                resource,
                name,
                metric,
            } => vec![resource, name, metric],
        };
        print(MetricsApi::Custom, version, &segments)
    }
}

// === impl ExternalPath ===

impl<'a> ExternalPath<'a> {
    /// Reads decoded segments.
    ///
    /// # Errors
    ///
    /// [`PathError::Unknown`].
    pub fn parse(segments: &[&'a str]) -> Result<Self, PathError> {
        match *segments {
            ["namespaces", namespace, metric] => Ok(Self { namespace, metric }),
            _ => Err(PathError::Unknown),
        }
    }

    /// The whole path, percent-encoded as Go's clients encode it.
    pub fn print(&self, version: &str) -> String {
        print(
            MetricsApi::External,
            version,
            &["namespaces", self.namespace, self.metric],
        )
    }
}

fn print(api: MetricsApi, version: &str, segments: &[&str]) -> String {
    let encoded: Vec<String> = segments.iter().map(|text| segment(text)).collect();
    format!("/apis/{}/{version}/{}", api.group(), encoded.join("/"))
}

/// One segment of a path, percent-encoded as Go's clients encode it.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;

    use super::*;

    /// The decoded segments below the version.
    fn below(path: &str) -> Vec<String> {
        let decoded = |part: &str| percent_decode_str(part).decode_utf8().unwrap().into_owned();
        path.split('/').skip(4).map(decoded).collect()
    }

    fn parts(path: &[String]) -> Vec<&str> {
        path.iter().map(String::as_str).collect()
    }

    #[test]
    fn what_names_no_metric_says_why() {
        let cases: [(&[&str], PathError); 5] = [
            (&["namespaces", "ns", "pods"], PathError::Reserved),
            (&["watch", "pods", "m"], PathError::Reserved),
            (&["namespaces", "ns", "metrics", "m", "n"], PathError::Unknown),
            (&["pods", "p1"], PathError::Unknown),
            (&[], PathError::Unknown),
        ];
        for (segments, error) in cases {
            assert_eq!(CustomPath::parse(segments), Err(error), "{segments:?}");
        }
        assert_eq!(ExternalPath::parse(&["pods", "ns", "m"]), Err(PathError::Unknown));
    }

    #[test]
    fn all_objects_are_written_as_the_hpa_controller_writes_them() {
        let path = CustomPath::Object {
            namespace: Some("ns"),
            resource: "pods",
            name: ALL_OBJECTS,
            metric: "a:b",
        };
        assert_eq!(
            path.print("v1beta2"),
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/ns/pods/%2A/a:b"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            namespace in proptest::option::of("[a-z]{1,5}"),
            resource in "[a-z]{1,9}(\\.[a-z]{1,5})?",
            name in "[a-zA-Z0-9 %*:é<>&?#+]{1,9}",
            metric in "[a-zA-Z0-9 %*:é<>&?#+]{1,9}",
        ) {
            let namespace = namespace.as_deref();
            let path = CustomPath::Object { namespace, resource: &resource, name: &name, metric: &metric };
            prop_assume!(!["namespaces", "watch", "proxy", "metrics"].contains(&resource.as_str()));
            let written = below(&path.print("v1beta1"));
            prop_assert_eq!(CustomPath::parse(&parts(&written)), Ok(path));

            let namespace = namespace.unwrap_or("ns");
            let path = CustomPath::Namespace { namespace, metric: &metric };
            let written = below(&path.print("v1beta1"));
            prop_assert_eq!(CustomPath::parse(&parts(&written)), Ok(path));

            let path = ExternalPath { namespace, metric: &metric };
            let written = below(&path.print("v1beta1"));
            prop_assert_eq!(ExternalPath::parse(&parts(&written)), Ok(path));
        }
    }
}
