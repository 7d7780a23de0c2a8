//! A runner folder, a broker, and the stand-in as a process between them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::process::Signal;

use super::broker::{Broker, DEADLINE, KEY, State};
use crate::standin::wire::{AcquireAnswer, Credentials, GithubNames, encode_jit_config};
use crate::standin::{LISTENER, WORKER, install, signals};
use crate::workflow::Workflow;

/// Tells the test executable by which name to play.
pub(super) const ARGV0_ENV: &str = "STANDIN_TEST_ARGV0";
/// And with which arguments, one a line.
pub(super) const ARGS_ENV: &str = "STANDIN_TEST_ARGS";
/// The number that the broker gives to its job.
const JOB: u64 = 9_000_000_001;

pub(super) struct Stage {
    pub(super) folder: tempfile::TempDir,
    pub(super) broker: Arc<Broker>,
}

/// A running `run.sh` (or listener). Killed with its group when dropped.
pub(super) struct Process {
    child: Child,
    output: PathBuf,
}

impl Stage {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exe = std::env::current_exe().unwrap();
        install(folder.path(), &exe).unwrap();
        for name in [LISTENER, WORKER] {
            let (link, wrapper) = (folder.path().join("exe").join(name), folder.path().join("bin").join(name));
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            std::fs::rename(&wrapper, &link).unwrap();
            let text = format!(
                "#!/bin/bash\nexport {ARGV0_ENV}=\"$0\" {ARGS_ENV}=\"$(printf '%s\\n' \"$@\")\"\nexec '{}' --exact standin::tests::entry --nocapture\n",
                link.display()
            );
            std::fs::write(&wrapper, text).unwrap();
            std::fs::set_permissions(&wrapper, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder, broker: Broker::start() }
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Offers the only job of a workflow with these lines below `steps:` (and others of the job).
    pub(super) fn offer(&self, job: &str) {
        let text = format!("name: CI\njobs:\n  build:\n    runs-on: self-hosted\n{job}");
        let workflow = Workflow::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        let github =
            GithubNames { repository: "acme/web".into(), run_id: 5, workflow: "CI".into(), ..GithubNames::default() };
        let answer = AcquireAnswer { spec: workflow.jobs()[0].spec(), github, needs: Default::default() };
        self.broker.change(|state| state.jobs.push_back((JOB, answer)));
    }

    pub(super) fn jit(&self) -> String {
        encode_jit_config(&self.broker.settings(), &Credentials::bearer(KEY))
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.path().join(program));
        // What the machine of the test has set must not change the outcome.
        for (name, _) in std::env::vars() {
            if name.starts_with("ACTIONS_RUNNER") || name.starts_with("RUNNER_") {
                command.env_remove(name);
            }
        }
        command.env("RUNNER_ALLOW_RUNASROOT", "1").stdin(Stdio::null());
        command
    }

    pub(super) fn start(&self, mut command: Command) -> Process {
        use std::os::unix::process::CommandExt as _;
        let output = self.path().join("output");
        let file = std::fs::File::create(&output).unwrap();
        command.stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
        Process { child: command.spawn().unwrap(), output }
    }

    /// `run.sh` with the JIT configuration in the environment.
    pub(super) fn run(&self) -> Process {
        let mut command = self.command("run.sh");
        command.env("ACTIONS_RUNNER_INPUT_JITCONFIG", self.jit());
        self.start(command)
    }

    /// Runs a job to its end and hands out what the broker then knows.
    pub(super) fn finish(&self, job: &str) -> State {
        self.offer(job);
        let mut process = self.run();
        assert_eq!(process.code(), 0, "{}", process.text());
        std::mem::take(&mut *self.broker.state())
    }

    pub(super) fn workspace(&self) -> PathBuf {
        self.path().join("_work/web/web")
    }
}

impl Process {
    pub(super) fn text(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    pub(super) fn signal(&self, signal: Signal) {
        signals::send(self.child.id(), signal);
    }

    /// Waits for its end.
    pub(super) fn code(&mut self) -> i32 {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return signals::shell_code(status);
            }
            assert!(Instant::now() < until, "it does not end: {}", self.text());
            std::thread::yield_now();
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }

    pub(super) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        signals::send_group(self.child.id(), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Waits until something outside the broker is so.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

/// Processes with this name whose environment holds this text.
pub(super) fn processes(name: &str, environment: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        comm.trim() == name && String::from_utf8_lossy(&environ).contains(environment)
    })
    .collect()
}
