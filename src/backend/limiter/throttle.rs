//! Throttling report: the recent cost of the ceilings, and the values at which they would have cost nothing.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    api::BackendLimits,
    backend::{fair::Ceiling, health::Throttled},
};

/// The most that `limits.queriesPerSecond` can be.
const MOST_PER_SECOND: u32 = 10_000;
/// Of so many queries one may wait without a word.
const TOLERATED: u64 = 10;
/// All waits of a period together that are not worth a word: a burst of listings waits for a moment wherever there are ceilings.
const MOMENT: Duration = Duration::from_secs(5);

/// The counts of one period.
#[derive(Debug)]
pub(super) struct Throttle {
    since: Instant,
    served: u64,
    took: Duration,
    counts: [Count; Ceiling::ALL.len()],
    told: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    refused: u64,
    delayed: u64,
    waited: Duration,
    wanted: usize,
}

// === impl Throttle ===

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            served: 0,
            took: Duration::ZERO,
            counts: [Count::default(); Ceiling::ALL.len()],
            told: false,
        }
    }

    /// A query was answered, or failed at the backend, after so long there.
    pub(super) fn served(&mut self, took: Duration) {
        self.served += 1;
        self.took += took;
    }

    /// A query waited for a ceiling and was served.
    pub(super) fn delayed(&mut self, ceiling: Ceiling, wanted: usize, time: Duration) {
        if let Some(count) = self.count(ceiling) {
            count.delayed += 1;
            count.waited += time;
            count.wanted = count.wanted.max(wanted);
        }
    }

    /// A query was refused for a ceiling.
    pub(super) fn refused(&mut self, ceiling: Ceiling, wanted: usize) {
        if let Some(count) = self.count(ceiling) {
            count.refused += 1;
            count.wanted = count.wanted.max(wanted);
        }
    }

    /// At the end of a period, and at the first refusal of one: the ceiling that costs most, or that none does.
    #[expect(
        clippy::option_option,
        reason = "no news is not the news that no ceiling delays queries"
    )]
    pub(super) fn tell(&mut self, now: Instant, limits: &BackendLimits) -> Option<Option<Throttled>> {
        let is_over = now.saturating_duration_since(self.since) >= Throttled::PERIOD;
        let refuses = self.counts.iter().any(|count| count.refused > 0);
        if !is_over && (self.told || !refuses) {
            return None;
        }
        let costly = self.costly(now, limits);
        if is_over {
            *self = Self::new(now);
        } else {
            self.told = true;
        }
        Some(costly)
    }

    fn costly(&self, now: Instant, limits: &BackendLimits) -> Option<Throttled> {
        let (ceiling, count) = Ceiling::ALL
            .into_iter()
            .zip(self.counts)
            .filter(|(_, count)| {
                count.refused > 0 || count.delayed > self.served / TOLERATED && count.waited >= MOMENT
            })
            .max_by_key(|(_, count)| (count.refused, count.waited))?;
        let limit = value(limits, ceiling);
        let wanted = match ceiling {
            Ceiling::Rate => self.rate(now, count.waited),
            _ => u32::try_from(count.wanted).unwrap_or(u32::MAX),
        };
        Some(Throttled {
            ceiling,
            limit,
            wanted: wanted.max(limit.saturating_add(1)),
            refused: count.refused,
            delayed: count.delayed,
            at: Timestamp::now(),
        })
    }

    /// How many a second there would be if none waited: whoever asks one query after the other asks the sooner, the sooner he is
    /// answered.
    fn rate(&self, now: Instant, waited: Duration) -> u32 {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64().max(1.0);
        let took = self.took.as_secs_f64().max(0.001);
        let served = f64::from(u32::try_from(self.served).unwrap_or(u32::MAX));
        let rate = served / seconds * (took + waited.as_secs_f64()) / took;
        let tens = Duration::try_from_secs_f64((rate / 10.0).ceil()).unwrap_or(Duration::MAX);
        u32::try_from(tens.as_secs().saturating_mul(10))
            .map_or(MOST_PER_SECOND, |rate| rate.min(MOST_PER_SECOND))
    }

    fn count(&mut self, ceiling: Ceiling) -> Option<&mut Count> {
        let index = Ceiling::ALL.iter().position(|known| *known == ceiling)?;
        self.counts.get_mut(index)
    }
}

/// What a ceiling is set to.
pub(super) fn value(limits: &BackendLimits, ceiling: Ceiling) -> u32 {
    match ceiling {
        Ceiling::Backend => limits.max_concurrent,
        Ceiling::Namespace => limits.per_namespace.max_concurrent,
        Ceiling::Rule => limits.per_rule.max_concurrent,
        Ceiling::Rate => limits.queries_per_second,
    }
}
