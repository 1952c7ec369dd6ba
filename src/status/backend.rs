//! Status of a backend, from its last probe.

use jiff::Timestamp;

use crate::{
    api::metric_backend::BackendCondition,
    outcome::{Failing, Outcomes, Throttle},
    reason::Reason,
    rule::{CompiledRule, Problem, RuleTable},
};

/// What the last probe came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It answered.
    Answered {
        /// The version that it says it has.
        version: Option<String>,
        /// How many seconds its clock is ahead; `None` within about one.
        clock_offset: Option<i64>,
    },
    /// It did not, or not as it should.
    Failed {
        /// `BackendDown`, `BackendTimeout`, `Unauthenticated`, or what is wrong with its credentials.
        reason: Reason,
        /// The cause; no credential, no user-info.
        message: String,
    },
}

/// What replicas met at a backend that answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heard<'a> {
    /// The failure of a rule's query: see [`failing_of`].
    pub failing: Option<&'a Failing>,
    /// The ceiling that holds queries up.
    pub throttle: Option<&'a Throttle>,
}

/// The status that a backend should carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredBackend {
    /// In the order of [`BackendCondition::ALL`]: status (`None`: unknown), reason, message.
    pub conditions: Vec<(BackendCondition, Option<bool>, Reason, String)>,
    /// The version that the server says it has.
    pub version: Option<String>,
    /// How many seconds its clock is ahead.
    pub clock_offset: Option<i64>,
    /// How many rules use it.
    pub rules: u64,
    /// What fails now: why, in whose words, and since when where that is known.
    pub error: Option<(Reason, String, Option<Timestamp>)>,
}

/// The longest `lastError.message`, in bytes.
const MESSAGE_MAX: usize = 256;
const TAKES_CREDENTIALS: &str = "the backend accepts the credentials, or needs none";
/// The condition `Ready` speaks of clocks that are at least so many seconds apart.
const NOTED: u64 = 5;

/// Why a backend that answers is `Ready`, and what is to be said beside that.
fn ready(clock_offset: Option<i64>, throttle: Option<&Throttle>) -> (Reason, String) {
    let throttled = throttle.map(Throttle::to_string);
    let off = clock_offset
        .filter(|offset| offset.unsigned_abs() >= NOTED)
        .map(off_by);
    let parts = [Some("the backend answers queries".to_owned()), throttled, off];
    let message: Vec<String> = parts.into_iter().flatten().collect();
    let reason = throttle.map_or(Reason::Ready, |_| Reason::Throttled);
    (reason, message.join("; "))
}

/// A problem with the backend, as a condition of a rule says it. One of the backend as a whole names it, because its own status
/// says more.
pub(super) fn named(rule: &CompiledRule, reason: Reason, message: &str) -> String {
    match &rule.backend {
        Ok(backend) if reason.is_outage() => format!(
            "MetricBackend {:?}: {message}; see `kubectl describe metricbackend {}`",
            backend.name, backend.name
        ),
        _ => message.to_owned(),
    }
}

fn off_by(offset: i64) -> String {
    let side = if offset < 0 { "behind" } else { "ahead of" };
    format!(
        "its clock is {} s {side} the operator's; the operator compensates for that, but set both by NTP",
        offset.unsigned_abs()
    )
}

/// The status of the backend `name` of `table`. `probe` is `None` until the first one has ended.
///
/// `heard` is told while the backend itself is well.
pub fn desired_backend(
    table: &RuleTable,
    name: &str,
    probe: Option<&Probe>,
    heard: Heard<'_>,
) -> DesiredBackend {
    use BackendCondition::{Authenticated, Reachable, Ready};
    let users = table
        .rules
        .iter()
        .filter(|rule| rule.backend.as_ref().is_ok_and(|backend| &*backend.name == name));
    let mut desired = DesiredBackend {
        conditions: Vec::new(),
        version: None,
        clock_offset: None,
        rules: u64::try_from(users.count()).unwrap_or(u64::MAX),
        error: None,
    };
    let mut all = |status: [Option<bool>; 3], reasons: [Reason; 3], messages: [&str; 3]| {
        for (index, condition) in [Reachable, Authenticated, Ready].into_iter().enumerate() {
            let (Some(status), Some(reason), Some(message)) =
                (status.get(index), reasons.get(index), messages.get(index))
            else {
                continue;
            };
            desired
                .conditions
                .push((condition, *status, *reason, (*message).to_owned()));
        }
    };
    let invalid: Option<&Problem> = table
        .backends
        .get(name)
        .and_then(|backend| backend.as_ref().err());
    if let Some(problem) = invalid {
        let message = problem.to_string();
        let pending = "the operator does not query it until its spec is valid";
        all(
            [None, None, Some(false)],
            [Reason::Pending, Reason::Pending, problem.reason],
            [pending, pending, &message],
        );
        return desired;
    }
    match probe {
        None => {
            let pending = "the first probe has not finished";
            all([None; 3], [Reason::Pending; 3], [pending; 3]);
        }
        Some(Probe::Answered {
            version,
            clock_offset,
        }) => {
            let (reason, message) = ready(*clock_offset, heard.throttle);
            all(
                [Some(true); 3],
                [Reason::Reachable, Reason::Authenticated, reason],
                ["the backend answers", TAKES_CREDENTIALS, &message],
            );
            desired.version = version.clone().map(super::bounded);
            desired.clock_offset = *clock_offset;
            desired.error = heard.failing.map(|failing| {
                let detail = &failing.detail;
                let message = &detail[..detail.floor_char_boundary(MESSAGE_MAX)];
                (failing.reason, message.to_owned(), Some(failing.since))
            });
        }
        Some(Probe::Failed { reason, message }) => {
            // A refusal of the credentials is an answer.
            let (reachable, authenticated) = match reason {
                Reason::Unauthenticated => ((Some(true), Reason::Reachable), (Some(false), *reason)),
                Reason::CredentialsNotFound | Reason::CredentialsInvalid => {
                    ((None, Reason::Pending), (Some(false), *reason))
                }
                // It was measured from a good answer.
                Reason::ClockSkew => (
                    (Some(true), Reason::Reachable),
                    (Some(true), Reason::Authenticated),
                ),
                _ => ((Some(false), *reason), (None, Reason::Pending)),
            };
            all(
                [reachable.0, authenticated.0, Some(false)],
                [reachable.1, authenticated.1, *reason],
                [
                    if reachable.0 == Some(true) {
                        "the backend answers"
                    } else {
                        message
                    },
                    match authenticated.0 {
                        None => "unknown while the backend does not answer",
                        Some(true) => TAKES_CREDENTIALS,
                        Some(false) => message,
                    },
                    message,
                ],
            );
            desired.error = Some((*reason, message.clone(), None));
        }
    }
    desired
}

/// The failure of a query that the backend `name` tells: that of the reason `told` as long as there is one, so that several
/// rules do not take turns; else the oldest. A platform team sees there what a rule's own status may not quote.
pub fn failing_of<'a>(outcomes: &'a Outcomes, name: &str, told: Option<Reason>) -> Option<&'a Failing> {
    outcomes
        .values()
        .filter_map(|outcome| outcome.failing.as_ref())
        .filter(|failing| failing.backend == name)
        .min_by_key(|failing| (Some(failing.reason) != told, failing.since, failing.reason))
}
