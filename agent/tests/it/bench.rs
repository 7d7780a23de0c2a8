//! A runner's folder with a fake runner program in it, and an agent that is started there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fleet::wire::env;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::plane::{Plane, TOKEN};

/// The shape of the official `run.sh` with `RUNNER_MANUALLY_TRAP_SIG`: job control on, so that the listener has a
/// process group of its own; SIGINT and SIGTERM forwarded as SIGINT to that group; then 143.
const RUN_SH: &str = r#"#!/usr/bin/env bash
set -m
cd "$(dirname "$0")"
trap 'interrupted=1; kill -INT -$PID' INT TERM
bash ./listener &
PID=$!
wait -f $PID; code=$?
if [[ -n "$interrupted" ]]; then wait -f $PID; exit 143; fi
exit $code
"#;

/// Words that fake listeners are written in.
const WORDS: &str = r#"
say() { echo "2026-11-02 10:00:00Z: $*"; }
until_file() { until [[ -e "$1" ]]; do sleep 0.02; done; }
# A worker that works until the file `job_done` is there, and says in `worker` who it is.
worker() { bash -c 'echo $$ > worker.new; mv worker.new worker; exec -a Runner.Worker bash -c "until [[ -e job_done ]]; do sleep 0.02; done"' & }
echo $$ > listener.pid
"#;

/// A folder for one test.
pub(crate) struct Bench {
    dir: TempDir,
    pub(crate) plane: Plane,
    vars: Vec<(String, String)>,
}

impl Bench {
    /// A runner whose listener is this bash script.
    pub(crate) fn new(plane: Plane, listener: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("task")).unwrap();
        let bench = Self { dir, plane, vars: Vec::new() };
        bench.script("run.sh", RUN_SH);
        bench.script("listener", &format!("{WORDS}{listener}"));
        bench
    }

    /// Puts an executable file into the runner's folder.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Sets one more variable for the agent.
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.push((name.into(), value.into()));
        self
    }

    /// A file in the runner's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes an empty file in the runner's folder.
    pub(crate) fn touch(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }

    /// The content of a file, once it is there.
    pub(crate) fn read(&self, name: &str) -> String {
        eventually(&format!("file {name}"), || fs::read_to_string(self.path(name)).ok().filter(|text| !text.is_empty()))
    }

    /// The process that wrote its number into this file.
    pub(crate) fn pid(&self, name: &str) -> i32 {
        self.read(name).trim().parse().unwrap()
    }

    /// Starts an agent.
    pub(crate) fn start(&self) -> Agent {
        let log = self.path(&format!("agent-{}.log", fs::read_dir(self.dir.path()).unwrap().count()));
        let child = Command::new(env!("CARGO_BIN_EXE_agent"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env(env::URL, &self.plane.url)
            .env(env::RUNNER, "sr-test-a")
            .env(env::ATTEMPT, "1")
            .env(env::CLAIM_TOKEN, TOKEN)
            .env(env::RUNNER_DIR, self.dir.path())
            .env(env::TASK_DIR, self.path("task"))
            .envs(self.vars.iter().cloned())
            .stdin(Stdio::null())
            .stdout(fs::File::create(log.with_extension("out")).unwrap())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Agent { child, log }
    }
}

/// A started agent.
pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// Its process.
    pub(crate) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        signal(self.pid(), Signal::TERM);
    }

    /// Kills it, so that it can do nothing more.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether it lives.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; gives its exit code. Fails if its log holds a secret.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let status: ExitStatus = eventually("the agent's end", || self.child.try_wait().unwrap());
        let log = self.log();
        assert!(!log.contains("must-not-leak"), "a secret is in the log: {log}");
        status.code()
    }

    /// Its log so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// What it passed on of the runner's output.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.log.with_extension("out")).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // A failed test: the agent takes everything that it started with it.
        for _ in 0..2 {
            if self.lives() {
                self.terminate();
                let deadline = Instant::now() + Duration::from_millis(1200);
                while self.lives() && Instant::now() < deadline {
                    thread::sleep(LOOK); // deadline
                }
            }
        }
        if std::thread::panicking() {
            eprintln!("{}{}", self.log(), self.output());
        }
    }
}

/// Whether a process lives (a zombie does not).
pub(crate) fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Sends a signal.
pub(crate) fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Looks again and again until there is something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        thread::sleep(LOOK); // deadline
    }
}

/// Whether a file is there.
pub(crate) fn exists(path: &Path) -> Option<()> {
    path.exists().then_some(())
}

const LOOK: Duration = Duration::from_millis(5);
