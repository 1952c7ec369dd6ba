//! The schedule of listings: how long a selector waits after what its last listing came to, and a backend after it gave no
//! answer. Pure: attempts, outcome, interval and seed come in, a length of time goes out.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    time::Duration,
};

use crate::reason::Reason;

/// The longest wait after a failure that may pass by itself.
const LONGEST: Duration = Duration::from_mins(5);
/// The longest first wait after such a failure; half of it is the shortest.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// The same for a rule that has found nothing yet: somebody may be waiting for its first series.
const FIRST_LOOK_AGAIN: Duration = Duration::from_secs(4);
/// The same for a backend that gives no answer: one listing finds out for all of its selectors.
const FIRST_PROBE: Duration = Duration::from_secs(5);
/// The longest wait between two such listings: that long after its recovery a backend is listed again.
const LONGEST_PROBE: Duration = Duration::from_secs(30);
/// What a backend that has recovered is given for each selector that waits.
const EACH_AFTER_RECOVERY: Duration = Duration::from_millis(20);

/// What a failed listing is about: it decides who waits, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The backend gives no answer now; all of its selectors wait together.
    Backend,
    /// The same, until somebody mends address, credentials or certificates.
    Setup,
    /// The backend answers, and would answer the same again until somebody mends the rule or a limit.
    Selector,
    /// The operator itself had no place or no time for it.
    Passing,
}

/// What a listing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Series.
    Found,
    /// No series.
    Nothing,
    /// No answer.
    Failed(Fault),
}

/// A source of numbers that differ between replicas, and are the same each time for one replica.
#[derive(Clone, Copy, Debug)]
pub(super) struct Jitter {
    seed: u64,
}

/// What counts for the next wait of one selector.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tries {
    /// Failures in a row.
    failures: u32,
    /// Listings in a row that found nothing, where none found anything before.
    nothing: u32,
    found: bool,
    /// All listings; it only makes the jitter differ.
    turn: u32,
}

/// What a failure for `reason` is about.
pub(super) const fn fault(reason: Reason) -> Fault {
    match reason {
        Reason::BackendDown | Reason::BackendTimeout | Reason::BackendError | Reason::PartialResponse => {
            Fault::Backend
        }
        Reason::Unauthenticated
        | Reason::CredentialsNotFound
        | Reason::CredentialsInvalid
        | Reason::TlsFailed
        | Reason::RedirectRefused => Fault::Setup,
        Reason::LimitExceeded | Reason::QueryRejected | Reason::UnexpectedResult => Fault::Selector,
        _ => Fault::Passing,
    }
}

/// How long a backend is left alone after `steps` listings in a row, one at a time, that it did not answer; `interval` is
/// the time between two listings of a selector when all is well.
pub(super) fn until_probe(
    fault: Fault,
    steps: u32,
    interval: Duration,
    jitter: Jitter,
    backend: &str,
) -> Duration {
    match fault {
        Fault::Setup => full(interval.min(LONGEST), jitter.share(backend, steps)),
        _ => half(
            doubled(FIRST_PROBE, steps, LONGEST_PROBE),
            jitter.share(backend, steps),
        ),
    }
}

/// When a selector is listed after its backend has recovered, where `waiting` of them are: they do not come in one burst.
pub(super) fn after_recovery(waiting: u32, jitter: Jitter, selector: &str, turn: u32) -> Duration {
    let window = (EACH_AFTER_RECOVERY * waiting).clamp(Duration::from_secs(2), LONGEST_PROBE);
    window.mul_f64(jitter.share(selector, turn))
}

// === impl Tries ===

impl Tries {
    /// Takes up what a listing came to; gives the time until the next one.
    pub(super) fn after(
        &mut self,
        looked: Looked,
        interval: Duration,
        jitter: Jitter,
        selector: &str,
    ) -> Duration {
        self.turn = self.turn.wrapping_add(1);
        let share = jitter.share(selector, self.turn);
        let failures = match looked {
            Looked::Failed(_) => self.failures.saturating_add(1),
            Looked::Found | Looked::Nothing => 0,
        };
        let before = std::mem::replace(&mut self.failures, failures);
        match looked {
            Looked::Found => {
                self.found = true;
                soon(interval, share)
            }
            Looked::Nothing if self.found => soon(interval, share),
            Looked::Nothing => {
                let looks = self.nothing;
                self.nothing = looks.saturating_add(1);
                half(doubled(FIRST_LOOK_AGAIN, looks, interval), share)
            }
            Looked::Failed(Fault::Selector) => full(doubled(interval, before, LONGEST.max(interval)), share),
            Looked::Failed(Fault::Setup) => full(interval.min(LONGEST), share),
            Looked::Failed(Fault::Backend | Fault::Passing) => {
                half(doubled(FIRST_RETRY, before, LONGEST), share)
            }
        }
    }

    /// Failures in a row.
    pub(super) const fn failures(&self) -> u32 {
        self.failures
    }

    /// Listings so far.
    pub(super) const fn turn(&self) -> u32 {
        self.turn
    }
}

// === impl Jitter ===

impl Jitter {
    /// The numbers of the replica of that name.
    pub(super) fn of(identity: &str) -> Self {
        Self {
            seed: BuildHasherDefault::<DefaultHasher>::default().hash_one(identity),
        }
    }

    /// A number from 0 up to, not including, 1.
    fn share(self, what: &str, turn: u32) -> f64 {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((self.seed, what, turn));
        let thousandths = u32::try_from(hash % 1000).unwrap_or(0);
        f64::from(thousandths) / 1000.0
    }
}

/// `first`, doubled `times` times, and no longer than `longest`.
fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << times.min(16)).min(longest)
}

/// Up to a tenth less.
fn soon(wait: Duration, share: f64) -> Duration {
    wait.saturating_sub(wait.mul_f64(share / 10.0))
}

/// Up to half less.
fn half(wait: Duration, share: f64) -> Duration {
    wait.saturating_sub(wait.mul_f64(share / 2.0))
}

/// Up to a tenth more.
fn full(wait: Duration, share: f64) -> Duration {
    wait + wait.mul_f64(share / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// The waits of one selector of one replica, all with the same outcome.
    fn waits(identity: &str, selector: &str, looked: Looked, interval: Duration) -> Vec<Duration> {
        let (mut tries, jitter) = (Tries::default(), Jitter::of(identity));
        (0..12)
            .map(|_| tries.after(looked, interval, jitter, selector))
            .collect()
    }

    fn within(waits: &[Duration], bounds: &[(u64, u64)]) {
        for (wait, (least, most)) in waits.iter().zip(bounds) {
            assert!(
                (Duration::from_secs(*least)..=Duration::from_secs(*most)).contains(wait),
                "{waits:?}"
            );
        }
    }

    #[test]
    fn failures_that_may_pass_are_tried_again_ever_more_rarely() {
        let bounds = [
            (5, 10),
            (10, 20),
            (20, 40),
            (40, 80),
            (80, 160),
            (150, 300),
            (150, 300),
        ];
        for fault in [Fault::Backend, Fault::Passing] {
            within(&waits("a", "up", Looked::Failed(fault), MINUTE), &bounds);
        }
    }

    #[test]
    fn a_permanent_failure_waits_for_the_full_interval() {
        let own = waits("a", "up", Looked::Failed(Fault::Selector), MINUTE);
        within(&own, &[(60, 66), (120, 132), (240, 264), (300, 330), (300, 330)]);
        within(
            &waits("a", "up", Looked::Failed(Fault::Setup), MINUTE),
            &[(60, 66); 12],
        );
        let hour = Duration::from_hours(1);
        within(
            &waits("a", "up", Looked::Failed(Fault::Selector), hour),
            &[(3600, 3960); 12],
        );
    }

    #[test]
    fn a_rule_that_has_found_nothing_yet_is_looked_at_within_seconds_then_ever_more_rarely() {
        within(
            &waits("a", "up", Looked::Nothing, MINUTE),
            &[(2, 4), (4, 8), (8, 16), (16, 32), (30, 60), (30, 60)],
        );
        let mut tries = Tries::default();
        let jitter = Jitter::of("a");
        tries.after(Looked::Found, MINUTE, jitter, "up");
        let idle = tries.after(Looked::Nothing, MINUTE, jitter, "up");
        within(&[idle], &[(54, 60)]);
    }

    #[test]
    fn no_two_replicas_and_no_two_selectors_come_at_once() {
        for looked in [
            Looked::Found,
            Looked::Nothing,
            Looked::Failed(Fault::Backend),
            Looked::Failed(Fault::Setup),
            Looked::Failed(Fault::Selector),
        ] {
            let one = waits("metricrule-0", "up", looked, MINUTE);
            assert_ne!(one, waits("metricrule-1", "up", looked, MINUTE));
            assert_ne!(one, waits("metricrule-0", "down", looked, MINUTE));
            assert_eq!(one, waits("metricrule-0", "up", looked, MINUTE));
        }
        let jitter = Jitter::of("metricrule-0");
        let mut due: Vec<Duration> = (0..2000)
            .map(|n| after_recovery(2000, jitter, &format!("s{n}"), 3))
            .collect();
        due.sort();
        assert!(
            due.last() <= Some(&LONGEST_PROBE),
            "all within some seconds: {:?}",
            due.last()
        );
        for window in due.windows(200) {
            assert!(
                window[199].checked_sub(window[0]).unwrap() > Duration::from_secs(1),
                "200 of 2000 within a second: {window:?}"
            );
        }
    }

    #[test]
    fn a_backend_without_an_answer_is_asked_by_one_listing_every_half_a_minute_at_last() {
        let jitter = Jitter::of("a");
        let steps: Vec<Duration> = (0..6)
            .map(|n| until_probe(Fault::Backend, n, MINUTE, jitter, "default"))
            .collect();
        within(&steps, &[(2, 5), (5, 10), (10, 20), (15, 30), (15, 30), (15, 30)]);
        within(
            &[until_probe(Fault::Setup, 0, MINUTE, jitter, "default")],
            &[(60, 66)],
        );
    }
}
