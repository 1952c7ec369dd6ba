//! An external program: started, watched, frozen, stopped by its process id, its output in a log file.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep, timeout_at};

use crate::runtime;

/// How much of a log an error shows.
const TAIL_LINES: usize = 15;

/// One program with its arguments, which can be started, stopped, frozen and started again. It is killed when it is dropped,
/// and by the kernel when this process ends in whatever way.
#[derive(Debug)]
pub struct Process {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    envs: Vec<(String, String)>,
    log: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// Set once the child was waited for; kept until the next start.
    status: Option<ExitStatus>,
}

// === impl Process ===

impl Process {
    /// A program that is not started yet. Its output is appended to `NAME.log` in `logs`.
    pub fn new(name: &str, program: &Path, logs: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_path_buf(),
            args: Vec::new(),
            envs: Vec::new(),
            log: logs.join(format!("{name}.log")),
            state: Mutex::default(),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable. The process gets this process's environment besides.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.envs.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its log file, of all its starts.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The whole log so far, empty before the first start.
    pub fn log_text(&self) -> String {
        std::fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Starts it, unless it runs.
    ///
    /// # Errors
    /// The program or its log file cannot be opened.
    pub fn start(&self) -> Result<()> {
        let mut state = self.state();
        state.reap();
        if state.child.is_some() {
            return Ok(());
        }
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("opening {}", self.log.display()))?;
        // util-linux's setpriv is how a child asks for the parent-death signal without unsafe code here
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&self.program)
            .args(&self.args)
            .envs(self.envs.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("log file")?)
            .stderr(log)
            // a Ctrl-C on the terminal is for the demo, which stops its children in order
            .process_group(0);
        let child = runtime::spawn(command).with_context(|| {
            format!(
                "starting {} ({}) by setpriv of util-linux",
                self.name,
                self.program.display()
            )
        })?;
        *state = State {
            child: Some(child),
            status: None,
        };
        Ok(())
    }

    /// Waits until `probe` gives `Ok`, trying every 50 ms.
    ///
    /// # Errors
    /// The process ended, or `deadline` passed: with the last error of `probe` and the end of the log.
    pub async fn ready<F, Fut>(&self, deadline: Duration, mut probe: F) -> Result<()>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<()>>,
    {
        let end = Instant::now() + deadline;
        let mut last = String::from("no probe finished");
        while Instant::now() < end {
            if let Some(end) = self.ended() {
                bail!("{} ended before it was ready: {end}{}", self.name, self.tail());
            }
            match timeout_at(end, probe()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => last = format!("{error:#}"),
                Err(_) => break,
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "{} was not ready within {deadline:?}: {last}{}",
            self.name,
            self.tail()
        )
    }

    /// Whether it runs (frozen counts).
    pub fn is_running(&self) -> bool {
        let mut state = self.state();
        state.reap();
        state.child.is_some()
    }

    /// How it ended, in words, if it was started and has ended.
    pub fn ended(&self) -> Option<String> {
        self.exit_status().map(|status| status.to_string())
    }

    /// Its exit status, if it was started and has ended.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        let mut state = self.state();
        state.reap();
        state.status
    }

    /// Its process id while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.state().child.as_ref().map(Child::id)
    }

    /// SIGSTOP: it keeps its sockets and answers nothing. Returns when all its threads stand still; the signal alone reaches
    /// them one after the other, and until then a request may still be answered.
    ///
    /// # Errors
    /// It does not run, or has not stopped after 2 s.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let pid = self
            .pid()
            .with_context(|| format!("{} does not run", self.name))?;
        for _ in 0..1000 {
            if is_stopped(pid) {
                return Ok(());
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "2 ms, a few times; the caller need not be async for that"
            )]
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("{} has not stopped on SIGSTOP", self.name)
    }

    /// SIGCONT: it goes on after [`Self::freeze`].
    ///
    /// # Errors
    /// It does not run.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM, without waiting.
    ///
    /// # Errors
    /// It does not run.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It still runs after `deadline`, or was never started.
    pub async fn wait(&self, deadline: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.exit_status() {
                return Ok(status);
            }
            if !self.is_running() {
                bail!("{} was never started", self.name);
            }
            if Instant::now() >= end {
                bail!("{} still runs after {deadline:?}{}", self.name, self.tail());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGTERM, then waits for its end. A frozen process is continued first, or it could not end.
    ///
    /// # Errors
    /// It still runs after `deadline`; it goes on running then.
    pub async fn stop(&self, deadline: Duration) -> Result<Option<ExitStatus>> {
        if !self.is_running() {
            return Ok(self.exit_status());
        }
        self.signal(Signal::TERM)?;
        self.signal(Signal::CONT)?;
        self.wait(deadline).await.map(Some)
    }

    /// SIGKILL, and waits for the kernel to have done it. Nothing happens when it does not run.
    pub fn kill(&self) {
        self.state().kill();
    }

    /// The end of the log for an error message, with the file's name.
    pub fn tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        let mut out = format!("\n--- the end of {}", self.log.display());
        for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
            // writing to a String does not fail
            let _ = write!(out, "\n{}", line.chars().take(400).collect::<String>());
        }
        out
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let mut state = self.state();
        state.reap();
        let child = state
            .child
            .as_ref()
            .with_context(|| format!("{} does not run", self.name))?;
        // not reaped yet, so the id is still this child's
        kill_process(Pid::from_child(child), signal).with_context(|| format!("signalling {}", self.name))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether every thread of a process is stopped, as proc(5) tells it: state `T` behind the name in parentheses.
fn is_stopped(pid: u32) -> bool {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    tasks.flatten().all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('T'))
    })
}

// === impl State ===

impl State {
    fn reap(&mut self) {
        if let Some(child) = &mut self.child
            && let Ok(Some(status)) = child.try_wait()
        {
            self.status = Some(status);
            self.child = None;
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // an error means that it has ended already
            let _ = child.kill();
            self.status = child.wait().ok();
        }
    }
}
