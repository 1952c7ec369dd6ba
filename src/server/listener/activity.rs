//! What goes on on a connection: requests in flight, and when something last moved.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;

use super::Limits;

/// Shared by a connection and its requests.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    in_flight: usize,
    requests: u64,
    moved: Instant,
}

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
pub(super) struct InFlight(Activity);

/// The body of a reply; counts each part as a movement.
#[derive(Debug)]
pub(super) struct Tracked {
    body: Body,
    request: InFlight,
}

// === impl Activity ===

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            in_flight: 0,
            requests: 0,
            moved: Instant::now(),
        })))
    }

    pub(super) fn begin(&self) -> InFlight {
        let mut state = self.state();
        state.in_flight += 1;
        state.requests += 1;
        state.moved = Instant::now();
        InFlight(self.clone())
    }

    pub(super) fn verdict(&self, now: Instant, limits: &Limits, crowded: bool) -> Verdict {
        let state = self.state();
        let (limit, verdict) = if state.in_flight > 0 {
            (limits.stalled, Verdict::Stalled)
        } else if crowded {
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl InFlight ===

impl InFlight {
    fn moved(&self) {
        self.0.state().moved = Instant::now();
    }

    pub(super) fn track(self, body: Body) -> Tracked {
        self.moved();
        Tracked { body, request: self }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.moved = Instant::now();
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
        assert!(matches!(after(&activity, 119), Verdict::Fine(_)));
        drop(body);

        assert!(matches!(after(&activity, 89), Verdict::Fine(_)));
        assert_eq!(after(&activity, 90), Verdict::Idle);
        let crowded =
            |seconds| activity.verdict(Instant::now() + Duration::from_secs(seconds), &limits, true);
        assert!(matches!(crowded(4), Verdict::Fine(_)));
        assert_eq!(crowded(5), Verdict::Idle);
    }
}
