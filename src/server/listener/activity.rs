//! Activity of a connection: requests in flight, and when something last moved.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Limits;

/// Shared by a connection and its requests.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    abuse: CancellationToken,
}

#[derive(Debug)]
struct State {
    /// Requests without a reply yet.
    waiting: usize,
    /// Replies that are not sent to the end.
    replying: usize,
    requests: u64,
    moved: Instant,
    abandoned: Bucket,
}

/// Requests that the client gave up before their reply (CVE-2023-44487). Each costs us the beginning of an answer, and the
/// client a few bytes.
#[derive(Debug)]
struct Bucket {
    level: f64,
    at: Instant,
}

/// So many requests may be given up at once, and so many a second after that. An API server in front of us gives up what its
/// own clients give up: those of a whole cluster, when a backend is slow.
const ABANDONED: f64 = 400.0;
const ABANDONED_PER_SECOND: f64 = 40.0;

/// What the clock says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to do before this instant.
    Fine(Instant),
    /// Without a request for too long.
    Idle,
    /// With a request that makes no progress.
    Stalled,
}

/// A request in flight, until its reply is sent to the end.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Activity,
    replying: bool,
}

/// The body of a reply; counts each part as a movement.
#[derive(Debug)]
pub(super) struct Tracked {
    body: Body,
    request: InFlight,
}

// === impl Activity ===

impl Activity {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let state = State {
            waiting: 0,
            replying: 0,
            requests: 0,
            moved: now,
            abandoned: Bucket { level: 0.0, at: now },
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            abuse: CancellationToken::new(),
        }))
    }

    pub(super) fn begin(&self) -> InFlight {
        let mut state = self.state();
        state.waiting += 1;
        state.requests += 1;
        state.moved = Instant::now();
        InFlight {
            activity: self.clone(),
            replying: false,
        }
    }

    /// Whether a request is in flight.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.state();
        state.waiting + state.replying > 0
    }

    /// When something last moved.
    pub(super) fn moved(&self) -> Instant {
        self.state().moved
    }

    /// Resolves once the client has given up more requests than one in good faith would.
    pub(super) async fn abuse(&self) {
        self.0.abuse.cancelled().await;
    }

    /// What is to be done at `now`; in a `hurry` a client has little time to read what it asked for and to ask again.
    pub(super) fn verdict(&self, now: Instant, limits: &Limits, hurry: bool) -> Verdict {
        let state = self.state();
        let (limit, verdict) = if state.waiting > 0 {
            (limits.stalled, Verdict::Stalled)
        } else if state.replying > 0 {
            (
                if hurry { limits.crowded_idle } else { limits.unread },
                Verdict::Stalled,
            )
        } else if hurry {
            (limits.crowded_idle, Verdict::Idle)
        } else if state.requests == 0 {
            (limits.header, Verdict::Idle)
        } else {
            (limits.idle, Verdict::Idle)
        };
        let until = state.moved + limit;
        if until > now {
            // Looks again early, because the listener may become crowded meanwhile.
            Verdict::Fine(until.min(now + limits.crowded_idle))
        } else {
            verdict
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Bucket ===

impl Bucket {
    fn add(&mut self, now: Instant) {
        let leaked = now.duration_since(self.at).as_secs_f64() * ABANDONED_PER_SECOND;
        self.level = (self.level - leaked).max(0.0) + 1.0;
        self.at = now;
    }
}

// === impl InFlight ===

impl InFlight {
    fn moved(&self) {
        self.activity.state().moved = Instant::now();
    }

    pub(super) fn track(mut self, body: Body) -> Tracked {
        let mut state = self.activity.state();
        state.waiting = state.waiting.saturating_sub(1);
        state.replying += 1;
        state.moved = Instant::now();
        drop(state);
        self.replying = true;
        Tracked { body, request: self }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.activity.state();
        if self.replying {
            state.replying = state.replying.saturating_sub(1);
        } else {
            state.waiting = state.waiting.saturating_sub(1);
            state.abandoned.add(now);
            if state.abandoned.level > ABANDONED {
                self.activity.0.abuse.cancel();
            }
        }
        state.moved = now;
    }
}

// === impl Tracked ===

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if frame.is_ready() {
            this.request.moved();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tells_new_idle_busy_and_stalled_apart() {
        let limits = Limits::default();
        let after = |activity: &Activity, seconds| {
            activity.verdict(Instant::now() + Duration::from_secs(seconds), &limits, false)
        };
        let activity = Activity::new();
        assert!(matches!(after(&activity, 31), Verdict::Fine(_)));
        assert_eq!(after(&activity, 32), Verdict::Idle, "no request was ever begun");

        let request = activity.begin();
        assert!(matches!(after(&activity, 119), Verdict::Fine(_)));
        assert_eq!(after(&activity, 120), Verdict::Stalled);
        let body = request.track(Body::from("reply"));
        assert!(matches!(after(&activity, 29), Verdict::Fine(_)));
        assert_eq!(after(&activity, 30), Verdict::Stalled, "nobody reads the reply");
        drop(body);

        assert!(matches!(after(&activity, 89), Verdict::Fine(_)));
        assert_eq!(after(&activity, 90), Verdict::Idle);
        let crowded =
            |seconds| activity.verdict(Instant::now() + Duration::from_secs(seconds), &limits, true);
        assert!(matches!(crowded(4), Verdict::Fine(_)));
        assert_eq!(crowded(5), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_many_requests_is_abuse() {
        let activity = Activity::new();
        let give_up = |count: usize| (0..count).for_each(|_| drop(activity.begin()));
        let is_abusive = |activity: &Activity| activity.0.abuse.is_cancelled();
        give_up(400);
        assert!(!is_abusive(&activity));
        tokio::time::advance(Duration::from_secs(1)).await;
        give_up(40);
        assert!(!is_abusive(&activity), "40 a second are in good faith");
        give_up(1);
        assert!(is_abusive(&activity));
        // Replies that were begun are no cost without use.
        let other = Activity::new();
        (0..1000).for_each(|_| drop(other.begin().track(Body::empty())));
        assert!(!is_abusive(&other));
    }
}
