//! Finds and kills what an ended task left running.
//!
//! Its agent is the root of everything that its runner and job start, but an agent that was killed leaves orphans. They
//! are known by their process group, by a variable that only this task's processes have (its tracking id, its home, its
//! temporary folder), or by the number in a limit that they were born with. Signals go through a handle on the very process that was looked at, never to a number that may
//! have become somebody else's.

use std::fs;

use fleet::ids::TaskId;
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use super::{
    folder::Folder,
    spawn::{TRACKING, mark_of},
};

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
    limit: String,
    group: Option<i32>,
}

impl Marks {
    fn of(id: &TaskId, dir: &Folder, leader: Option<i32>) -> Self {
        let path = |name: &str, file: &str| format!("{name}={}", dir.path(file).display()).into_bytes();
        let variables = [format!("{TRACKING}={id}").into_bytes(), path("HOME", "home"), path("TMPDIR", "tmp")];
        // The kernel gives a number to nobody as long as a group or session is called by it. So if there is a process
        // of that number now, the agent's group is empty and the number is somebody else's.
        let group = leader.filter(|pid| Stat::of(*pid).is_none());
        Self { variables, limit: mark_of(id).to_string(), group }
    }

    /// Kills a process if it is of the task; whether it was.
    fn kill(&self, pid: i32) -> bool {
        let Some(stat) = Stat::of(pid) else { return false };
        if !self.fits(pid, stat) {
            return false;
        }
        let Some(handle) = handle(pid, stat.start_time) else { return false };
        match pidfd_send_signal(&handle, Signal::KILL) {
            // This occurs when a job started it with sudo. It is not ours to end, and must not keep a place for ever.
            Err(Errno::PERM) => {
                tracing::warn!("process {pid}, which a job left behind, belongs to another user: end it by hand");
                false
            }
            // One that is gone meanwhile is not found again.
            Ok(()) | Err(_) => true,
        }
    }

    fn fits(&self, pid: i32, stat: Stat) -> bool {
        let is_dead = matches!(stat.state, 'Z' | 'X' | 'x');
        let in_group = self.group.is_some_and(|leader| stat.group == leader || stat.session == leader);
        !is_dead && (in_group || self.is_marked(pid) || self.is_limited(pid))
    }

    fn is_marked(&self, pid: i32) -> bool {
        let Ok(variables) = fs::read(format!("/proc/{pid}/environ")) else { return false };
        variables.split(|byte| *byte == 0).any(|variable| self.variables.iter().any(|mark| mark == variable))
    }

    /// Readable also where the variables are not: of a process that hides itself.
    fn is_limited(&self, pid: i32) -> bool {
        let Ok(limits) = fs::read_to_string(format!("/proc/{pid}/limits")) else { return false };
        let locks = limits.lines().find_map(|line| line.strip_prefix("Max file locks"));
        locks.and_then(|line| line.split_whitespace().next()) == Some(self.limit.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::CommandExt, process::Command};

    use super::{
        super::{folder::Folders, spawn::mark},
        *,
    };

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
    /// This occurs when a job kills its agent: what it had detached has neither parent, group nor variables of the task.
    #[test]
    fn what_has_lost_all_but_its_limit_is_found() {
        let place = tempfile::tempdir().unwrap();
        let (folders, _) = Folders::open(place.path()).unwrap();
        let sleeper = || Command::new("sleep").arg("1000").env_clear().process_group(0).spawn().unwrap();
        let (mut left, mut other) = (sleeper(), sleeper());
        let (id, other_id) = (TaskId::from("sr-dev-a.1"), TaskId::from("sr-dev-b.1"));
        mark(Pid::from_child(&left), &id);
        mark(Pid::from_child(&other), &other_id);
        assert_eq!(kill(&id, &folders.of(&id), None), 1);
        assert!(!left.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "another task's process was killed");
        assert_eq!(kill(&other_id, &folders.of(&other_id), None), 1);
        other.wait().unwrap();
    }
}
