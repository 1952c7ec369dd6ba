//! Runs the points, each with a deadline, and writes down what came of them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::point::{Point, Test};
use crate::target::Target;
use crate::{judge, lab, points, table};

/// How long a point may take; a `lab` point may start a testbed of its own.
const DEADLINE: Duration = Duration::from_mins(5);
/// Tests at a time, unless the command line says otherwise: they mostly wait.
const THREADS: usize = 8;

/// What came of each point: `None` where its test failed.
pub(crate) type Results = BTreeMap<u8, bool>;

static RESULTS: Mutex<Results> = Mutex::new(Results::new());
/// Shared by all tests, so that what one of them starts lives on.
static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| Runtime::new().ok());

/// Runs what the command line asks for; afterwards, if that was everything, writes or compares the table.
///
/// # Errors
/// The points are not complete, the server in the environment is not described well, or the table is not as the run says.
pub(crate) fn run() -> Result<ExitCode> {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(THREADS);
    let points = points::all();
    let given = Target::from_env()?.map(Arc::new);
    let elsewhere = given.is_some();
    let mut trials = Vec::new();
    for &point in &points {
        match (point.test, &given) {
            (Test::Url(_), _) | (_, None) => trials.push(trial(point, given.clone())),
            _ => {}
        }
    }
    if !elsewhere {
        trials.extend(judge::trials());
    }
    let count = trials.len();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let ran = usize::try_from(conclusion.num_passed + conclusion.num_failed)?;
    if arguments.list || elsewhere || ran < count {
        return Ok(conclusion.exit_code());
    }
    let results = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
    say(&table::summary(&points, &results));
    points::check(&points)?;
    table::check(&points, &results)?;
    Ok(conclusion.exit_code())
}

/// A line on standard error.
pub(crate) fn say(line: &str) {
    // a closed standard error is nobody's concern
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// A test of the suite, run on the shared runtime within the deadline.
pub(crate) fn within<F>(test: F) -> Result<(), Failed>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let runtime = RUNTIME.as_ref().ok_or("the runtime could not be started")?;
    let ended = runtime.block_on(async { tokio::spawn(timeout(DEADLINE, test)).await });
    match ended {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(format!("{error:#}").into()),
        Ok(Err(_)) => Err(format!("not done after {DEADLINE:?}").into()),
        Err(error) => Err(format!("{error}").into()),
    }
}

fn trial(point: &'static Point, given: Option<Arc<Target>>) -> Trial {
    let test = move || {
        let outcome = within(async move { answer(point, given).await });
        let mut results = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
        results.insert(point.number, outcome.is_ok());
        outcome
    };
    Trial::test(point.name(), test).with_kind(point.test.kind())
}

async fn answer(point: &Point, given: Option<Arc<Target>>) -> Result<()> {
    let ours = given.is_none();
    let outcome = match point.test {
        Test::Url(test) => match given {
            Some(target) => test(target).await,
            None => test(lab::target().await?).await,
        },
        Test::Lab(test) | Test::Unit(test) => test().await,
    };
    outcome.with_context(|| point.says.to_owned())?;
    let also = [point.also.unit, point.also.lab].into_iter().flatten();
    for test in also.filter(|_| ours) {
        test().await.with_context(|| point.says.to_owned())?;
    }
    Ok(())
}
