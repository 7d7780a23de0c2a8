//! Finds and kills what an ended task left running.
//!
//! Its agent is the root of everything that its runner and job start, but an agent that was killed leaves orphans. They
//! are known by their process group, or by a variable that only this task's processes have: its tracking id, its home,
//! its temporary folder. Signals go through a handle on the very process that was looked at, never to a number that may
//! have become somebody else's.

use std::fs;

use fleet::ids::TaskId;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::{folder::Folder, spawn::TRACKING};

/// What `/proc/PID/stat` says of a process, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: char,
    group: i32,
    session: i32,
    start_time: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The command stands in parentheses and may itself hold some: what counts comes after the last one.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.rsplit_once(')')?.1.split_whitespace();
        let state = words.next()?.chars().next()?;
        let group = words.nth(1)?.parse().ok()?;
        let session = words.next()?.parse().ok()?;
        let start_time = words.nth(FIELDS_FROM_SESSION_TO_START)?.parse().ok()?;
        Some(Self { state, group, session, start_time })
    }
}

/// From field 6 (session) to field 22 (start time) of stat, exclusive.
const FIELDS_FROM_SESSION_TO_START: usize = 15;

/// A handle on a process, if it is still the one that started then.
pub(super) fn handle(pid: i32, start_time: u64) -> Option<rustix::fd::OwnedFd> {
    let handle = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    // Looked at with the handle in hand: the number cannot change its owner between look and signal.
    Stat::of(pid).filter(|stat| stat.start_time == start_time).map(|_| handle)
}

/// Kills everything of a task that still lives; how many were found.
pub(super) fn kill(id: &TaskId, dir: &Folder, leader: Option<i32>) -> usize {
    let marks = Marks::of(id, dir, leader);
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let own = std::process::id().cast_signed();
    pids.filter(|pid| *pid != own && marks.kill(*pid)).count()
}

/// By what a task's processes are known.
struct Marks {
    variables: [Vec<u8>; 3],
    group: Option<i32>,
}

impl Marks {
    fn of(id: &TaskId, dir: &Folder, leader: Option<i32>) -> Self {
        let path = |name: &str, file: &str| format!("{name}={}", dir.path(file).display()).into_bytes();
        let variables = [format!("{TRACKING}={id}").into_bytes(), path("HOME", "home"), path("TMPDIR", "tmp")];
        // The kernel gives a number to nobody as long as a group or session is called by it. So if there is a process
        // of that number now, the agent's group is empty and the number is somebody else's.
        let group = leader.filter(|pid| Stat::of(*pid).is_none());
        Self { variables, group }
    }

    /// Kills a process if it is of the task; whether it was.
    fn kill(&self, pid: i32) -> bool {
        let Some(stat) = Stat::of(pid) else { return false };
        if !self.fits(pid, stat) {
            return false;
        }
        let Some(handle) = handle(pid, stat.start_time) else { return false };
        // One that is gone meanwhile is not found again.
        let _ = pidfd_send_signal(&handle, Signal::KILL);
        true
    }

    fn fits(&self, pid: i32, stat: Stat) -> bool {
        let is_dead = matches!(stat.state, 'Z' | 'X' | 'x');
        let in_group = self.group.is_some_and(|leader| stat.group == leader || stat.session == leader);
        !is_dead && (in_group || self.is_marked(pid))
    }

    fn is_marked(&self, pid: i32) -> bool {
        let Ok(variables) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        variables.split(|byte| *byte == 0).any(|variable| self.variables.iter().any(|mark| mark == variable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_an_evil_name() {
        let line = "42 (a) R 1 (b)) S 7 40 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 1";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'S', group: 40, session: 41, start_time: 987_654 }));
        assert_eq!(Stat::parse("nonsense"), None);
    }

    #[test]
    fn a_handle_is_only_given_on_the_process_that_was_meant() {
        let own = std::process::id().cast_signed();
        let start = Stat::of(own).unwrap().start_time;
        assert!(handle(own, start).is_some());
        assert!(handle(own, start + 1).is_none());
    }
}
