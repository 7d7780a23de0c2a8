//! One script in a process group of its own: its output, its end, and how it is made to end.
//!
//! It knows nothing about jobs: what a script is for, and what its end means, is `job`'s matter. What the worker hears
//! meanwhile (a cancellation, a signal) is kept here as the job's [`Interruption`].

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::signals::{self, INTERRUPT_GRACE_MS, TERMINATE_GRACE_MS};
use super::wire::LOG_LINE_BYTES_MAX;

/// How long output is still read after the script's end: something it left behind may hold the pipe open.
const DRAIN_MS: u64 = 5_000;

/// How long a cancelled job may go on with its `always()` steps (GitHub: five minutes).
const CANCELLED_MS: u64 = 300_000;

/// What a worker hears.
pub(super) enum Event {
    /// A line of script number `script`.
    Line { script: u32, text: String },
    /// Its output ended.
    OutputEnded { script: u32 },
    /// It ended.
    Exited { script: u32, status: io::Result<ExitStatus> },
    /// The server wants the job cancelled.
    Cancel,
    /// The listener was asked to end.
    Shutdown,
    /// And now: the worker has 2.5 s left.
    Terminate,
    /// Nobody wants this job's result any more.
    Abandoned(&'static str),
}

/// Why a job does not go on as planned. Each outweighs those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interruption {
    #[default]
    None,
    /// The job took too long.
    JobTimeout,
    /// A person cancelled it.
    Cancelled,
    /// The runner was asked to end.
    Shutdown,
    /// The runner ends now: no more steps.
    Hurry,
    /// Nobody wants the result: no more steps and no report.
    Abandoned(&'static str),
}

/// A script to run.
pub(super) struct Script<'job> {
    /// Program and arguments before the file.
    pub(super) command: &'job [&'job str],
    pub(super) file: &'job Path,
    pub(super) folder: &'job Path,
    /// Variables beside those of the worker.
    pub(super) env: &'job BTreeMap<String, String>,
    pub(super) limit: Option<Duration>,
    /// Whether it goes on when the job is cancelled (`always()`).
    pub(super) keeps_on: bool,
}

/// How a script ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By itself, with this exit code.
    Exited(i32),
    /// Its own limit.
    TimedOut,
    /// The job's interruption.
    Interrupted,
}

/// Runs scripts, one at a time.
pub(super) struct Executor {
    events: Receiver<Event>,
    to_self: SyncSender<Event>,
    scripts: u32,
    deadline: Option<Instant>,
    interruption: Interruption,
}

impl Executor {
    pub(super) fn new(events: Receiver<Event>, to_self: SyncSender<Event>, limit: Duration) -> Self {
        let deadline = Instant::now().checked_add(limit);
        Self { events, to_self, scripts: 0, deadline, interruption: Interruption::None }
    }

    /// What interrupted the job so far.
    pub(super) fn interruption(&mut self) -> Interruption {
        while let Ok(event) = self.events.try_recv() {
            self.hear(&event);
        }
        self.look_at_clock();
        self.interruption
    }

    /// Runs a script to its end; `line` gets each line of output.
    pub(super) fn run(&mut self, script: &Script<'_>, line: &mut dyn FnMut(&str)) -> io::Result<Ended> {
        self.scripts += 1;
        let leader = self.start(script)?;
        let until = script.limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut running = Running { leader, keeps_on: script.keeps_on, ..Running::default() };
        loop {
            if let Some(ended) = running.over() {
                return Ok(ended);
            }
            let wake = [running.next, until.filter(|_| running.why.is_none()), self.deadline];
            let event = match wake.into_iter().flatten().min() {
                Some(at) => self.events.recv_timeout(at.saturating_duration_since(Instant::now())),
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match event {
                Ok(Event::Line { script, text }) if script == self.scripts => line(&text),
                Ok(Event::OutputEnded { script }) if script == self.scripts => running.output_ended = true,
                Ok(Event::Exited { script, status }) if script == self.scripts => running.exited(status?),
                Ok(event) => self.hear(&event),
                Err(RecvTimeoutError::Timeout) => running.tick(),
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other("no events")),
            }
            self.look_at_clock();
            running.interrupt(self.interruption);
            if until.is_some_and(|until| Instant::now() >= until) {
                running.end(Ended::TimedOut);
            }
        }
    }

    fn start(&self, script: &Script<'_>) -> io::Result<u32> {
        let (reader, writer) = io::pipe()?;
        let [program, args @ ..] = script.command else { return Err(io::Error::other("no program")) };
        let mut command = Command::new(program);
        command.args(args).arg(script.file).current_dir(script.folder).envs(script.env);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        let mut child = command.spawn()?;
        // The command holds the pipe's writing end: without this the output would never end.
        drop(command);
        let leader = child.id();
        let number = self.scripts;
        let to_self = self.to_self.clone();
        std::thread::Builder::new().name("output".to_owned()).spawn(move || read_lines(number, reader, &to_self))?;
        let to_self = self.to_self.clone();
        let wait = move || {
            // No receiver: the worker is at its end.
            let _ = to_self.send(Event::Exited { script: number, status: child.wait() });
        };
        std::thread::Builder::new().name("wait".to_owned()).spawn(wait)?;
        Ok(leader)
    }

    fn hear(&mut self, event: &Event) {
        let heard = match event {
            Event::Line { .. } | Event::OutputEnded { .. } | Event::Exited { .. } => return,
            Event::Cancel => Interruption::Cancelled,
            Event::Shutdown => Interruption::Shutdown,
            Event::Terminate => Interruption::Hurry,
            Event::Abandoned(why) => Interruption::Abandoned(why),
        };
        self.interrupt(heard);
    }

    /// From the first interruption on, the deadline is that of the steps that run even so.
    fn interrupt(&mut self, heard: Interruption) {
        if self.interruption == Interruption::None {
            self.deadline = after(CANCELLED_MS);
        }
        self.interruption = self.interruption.max(heard);
    }

    fn look_at_clock(&mut self) {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            let none = self.interruption == Interruption::None;
            self.deadline = None;
            self.interrupt(if none { Interruption::JobTimeout } else { Interruption::Hurry });
        }
    }
}

/// A script that runs, and how hard it is being ended.
#[derive(Default)]
struct Running {
    leader: u32,
    keeps_on: bool,
    status: Option<ExitStatus>,
    output_ended: bool,
    why: Option<Ended>,
    force: u8,
    /// When the next thing happens by itself: more force, or the end of reading.
    next: Option<Instant>,
    drained: bool,
}

impl Running {
    fn over(&self) -> Option<Ended> {
        let status = self.status.filter(|_| self.output_ended || self.drained)?;
        Some(self.why.unwrap_or_else(|| Ended::Exited(signals::shell_code(status))))
    }

    fn exited(&mut self, status: ExitStatus) {
        self.status = Some(status);
        self.next = after(DRAIN_MS);
    }

    fn tick(&mut self) {
        if self.next.is_none_or(|next| Instant::now() < next) {
            return;
        }
        self.next = None;
        if self.status.is_some() {
            self.drained = true;
        } else if self.force == 1 {
            self.push(2, Signal::TERM, after(TERMINATE_GRACE_MS));
        } else {
            self.push(3, Signal::KILL, None);
        }
    }

    fn interrupt(&mut self, interruption: Interruption) {
        match interruption {
            Interruption::None => {}
            Interruption::JobTimeout | Interruption::Cancelled | Interruption::Shutdown => {
                if !self.keeps_on {
                    self.end(Ended::Interrupted);
                }
            }
            Interruption::Hurry | Interruption::Abandoned(_) => {
                if self.force < 3 && self.status.is_none() {
                    self.why = Some(Ended::Interrupted);
                    self.push(3, Signal::KILL, None);
                }
            }
        }
    }

    fn end(&mut self, why: Ended) {
        if self.why.is_none() && self.status.is_none() {
            self.why = Some(why);
            self.push(1, Signal::INT, after(INTERRUPT_GRACE_MS));
        }
    }

    fn push(&mut self, force: u8, signal: Signal, next: Option<Instant>) {
        self.force = force;
        self.next = next;
        signals::send_group(self.leader, signal);
    }
}

fn after(wait_ms: u64) -> Option<Instant> {
    Instant::now().checked_add(Duration::from_millis(wait_ms))
}

/// Lines of bounded length; a longer one is cut and its rest skipped.
fn read_lines(script: u32, pipe: PipeReader, to: &SyncSender<Event>) {
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    let mut inside = false;
    loop {
        bytes.clear();
        let count = reader.by_ref().take(LOG_LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes);
        if !count.is_ok_and(|count| count > 0) {
            break;
        }
        let whole = bytes.last() == Some(&b'\n');
        if !inside {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            if to.send(Event::Line { script, text }).is_err() {
                return;
            }
        }
        inside = !whole;
    }
    let _ = to.send(Event::OutputEnded { script });
}
