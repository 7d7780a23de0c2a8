//! A place for one daemon: a folder with its configuration, and the daemon as a child process. Everything of it ends
//! with this value.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    Measured,
    payload::SECRET,
    usage::{self, Usage},
};

/// How long the daemon may take to end when asked.
const END_WITHIN: Duration = Duration::from_secs(10);

/// Between two looks at the daemon from outside.
const LOOK_EACH: Duration = Duration::from_millis(200);

/// It does nothing if it used less than this share of so long.
const CALM: Duration = Duration::from_secs(1);
const CALM_SHARE: u32 = 50;

/// How long the daemon may take until its status shows what is waited for.
const SHOWN_WITHIN: Duration = Duration::from_secs(120);

/// What its configuration says.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// Most live runners.
    pub(super) max: u32,
    /// Where GitHub is.
    pub(super) github: String,
    /// The `[engine]` section.
    pub(super) engine: String,
    /// Milliseconds between two sweeps.
    pub(super) sweep_interval_ms: u64,
}

impl Rules {
    /// Nothing is ever launched: every job waits.
    pub(super) fn closed() -> Self {
        Self {
            max: 0,
            github: NOWHERE.into(),
            engine: "kind = \"process\"\nrunner_dir = \"runner\"".into(),
            sweep_interval_ms: NO_SWEEP_MS,
        }
    }
}

/// The place.
pub(super) struct Site {
    dir: TempDir,
    program: PathBuf,
}

impl Site {
    /// Makes it.
    pub(super) fn make(program: &Path, rules: &Rules) -> Measured<Self> {
        let dir = tempfile::Builder::new().prefix("self-runners-bench-").tempdir().map_err(|e| format!("{e}"))?;
        let site = Self { dir, program: program.into() };
        site.furnish(rules).map_err(|error| format!("cannot write to {}: {error}", site.dir.path().display()))?;
        Ok(site)
    }

    fn furnish(&self, rules: &Rules) -> std::io::Result<()> {
        fs::create_dir(self.path("runner"))?;
        fs::write(self.path("runner/run.sh"), "#!/bin/sh\n")?;
        let Rules { max, github, engine, sweep_interval_ms } = rules;
        let data = self.path("data");
        let text = format!(
            "stage = \"bench\"\nlisten = \"127.0.0.1:0\"\ndata_dir = {data:?}\nmax = {max}\nmax_above_ten = true\n\
             sweep_interval_ms = {sweep_interval_ms}\n\
             [github]\napi_url = \"{github}\"\nredeliver = false\ndiscover = false\npoll_share_percent = 0\n\
             [engine]\n{engine}\n\
             [owners.acme]\n\
             [[classes]]\nname = \"bench\"\nlabels = [\"self-hosted\", \"linux\"]\nmax = {class_max}\n\
             boot_timeout_ms = {NO_SWEEP_MS}\n",
            class_max = (*max).max(1),
        );
        fs::write(self.path("self-runners.toml"), text)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--config").arg(self.path("self-runners.toml")).current_dir(self.dir.path());
        command.env("GITHUB_TOKEN", TOKEN).env("GITHUB_WEBHOOK_SECRET", SECRET).stdin(Stdio::null());
        command
    }

    /// Starts the daemon and waits until it serves.
    pub(super) fn start(&self) -> Measured<Daemon> {
        let log = fs::File::create(self.path("daemon.log")).map_err(|error| format!("cannot write a log: {error}"))?;
        let mut command = self.command(&["serve"]);
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = child.map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            // What it says is looked at below, also if that is nothing.
            let _read = BufReader::new(stdout).read_line(&mut line);
        }
        let address = line.trim().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let mut daemon = Daemon { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        match address {
            Some(address) => {
                daemon.address = address;
                Ok(daemon)
            }
            None => {
                daemon.kill();
                let log = fs::read_to_string(self.path("daemon.log")).unwrap_or_default();
                Err(format!("the daemon does not serve: {line}{log}"))
            }
        }
    }

    /// What a command of the daemon's own tells with `--json`.
    pub(super) fn ask(&self, command: &str) -> Measured<Value> {
        let out = self.command(&[command, "--json"]).output().map_err(|error| format!("{command}: {error}"))?;
        serde_json::from_slice(&out.stdout)
            .map_err(|error| format!("{command}: {error}: {}", String::from_utf8_lossy(&out.stderr)))
    }

    /// Waits until the daemon has handled every webhook that it has acknowledged; how long that took.
    pub(super) fn until_handled(&self) -> Measured<Duration> {
        self.until("all webhooks are handled", |status| status["unhandled_webhooks"] == 0)
    }

    /// Waits until its status shows something; how long that took.
    pub(super) fn until(&self, what: &str, shown: impl Fn(&Value) -> bool) -> Measured<Duration> {
        let begin = Instant::now();
        while !shown(&self.ask("status")?) {
            if begin.elapsed() > SHOWN_WITHIN {
                return Err(format!("it is not so after {SHOWN_WITHIN:?} that {what}"));
            }
            thread::sleep(LOOK_EACH);
        }
        Ok(begin.elapsed())
    }
}

/// A living daemon; killed when dropped.
pub(super) struct Daemon {
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl Daemon {
    /// Its process.
    pub(super) fn pid(&self) -> Measured<Pid> {
        Pid::from_raw(self.child.id().cast_signed()).ok_or_else(|| "the daemon has no process".into())
    }

    /// What it has used so far.
    pub(super) fn usage(&self) -> Measured<Usage> {
        usage::of(self.pid()?).ok_or_else(|| "the daemon has ended by itself".into())
    }

    /// Waits until it does nothing any more; what it has used then.
    pub(super) fn until_calm(&self) -> Measured<Usage> {
        let begin = Instant::now();
        let mut before = self.usage()?;
        while begin.elapsed() < SHOWN_WITHIN {
            thread::sleep(CALM);
            let now = self.usage()?;
            if now.cpu - before.cpu < CALM / CALM_SHARE {
                return Ok(now);
            }
            before = now;
        }
        Err(format!("the daemon is still busy after {SHOWN_WITHIN:?}"))
    }

    /// Kills it as a power cut would.
    pub(super) fn kill(&mut self) {
        // It may have ended by itself; either way it is gone then.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Asks it to end.
    pub(super) fn end(mut self) -> Measured<()> {
        kill_process(self.pid()?, Signal::TERM).map_err(|error| format!("cannot end the daemon: {error}"))?;
        let begin = Instant::now();
        while begin.elapsed() < END_WITHIN {
            if let Ok(Some(status)) = self.child.try_wait() {
                return if status.success() { Ok(()) } else { Err(format!("the daemon ended with {status}")) };
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("the daemon did not end within {END_WITHIN:?}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The token for the simulated GitHub.
pub(super) const TOKEN: &str = "the token of a benchmark";

/// A port that nobody listens on.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Longer than any measurement.
const NO_SWEEP_MS: u64 = 24 * 3_600_000;
