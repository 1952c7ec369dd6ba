//! Who was warned lately: a query that answers with a warning does so at every sync of every HPA.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Between two warnings about the same thing.
const PERIOD: Duration = Duration::from_mins(10);
/// Things that are remembered; beyond it the oldest are warned of again.
const MOST: usize = 4096;

/// When each thing was last warned of.
#[derive(Debug, Default)]
pub(super) struct Warned(Mutex<HashMap<String, Instant>>);

// === impl Warned ===

impl Warned {
    /// Whether it is time to warn of `what`; if so, it was.
    pub(super) fn is_due(&self, what: &str, now: Instant) -> bool {
        let mut warned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if warned
            .get(what)
            .is_some_and(|last| now.duration_since(*last) < PERIOD)
        {
            return false;
        }
        if warned.len() >= MOST {
            warned.retain(|_, last| now.duration_since(*last) < PERIOD);
        }
        if warned.len() >= MOST {
            let oldest = warned
                .iter()
                .min_by_key(|(_, last)| **last)
                .map(|(what, _)| what.clone());
            oldest.and_then(|what| warned.remove(&what));
        }
        warned.insert(what.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_thing_is_warned_of_once_a_period() {
        let warned = Warned::default();
        let start = Instant::now();
        assert!(warned.is_due("a", start));
        assert!(warned.is_due("b", start));
        assert!(!warned.is_due("a", start + PERIOD - Duration::from_secs(1)));
        assert!(warned.is_due("a", start + PERIOD));
        assert!(!warned.is_due("a", start + PERIOD));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let warned = Warned::default();
        let start = Instant::now();
        for number in 0..MOST + 10 {
            let at = start + Duration::from_millis(u64::try_from(number).unwrap());
            assert!(warned.is_due(&number.to_string(), at));
        }
        assert_eq!(warned.0.lock().unwrap().len(), MOST);
        assert!(!warned.is_due(&(MOST + 9).to_string(), start + Duration::from_mins(1)));
        assert!(warned.is_due("0", start + Duration::from_mins(1)));
    }
}
