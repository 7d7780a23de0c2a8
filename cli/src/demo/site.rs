//! The place where a demo happens: one temporary folder with a configuration, a data folder and a runner program.

use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{
    machines::{Engine, Machines},
    workflow::LABELS,
};
use crate::{failure::Failure, serve};

/// What the daemon of a demo is told.
#[derive(Debug, Clone)]
pub struct SiteSettings {
    /// Base URL of the simulated GitHub.
    pub github_url: String,
    /// Most live runners.
    pub max: u32,
    /// The program whose `serve` is started, and that the runners are links to.
    pub program: PathBuf,
    /// The webhook's secret.
    pub webhook_secret: String,
    /// The token for GitHub.
    pub token: String,
    /// What runs the runners.
    pub engine: Engine,
}

/// The folder, removed when this is dropped, unless kept.
#[derive(Debug)]
pub struct Site {
    dir: PathBuf,
    /// Removes the folder.
    removal: Option<TempDir>,
    /// Where the daemon listens, also after a restart: runners were told this port.
    pub port: u16,
    /// What it was made with.
    pub settings: SiteSettings,
    /// Where the runners are.
    pub machines: Machines,
}

impl Site {
    /// Makes it. With `keep` the folder stays.
    ///
    /// # Errors
    /// The temporary folder cannot be written, or no port is free.
    pub fn make(settings: SiteSettings, keep: bool) -> Result<Self, Failure> {
        let temp = tempfile::Builder::new().prefix("self-runners-demo-").tempdir().map_err(|error| {
            let place = std::env::temp_dir();
            Failure::failed(format!("cannot make a folder in {}: {error}; set TMPDIR to another", place.display()))
        })?;
        // Links in the path would hide which processes belong to this demo.
        let dir = temp.path().canonicalize().unwrap_or_else(|_| temp.path().to_owned());
        let removal = if keep {
            let _kept = temp.keep();
            None
        } else {
            Some(temp)
        };
        let machines = match &settings.engine {
            Engine::Docker(containers) => Machines::Containers(containers.clone()),
            Engine::Process => Machines::Processes(serve::runners_root(&dir.join(DATA))),
        };
        let site = Self { dir, removal, port: free_port()?, settings, machines };
        site.furnish().map_err(|error| {
            Failure::failed(format!("cannot write to {}: {error}; set TMPDIR to another", site.dir.display()))
        })?;
        Ok(site)
    }

    fn furnish(&self) -> io::Result<()> {
        fs::create_dir_all(self.data_dir())?;
        sim::standin::install(&self.runner_dir(), &self.settings.program)?;
        fs::write(self.config(), self.config_text())
    }

    fn config_text(&self) -> String {
        let text = |path: &Path| toml_text(&path.to_string_lossy());
        let labels = LABELS.map(toml_text).join(", ");
        let Self { port, settings: SiteSettings { github_url, max, .. }, .. } = self;
        format!(
            "# Made by `self-runners demo`. Try: self-runners why JOB --config FILE
stage = \"{stage}\"
listen = \"127.0.0.1:{port}\"
data_dir = {data_dir}
max = {max}
sweep_interval_ms = {SWEEP_INTERVAL_MS}
confirm_after_ms = {CONFIRM_AFTER_MS}
heartbeat_ms = {HEARTBEAT_MS}

[github]
api_url = {github_url}
webhook_url = {webhook_url}

{engine}
[owners.{OWNER}]
repositories = [\"{REPO}\"]

[[classes]]
name = \"demo\"
labels = [{labels}]
max = {max}
boot_timeout_ms = {BOOT_TIMEOUT_MS}
idle_timeout_ms = {IDLE_TIMEOUT_MS}
",
            stage = self.stage(),
            data_dir = text(&self.data_dir()),
            engine = self.engine_text(),
            github_url = toml_text(github_url),
            webhook_url = toml_text(&self.webhook_url()),
        )
    }

    fn engine_text(&self) -> String {
        // Kept with everything else, so that a person finds what a runner said.
        let logs = if self.removal.is_none() { "keep_logs = true\n" } else { "" };
        let Engine::Docker(containers) = &self.settings.engine else {
            let dir = toml_text(&self.runner_dir().to_string_lossy());
            return format!(
                "[engine]
kind = \"process\"
runner_dir = {dir}
pass_env = [\"RUNNER_ALLOW_RUNASROOT\"]
half_launch_wait_ms = {HALF_LAUNCH_WAIT_MS}
{logs}"
            );
        };
        let (image, host) = (toml_text(&containers.image()), toml_text(containers.host()));
        format!("[engine]\nkind = \"docker\"\nimage = {image}\npull = \"never\"\nhost = {host}\n{logs}")
    }

    /// The stage: runners are called `sr-<stage>-…`.
    pub fn stage(&self) -> &str {
        self.settings.engine.stage()
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration file.
    pub fn config(&self) -> PathBuf {
        self.dir.join("self-runners.toml")
    }

    /// The daemon's log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }

    /// The daemon's SQLite file.
    pub fn store(&self) -> PathBuf {
        serve::store_path(&self.data_dir())
    }

    /// Where the engine keeps its runners' folders.
    pub fn runners_root(&self) -> PathBuf {
        serve::runners_root(&self.data_dir())
    }

    /// Where GitHub sends webhooks.
    pub fn webhook_url(&self) -> String {
        format!("http://127.0.0.1:{}/webhook", self.port)
    }

    fn data_dir(&self) -> PathBuf {
        self.dir.join(DATA)
    }

    fn runner_dir(&self) -> PathBuf {
        self.dir.join("runner")
    }
}

/// A TOML text: its escapes are JSON's.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A free port outside the range that the system gives to outgoing connections: the daemon must get it again after a
/// restart, while runners keep connecting.
fn free_port() -> Result<u16, Failure> {
    for _ in 0..PORT_TRIES {
        let port = fastrand::u16(PORTS);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Failure::failed("no free port on 127.0.0.1 between 20000 and 32000: stop what takes them"))
}

/// Where the daemon keeps what it keeps, below the folder.
const DATA: &str = "data";

/// The owner of the demo's repository.
pub const OWNER: &str = "acme";

/// The demo's repository.
pub const REPO: &str = "demo";

/// Short, so that what a fault hid is found while somebody watches.
const SWEEP_INTERVAL_MS: u64 = 1_500;

/// Less than two sweeps.
const CONFIRM_AFTER_MS: u64 = 1_200;

/// Between two reports of an idle runner.
const HEARTBEAT_MS: u64 = 1_000;

/// A process starts in milliseconds; this is for a busy machine.
const BOOT_TIMEOUT_MS: u64 = 20_000;

/// An idle runner ends after this.
const IDLE_TIMEOUT_MS: u64 = 4_000;

/// A crash's half-done launch is repeated at the next start, at once.
const HALF_LAUNCH_WAIT_MS: u64 = 3_000;

/// Below Linux's default range of outgoing ports.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Tries to find a free port.
const PORT_TRIES: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_goes_with_the_demo_unless_it_is_kept() {
        let settings = SiteSettings {
            github_url: "http://127.0.0.1:1".into(),
            max: 6,
            program: std::env::current_exe().unwrap(),
            webhook_secret: "s".into(),
            token: "t".into(),
            engine: Engine::Process,
        };
        let site = Site::make(settings.clone(), false).unwrap();
        let text = fs::read_to_string(site.config()).unwrap();
        assert!(text.contains("max = 6") && !text.contains("\"s\""), "{text}");
        let dir = site.dir().to_owned();
        drop(site);
        assert!(!dir.exists());
        let kept = Site::make(settings, true).unwrap().dir().to_owned();
        assert!(kept.exists());
        fs::remove_dir_all(kept).unwrap();
    }
}
