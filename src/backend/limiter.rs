//! Ceilings of one backend: fair slots, then the rate, both waited for within the deadline. What cannot be served in time is
//! refused at once.

mod throttle;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};

use self::throttle::Throttle;
use super::{
    BackendError,
    fair::{Ceiling, FairQueue, Ticket, Who},
    health::Board,
    rate::Bucket,
};
use crate::{api::BackendLimits, metrics::BackendMetrics, reason::Reason};

/// The slots and the rate of one backend. It outlives clients and changes of the limits, so that what is in flight goes on
/// counting.
#[derive(Debug)]
pub(super) struct Limiter {
    name: Arc<str>,
    metrics: BackendMetrics,
    board: Board,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: BackendLimits,
    queue: FairQueue<oneshot::Sender<()>>,
    bucket: Bucket,
    throttle: Throttle,
    /// How many outages had begun when that was begun.
    outages: u32,
}

/// A place in the queue or at the backend; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Permit {
    limiter: Arc<Limiter>,
    ticket: Ticket,
    who: Who,
    took: Option<Duration>,
}

/// A token of the rate; one that was not used goes back.
struct Token<'a> {
    limiter: &'a Limiter,
    used: bool,
}

// === impl Limiter ===

impl Limiter {
    pub(super) fn new(name: Arc<str>, limits: BackendLimits, metrics: BackendMetrics, board: Board) -> Self {
        Self {
            name,
            metrics,
            board,
            state: Mutex::new(State {
                queue: FairQueue::new(&limits),
                bucket: Bucket::new(limits.queries_per_second),
                throttle: Throttle::new(Instant::now()),
                outages: 0,
                limits,
            }),
        }
    }

    /// Takes up new limits; those who wait and those at the backend stay.
    pub(super) fn set_limits(&self, limits: BackendLimits) {
        let mut state = self.state();
        if state.limits == limits {
            return;
        }
        state.queue.set_limits(&limits);
        state.bucket.set_rate(limits.queries_per_second, Instant::now());
        state.limits = limits;
        state.start();
        // What the former limits cost says nothing about these.
        self.count_anew(&mut state);
    }

    /// Waits for a slot until `until`, then for the rate. Refuses at once what would not be answered before `deadline`.
    pub(super) async fn admit(
        self: &Arc<Self>,
        who: Who,
        until: Instant,
        deadline: Instant,
    ) -> Result<Permit, BackendError> {
        let entered = Instant::now();
        let (wake, woken) = oneshot::channel();
        let (permit, hopeless) = {
            let mut state = self.state();
            let Some(ticket) = state.queue.enter(&who, wake) else {
                let ceiling = state.queue.ceiling(&who);
                return Err(self.refuse(&mut state, ceiling, &who));
            };
            let permit = Permit {
                limiter: self.clone(),
                ticket,
                who,
                took: None,
            };
            let started = state.start();
            let hopeless = if started.contains(&ticket) {
                None
            } else {
                state.hopeless(&permit, entered, until, deadline)
            };
            self.metrics.queued(&self.name, state.queue.queued());
            (permit, hopeless)
        };
        if let Some(ceiling) = hopeless {
            return Err(self.refuse(&mut self.state(), ceiling, &permit.who));
        }
        if !matches!(timeout_at(until, woken).await, Ok(Ok(()))) {
            let mut state = self.state();
            let ceiling = state.queue.ceiling(&permit.who);
            return Err(self.refuse(&mut state, ceiling, &permit.who));
        }
        let slot_at = Instant::now();
        if slot_at > entered {
            let mut state = self.state();
            let ceiling = state.queue.ceiling(&permit.who);
            let wanted = state.queue.wanted(ceiling, &permit.who);
            state.throttle.delayed(ceiling, wanted, slot_at - entered);
        }
        let (token, due) = {
            let mut state = self.state();
            let Some(due) = state.bucket.take(slot_at, until) else {
                return Err(self.refuse(&mut state, Ceiling::Rate, &permit.who));
            };
            let token = Token {
                limiter: self,
                used: false,
            };
            (token, due)
        };
        sleep_until(due).await;
        token.spend();
        let now = Instant::now();
        if now > slot_at {
            self.state().throttle.delayed(Ceiling::Rate, 0, now - slot_at);
        }
        self.metrics.waited(&self.name, now - entered);
        Ok(permit)
    }

    fn refuse(&self, state: &mut State, ceiling: Ceiling, who: &Who) -> BackendError {
        let wanted = state.queue.wanted(ceiling, who);
        state.throttle.refused(ceiling, wanted);
        self.metrics.throttled(&self.name, ceiling.field());
        self.tell(state);
        let cause = format!(
            "the MetricBackend's {}: {} leaves no time for this query; ask the platform team to raise it, or send fewer queries",
            ceiling.field(),
            state.value(ceiling)
        );
        BackendError::new(Reason::Throttled, cause)
    }

    /// Forgets what ceilings cost, and takes back what was said of it.
    fn count_anew(&self, state: &mut State) {
        state.throttle = Throttle::new(Instant::now());
        for ceiling in Ceiling::ALL {
            self.metrics.suffices(&self.name, ceiling.field());
        }
        self.board.update(&self.name, |health| health.throttled = None);
    }

    /// Says on the board, in the metrics and in the log which ceiling holds queries up.
    fn tell(&self, state: &mut State) {
        let (is_out, outages) = self.board.outages(&self.name);
        if is_out || outages != state.outages {
            // What an outage has held up says nothing about the ceilings.
            state.outages = outages;
            self.count_anew(state);
            return;
        }
        let limits = state.limits.clone();
        let Some(told) = state.throttle.tell(Instant::now(), &limits) else {
            return;
        };
        let costly = told.as_ref().map(|throttled| throttled.ceiling);
        for ceiling in Ceiling::ALL {
            if costly != Some(ceiling) {
                self.metrics.suffices(&self.name, ceiling.field());
            }
        }
        if let Some(throttled) = &told {
            self.metrics
                .wanted(&self.name, throttled.ceiling.field(), throttled.wanted);
            tracing::warn!(backend = %self.name, "{throttled}");
        }
        self.board.update(&self.name, |health| health.throttled = told);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    /// Wakes those whose turn it is. One that has gone gives its slot back when its permit is dropped.
    fn start(&mut self) -> Vec<Ticket> {
        let mut started = Vec::new();
        for (ticket, wake) in self.queue.start(Instant::now()) {
            let _ = wake.send(());
            started.push(ticket);
        }
        started
    }

    /// The ceiling for which one that waits has no slot by `until`, or no answer by `deadline`.
    fn hopeless(&self, permit: &Permit, now: Instant, until: Instant, deadline: Instant) -> Option<Ceiling> {
        let (ahead, _) = self.queue.ahead(permit.ticket, &permit.who);
        if self.bucket.due(now, ahead) > until {
            return Some(Ceiling::Rate);
        }
        let (wait, take) = self.queue.least_time(permit.ticket, &permit.who, now);
        let starts = now + wait;
        (starts > until || starts + take > deadline).then(|| self.queue.ceiling(&permit.who))
    }

    fn value(&self, ceiling: Ceiling) -> u32 {
        throttle::value(&self.limits, ceiling)
    }
}

// === impl Permit ===

impl Permit {
    /// The query came to its end after so long; says how long the next will take.
    pub(super) fn finish(mut self, took: Duration) {
        self.took = Some(took);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let limiter = self.limiter.clone();
        let mut state = limiter.state();
        state
            .queue
            .leave(self.ticket, &self.who, self.took, Instant::now());
        if let Some(took) = self.took {
            state.throttle.served(took);
            limiter.tell(&mut state);
        }
        state.start();
        limiter.metrics.queued(&limiter.name, state.queue.queued());
    }
}

// === impl Token ===

impl Token<'_> {
    fn spend(mut self) {
        self.used = true;
    }
}

impl Drop for Token<'_> {
    fn drop(&mut self) {
        if !self.used {
            self.limiter.state().bucket.give_back();
        }
    }
}
