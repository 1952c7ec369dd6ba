//! Permissions that a person lacks: from the API server's refusal to the RBAC rule to grant.

use std::{fmt, time::Duration};

use kube::{Api, Client, api::ListParams, core::Status};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

/// Of one request.
pub const DEADLINE: Duration = Duration::from_secs(15);
/// Objects of one page of a list, and the most that are read of a kind.
const PAGE: u32 = 500;
const MOST: usize = 50_000;

/// A right on a resource, in the words of RBAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// `get`, `list`, `create`, …
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural name, with a subresource where there is one: `pods/portforward`.
    pub resource: String,
    /// `None`: in the whole cluster.
    pub namespace: Option<String>,
    /// Who lacks it, where the refusal says so.
    pub user: Option<String>,
}

/// Why something could not be read from the cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// RBAC.
    #[error("{what} is forbidden: {right}; {}", right.grant())]
    Lacking {
        /// What was tried.
        what: String,
        /// What has to be granted.
        right: Box<Right>,
    },
    /// It does not exist.
    #[error("{what}: not found")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// Anything else, no answer in time included.
    #[error("{what}: {message}")]
    Failed {
        /// What was tried.
        what: String,
        /// What went wrong.
        message: String,
    },
}

// === impl Right ===

impl Right {
    /// A right that a request needs.
    pub fn new(verb: &str, group: &str, resource: &str, namespace: Option<&str>) -> Self {
        Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.map(str::to_owned),
            user: None,
        }
    }

    /// Reads the text of a refusal (`forbiddenMessage` of k8s.io/apiserver): `… User "u" cannot list resource "pods" in API
    /// group "" in the namespace "shop"`.
    pub fn of_refusal(message: &str) -> Option<Self> {
        let (before, rest) = message.split_once(" cannot ")?;
        let (verb, rest) = rest.split_once(" resource ")?;
        let (resource, rest) = quoted(rest)?;
        let (group, rest) = quoted(rest.trim_start().strip_prefix("in API group ")?)?;
        let namespace = rest
            .trim_start()
            .strip_prefix("in the namespace ")
            .and_then(quoted);
        let user = before.rsplit_once("User ").and_then(|(_, user)| quoted(user));
        Some(Self {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.map(|(namespace, _)| namespace.to_owned()),
            user: user.map(|(user, _)| user.to_owned()),
        })
    }

    /// What to write into a role.
    pub fn grant(&self) -> String {
        let role = match &self.namespace {
            Some(namespace) => format!("a Role in the namespace {namespace}"),
            None => "a ClusterRole".to_owned(),
        };
        let group = if self.group.is_empty() {
            "\"\""
        } else {
            &self.group
        };
        format!(
            "grant by {role}: {{apiGroups: [{group}], resources: [{}], verbs: [{}]}}",
            self.resource, self.verb
        )
    }
}

/// `User "jane" may not list horizontalpodautoscalers.autoscaling in any namespace`
impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some(user) => write!(f, "{user:?} may not ")?,
            None => f.write_str("this user may not ")?,
        }
        let dot = if self.group.is_empty() { "" } else { "." };
        write!(f, "{} {}{dot}{}", self.verb, self.resource, self.group)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in the namespace {namespace:?}"),
            None => f.write_str(" in the cluster"),
        }
    }
}

// === impl ClusterError ===

impl ClusterError {
    /// A failure without a refusal behind it.
    pub fn failed(what: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Failed {
            what: what.into(),
            message: message.into(),
        }
    }

    /// Whether what was looked for does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Waits for a request, at most [`DEADLINE`]. `right` is what it needs, should the refusal not say so itself.
///
/// # Errors
///
/// See [`ClusterError`].
pub async fn ask<T>(
    what: &str,
    right: Right,
    work: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, ClusterError> {
    match timeout(DEADLINE, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(refused(what, right, error)),
        Err(_) => Err(ClusterError::failed(
            what,
            format!("no answer within {DEADLINE:?}"),
        )),
    }
}

/// All objects of a kind, page by page; more than 50,000 are an error.
///
/// # Errors
///
/// See [`ClusterError`].
pub async fn list<K>(
    what: &str,
    right: Right,
    api: Api<K>,
    labels: Option<&str>,
) -> Result<Vec<K>, ClusterError>
where
    K: Clone + DeserializeOwned + fmt::Debug,
{
    let mut found = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    params.label_selector = labels.map(str::to_owned);
    loop {
        let page = ask(what, right.clone(), api.list(&params)).await?;
        found.extend(page.items);
        if found.len() > MOST {
            return Err(ClusterError::failed(
                what,
                format!("the cluster has more than {MOST}"),
            ));
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

/// Gets a path of the API server as JSON.
///
/// # Errors
///
/// See [`ClusterError`].
pub async fn get<T: DeserializeOwned>(
    client: &Client,
    what: &str,
    right: Right,
    path: &str,
) -> Result<T, ClusterError> {
    let request = http::Request::get(path)
        .body(Vec::new())
        .map_err(|error| ClusterError::failed(what, error.to_string()))?;
    ask(what, right, client.request(request)).await
}

fn refused(what: &str, right: Right, error: kube::Error) -> ClusterError {
    let what = what.to_owned();
    match error {
        kube::Error::Api(status) => of_status(what, right, &status),
        // The words of a refused upgrade are lost, but not its number.
        kube::Error::UpgradeConnection(error) if error.to_string().contains("403") => {
            let right = Box::new(right);
            ClusterError::Lacking { what, right }
        }
        kube::Error::UpgradeConnection(error) if error.to_string().contains("404") => {
            ClusterError::NotFound { what }
        }
        error => {
            let message = anyhow::Error::from(error).root_cause().to_string();
            ClusterError::Failed { what, message }
        }
    }
}

fn of_status(what: String, right: Right, status: &Status) -> ClusterError {
    match status.code {
        403 => ClusterError::Lacking {
            right: Box::new(Right::of_refusal(&status.message).unwrap_or(right)),
            what,
        },
        404 => ClusterError::NotFound { what },
        _ => ClusterError::Failed {
            what,
            message: status.message.clone(),
        },
    }
}

/// The text in quotes that `text` begins with, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('"')?.split_once('"')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kubernetes::fake::FakeApi;
    use k8s_openapi::api::core::v1::Pod;

    fn right() -> Right {
        Right::new("list", "", "pods", None)
    }

    #[test]
    fn a_refusal_says_what_is_lacking() {
        for (message, expected) in [
            (
                r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" at the cluster scope"#,
                r#""jane" may not list pods in the cluster"#,
            ),
            (
                r#"pods "web-1" is forbidden: User "system:serviceaccount:a:b" cannot create resource "pods/portforward" in API group "" in the namespace "shop""#,
                r#""system:serviceaccount:a:b" may not create pods/portforward in the namespace "shop""#,
            ),
            (
                r#"User "jane" cannot get resource "pods/rps" in API group "custom.metrics.k8s.io" in the namespace "shop": no"#,
                r#""jane" may not get pods/rps.custom.metrics.k8s.io in the namespace "shop""#,
            ),
        ] {
            assert_eq!(Right::of_refusal(message).unwrap().to_string(), expected);
        }
        for message in [
            "",
            "no",
            r#"User "a" cannot get path "/metrics""#,
            "x cannot list resource pods",
        ] {
            assert_eq!(Right::of_refusal(message), None, "{message}");
        }
    }

    #[test]
    fn a_grant_is_a_rule_of_a_role() {
        let right = Right::new("get", "apps", "deployments/scale", Some("shop"));
        assert_eq!(
            right.grant(),
            "grant by a Role in the namespace shop: {apiGroups: [apps], resources: [deployments/scale], verbs: [get]}"
        );
        assert!(
            self::right()
                .grant()
                .contains(r#"a ClusterRole: {apiGroups: [""]"#)
        );
    }

    #[tokio::test]
    async fn lists_are_read_whole_and_refusals_told() {
        let fake = FakeApi::default();
        let pods: Api<Pod> = Api::all(fake.client());
        fake.set_list("/api/v1/pods", &[json!({"metadata": {"name": "a"}})]);
        assert_eq!(list("pods", right(), pods.clone(), None).await.unwrap().len(), 1);
        fake.fail("/api/v1/pods", false, 403);
        let error = list("the list of pods", right(), pods.clone(), None)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the list of pods is forbidden: this user may not list pods in the cluster; grant by a ClusterRole: \
             {apiGroups: [\"\"], resources: [pods], verbs: [list]}"
        );
        fake.fail("/api/v1/pods", false, 404);
        assert!(
            list("pods", right(), pods, None)
                .await
                .unwrap_err()
                .is_not_found()
        );
    }
}
