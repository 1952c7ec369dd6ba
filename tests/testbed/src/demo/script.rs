//! What the demo does when, and whether it succeeded. Pure: what is seen comes in once a second.

use std::time::Duration;

use anyhow::{Result, bail};
use testbed::hpa::Reading;

/// For so long nothing may have changed before the HPA's value has to agree with the rate: the range of the rule, the reuse of
/// an answer, a scrape and a sync of the HPA lie between them.
const SETTLE: Duration = Duration::from_secs(13);
/// So many settled readings are enough to go on.
const ENOUGH: usize = 4;
/// What is left of the time when the load has to fall at the latest: rule and HPA need some 20 s to follow.
const RESERVE: Duration = Duration::from_secs(32);
/// How far the HPA's value may be from the rate.
const TOLERANCE: f64 = 0.1;
/// In the live view: how long each stage is shown at least.
const STAGE: Duration = Duration::from_secs(20);

/// One second's observation.
#[derive(Clone, Debug)]
pub(super) struct Tick {
    /// Since the control plane is ready.
    pub(super) at: Duration,
    /// The rate set, in requests per second over all pods.
    pub(super) rate: f64,
    pub(super) reading: Reading,
    /// The Deployment's ready pods.
    pub(super) ready: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    High,
    After,
}

#[derive(Debug)]
pub(super) struct Script {
    end: Option<Duration>,
    target: f64,
    min: i32,
    max: i32,
    stage: Stage,
    since: Duration,
    unchanged: Option<(Duration, Tick)>,
    settled_here: usize,
    settled: usize,
    off: Vec<String>,
    peak: i32,
    last: Option<Tick>,
}

// === impl Tick ===

impl Tick {
    /// What the HPA says the rate is, over all pods.
    pub(super) fn seen(&self) -> Option<f64> {
        self.reading
            .value
            .map(|value| value * f64::from(self.reading.replicas))
    }

    fn is_still(&self, before: &Self) -> bool {
        let state = |tick: &Self| {
            (
                tick.rate.to_bits(),
                tick.reading.replicas,
                tick.reading.desired,
                tick.ready,
            )
        };
        state(self) == state(before)
    }
}

// === impl Script ===

impl Script {
    pub(super) fn new(seconds: Option<u64>, target: f64, min: i32, max: i32) -> Self {
        Self {
            end: seconds.map(Duration::from_secs),
            target,
            min,
            max,
            stage: Stage::Before,
            since: Duration::ZERO,
            unchanged: None,
            settled_here: 0,
            settled: 0,
            off: Vec::new(),
            peak: 0,
            last: None,
        }
    }

    pub(super) fn target(&self) -> f64 {
        self.target
    }

    /// The rate to set now, over all pods: 80 % of what the fewest pods are meant for, or enough for nearly three times as many.
    pub(super) fn rate(&self) -> f64 {
        let min = f64::from(self.min);
        match self.stage {
            Stage::Before | Stage::After => 0.8 * self.target * min,
            Stage::High => self.target * (2.75 * min).min(f64::from(self.max) - 0.5),
        }
    }

    /// Takes one observation; gives a remark when something happened.
    pub(super) fn step(&mut self, tick: &Tick) -> Option<String> {
        let now = tick.at;
        let before = self.last.replace(tick.clone());
        match &self.unchanged {
            Some((_, first)) if tick.is_still(first) => {}
            _ => self.unchanged = Some((now, tick.clone())),
        }
        let mut remark = None;
        let known = before.filter(|before| before.reading.replicas > 0);
        if let Some(before) = known.filter(|before| before.reading.replicas != tick.reading.replicas) {
            remark = Some(format!(
                "the HPA scaled {} → {}",
                before.reading.replicas, tick.reading.replicas
            ));
        }
        if let (true, Some(seen)) = (self.is_settled(now), tick.seen()) {
            self.settled += 1;
            self.settled_here += 1;
            if (seen - tick.rate).abs() > TOLERANCE * tick.rate {
                let text = format!(
                    "at {} s the HPA saw {seen:.1}/s of {:.1}/s",
                    now.as_secs(),
                    tick.rate
                );
                self.off.push(text.clone());
                remark.get_or_insert(text);
            }
        }
        if self.stage == Stage::High {
            self.peak = self.peak.max(tick.reading.replicas);
        }
        if let Some(stage) = self.next(tick) {
            self.stage = stage;
            self.since = now;
            self.settled_here = 0;
            let word = if stage == Stage::High { "raised" } else { "lowered" };
            remark = Some(format!("the load is {word} to {:.1}/s", self.rate()));
        }
        remark
    }

    /// Whether the reading of this moment has to agree with the rate.
    fn is_settled(&self, now: Duration) -> bool {
        self.unchanged
            .as_ref()
            .is_some_and(|(since, _)| now.saturating_sub(*since) >= SETTLE)
    }

    fn next(&self, tick: &Tick) -> Option<Stage> {
        let here = tick.at.saturating_sub(self.since);
        let at_min =
            tick.reading.value.is_some() && tick.reading.replicas == self.min && tick.ready == self.min;
        let scaled = self.peak > self.min && self.settled_here >= ENOUGH;
        match (self.stage, self.end) {
            (Stage::Before, Some(end)) => {
                let shown = self.settled_here > 0 || tick.at >= end / 4;
                (at_min && shown).then_some(Stage::High)
            }
            (Stage::High, Some(end)) => {
                (scaled || end.saturating_sub(tick.at) <= RESERVE).then_some(Stage::After)
            }
            (Stage::After, Some(_)) => None,
            (Stage::Before | Stage::After, None) => (at_min && here >= STAGE).then_some(Stage::High),
            (Stage::High, None) => (scaled && here >= STAGE).then_some(Stage::After),
        }
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.end.is_some_and(|end| now >= end)
    }

    /// One line if the HPA scaled up and down again and its values agreed with the rates.
    pub(super) fn verdict(&self) -> Result<String> {
        let Some(last) = &self.last else {
            bail!("the HPA was never seen")
        };
        let (min, peak, now) = (self.min, self.peak, last.reading.replicas);
        let conditions = last.reading.conditions.join("; ");
        if self.stage == Stage::Before {
            bail!("the HPA did not read its metric at {min} replicas in time: {conditions}");
        }
        if peak <= min {
            bail!("the HPA never scaled up from {min} replicas: {conditions}");
        }
        if now != min {
            bail!("the HPA scaled {min} → {peak} but not back: {now} replicas at the end: {conditions}");
        }
        if self.settled == 0 {
            bail!(
                "nothing stayed unchanged for {SETTLE:?}, so the HPA's values cannot be compared with the rates"
            );
        }
        if let Some(first) = self.off.first() {
            let (off, all) = (self.off.len(), self.settled);
            bail!("{off} of {all} settled readings were more than 10 % off; the first: {first}");
        }
        Ok(format!(
            "the HPA scaled {min} → {peak} → {now}; all {} settled readings within 10 % of the rate",
            self.settled
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(at: u64, rate: f64, replicas: i32, seen: f64) -> Tick {
        let value = Some(seen / f64::from(replicas));
        let reading = Reading {
            replicas,
            desired: replicas,
            value,
            conditions: Vec::new(),
        };
        Tick {
            at: Duration::from_secs(at),
            rate,
            reading,
            ready: replicas,
        }
    }

    /// Plays 90 s against an HPA that follows after 6 s; `factor` is by how much it sees the rate wrong.
    fn play(follows: bool, factor: f64) -> Script {
        let mut script = Script::new(Some(90), 50.0, 2, 10);
        let (mut replicas, mut changed, mut rate) = (2, 0, script.rate());
        for at in 15..=90 {
            if script.rate().to_bits() != rate.to_bits() {
                (rate, changed) = (script.rate(), at);
            }
            if follows && at - changed.min(at) > 6 {
                replicas = if rate > 100.0 { 6 } else { 2 };
            }
            script.step(&tick(at, rate, replicas, rate * factor));
        }
        assert!(script.is_over(Duration::from_secs(90)));
        script
    }

    #[test]
    fn an_hpa_that_follows_passes() {
        let summary = play(true, 1.02).verdict().unwrap();
        assert!(summary.starts_with("the HPA scaled 2 → 6 → 2"), "{summary}");
    }

    #[test]
    fn an_hpa_that_stays_or_sees_wrong_values_fails_with_the_reason() {
        let stays = play(false, 1.0).verdict().unwrap_err().to_string();
        assert!(stays.contains("never scaled up"), "{stays}");
        let wrong = play(true, 1.2).verdict().unwrap_err().to_string();
        assert!(wrong.contains("10 % off"), "{wrong}");
        let mut never = Script::new(Some(90), 50.0, 2, 10);
        never.step(&Tick {
            reading: Reading::default(),
            ..tick(80, 80.0, 2, 0.0)
        });
        assert!(
            never
                .verdict()
                .unwrap_err()
                .to_string()
                .contains("did not read its metric")
        );
    }
}
