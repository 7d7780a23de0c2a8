//! What the runners of a demo run in, seen and touched from outside: processes of this machine, or containers of an
//! engine. The daemon is not asked: this is the look that its word is held against.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use controller::ports::PortError;
use local::docker::{HOST_DEFAULT, NETWORK_DEFAULT, Visitor};
use tokio::time::sleep;

use super::processes;
use crate::failure::Failure;

/// Which engine is to be used.
#[derive(Debug, Clone)]
pub enum Engine {
    /// Processes.
    Process,
    /// Containers of a Docker engine.
    Docker(Containers),
}

impl Engine {
    /// The stage that its runners are of.
    pub fn stage(&self) -> &str {
        match self {
            Self::Process => STAGE,
            Self::Docker(containers) => &containers.stage,
        }
    }

    /// Takes away what a demo that did not begin left.
    pub async fn end(&self) {
        if let Self::Docker(containers) = self {
            containers.end().await;
        }
    }

    /// The address of this machine that runners reach.
    ///
    /// # Errors
    /// As [`Containers::gateway`].
    pub async fn address(&self) -> Result<IpAddr, Failure> {
        match self {
            Self::Process => Ok(Ipv4Addr::LOCALHOST.into()),
            Self::Docker(containers) => containers.gateway().await,
        }
    }
}

/// How a person chooses it.
#[derive(Debug, clap::Args)]
pub(crate) struct EngineArgs {
    /// What runners are: processes of this machine, or containers of a Docker engine on it
    #[arg(long, value_enum, default_value_t = EngineKind::Process)]
    pub(crate) engine: EngineKind,
    /// Where the Docker engine listens
    #[arg(long, value_name = "URL", env = "DOCKER_HOST", default_value = HOST_DEFAULT)]
    pub(crate) docker_host: String,
}

/// The engines of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum EngineKind {
    /// Processes of this machine
    Process,
    /// Containers of a Docker engine on this machine
    Docker,
}

impl EngineArgs {
    /// The containers of a stage, if they are chosen.
    pub(crate) fn containers(&self, stage: &str) -> Result<Option<Containers>, Failure> {
        match self.engine {
            EngineKind::Process => Ok(None),
            EngineKind::Docker => Containers::of_stage(&self.docker_host, stage).map(Some),
        }
    }
}

/// The machines of one demo.
#[derive(Debug, Clone)]
pub enum Machines {
    /// Agents that began below this folder.
    Processes(PathBuf),
    /// Containers of one stage.
    Containers(Containers),
}

/// A stage's containers, and the image that they are made of.
#[derive(Debug, Clone)]
pub struct Containers {
    visitor: Visitor,
    host: String,
    stage: String,
}

impl Containers {
    /// Those of a stage that no other demo on the same engine has. Nothing is made yet.
    ///
    /// # Errors
    /// There is no engine at this address: `unix:///…`, or `tcp://127.0.0.1:2375`.
    pub fn of(host: &str) -> Result<Self, Failure> {
        Self::of_stage(host, &own_stage())
    }

    /// Those of a stage.
    ///
    /// # Errors
    /// As [`Containers::of`].
    pub(crate) fn of_stage(host: &str, stage: &str) -> Result<Self, Failure> {
        // As Docker's own commands read an empty variable.
        let host = if host.is_empty() { HOST_DEFAULT } else { host };
        let found = Visitor::of(host).map_err(|error| {
            Failure::failed(format!("{}. For a try: `--docker-host URL`, or DOCKER_HOST", error.message))
        });
        Ok(Self { visitor: found?, host: host.to_owned(), stage: stage.to_owned() })
    }

    /// Where their engine listens.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Name of their image.
    pub fn image(&self) -> String {
        format!("self-runners-{}:try", self.stage)
    }

    /// This machine's address on the network of the containers.
    ///
    /// # Errors
    /// The engine does not answer, or its network has no such address.
    pub async fn gateway(&self) -> Result<IpAddr, Failure> {
        let found = self.visitor.gateway(NETWORK_DEFAULT).await.map_err(told)?;
        found.ok_or_else(|| {
            Failure::failed(format!(
                "the engine's network `{NETWORK_DEFAULT}` has no address of this machine: is the engine another machine's?"
            ))
        })
    }

    /// Makes their image of this machine's own files.
    ///
    /// # Errors
    /// The engine refuses it, or a file cannot be read.
    pub async fn make_image(&self, program: PathBuf) -> Result<(), Failure> {
        let made = tokio::task::spawn_blocking(move || sim::image::image(&program)).await;
        let image = made
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| Failure::failed(format!("cannot make an image of this machine's files: {error}")))?;
        self.visitor.make_image(&self.image(), image.tar, image.changes).await.map_err(told)
    }

    /// Takes their image away.
    ///
    /// # Errors
    /// The engine does not answer, or a container still uses it.
    pub async fn remove_image(&self) -> Result<(), Failure> {
        self.visitor.remove_image(&self.image()).await.map_err(told)
    }

    /// Names of all of them, running or not.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn names(&self) -> Result<Vec<String>, Failure> {
        let seen = self.visitor.containers(&self.stage).await.map_err(told)?;
        Ok(seen.into_iter().map(|one| one.name).collect())
    }

    /// Ends and removes all of them, and their image.
    async fn end(&self) {
        for _ in 0..END_ROUNDS {
            let names = self.names().await.unwrap_or_default();
            if names.is_empty() {
                break;
            }
            for name in names {
                // What cannot be removed now is met again in the next round.
                let _later = self.visitor.remove(&name).await;
            }
            sleep(END_PAUSE).await;
        }
        if let Err(failure) = self.remove_image().await {
            tracing::warn!("the image {} stays: {failure}", self.image());
        }
    }
}

impl Machines {
    /// Names of those that live: `<runner>.<attempt>`. None can be seen while an engine does not answer.
    pub async fn live(&self) -> Vec<String> {
        match self {
            Self::Processes(root) => processes::agents(root).into_iter().map(|(name, _)| name).collect(),
            Self::Containers(Containers { visitor, stage, .. }) => {
                let seen = visitor.containers(stage).await.unwrap_or_default();
                seen.into_iter().filter(|one| one.runs).map(|one| one.name).collect()
            }
        }
    }

    /// Kills one, if it lives.
    pub async fn kill(&self, name: &str) {
        match self {
            Self::Processes(root) => {
                let agents = processes::agents(root);
                agents.iter().filter(|(agent, _)| agent == name).for_each(|(_, agent)| processes::kill(agent));
            }
            Self::Containers(Containers { visitor, .. }) => {
                // It may have ended in this very moment.
                let _gone = visitor.kill(name).await;
            }
        }
    }

    /// What is still there of them, in words: folders, containers.
    pub async fn left(&self) -> Vec<String> {
        match self {
            Self::Processes(root) => folders(root),
            Self::Containers(containers) => match containers.names().await {
                Ok(names) => names.into_iter().map(|name| format!("the container {name} is not removed")).collect(),
                Err(failure) => vec![failure.to_string()],
            },
        }
    }

    /// Ends and removes all of them. Processes have another end, that of everything below the demo's folder.
    pub async fn end(&self) {
        if let Self::Containers(containers) = self {
            containers.end().await;
        }
    }
}

/// A stage that no other demo on the same engine has.
pub(crate) fn own_stage() -> String {
    format!("{STAGE}{:08x}", fastrand::u32(..))
}

/// What is left below the root.
fn folders(root: &std::path::Path) -> Vec<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()) && !is_logs_alone(&entry.path()))
        .map(|entry| format!("folder {} is not removed", entry.file_name().to_string_lossy()))
        .collect()
}

/// Whether a folder holds the logs that the engine was told to keep, and nothing of what a runner worked with.
fn is_logs_alone(folder: &std::path::Path) -> bool {
    let holds = |part: &str| folder.join(part).exists();
    holds("kept") && !["runner", "home", "tmp"].into_iter().any(holds)
}

fn told(error: PortError) -> Failure {
    Failure::failed(error.message)
}

/// The stage of a demo in processes, and what those of others begin with.
const STAGE: &str = "demo";

/// Rounds of removing: a launch that was under way may add one.
const END_ROUNDS: u32 = 20;

/// Between two of them.
const END_PAUSE: Duration = Duration::from_millis(100);
