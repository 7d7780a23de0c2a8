//! Starts an agent: its environment, its limits, and which failures are definite.

use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, process::Stdio};

use controller::ports::{ClaimEnv, ErrorKind, PortError, PortResult};
use fleet::{effect::LaunchSpec, ids::TaskId, wire::env};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    process::{Pid, PidfdFlags, Resource, Rlimit, getrlimit, pidfd_open, prlimit},
};
use tokio::process::{Child, Command};

use super::{
    ProcessSettings,
    cgroup::{self, Cgroups},
    folder::Folder,
};
use crate::{disk, names};

/// Marks the processes of a task. The official runner knows the variable and passes it on until it gives its job one of
/// its own; `HOME` and `TMPDIR` mark the rest.
pub(super) const TRACKING: &str = "RUNNER_TRACKING_ID";

/// Open files that a runner and its job may have, if the machine allows so many.
const OPEN_FILES_MAX: u64 = 65_536;

const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LANG_DEFAULT: &str = "C.UTF-8";

/// Variables of the daemon's that no list can pass on.
const NEVER_PASSED: [&str; 2] = ["SELF_RUNNERS_", "GITHUB_"];

/// Spawns the agent of a prepared folder. An error means that nothing runs.
pub(super) fn agent(
    settings: &ProcessSettings,
    cgroups: &Cgroups,
    dir: &Folder,
    spec: &LaunchSpec,
    claim: &ClaimEnv,
) -> PortResult<(Child, Option<OwnedFd>)> {
    let mut command = command(settings, dir, spec, claim)?;
    let group = cgroups.make(dir, spec);
    let child = command.spawn().map_err(|error| {
        cgroup::remove(dir);
        refused(settings, &error)
    })?;
    let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) else { return Ok((child, None)) };
    if let Some(group) = group {
        cgroup::join(&group, pid);
    }
    limit(pid);
    mark(pid, &names::task_id(spec)?);
    // Not waited for yet, so the number is still its own. Without a handle (an old kernel) it is found by `started`.
    Ok((child, pidfd_open(pid, PidfdFlags::empty()).ok()))
}

fn command(settings: &ProcessSettings, dir: &Folder, spec: &LaunchSpec, claim: &ClaimEnv) -> PortResult<Command> {
    let log_path = dir.path("agent.log");
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&log_path);
    let log = log.and_then(|log| Ok((log.try_clone()?, log)));
    let (out, err) = log.map_err(|error| disk::failed("write", &log_path, &error))?;
    let mut command = Command::new(&settings.program);
    command.args(&settings.args).current_dir(dir.dir()).process_group(0).kill_on_drop(false);
    command.stdin(Stdio::null()).stdout(out).stderr(err).env_clear();
    for name in &settings.pass_env {
        if let Some(value) = std::env::var_os(name).filter(|_| !NEVER_PASSED.iter().any(|no| name.starts_with(no))) {
            command.env(name, value);
        }
    }
    command
        .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH_DEFAULT.into()))
        .env("LANG", std::env::var_os("LANG").unwrap_or_else(|| LANG_DEFAULT.into()))
        .env("HOME", dir.path("home"))
        .env("TMPDIR", dir.path("tmp"))
        .env(TRACKING, names::task_id(spec)?.as_str())
        .envs(claim.variables(spec))
        .env(env::RUNNER_DIR, dir.path("runner"))
        .env(env::TASK_DIR, dir.dir());
    if settings.debug {
        command.env(env::DEBUG, "1");
    }
    Ok(command)
}

/// No core files (they hold tokens), and enough open files. What the machine does not allow stays as it is.
fn limit(pid: Pid) {
    let _ = prlimit(Some(pid), Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let hard = getrlimit(Resource::Nofile).maximum;
    let soft = hard.map_or(OPEN_FILES_MAX, |hard| hard.min(OPEN_FILES_MAX));
    let _ = prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(soft), maximum: hard });
}

/// Marks an agent, and all that it will ever start, with a number in a limit that Linux has not enforced since 2.4. A
/// process cannot lose it as it can lose its variables, its session and its parents; only lower it on purpose. Where
/// the hard limit is lower already (we run in a job of another daemon) there is no such mark.
pub(super) fn mark(pid: Pid, id: &TaskId) {
    let number = Some(mark_of(id));
    let _ = prlimit(Some(pid), Resource::Locks, Rlimit { current: number, maximum: number });
}

/// The number that marks a task's processes (FNV-1a, the same in each build: tasks outlive the daemon that started
/// them).
pub(super) fn mark_of(id: &TaskId) -> u64 {
    let hash = id.as_str().bytes().fold(FNV_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
    // Far from what anybody sets by hand, and from "unlimited".
    hash >> 1 | 1 << 62
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// The operating system did not start it: which kind of refusal that is.
fn refused(settings: &ProcessSettings, error: &io::Error) -> PortError {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let is = |kinds: &[Errno]| errno.is_some_and(|errno| kinds.contains(&errno));
    let (kind, advice) = if is(&[Errno::NOENT, Errno::NOTDIR, Errno::NOEXEC, Errno::ISDIR]) {
        (ErrorKind::Invalid, "check the agent's program in the configuration")
    } else if is(&[Errno::ACCESS, Errno::PERM]) {
        (ErrorKind::Denied, "make it executable for the user that runs this")
    } else if is(&[Errno::AGAIN, Errno::NOMEM]) {
        (ErrorKind::Capacity, "the machine has too many processes or too little memory: lower the limit of runners")
    } else {
        (ErrorKind::Retry, "it is tried again")
    };
    PortError::new(kind, format!("cannot start the agent {}: {error}: {advice}", settings.program.display()))
}
