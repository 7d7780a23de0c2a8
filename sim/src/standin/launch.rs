//! The listener's side of a worker: starts it, passes signals on, sees how it ended.
//!
//! The worker gets its job on standard input, because arguments and environment could be read by others. The pipe stays
//! open as long as the listener lives, so that a worker whose listener was killed notices and ends.

use std::io::Write as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::WORKER;
use super::arguments::INPUT_PREFIX;
use super::listener::{Event, Listener};
use super::signals::{self, INTERRUPT_GRACE_MS, TERMINATE_GRACE_MS};
use super::wire::{AcquireAnswer, CompleteRequest, Settings};
use crate::workflow::spec::Conclusion;

/// What the listener tells its worker: one line of JSON. No `Debug`: it holds the key.
#[derive(Serialize, Deserialize)]
pub(super) struct Errand {
    pub(super) settings: Settings,
    pub(super) key: String,
    pub(super) job: u64,
    pub(super) answer: AcquireAnswer,
}

/// Exit code of a worker whose job succeeded; the others follow (the official program's `TaskResultUtil`).
pub(super) const SUCCEEDED: i32 = 100;
/// Exit code of a worker whose job failed.
pub(super) const FAILED: i32 = 102;
/// Exit code of a worker whose job was cancelled.
pub(super) const CANCELLED: i32 = 103;
/// Exit code of a worker that gave its job up unreported, because the broker said that it is over.
pub(super) const ABANDONED: i32 = 105;

/// How a worker ended.
pub(super) struct Ended {
    /// The official program's word for it.
    pub(super) result: &'static str,
    /// Whether the listener was asked to end meanwhile.
    pub(super) asked: bool,
}

/// Has a worker do the job.
pub(super) fn run(listener: &Listener, job: u64, answer: AcquireAnswer) -> Ended {
    let errand = Errand { settings: listener.settings.clone(), key: listener.key.clone(), job, answer };
    let (status, asked) = match start(listener, &errand) {
        Ok((child, pipe)) => supervise(listener, child, pipe),
        Err(error) => {
            listener.console.complain(&format!("the worker cannot be started: {error}"));
            (None, false)
        }
    };
    let result = match status.and_then(|status| status.code()) {
        Some(SUCCEEDED) => "Succeeded",
        Some(FAILED) => "Failed",
        Some(CANCELLED) => "Canceled",
        Some(ABANDONED) => "Abandoned",
        Some(_) | None => {
            force_fail(listener, job, asked);
            "Failed"
        }
    };
    Ended { result, asked }
}

fn start(listener: &Listener, errand: &Errand) -> std::io::Result<(Child, ChildStdin)> {
    let mut command = Command::new(listener.root.join("bin").join(WORKER));
    command.arg("spawnclient").current_dir(&listener.root).stdin(Stdio::piped());
    for (key, _) in std::env::vars_os() {
        if key.to_str().is_some_and(|key| key.starts_with(INPUT_PREFIX)) {
            command.env_remove(key);
        }
    }
    let mut child = command.spawn()?;
    let Some(mut pipe) = child.stdin.take() else { return Err(std::io::Error::other("no pipe to the worker")) };
    let mut line = serde_json::to_vec(errand)?;
    line.push(b'\n');
    match pipe.write_all(&line) {
        Ok(()) => Ok((child, pipe)),
        // It died while it was told: its exit code says more than the broken pipe.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok((child, pipe)),
        Err(error) => Err(error),
    }
}

/// Waits for the worker; signals are passed on with growing force (C13).
fn supervise(listener: &Listener, mut child: Child, pipe: ChildStdin) -> (Option<ExitStatus>, bool) {
    let pid = child.id();
    let to_listener = listener.to_self.clone();
    let wait = move || {
        // The listener waits for exactly this; it cannot be gone.
        let _ = to_listener.send(Event::WorkerEnded(child.wait()));
    };
    if let Err(error) = std::thread::Builder::new().name("wait".to_owned()).spawn(wait) {
        listener.console.complain(&format!("the worker cannot be waited for: {error}"));
        signals::send(pid, Signal::KILL);
        return (None, false);
    }
    let mut force = Force::default();
    loop {
        match force.next(listener) {
            Ok(Event::WorkerEnded(status)) => {
                drop(pipe);
                return (status.ok(), force.stage > 0);
            }
            Ok(Event::Asked) => force.begin(listener, pid),
            Ok(Event::Polled(_)) => {}
            Err(RecvTimeoutError::Timeout) => force.grow(pid),
            Err(RecvTimeoutError::Disconnected) => return (None, true),
        }
    }
}

/// How hard the worker has been asked to end.
#[derive(Default)]
struct Force {
    stage: u8,
    until: Option<Instant>,
}

impl Force {
    fn next(&self, listener: &Listener) -> Result<Event, RecvTimeoutError> {
        match self.until {
            Some(until) => listener.events.recv_timeout(until.saturating_duration_since(Instant::now())),
            None => listener.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn begin(&mut self, listener: &Listener, pid: u32) {
        if self.stage > 0 {
            return;
        }
        listener.console.say("Exiting...");
        signals::send(pid, Signal::INT);
        self.set(1, INTERRUPT_GRACE_MS);
    }

    fn grow(&mut self, pid: u32) {
        if self.stage == 1 {
            signals::send(pid, Signal::TERM);
            self.set(2, TERMINATE_GRACE_MS);
        } else {
            signals::send(pid, Signal::KILL);
            self.until = None;
        }
    }

    fn set(&mut self, stage: u8, grace_ms: u64) {
        self.stage = stage;
        self.until = Some(Instant::now() + Duration::from_millis(grace_ms));
    }
}

/// This occurs when the worker crashed or had to be killed: the job would hang until the broker misses its renewals.
fn force_fail(listener: &Listener, job: u64, asked: bool) {
    listener.console.note(&format!("the worker of job {job} ended without a result"));
    let conclusion = if asked { Conclusion::Cancelled } else { Conclusion::Failure };
    let request = CompleteRequest {
        conclusion,
        outputs: std::collections::BTreeMap::new(),
        steps: Vec::new(),
        summary: String::new(),
    };
    if let Err(refusal) = listener.broker.complete(job, &request) {
        listener.console.note(&format!("the job could not be concluded: {refusal:?}"));
    }
}
