//! Waiting for a condition: polling with a deadline instead of a guessed sleep.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::{Instant, sleep, timeout_at};

/// The time between two tries.
pub const PERIOD: Duration = Duration::from_millis(100);

/// Tries `attempt` every 100 ms until it gives `Ok`, and gives its value.
///
/// An attempt that fails is one that is not true *yet*: its error is kept, and the last one is told when `deadline` (from
/// now) passes. An attempt that hangs is cut off at the deadline.
///
/// # Errors
/// After the deadline: what was waited for, for how long, and the last attempt's error.
pub async fn eventually<T, F, Fut>(deadline: Duration, what: &str, mut attempt: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let end = Instant::now() + deadline;
    let mut last = None;
    loop {
        match timeout_at(end, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => last = Some(error),
            Err(_) => {
                let error = last.unwrap_or_else(|| anyhow!("the first attempt did not finish"));
                return Err(error.context(format!("not within {deadline:?}: {what}")));
            }
        }
        if Instant::now() + PERIOD >= end {
            let error = last.unwrap_or_else(|| anyhow!("no attempt finished"));
            return Err(error.context(format!("not within {deadline:?}: {what}")));
        }
        sleep(PERIOD).await;
    }
}

/// Asserts that `attempt` gives `Ok` at every try, one every 100 ms, for as long as `span`.
///
/// # Errors
/// The first failed attempt, with when it failed.
pub async fn throughout<F, Fut>(span: Duration, what: &str, mut attempt: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let start = Instant::now();
    while start.elapsed() < span {
        if let Err(error) = attempt().await {
            return Err(error.context(format!(
                "{what}: held for {:?} only, of {span:?}",
                start.elapsed()
            )));
        }
        sleep(PERIOD).await;
    }
    Ok(())
}
