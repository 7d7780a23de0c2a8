//! Control groups (version 2), where the daemon may make them: limits for a task, and one switch that kills all of it.
//!
//! Where it may not (no version 2, no delegation), runners run without limits of their own and are killed by the tree.
//! Under systemd, `Delegate=yes` in the unit makes everything available.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use fleet::effect::LaunchSpec;
use rustix::{fs::Access, process::Pid};

use super::folder::Folder;

/// The controllers that are used, if there are.
const WANTED: [&str; 3] = ["cpu", "memory", "pids"];

/// Processes and threads that one task may have: a fork bomb ends there.
const PIDS_MAX: u32 = 16_384;

/// The kernel's usual period of `cpu.max`, microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// What can be had here.
#[derive(Debug)]
pub(super) struct Cgroups {
    /// Where tasks' groups are made; `None`: nowhere.
    parent: Option<PathBuf>,
    /// The controllers in force below it.
    controllers: Vec<&'static str>,
    made: AtomicU32,
}

impl fmt::Display for Cgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.parent, self.controllers.as_slice()) {
            (None, _) => f.write_str("none (no control groups of our own here)"),
            (Some(_), []) => f.write_str("none (control groups only to kill)"),
            (Some(_), controllers) => f.write_str(&controllers.join(", ")),
        }
    }
}

impl Cgroups {
    /// Looks what can be had.
    pub(super) fn detect() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let own = own_group(&read("/proc/self/cgroup"), &read("/proc/self/mounts"));
        let parent = own.as_deref().and_then(|own| Some((make_parent(own)?, own)));
        match parent {
            Some((parent, own)) => {
                clear(&parent);
                let controllers = enable(own, &parent);
                Self { parent: Some(parent), controllers, made: AtomicU32::new(0) }
            }
            None => Self { parent: None, controllers: Vec::new(), made: AtomicU32::new(0) },
        }
    }

    /// Makes a group for a task, before its agent is spawned. Without one it runs all the same.
    pub(super) fn make(&self, dir: &Folder, spec: &LaunchSpec) -> Option<PathBuf> {
        // Numbered, because a group that could not be taken away must not be met again.
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{}.{}.{number}", spec.runner, spec.attempt, std::process::id());
        let group = self.parent.as_ref()?.join(name);
        match self.fill(&group, dir, spec) {
            Ok(()) => Some(group),
            Err(error) => {
                tracing::warn!("{} runs without limits: {}: {error}", spec.runner, group.display());
                None
            }
        }
    }

    fn fill(&self, group: &Path, dir: &Folder, spec: &LaunchSpec) -> io::Result<()> {
        fs::create_dir(group)?;
        dir.write("cgroup", &group.to_string_lossy())?;
        let cpu_us = u64::from(spec.size.cpu_milli) * CPU_PERIOD_US / 1_000;
        for controller in &self.controllers {
            let (file, value) = match *controller {
                "cpu" => ("cpu.max", format!("{cpu_us} {CPU_PERIOD_US}")),
                "memory" => ("memory.max", format!("{}M", spec.size.memory_mb)),
                _ => ("pids.max", PIDS_MAX.to_string()),
            };
            fs::write(group.join(file), value)?;
        }
        Ok(())
    }
}

/// Puts an agent that was just spawned, and all that it will start, into its group.
pub(super) fn join(group: &Path, agent: Pid) {
    if let Err(error) = fs::write(group.join("cgroup.procs"), agent.as_raw_nonzero().to_string()) {
        tracing::warn!("a runner runs without limits: {}: {error}", group.display());
    }
}

/// Kills everything in a task's group, if it has one.
pub(super) fn kill(dir: &Folder) {
    if let Some(group) = group_of(dir) {
        // A kernel before 5.14 has no such switch: then the tree is walked.
        let _ = fs::write(group.join("cgroup.kill"), "1");
    }
}

/// Whether a task's group still has processes.
pub(super) fn is_populated(dir: &Folder) -> bool {
    group_of(dir).is_some_and(|group| has_processes(&group))
}

fn has_processes(group: &Path) -> bool {
    let events = fs::read_to_string(group.join("cgroup.events")).unwrap_or_default();
    events.lines().any(|line| line == "populated 1")
}

/// This occurs when a daemon was killed together with its runners, as by an interrupted `demo`: their groups are empty,
/// and nobody takes them away. Those of a daemon that lives may be empty because their agent is just being started.
fn clear(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let daemon = entry.file_name().to_str().and_then(daemon_of);
        if daemon.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) && !has_processes(&entry.path()) {
            remove_all(&entry.path());
        }
    }
}

/// The process number of the daemon that made a group, from its name.
fn daemon_of(group: &str) -> Option<u32> {
    let mut words = group.rsplit('.');
    let (number, pid) = (words.next()?, words.next()?);
    (words.count() == 2 && number.parse::<u32>().is_ok()).then(|| pid.parse().ok())?
}

/// Takes a task's group away. Groups that a job made below it must go first.
pub(super) fn remove(dir: &Folder) {
    if let Some(group) = group_of(dir) {
        remove_all(&group);
    }
}

fn remove_all(group: &Path) {
    let Ok(entries) = fs::read_dir(group) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_all(&entry.path());
    }
    if let Err(error) = fs::remove_dir(group) {
        tracing::debug!("control group {} stays: {error}", group.display());
    }
}

fn group_of(dir: &Folder) -> Option<PathBuf> {
    dir.text("cgroup").ok()?.map(PathBuf::from)
}

/// The daemon's own group in the version 2 hierarchy.
fn own_group(groups: &str, mounts: &str) -> Option<PathBuf> {
    let path = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (_, at, kind) = (words.next()?, words.next()?, words.next()?);
        (kind == "cgroup2").then_some(at)
    })?;
    Some(Path::new(mount).join(path))
}

fn make_parent(own: &Path) -> Option<PathBuf> {
    let parent = own.join("self-runners");
    match fs::create_dir(&parent) {
        Ok(()) => Some(parent),
        // It may be that of a daemon of another user.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            rustix::fs::access(&parent, Access::WRITE_OK).is_ok().then_some(parent)
        }
        Err(_) => None,
    }
}

/// Hands the controllers down to the tasks' groups; those that could be.
fn enable(own: &Path, parent: &Path) -> Vec<&'static str> {
    let there = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
    let wanted: Vec<&str> =
        WANTED.into_iter().filter(|name| there.split_whitespace().any(|has| has == *name)).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let switch = wanted.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    let hand_down = |group: &Path| fs::write(group.join("cgroup.subtree_control"), &switch);
    // The kernel hands nothing down from a group that has processes itself. If that is only us, we move one down.
    let handed = hand_down(own).or_else(|_| step_aside(own).and_then(|()| hand_down(own)));
    if handed.and_then(|()| hand_down(parent)).is_err() {
        return Vec::new();
    }
    wanted
}

fn step_aside(own: &Path) -> io::Result<()> {
    let pid = std::process::id().to_string();
    if fs::read_to_string(own.join("cgroup.procs"))?.trim() != pid {
        return Err(io::Error::other("others are in the same group"));
    }
    let leaf = own.join("self-runners-daemon");
    fs::create_dir(&leaf).or_else(|error| if leaf.is_dir() { Ok(()) } else { Err(error) })?;
    fs::write(leaf.join("cgroup.procs"), pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_groups_name_tells_whose_it_was() {
        assert_eq!(daemon_of("sr-dev-0abc.1.4711.12"), Some(4_711));
        for other in ["sr-dev-0abc.1.4711", "sr-dev-0abc.1.x.12", "sr-dev-0abc.1.4711.x", "system.slice", ""] {
            assert_eq!(daemon_of(other), None, "{other}");
        }
    }

    #[test]
    fn its_own_group_is_found_in_pure_and_mixed_hierarchies() {
        let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let own = own_group("4:memory:/x\n0::/system.slice/a.service\n", mounts);
        assert_eq!(own, Some("/sys/fs/cgroup/unified/system.slice/a.service".into()));
        assert_eq!(own_group("0::/a\n", "tmpfs / tmpfs rw 0 0\n"), None);
        assert_eq!(own_group("4:memory:/x\n", mounts), None);
    }
}
