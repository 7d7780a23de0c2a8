//! The configuration file: its definition, and nothing else. `settings` reads it and puts environment and flags over it,
//! `plan` checks what it says.
//!
//! What stands here is all there is to say of a key: its documentation, its default and its variable in
//! `docs/configuration.md`, in `config show` and in the editors' schema are made from it.

pub(crate) mod aws;

use std::{collections::BTreeMap, path::PathBuf};

use fleet::{
    class::Class,
    policy::{CONFIRM_AFTER_MS, FLEET_MAX_DEFAULT},
    rota::SHARE_PERCENT,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use aws::AwsSection;

/// The whole file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConfigFile {
    /// Name of this installation, in lower-case letters and digits: `production`, `dev`. Runners carry it in their names
    /// (`sr-<stage>-…`), so two installations of one owner need two stages.
    pub(crate) stage: String,
    /// Where to listen, `address:port`; port 0 takes a free one. Flag `--listen`.
    pub(crate) listen: String,
    /// How runners reach this daemon, without a trailing slash. `http://<listen>` if absent.
    pub(crate) public_url: Option<String>,
    /// Folder for everything that must survive a restart. Flag `--data`, also the variable `SELF_RUNNERS_DATA`. If absent,
    /// `self-runners` in `$XDG_STATE_HOME` or `~/.local/state`.
    pub(crate) data_dir: Option<PathBuf>,
    /// Most live runners of all classes together, 0 to 10.
    pub(crate) max: u32,
    /// Allow `max` above 10, here and in classes. A slip of a digit must not start hundreds of machines.
    pub(crate) max_above_ten: bool,
    /// A label that a job must ask for, so that GitHub's own runners are left alone. Empty: none.
    pub(crate) required_label: String,
    /// Public repositories, as `owner/name`, that are served all the same: anybody's pull request runs code on this
    /// machine.
    pub(crate) public_allowed: Vec<String>,
    /// Ask GitHub once to run a job again whose runner died.
    pub(crate) rerun_interrupted: bool,
    /// Milliseconds between two sweeps: how late a lost webhook is noticed.
    pub(crate) sweep_interval_ms: u64,
    /// Milliseconds that a sweep's suspicion must hold before it is looked into.
    pub(crate) confirm_after_ms: u64,
    /// Milliseconds between two reports of an idle runner.
    pub(crate) heartbeat_ms: u64,
    /// How GitHub is reached.
    pub(crate) github: GitHubSection,
    /// What runs the runners.
    pub(crate) engine: EngineSection,
    /// The owners (organisations or users) that are served, by name.
    pub(crate) owners: BTreeMap<String, OwnerSection>,
    /// The kinds of runner, in the order in which ties are decided. If there is none: one for jobs that ask for
    /// `self-hosted`, `linux` and this machine's architecture, on AWS that of `[aws]`.
    pub(crate) classes: Vec<Class>,
    /// The same on AWS, for `template`; `serve` only checks it. Needs a build with AWS.
    pub(crate) aws: Option<AwsSection>,
}

/// `[github]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GitHubSection {
    /// Base URL of the REST interface. For GitHub Enterprise Server `https://<host>/api/v3`, with data residency
    /// `https://api.<name>.ghe.com`.
    pub(crate) api_url: String,
    /// Base URL of the REST interface that has the releases of actions/runner. The public GitHub if absent.
    pub(crate) releases_url: Option<String>,
    /// File with certificates in PEM of the authority behind a GitHub Enterprise Server, if it is not a public one.
    pub(crate) ca_file: Option<PathBuf>,
    /// Id of a GitHub App, instead of a token. `self-runners github setup` registers one. Also the variable
    /// `GITHUB_APP_ID`.
    pub(crate) app_id: Option<u64>,
    /// File with one of the App's private keys, in PEM; `GITHUB_APP_PRIVATE_KEY` in the environment goes before it.
    pub(crate) private_key_file: Option<PathBuf>,
    /// File with the token; `GITHUB_TOKEN` in the environment goes before it.
    pub(crate) token_file: Option<PathBuf>,
    /// File with the webhook's secrets, one a line, at most two (while one replaces the other);
    /// `GITHUB_WEBHOOK_SECRET` in the environment goes before it.
    pub(crate) webhook_secret_file: Option<PathBuf>,
    /// URL at which the webhook points, to find it among an owner's. Without it failed webhooks are asked for again only
    /// of a GitHub App, whose webhook is known; the sweep finds their jobs all the same.
    pub(crate) webhook_url: Option<String>,
    /// Ask GitHub to deliver failed webhooks again. Needs a token that may write hooks, or a GitHub App.
    pub(crate) redeliver: bool,
    /// Look up the open jobs of all repositories of an owner, not only of those that are named.
    pub(crate) discover: bool,
    /// Share of GitHub's rate limits, in per cent, that looking for jobs without webhooks may take. 0: no looks but those
    /// of the sweeps. Where webhooks arrive little of it is used.
    pub(crate) poll_share_percent: u32,
}

/// `[engine]`
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum EngineSection {
    /// Each runner is a process group of this machine, in a fresh folder of its own.
    Process {
        /// Folder of the unpacked runner program: the one with `run.sh`. Each runner is given a copy. If absent, the
        /// version that GitHub expects is fetched, verified and kept in the data folder.
        #[serde(default)]
        runner_dir: Option<PathBuf>,
        /// Names of this daemon's environment variables that runners and their jobs are given.
        #[serde(default)]
        pass_env: Vec<String>,
        /// Keep the logs of ended runners in the data folder.
        #[serde(default)]
        keep_logs: bool,
        /// Milliseconds that a launch which a crash left half done may take to be repeated.
        #[serde(default = "half_launch_wait_ms")]
        half_launch_wait_ms: u64,
    },
    /// Each runner is a container of a Docker engine of this machine. CPU, memory and processes are limited as the class
    /// says; the disk too where the engine's storage driver can (it is said at the start). `arch` is the engine's own.
    Docker {
        /// Image of the classes that name none. Any image will do whose entrypoint is the agent.
        #[serde(default)]
        image: Option<String>,
        /// When images are fetched from their registry.
        #[serde(default)]
        pull: PullWhen,
        /// Where the engine listens: `unix:///PATH`, or `tcp://127.0.0.1:PORT`. If absent, what `DOCKER_HOST` says.
        #[serde(default = "docker_host")]
        host: String,
        /// The bridge network that containers are in. Without `public_url` the daemon listens on its gateway address too,
        /// for agents only.
        #[serde(default = "docker_network")]
        network: String,
        /// Who runs the agent in its container, `USER` or `UID:GID`. The image's own user if absent.
        #[serde(default)]
        user: Option<String>,
        /// Folder of the runner program in the image. If absent, the image says it in `SELF_RUNNERS_RUNNER_DIR`.
        #[serde(default)]
        runner_dir: Option<String>,
        /// Let programs in containers gain rights, as `sudo` does.
        #[serde(default)]
        allow_sudo: bool,
        /// Names of this daemon's environment variables that runners and their jobs are given.
        #[serde(default)]
        pass_env: Vec<String>,
        /// Keep the logs of ended runners in the data folder.
        #[serde(default)]
        keep_logs: bool,
    },
}

/// When images are fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PullWhen {
    /// Never: load them by hand.
    Never,
    /// When the engine has none of that name.
    #[default]
    Missing,
    /// Before each launch.
    Always,
}

impl EngineSection {
    /// Variables of the daemon that runners are given.
    pub(crate) fn pass_env(&self) -> &[String] {
        match self {
            Self::Process { pass_env, .. } | Self::Docker { pass_env, .. } => pass_env,
        }
    }
}

/// `[owners.<name>]`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OwnerSection {
    /// Register runners with the organisation. Else with each repository.
    pub(crate) organization: bool,
    /// The repositories that are served (`name` or `owner/name`). All of the owner's if absent.
    pub(crate) repositories: Option<Vec<String>>,
}

impl Default for ConfigFile {
    fn default() -> Self {
        Self {
            stage: "dev".into(),
            listen: "127.0.0.1:8080".into(),
            public_url: None,
            data_dir: None,
            max: FLEET_MAX_DEFAULT,
            max_above_ten: false,
            required_label: "self-hosted".into(),
            public_allowed: Vec::new(),
            rerun_interrupted: false,
            sweep_interval_ms: SWEEP_INTERVAL_MS,
            confirm_after_ms: CONFIRM_AFTER_MS,
            heartbeat_ms: controller::settings::HEARTBEAT_MS,
            github: GitHubSection::default(),
            engine: EngineSection::Process {
                runner_dir: None,
                pass_env: Vec::new(),
                keep_logs: false,
                half_launch_wait_ms: half_launch_wait_ms(),
            },
            owners: BTreeMap::new(),
            classes: Vec::new(),
            aws: None,
        }
    }
}

impl Default for GitHubSection {
    fn default() -> Self {
        Self {
            api_url: "https://api.github.com".into(),
            releases_url: None,
            ca_file: None,
            app_id: None,
            private_key_file: None,
            token_file: None,
            webhook_secret_file: None,
            webhook_url: None,
            redeliver: true,
            discover: true,
            poll_share_percent: SHARE_PERCENT,
        }
    }
}

fn half_launch_wait_ms() -> u64 {
    u64::try_from(local::process::UNBORN_GRACE.as_millis()).unwrap_or(u64::MAX)
}

fn docker_host() -> String {
    local::docker::HOST_DEFAULT.into()
}

fn docker_network() -> String {
    local::docker::NETWORK_DEFAULT.into()
}

/// Milliseconds between two sweeps: with webhooks working it has little to do.
const SWEEP_INTERVAL_MS: u64 = 60_000;
