//! Backend's clock: how far it is ahead of this replica's, measured from the `Date` of its replies.
//!
//! A query says for which instant it is to be evaluated, and samples carry the time of the backend's side. With clocks that
//! differ, `rate(…[2m])` covers less than two minutes, and two replicas give two numbers. So queries are asked for the
//! instant that the backend calls now.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};
use tokio::time::Instant;

/// What was measured is forgotten after one to two of these.
const PERIOD: Duration = Duration::from_mins(2);
/// Clocks that may be as close are taken for equal: a `Date` holds whole seconds.
const CLOSE: SignedDuration = SignedDuration::from_secs(1);
/// Clocks that are this far apart cannot be reckoned with, for nobody knows which of them is right.
pub(super) const BEYOND: SignedDuration = SignedDuration::from_mins(10);
/// What is told of the offset changes when the offset has moved by more.
const STICKY: SignedDuration = SignedDuration::from_secs(1);

/// What is known of a backend's clock.
#[derive(Debug, Default)]
pub(super) struct BackendClock {
    current: Option<Window>,
    former: Option<Window>,
    told: Option<SignedDuration>,
}

/// What the replies of some minutes have in common.
#[derive(Clone, Copy, Debug)]
struct Window {
    begun: Instant,
    offset: Offset,
}

/// The bounds of an offset, both possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offset {
    low: SignedDuration,
    high: SignedDuration,
}

// === impl BackendClock ===

impl BackendClock {
    /// A reply with the `Date` `date`, in whole seconds, to a request that was sent at `sent` and answered at `received`, by
    /// this replica's clock.
    pub(super) fn replied(&mut self, now: Instant, date: Timestamp, sent: Timestamp, received: Timestamp) {
        // A clock that was set back in between tells nothing.
        let Some(offset) = Offset::of(date, sent, received) else {
            return;
        };
        self.forget(now);
        let known = self.known();
        if known.is_some_and(|known| known.and(offset).is_none()) {
            // One of the two clocks was set.
            self.former = None;
            self.current = Some(Window { begun: now, offset });
        } else {
            match &mut self.current {
                Some(window) if now.duration_since(window.begun) < PERIOD => {
                    window.offset = window.offset.and(offset).unwrap_or(offset);
                }
                _ => {
                    self.former = self.current.replace(Window { begun: now, offset });
                }
            }
        }
        let estimate = self.known().map_or(SignedDuration::ZERO, Offset::estimate);
        let moved = self.told.is_none_or(|told| (estimate - told).abs() > STICKY);
        if moved || estimate.is_zero() {
            self.told = Some(estimate);
        }
    }

    /// How far the backend's clock is ahead: zero where it may be right, or where nothing is known.
    pub(super) fn ahead(&self, now: Instant) -> SignedDuration {
        let fresh = |window: &Option<Window>| window.filter(|window| window.is_fresh(now));
        let known = match (fresh(&self.former), fresh(&self.current)) {
            (Some(a), Some(b)) => a.offset.and(b.offset).or(Some(b.offset)),
            (one, other) => other.or(one).map(|window| window.offset),
        };
        known.map_or(SignedDuration::ZERO, Offset::estimate)
    }

    /// The offset in whole seconds for people to read, which does not change with each reply; `None` where the clocks agree.
    pub(super) fn told(&self) -> Option<i64> {
        self.told
            .map(|told| told.as_millis())
            // Half a second more or less is within what is measured.
            .and_then(|millis| i64::try_from((millis + 500 * millis.signum()) / 1000).ok())
            .filter(|seconds| *seconds != 0)
    }

    fn known(&self) -> Option<Offset> {
        match (&self.former, &self.current) {
            (Some(a), Some(b)) => a.offset.and(b.offset).or(Some(b.offset)),
            (one, other) => other.or(*one).map(|window| window.offset),
        }
    }

    fn forget(&mut self, now: Instant) {
        for window in [&mut self.former, &mut self.current] {
            if window.is_some_and(|window| !window.is_fresh(now)) {
                *window = None;
            }
        }
    }
}

// === impl Window ===

impl Window {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.begun) < PERIOD * 2
    }
}

// === impl Offset ===

impl Offset {
    fn of(date: Timestamp, sent: Timestamp, received: Timestamp) -> Option<Self> {
        let low = date.duration_since(received);
        let high = date.duration_since(sent) + SignedDuration::from_secs(1);
        (low <= high).then_some(Self { low, high })
    }

    fn and(self, other: Self) -> Option<Self> {
        let low = self.low.max(other.low);
        let high = self.high.min(other.high);
        (low <= high).then_some(Self { low, high })
    }

    /// The middle; zero where the clocks may be close.
    fn estimate(self) -> SignedDuration {
        if self.low > CLOSE || self.high < -CLOSE {
            (self.low + self.high) / 2
        } else {
            SignedDuration::ZERO
        }
    }
}

/// Reads the time of an HTTP header: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    const PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A backend whose clock is `ahead` milliseconds before ours, asked at `at` milliseconds; the reply takes `took`.
    fn reply(clock: &mut BackendClock, start: Instant, ahead: i64, at: i64, took: i64) {
        let ours = |millis: i64| Timestamp::from_millisecond(1_763_784_000_000 + millis).unwrap();
        let theirs = ours(at + took / 2 + ahead);
        let date = Timestamp::from_second(theirs.as_millisecond().div_euclid(1000)).unwrap();
        let now = start + Duration::from_millis(u64::try_from(at + took).unwrap());
        clock.replied(now, date, ours(at), ours(at + took));
    }

    fn close(a: SignedDuration, millis: i64) -> bool {
        (a - SignedDuration::from_millis(millis)).abs() <= SignedDuration::from_millis(700)
    }

    #[test]
    fn a_clock_a_minute_off_is_measured_from_one_reply_and_better_from_more() {
        for ahead in [60_000, -60_000, 12_345, -3_210] {
            let (mut clock, start) = (BackendClock::default(), Instant::now());
            reply(&mut clock, start, ahead, 100, 30);
            let now = start + Duration::from_secs(1);
            assert!(close(clock.ahead(now), ahead), "{ahead}: {:?}", clock.ahead(now));
            for at in (0..20).map(|number| 200 + number * 1_130) {
                reply(&mut clock, start, ahead, at, 20);
            }
            let now = start + Duration::from_secs(25);
            let error = (clock.ahead(now) - SignedDuration::from_millis(ahead)).abs();
            assert!(
                error < SignedDuration::from_millis(200),
                "{ahead}: {:?}",
                clock.ahead(now)
            );
            let told = clock.told().unwrap();
            assert!((told * 1000 - ahead).abs() <= 1_500, "{ahead}: {told}");
        }
    }

    #[test]
    fn clocks_that_may_be_close_are_left_alone() {
        for ahead in [0, 400, -400, 900, -900] {
            let (mut clock, start) = (BackendClock::default(), Instant::now());
            for at in (0..100).map(|number| number * 777) {
                reply(&mut clock, start, ahead, at, 15);
                let now = start + Duration::from_millis(u64::try_from(at + 20).unwrap());
                assert_eq!(
                    (clock.ahead(now), clock.told()),
                    (SignedDuration::ZERO, None),
                    "{ahead} at {at}"
                );
            }
        }
        // A slow reply tells little.
        let (mut clock, start) = (BackendClock::default(), Instant::now());
        reply(&mut clock, start, 3_000, 0, 8_000);
        assert_eq!(clock.ahead(start + Duration::from_secs(9)), SignedDuration::ZERO);
    }

    #[test]
    fn a_clock_that_is_set_is_measured_anew_and_what_is_old_is_forgotten() {
        let (mut clock, start) = (BackendClock::default(), Instant::now());
        for at in [0, 15_000, 30_000] {
            reply(&mut clock, start, 60_000, at, 10);
        }
        reply(&mut clock, start, 0, 45_000, 10);
        assert_eq!(clock.ahead(start + Duration::from_secs(46)), SignedDuration::ZERO);
        assert_eq!(clock.told(), None);

        reply(&mut clock, start, 30_000, 60_000, 10);
        let later = |seconds: u64| start + Duration::from_secs(60 + seconds);
        assert!(close(clock.ahead(later(200)), 30_000));
        assert_eq!(
            clock.ahead(later(241)),
            SignedDuration::ZERO,
            "nothing was heard since"
        );
    }

    #[test]
    fn what_is_told_stays_the_same_while_the_measure_narrows() {
        let (mut clock, start) = (BackendClock::default(), Instant::now());
        let mut told = Vec::new();
        // A drift of 10 ms a minute.
        for number in 0..240 {
            reply(&mut clock, start, 59_500 + number / 4 * 10, number * 15_000, 20);
            told.push(clock.told().unwrap());
        }
        told.dedup();
        assert!(told.len() <= 2, "{told:?}");
    }

    #[test]
    fn dates_of_http_are_read() {
        let at: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(at));
        for text in ["", "now", "Sun, 06 Nov 1994"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
