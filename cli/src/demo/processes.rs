//! Which processes belong to a demo's folder, by what the kernel says of them: for the proof that none is left, and for
//! ending what a crash left.
//!
//! It reads `/proc` only; systems without it show no process.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal, kill_process};

/// A living process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started, in the kernel's ticks: with the number it names the process for ever.
    pub started: u64,
    /// Its name.
    pub name: String,
}

/// The living processes that work below `dir`, or whose command line names it. Zombies are dead.
pub fn below(dir: &Path) -> Vec<Process> {
    let me = std::process::id();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != me && belongs(*pid, dir)).filter_map(living).collect()
}

/// The agents that began in the runners' folders below `root` and live, with their folders' names: each wrote its
/// number and start there.
pub fn agents(root: &Path) -> Vec<(String, Process)> {
    let folders = fs::read_dir(root).into_iter().flatten().flatten();
    folders
        .filter_map(|folder| {
            let text = fs::read_to_string(folder.path().join("started")).ok()?;
            let (pid, started) = text.trim().split_once(' ')?;
            let process = living(pid.parse().ok()?)?;
            let name = folder.file_name().to_string_lossy().into_owned();
            (process.started.to_string() == started).then_some((name, process))
        })
        .collect()
}

/// Kills a process, if it is still the one that was seen.
pub fn kill(process: &Process) {
    let same = living(process.pid).is_some_and(|now| now.started == process.started);
    if let Some(pid) = Pid::from_raw(process.pid.cast_signed()).filter(|_| same) {
        // It may have ended in this very moment.
        let _gone = kill_process(pid, Signal::KILL);
    }
}

fn belongs(pid: u32, dir: &Path) -> bool {
    let works = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    let dir = dir.as_os_str().as_encoded_bytes();
    works || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.windows(dir.len()).any(|part| part == dir))
}

/// The process of that number, if it lives.
fn living(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything, also parentheses.
    let (head, tail) = stat.rsplit_once(')')?;
    let mut fields = tail.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(START_AFTER_STATE)?.parse().ok()?;
    let name = head.split_once('(').map_or("", |(_, name)| name).to_owned();
    (!matches!(state, "Z" | "X")).then_some(Process { pid, started, name })
}

/// Fields between the state (field 3) and the start time (field 22) of `/proc/PID/stat`.
const START_AFTER_STATE: usize = 18;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_found_by_its_folder_and_killed_by_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let mut child = Command::new("sleep").arg("60").current_dir(&dir).spawn().unwrap();
        let found = below(&dir);
        assert_eq!(found.iter().map(|process| process.pid).collect::<Vec<_>>(), [child.id()]);
        kill(&Process { started: found[0].started + 1, ..found[0].clone() });
        assert!(child.try_wait().unwrap().is_none(), "another process of that number is left alone");
        kill(&found[0]);
        child.wait().unwrap();
        assert_eq!(below(&dir), []);
    }

    #[test]
    fn an_agent_is_known_by_its_number_and_start() {
        let root = tempfile::tempdir().unwrap();
        let me = living(std::process::id()).unwrap();
        for (name, started) in [("a", me.started), ("b", me.started + 1)] {
            fs::create_dir(root.path().join(name)).unwrap();
            fs::write(root.path().join(name).join("started"), format!("{} {started}\n", me.pid)).unwrap();
        }
        assert_eq!(agents(root.path()), [("a".to_owned(), me)]);
    }
}
