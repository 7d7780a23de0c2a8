//! A stand-in for the official `actions/runner` program, for places where that one cannot be downloaded.
//!
//! One executable plays all of it: `install` lays out a runner folder whose `bin/Runner.Listener` and
//! `bin/Runner.Worker` are links to the executable, and [`dispatch`] sees by which name it was called. It talks to the
//! simulated GitHub's private broker ([`wire`]), never to GitHub. It must not depend on anything of the control plane:
//! to an agent it is the official program.
//!
//! # The contract
//!
//! What the official program does, as far as this project relies on it, and where that is known from. The tests of this
//! module walk through the table; the same rows hold for the official program.
//!
//! | # | what | how | source |
//! |---|---|---|---|
//! | C1 | arguments of `run.sh` | `--jitconfig X`, or `ACTIONS_RUNNER_INPUT_JITCONFIG`, which the job does not see | FACTS §3, start |
//! | C2 | arguments of `config.sh` | `--unattended --ephemeral --url --token --name --labels [--runnergroup] [--no-default-labels] [--disableupdate] [--replace] [--work]`; then `run.sh` | FACTS §3, start |
//! | C3 | root | `run.sh` and `config.sh` refuse root unless `RUNNER_ALLOW_RUNASROOT` is set | FACTS §3, start |
//! | C4 | lines | `√ Connected to GitHub`, `Current runner version: 'V'`, `<time>Z: Listening for Jobs`, `<time>Z: Running job: NAME`, `<time>Z: Job NAME completed with result: Succeeded\|Failed\|Canceled` | `JobDispatcher`, `MessageListener` of actions/runner |
//! | C5 | processes | the listener is named `Runner.Listener`; while a job runs it has a child named `Runner.Worker` in its process group | the official release's layout |
//! | C6 | exit 0 | after the one job of an ephemeral runner, or when asked to end | FACTS §3, exit codes |
//! | C7 | exit 1 | bad configuration, or the registration is gone when the session is opened | FACTS §3, exit codes |
//! | C8 | exit 2 | the server cannot be reached; `run.sh` starts the listener again after 5 s | FACTS §3, exit codes |
//! | C9 | exit 5 | another session lives | FACTS §3, exit codes |
//! | C10 | exit 7 | version deprecated, with `ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1`; else 1 | FACTS §3, exit codes |
//! | C11 | exit codes of `run.sh` | 0 for the listener's 0, 1 and 5; 7 for 7; 130 or 143 when signalled (C12) | FACTS §3, exit codes |
//! | C12 | signals to `run.sh` | with `RUNNER_MANUALLY_TRAP_SIG`: SIGINT and SIGTERM go to the listener's group as SIGINT, then 130 or 143. Without: not forwarded, and process 1 ignores SIGTERM | FACTS §3, signals |
//! | C13 | signals to the listener | without a job: ends the session, `Exiting...`, 0. With a job: SIGINT to the worker, after 7.5 s SIGTERM, after 2.5 s SIGKILL; the job is cancelled. A SIGINT that the parent ignores stays ignored | FACTS §3, signals |
//! | C14 | registration stays | a stopped runner does not deregister itself | FACTS §3, signals |
//! | C15 | ghost | the registration vanishes while listening: it waits for ever | FACTS §3, a "ghost" |
//! | C16 | environment | steps inherit everything but `ACTIONS_RUNNER_INPUT_*` | FACTS §3, start |
//! | C17 | hooks | `ACTIONS_RUNNER_HOOK_JOB_STARTED` / `_COMPLETED`: absolute path of a `.sh`; one that fails fails the job | FACTS §3, hooks |
//! | C18 | files | `.runner`, `.credentials`, `.credentials_rsaparams` (removed after the job of an ephemeral runner), `_diag/*.log`, `_work/<repo>/<repo>`; `ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT=1` repeats `_diag` on the terminal | FACTS §3 |
//! | C19 | steps | `bash -e FILE`, `bash --noprofile --norc -e -o pipefail FILE` with `shell: bash`; `GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_PATH`, `GITHUB_STEP_SUMMARY`; `::add-mask::` | GitHub's workflow syntax |
//! | C20 | cancelling | SIGINT to the step's process group, after 7.5 s SIGTERM, after 2.5 s SIGKILL; then only steps with `always()` or `cancelled()` | GitHub's "Workflow cancellation reference" |
//! | C21 | leftovers | processes that a job left behind (`RUNNER_TRACKING_ID` in their environment) are killed at its end | `JobExtension` of actions/runner |
//!
//! Not played: self-update (exit 3 and 4 are never returned, only handled by `run.sh`), service installation, proxies,
//! containers, actions other than `actions/checkout`, annotations.

pub mod wire;

mod arguments;
mod broker;
mod configure;
mod console;
mod env_files;
mod execute;
mod folder;
mod install;
mod job;
mod launch;
mod listener;
mod logs;
mod orphans;
mod package;
mod scope;
mod signals;
mod time;
mod worker;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use install::install;
pub(crate) use install::{CONFIG, RUN};
pub use package::package;

/// Name of the listener's process and file.
pub const LISTENER: &str = "Runner.Listener";
/// Name of the worker's process and file.
pub const WORKER: &str = "Runner.Worker";

/// How the listener ends (FACTS §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done,
    Terminated,
    Retryable,
    SessionConflict,
    Deprecated,
}

impl Exit {
    const fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Terminated => 1,
            Self::Retryable => 2,
            Self::SessionConflict => 5,
            Self::Deprecated => 7,
        }
    }
}

/// Plays the part that the program was called as, if it is one of the stand-in's: by the name in `argv0`, or by the
/// first two of `args` (without the program's name): `standin listener …`, `standin worker`.
///
/// The answer is the process's exit code. None means that this call is not for the stand-in.
#[must_use]
pub fn dispatch(argv0: &str, args: &[String]) -> Option<i32> {
    let name = Path::new(argv0).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match (name, args) {
        (LISTENER, args) => Some(listener_main(&root_of(argv0), args)),
        (WORKER, _) => Some(worker_main(&root_of(argv0))),
        (_, [word, part, rest @ ..]) if word == "standin" && part == "listener" => Some(listener_main(&here(), rest)),
        (_, [word, part, ..]) if word == "standin" && part == "worker" => Some(worker_main(&here())),
        _ => None,
    }
}

/// The listener (also `configure` and `remove`) of the runner folder `root`. Answers the exit code.
#[must_use]
pub fn listener_main(root: &Path, args: &[String]) -> i32 {
    listener::main(root, args).code()
}

/// The worker of the runner folder `root`: one job, told on standard input by the listener. Answers the exit code.
#[must_use]
pub fn worker_main(root: &Path) -> i32 {
    worker::main(root)
}

/// The runner's folder is the one above `bin/`.
fn root_of(argv0: &str) -> PathBuf {
    let path = std::path::absolute(argv0).unwrap_or_else(|_| PathBuf::from(argv0));
    path.parent().and_then(Path::parent).map_or_else(here, Path::to_path_buf)
}

fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

/// The system as GitHub names it.
const fn os() -> &'static str {
    if cfg!(target_os = "macos") { "macOS" } else { "Linux" }
}

/// The architecture as GitHub names it.
const fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" }
}
