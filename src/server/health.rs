//! Health of the process, alive and ready: named checks, as k8s.io/apiserver answers them (`pkg/server/healthz`).

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    sync::Arc,
};

use http::StatusCode;
use tokio::sync::watch;

use super::{
    respond::{Reply, TEXT},
    route::HealthRequest,
};
use crate::reason::Reason;

/// The checks, in the order in which they were added.
#[derive(Clone, Default)]
pub struct Health {
    checks: Vec<Check>,
}

/// Sets one check of `/readyz`.
#[derive(Debug)]
pub struct Gate(watch::Sender<Result<(), Cow<'static, str>>>);

/// What a check says: nothing, or what is wrong, in words without secrets.
pub type Outcome = Result<(), Cow<'static, str>>;

#[derive(Clone)]
struct Check {
    name: &'static str,
    /// Whether it also decides `/livez` and `/healthz`; all checks decide `/readyz`.
    live: bool,
    run: Arc<dyn Fn() -> Outcome + Send + Sync>,
}

// === impl Health ===

impl Health {
    /// The check `ping`, which always passes.
    pub fn new() -> Self {
        let mut health = Self::default();
        health.live("ping", || Ok(()));
        health
    }

    /// Adds a check to `/livez`, `/healthz` and `/readyz`. It is called for each request, so it looks and never waits. A
    /// failing one has the kubelet restart the process.
    pub fn live(&mut self, name: &'static str, check: impl Fn() -> Outcome + Send + Sync + 'static) {
        self.checks.push(Check {
            name,
            live: true,
            run: Arc::new(check),
        });
    }

    /// Adds a check to `/readyz` alone, on the same terms. A failing one takes the process out of its Service.
    pub fn ready(&mut self, name: &'static str, check: impl Fn() -> Outcome + Send + Sync + 'static) {
        self.checks.push(Check {
            name,
            live: false,
            run: Arc::new(check),
        });
    }

    /// Adds a check to `/readyz` that fails until its gate is opened.
    pub fn gate(&mut self, name: &'static str) -> Gate {
        let (sender, receiver) = watch::channel(Err(Cow::Borrowed("not yet")));
        self.ready(name, move || receiver.borrow().clone());
        Gate(sender)
    }

    /// Whether `/readyz` passes.
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|check| (check.run)().is_ok())
    }

    /// The paths of all checks, sorted, for the index.
    pub(super) fn paths(&self) -> Vec<String> {
        let of = |endpoint: &'static str| {
            let checks = self
                .of(endpoint)
                .map(move |check| format!("/{endpoint}/{}", check.name));
            std::iter::once(format!("/{endpoint}")).chain(checks)
        };
        let mut paths: Vec<_> = of("healthz").chain(of("livez")).chain(of("readyz")).collect();
        paths.sort_unstable();
        paths
    }

    fn of(&self, endpoint: &'static str) -> impl Iterator<Item = &Check> {
        self.checks
            .iter()
            .filter(move |check| check.live || endpoint == "readyz")
    }

    /// The reply, with why checks fail where the asker may see it; `None` if there is no such check.
    pub(super) fn answer(&self, ask: &HealthRequest, show_causes: bool) -> Option<Reply> {
        match &ask.check {
            Some(name) => self
                .of(ask.endpoint)
                .find(|check| check.name == name)
                .map(|check| one(check, show_causes)),
            None => Some(self.all(ask, show_causes)),
        }
    }

    fn all(&self, ask: &HealthRequest, show_causes: bool) -> Reply {
        // Writing to a String cannot fail.
        let mut text = String::new();
        let mut failed = Vec::new();
        for check in self.of(ask.endpoint) {
            let name = check.name;
            if ask.exclude.iter().any(|excluded| excluded == name) {
                _ = writeln!(text, "[+]{name} excluded: ok");
                continue;
            }
            match (check.run)() {
                Ok(()) => _ = writeln!(text, "[+]{name} ok"),
                Err(cause) if show_causes => {
                    _ = writeln!(text, "[-]{name} failed: {cause}");
                    failed.push(name);
                }
                Err(_) => {
                    _ = writeln!(text, "[-]{name} failed: reason withheld");
                    failed.push(name);
                }
            }
        }
        let unknown: Vec<_> = ask
            .exclude
            .iter()
            .filter(|name| !self.of(ask.endpoint).any(|check| check.name == **name))
            .collect();
        if !unknown.is_empty() {
            let unknown = unknown
                .iter()
                .map(|name| format!("{name:?}"))
                .collect::<Vec<_>>()
                .join(",");
            _ = writeln!(
                text,
                "warn: some health checks cannot be excluded: no matches for {unknown}"
            );
        }
        let endpoint = ask.endpoint;
        if !failed.is_empty() {
            tracing::debug!(endpoint, ?failed, "health check failed");
            return failure(format!("{text}{endpoint} check failed\n"));
        }
        let text = if ask.verbose {
            format!("{text}{endpoint} check passed\n")
        } else {
            "ok".to_owned()
        };
        Reply::text(StatusCode::OK, TEXT, text)
    }
}

fn one(check: &Check, show_causes: bool) -> Reply {
    match (check.run)() {
        Ok(()) => Reply::text(StatusCode::OK, TEXT, "ok".to_owned()),
        Err(cause) if show_causes => failure(format!("internal server error: {cause}\n")),
        Err(_) => failure("internal server error: reason withheld\n".to_owned()),
    }
}

fn failure(text: String) -> Reply {
    Reply::text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text).because(Reason::NotSynced)
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.checks.iter().map(|check| check.name))
            .finish()
    }
}

// === impl Gate ===

impl Gate {
    /// The check passes from now on.
    pub fn open(&self) {
        _ = self.0.send_replace(Ok(()));
    }

    /// The check fails from now on; the cause is shown to whoever may see causes.
    pub fn close(&self, cause: impl Into<Cow<'static, str>>) {
        _ = self.0.send_replace(Err(cause.into()));
    }
}

#[cfg(test)]
mod tests;
