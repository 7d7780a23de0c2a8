//! The runner's processes: start them, stop and continue them, look at them, end them, reap them.
//!
//! What to do when is `lifecycle`'s. Here stands how: who is ours is read from `/proc` for each step, because a job
//! starts, orphans and detaches processes as it likes.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, getuid, kill_process, wait};

use crate::lifecycle::Launch;
use crate::lines::{Lines, Sign, sign};
use crate::proc_fs::{self, RawPid};

/// The program that was started last, and its output.
pub(crate) struct Runner {
    dir: PathBuf,
    debug: bool,
    main: Option<RawPid>,
    output: Option<File>,
    lines: Lines,
}

impl Runner {
    /// A runner in this folder, not started.
    pub(crate) fn new(dir: &Path, debug: bool) -> Self {
        Self { dir: dir.to_owned(), debug, main: None, output: None, lines: Lines::default() }
    }

    /// Whether the program lives, as far as was reaped.
    pub(crate) fn is_running(&self) -> bool {
        self.main.is_some()
    }

    /// Starts a program of the runner. It never gets a secret as an argument: those are readable by everybody.
    pub(crate) fn launch(&mut self, launch: &Launch) -> io::Result<()> {
        let mut command = self.command(launch);
        let (reader, writer) = io::pipe()?;
        let output = non_blocking(reader)?;
        // A group of its own: a signal meant for the agent's terminal or group must not reach a job.
        command.current_dir(&self.dir).process_group(0).stdin(Stdio::null()).stdout(writer);
        let child = command.spawn()?;
        // The child is reaped by `reap`, with all the others: its handle must never wait.
        self.main = Some(child.id().cast_signed());
        self.output = Some(output);
        self.lines = Lines::default();
        Ok(())
    }

    fn command(&self, launch: &Launch) -> Command {
        let mut command = match launch {
            Launch::Jit { .. } | Launch::Configured => Command::new(self.dir.join("run.sh")),
            Launch::Configure { .. } => Command::new(self.dir.join("config.sh")),
        };
        command.envs(runner_env(self.debug));
        match launch {
            Launch::Jit { config, .. } => {
                command.env("ACTIONS_RUNNER_INPUT_JITCONFIG", config);
            }
            Launch::Configure { name, url, token, labels, group } => {
                command.env("ACTIONS_RUNNER_INPUT_TOKEN", token);
                command.args(["--unattended", "--ephemeral", "--no-default-labels", "--disableupdate"]);
                command.args(["--url", url, "--name", name, "--labels", &labels.join(",")]);
                command.args(group.iter().flat_map(|group| ["--runnergroup", group]));
            }
            Launch::Configured => {}
        }
        command
    }

    /// What to poll for output, while there can be some.
    pub(crate) fn output(&self) -> Option<BorrowedFd<'_>> {
        self.output.as_ref().map(AsFd::as_fd)
    }

    /// Reads what the runner printed, never waiting: each line goes to `pass_on`, its signs come back.
    pub(crate) fn drain(&mut self, mut pass_on: impl FnMut(&[u8])) -> Vec<Sign> {
        let mut signs = Vec::new();
        let mut buffer = [0; READ_BYTES];
        // Bounded, because a process that the job left behind may print for ever.
        for _ in 0..MAX_READS {
            let Some(output) = &mut self.output else { break };
            match output.read(&mut buffer) {
                Ok(length) if length > 0 => self.lines.feed(&buffer[..length], |line| {
                    signs.extend(sign(line));
                    pass_on(line);
                }),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // All writers are gone.
                Ok(_) | Err(_) => self.output = None,
            }
        }
        signs
    }

    /// The sign in a line that the runner was stopped in the middle of.
    pub(crate) fn unfinished_sign(&self) -> Option<Sign> {
        sign(self.lines.rest())
    }

    /// SIGINT to the program itself, which forwards it.
    pub(crate) fn interrupt(&self) {
        if let Some(pid) = self.main {
            send(pid, Signal::INT);
        }
    }

    /// Reaps all dead children, ours and adopted ones. Says how the program ended, if it was among them.
    pub(crate) fn reap(&mut self) -> Option<Option<i32>> {
        let mut exited = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if self.main == Some(pid.as_raw_nonzero().get()) {
                self.main = None;
                let by_signal = status.terminating_signal().map(|signal| 128 + signal);
                exited = Some(status.exit_status().or(by_signal));
            }
        }
        exited
    }
}

/// What the official runner is told. Everything here is inherited by the job, so nothing of it is secret.
fn runner_env(debug: bool) -> Vec<(&'static str, OsString)> {
    let mut vars = vec!["RUNNER_MANUALLY_TRAP_SIG", "ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE"];
    if getuid().is_root() {
        vars.push("RUNNER_ALLOW_RUNASROOT");
    }
    if debug {
        vars.push("ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT");
    }
    vars.into_iter().map(|name| (name, OsString::from("1"))).collect()
}

fn non_blocking(reader: PipeReader) -> io::Result<File> {
    rustix::io::ioctl_fionbio(&reader, true)?;
    Ok(File::from(OwnedFd::from(reader)))
}

/// Stops all our descendants, parents first, until none runs and none is new. `false`: not all stood still in time.
///
/// The listener's process group would not do: with job control on, `run.sh` gives it one of its own, and a worker may
/// have another.
pub(crate) fn freeze() -> bool {
    let deadline = Instant::now() + FREEZE;
    let mut stopped = BTreeSet::new();
    loop {
        let all = proc_fs::descendants();
        let fresh: Vec<RawPid> = all.iter().copied().filter(|pid| stopped.insert(*pid)).collect();
        fresh.iter().for_each(|pid| send(*pid, Signal::STOP));
        if fresh.is_empty() && all.iter().all(|pid| proc_fs::is_stopped(*pid)) {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(FREEZE_LOOK);
    }
}

/// Lets all our descendants go on, children first: a shell with job control that wakes before its child would take the
/// child for suspended and end.
pub(crate) fn thaw() {
    proc_fs::descendants().into_iter().rev().for_each(|pid| send(pid, Signal::CONT));
}

/// SIGTERM to all our descendants; says how many there were.
pub(crate) fn terminate_all() -> usize {
    let all = proc_fs::descendants();
    for pid in &all {
        send(*pid, Signal::TERM);
        // One that was stopped could not take the signal.
        send(*pid, Signal::CONT);
    }
    all.len()
}

/// SIGKILL to all our descendants, again and again while new ones appear; says how many were seen last.
pub(crate) fn kill_all() -> usize {
    let mut killed = BTreeSet::new();
    for _ in 0..MAX_KILL_ROUNDS {
        let fresh: Vec<RawPid> = proc_fs::descendants().into_iter().filter(|pid| killed.insert(*pid)).collect();
        fresh.iter().for_each(|pid| send(*pid, Signal::KILL));
        if fresh.is_empty() {
            break;
        }
    }
    proc_fs::descendants().len()
}

/// A process that is gone, or belongs to somebody else (`sudo` in a job), is none of this function's worries: whoever
/// sent looks again.
fn send(pid: RawPid, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid).filter(|pid| !pid.is_init()) {
        let _looked_at_again = kill_process(pid, signal);
    }
}

/// One read from the runner's output.
const READ_BYTES: usize = 16 * 1024;

/// Reads in one go; together a pipe's largest buffer.
const MAX_READS: usize = 64;

/// How long all processes may take to stand still.
const FREEZE: Duration = Duration::from_millis(1000);

/// Between two looks at whether they do.
const FREEZE_LOOK: Duration = Duration::from_millis(2);

/// Rounds of killing what is born meanwhile; the caller comes back for the rest.
const MAX_KILL_ROUNDS: usize = 20;
