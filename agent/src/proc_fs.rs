//! What `/proc` tells about our descendants: who they are, whether one is a worker, whether they stand still.
//!
//! Reading only; signals are `process`'s. As a child sub-reaper we are the root of everything that the runner and its
//! job ever start, however they detach.

use std::collections::{HashMap, VecDeque};
use std::fs;

/// A process's number.
pub(crate) type RawPid = i32;

/// One line of `/proc/PID/stat`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: RawPid,
    start_time: u64,
}

impl Stat {
    fn of(path: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(path).ok()?)
    }

    /// The command stands in parentheses and may itself hold some: what counts comes after the last one.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.rsplit_once(')')?.1.split_whitespace();
        let state = words.next()?.chars().next()?;
        let parent = words.next()?.parse().ok()?;
        let start_time = words.nth(FIELDS_FROM_PARENT_TO_START)?.parse().ok()?;
        Some(Self { state, parent, start_time })
    }

    fn is_dead(self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    fn is_stopped(self) -> bool {
        matches!(self.state, 'T' | 't') || self.is_dead()
    }
}

/// When a process started, in clock ticks since boot (field 22): with the pid it names a process uniquely.
pub(crate) fn start_time(pid: RawPid) -> Option<u64> {
    Stat::of(&format!("/proc/{pid}/stat")).map(|stat| stat.start_time)
}

/// All living descendants of this process, parents before their children, from a walk over all of `/proc`. Thorough
/// and, on a machine with many processes, dear: for decisions.
pub(crate) fn descendants() -> Vec<RawPid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<RawPid>().ok());
    let mut children: HashMap<RawPid, Vec<(RawPid, Stat)>> = HashMap::new();
    for pid in pids {
        if let Some(stat) = Stat::of(&format!("/proc/{pid}/stat")) {
            children.entry(stat.parent).or_default().push((pid, stat));
        }
    }
    breadth_first(|pid| children.remove(&pid).unwrap_or_default())
}

/// The same along the kernel's lists of children: cheap, but it may miss one that is born or orphaned meanwhile. For
/// watching. `None` where the kernel has no such lists.
fn descendants_quick() -> Option<Vec<RawPid>> {
    fs::metadata(format!("/proc/{0}/task/{0}/children", own_pid())).ok()?;
    Some(breadth_first(|pid| {
        let listed = children_of(pid);
        listed.into_iter().filter_map(|child| Some((child, Stat::of(&format!("/proc/{child}/stat"))?))).collect()
    }))
}

fn children_of(pid: RawPid) -> Vec<RawPid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

fn breadth_first(mut children: impl FnMut(RawPid) -> Vec<(RawPid, Stat)>) -> Vec<RawPid> {
    let mut found = Vec::new();
    let mut next = VecDeque::from([own_pid()]);
    while let Some(parent) = next.pop_front() {
        for (pid, stat) in children(parent) {
            next.push_back(pid);
            if !stat.is_dead() || has_threads(pid) {
                found.push(pid);
            }
        }
        if found.len() > MAX_DESCENDANTS {
            break;
        }
    }
    found
}

/// Whether a process whose first thread ended goes on with others (it looks like a zombie and is none).
fn has_threads(pid: RawPid) -> bool {
    fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

fn own_pid() -> RawPid {
    std::process::id().cast_signed()
}

/// Whether a worker lives among our descendants. `expected` says that one lived a moment ago: then its absence is
/// believed only after a thorough look.
pub(crate) fn has_worker(expected: bool) -> bool {
    match descendants_quick() {
        Some(found) if found.iter().any(|pid| is_worker(*pid)) => true,
        Some(_) if !expected => false,
        Some(_) | None => descendants().into_iter().any(is_worker),
    }
}

/// Whether a process is a job's worker, by its name or the name it was called by.
pub(crate) fn is_worker(pid: RawPid) -> bool {
    let read = |file| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let cmdline = read("cmdline");
    let called = cmdline.split(|b| *b == 0).next().unwrap_or_default();
    [&read("comm"), called].into_iter().any(|name| name.windows(WORKER.len()).any(|part| part == WORKER))
}

/// Whether all threads of a process stand still, or are dead.
pub(crate) fn is_stopped(pid: RawPid) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.flatten().all(|thread| Stat::of(&thread.path().join("stat").to_string_lossy()).is_none_or(Stat::is_stopped))
}

/// What the official runner calls its worker.
const WORKER: &[u8] = b"Runner.Worker";

/// From field 4 (parent) to field 22 (start time) of stat, exclusive.
const FIELDS_FROM_PARENT_TO_START: usize = 17;

/// A fork bomb is not followed to its end in one look; the next look goes on.
const MAX_DESCENDANTS: usize = 50_000;

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_stat_line_with_an_evil_name() {
        let line = "42 (a) R 1 (b)) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 1";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'S', parent: 7, start_time: 987_654 }));
        assert_eq!(Stat::parse("nonsense"), None);
    }

    #[test]
    fn a_child_is_found_both_ways() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id().cast_signed();
        assert!(descendants().contains(&pid));
        assert!(descendants_quick().is_none_or(|found| found.contains(&pid)));
        assert!(!is_worker(pid) && !is_stopped(pid));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!descendants().contains(&pid));
        assert!(is_stopped(pid), "what is gone stands still");
    }

    #[test]
    fn a_worker_is_known_by_its_name() {
        let mut child = Command::new("bash");
        let mut child = child.args(["-c", "exec -a /opt/bin/Runner.Worker cat"]).stdin(Stdio::piped()).spawn().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !is_worker(child.id().cast_signed()) && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(has_worker(false));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!has_worker(true));
    }
}
