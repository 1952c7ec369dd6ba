//! The runtime that the testbed's own tasks live on, and the thread that its processes are started from.
//!
//! A test has a runtime of its own that ends with it. What several tests share (exporter, balancer, watches, the connections
//! of clients) must not end with the first of them, so it runs here.

use std::future::Future;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle, Runtime};

static RUNTIME: LazyLock<Option<Runtime>> = LazyLock::new(|| {
    // Err means that a provider is installed already, which is as good
    let _ = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("testbed")
        .enable_all()
        .build()
        .ok()
});

/// The handle of the testbed's runtime, which lives as long as the process.
///
/// # Errors
/// The threads of the runtime could not be started.
pub fn handle() -> Result<Handle> {
    Ok(RUNTIME
        .as_ref()
        .context("the testbed's runtime could not be started")?
        .handle()
        .clone())
}

/// Runs a future on the testbed's runtime and waits for it, from any runtime.
///
/// # Errors
/// The future's own error, or that it panicked.
pub async fn run<T, F>(future: F) -> Result<T>
where
    F: Future<Output = Result<T>> + Send + 'static,
    T: Send + 'static,
{
    handle()?
        .spawn(future)
        .await
        .context("a task of the testbed ended early")?
}

type Spawn = (Command, mpsc::SyncSender<std::io::Result<Child>>);

/// The kernel sends a child's parent-death signal when the *thread* that started it ends (prctl(2),
/// `PR_SET_PDEATHSIG`). A test's thread ends with the test, so one thread that never ends starts them all.
static SPAWNER: LazyLock<Mutex<mpsc::Sender<Spawn>>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::channel::<Spawn>();
    std::thread::spawn(move || {
        for (mut command, reply) in receiver {
            // the asker may have gone; its child then has no owner and must not stay
            if let Err(mpsc::SendError(Ok(mut child))) = reply.send(command.spawn()) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    });
    Mutex::new(sender)
});

/// Starts a command from the thread that lives as long as the process.
pub(crate) fn spawn(command: Command) -> Result<Child> {
    let (reply, answer) = mpsc::sync_channel(1);
    SPAWNER
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .ok()
        .context("the thread that starts processes has ended")?;
    Ok(answer
        .recv()
        .context("the thread that starts processes has ended")??)
}
