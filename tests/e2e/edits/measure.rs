//! The time from a write's return to the first new and to the last old answer.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use kube::Client;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio::time::sleep;

use crate::ask::{Answer, ask};

/// Between two questions.
const PACE: Duration = Duration::from_millis(15);
/// How long no old answer must have come before the last one counts as the last.
const SILENCE: Duration = Duration::from_millis(350);
/// Far beyond the promise: what is not there by then does not come.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two questions of the reader.
const READ: Duration = Duration::from_millis(40);

/// An answer that is waited for, and where.
#[derive(Clone, Debug)]
pub(super) struct Expect {
    pub(super) path: String,
    pub(super) want: Want,
}

/// What an answer is to be.
#[derive(Clone, Debug)]
pub(super) enum Want {
    /// One value.
    Value(f64),
    /// A refusal with this HTTP status and reason.
    Refusal(u16, &'static str),
}

/// Counted from the write's return; zero for what was seen before it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Times {
    pub(super) first_new: Duration,
    pub(super) last_old: Duration,
    /// The longest that one question took meanwhile: what a busy machine adds.
    pub(super) question: Duration,
}

/// Durations by kind.
#[derive(Debug, Default)]
pub(super) struct Distribution(BTreeMap<&'static str, Vec<Duration>>);

/// Asks for other metrics in turn, all the time.
pub(super) struct Reader {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(usize, Vec<String>)>,
}

#[derive(Default)]
struct Seen {
    first_new: Option<Instant>,
    last_old: Option<Instant>,
    question: Duration,
    failed: Option<String>,
}

/// Asks for both at a fast pace, writes, and waits until the new answer has come and the old one no longer comes.
pub(super) async fn follow<F, Fut>(client: &Client, new: &Expect, old: &Expect, write: F) -> Result<Times>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let seen = Arc::new(Mutex::new(Seen::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let asker = |expect: &Expect, is_new: bool| {
        tokio::spawn(note(
            client.clone(),
            expect.clone(),
            is_new,
            Arc::clone(&seen),
            Arc::clone(&stop),
        ))
    };
    let askers = [asker(new, true), asker(old, false)];
    let outcome = watch(&seen, write).await;
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.context("an asker ended early")?;
    }
    outcome
}

async fn watch<F, Fut>(seen: &Mutex<Seen>, write: F) -> Result<Times>
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    // the old state is seen before anything is written: an asker that sees nothing would prove nothing
    let started = Instant::now();
    while lock(seen).last_old.is_none() {
        ensure!(
            started.elapsed() < DEADLINE,
            "the old answer is not there before the write"
        );
        sleep(Duration::from_millis(5)).await;
    }
    ensure!(
        lock(seen).first_new.is_none(),
        "the new answer is there before the write"
    );
    write().await?;
    let written = Instant::now();
    loop {
        let (first_new, last_old, question) = {
            let seen = lock(seen);
            if let Some(failed) = &seen.failed {
                bail!("{failed}");
            }
            (seen.first_new, seen.last_old, seen.question)
        };
        let last_old = last_old.map_or(written, |at| at.max(written));
        if let Some(first_new) = first_new
            && first_new.max(last_old).elapsed() > SILENCE
        {
            let since = |at: Instant| at.saturating_duration_since(written);
            return Ok(Times {
                first_new: since(first_new),
                last_old: since(last_old),
                question,
            });
        }
        ensure!(
            written.elapsed() < DEADLINE,
            "after {DEADLINE:?} the new answer {}, the old one was last seen after {:?}",
            if first_new.is_some() {
                "has come"
            } else {
                "has not come"
            },
            last_old.saturating_duration_since(written)
        );
        sleep(Duration::from_millis(5)).await;
    }
}

async fn note(client: Client, expect: Expect, is_new: bool, seen: Arc<Mutex<Seen>>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let answer = ask(&client, &expect.path).await;
        let at = Instant::now();
        {
            let mut seen = lock(&seen);
            seen.question = seen.question.max(at - asked);
            match answer {
                Ok(answer) if expect.want.is(&answer) => {
                    if is_new {
                        seen.first_new.get_or_insert(at);
                    } else {
                        seen.last_old = Some(at);
                    }
                }
                // known or not known: between the two states both are right
                Ok(answer) if matches!(answer.code, 200 | 404 | 500) => {}
                Ok(answer) => seen.failed = Some(format!("{}: {answer:?}", expect.path)),
                Err(error) => seen.failed = Some(format!("{error:#}")),
            }
        }
        sleep(PACE).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Expect ===

impl Expect {
    pub(super) fn value(path: &str, value: f64) -> Self {
        Self {
            path: path.to_owned(),
            want: Want::Value(value),
        }
    }

    /// The value that is waited for.
    pub(super) fn number(&self) -> Result<f64> {
        match self.want {
            Want::Value(value) => Ok(value),
            Want::Refusal(..) => bail!("{} is to be refused", self.path),
        }
    }
}

// === impl Want ===

impl Want {
    fn is(&self, answer: &Answer) -> bool {
        match self {
            Self::Value(value) => answer.is(*value),
            Self::Refusal(code, reason) => answer.refuses(*code, reason),
        }
    }
}

// === impl Distribution ===

impl Distribution {
    pub(super) fn add(&mut self, kind: &'static str, took: Duration) {
        self.0.entry(kind).or_default().push(took);
    }

    pub(super) fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    pub(super) fn worst(&self) -> Duration {
        self.0.values().flatten().max().copied().unwrap_or_default()
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, took) in &self.0 {
            let mut sorted = took.clone();
            sorted.sort_unstable();
            let at = |part: usize| {
                sorted
                    .get((sorted.len() - 1) * part / 100)
                    .map_or(0, Duration::as_millis)
            };
            writeln!(
                f,
                "  {kind:<18} {:>3} times   median {:>4} ms   p90 {:>4} ms   worst {:>4} ms",
                sorted.len(),
                at(50),
                at(90),
                at(100)
            )?;
        }
        Ok(())
    }
}

// === impl Reader ===

impl Reader {
    /// Starts to ask for each of `expects` in turn, about 25 in a second at most.
    pub(super) fn start(client: Client, expects: Vec<Expect>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut asked, mut errors) = (0, Vec::new());
            for expect in expects.iter().cycle() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                match ask(&client, &expect.path).await {
                    Ok(answer) if expect.want.is(&answer) => {}
                    Ok(answer) => errors.push(format!("{}: {answer:?}", expect.path)),
                    Err(error) => errors.push(format!("{error:#}")),
                }
                asked += 1;
                sleep(READ).await;
            }
            (asked, errors)
        });
        Self { stop, task }
    }

    /// How often it asked, and what went wrong.
    pub(super) async fn stop(self) -> Result<(usize, Vec<String>)> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.context("the reader ended early")
    }
}
