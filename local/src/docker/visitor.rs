//! What a demonstration and tests do to an engine from outside: look at a stage's containers, kill them, make an image.
//!
//! No part of the control plane: it decides nothing and remembers nothing.

use std::net::IpAddr;

use bollard::{
    Docker, body_full,
    models::ContainerSummaryStateEnum as State,
    query_parameters::{
        CreateImageOptionsBuilder, KillContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveImageOptions,
    },
};
use controller::ports::PortResult;
use futures_util::TryStreamExt as _;

use super::{DockerSettings, labels, link, refusal};

/// A container of a stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// Its name.
    pub name: String,
    /// Whether it runs.
    pub runs: bool,
}

/// A visitor of an engine.
#[derive(Debug, Clone)]
pub struct Visitor {
    docker: Docker,
    host: String,
}

impl Visitor {
    /// Finds an engine.
    ///
    /// # Errors
    /// Its address is none, or there is no socket.
    pub fn of(host: &str) -> PortResult<Self> {
        Ok(Self { docker: link::connect(host)?, host: host.to_owned() })
    }

    /// The machine's own address on a network of the engine.
    ///
    /// # Errors
    /// The engine does not answer, or has no such network.
    pub async fn gateway(&self, network: &str) -> PortResult<Option<IpAddr>> {
        let settings = DockerSettings {
            host: self.host.clone(),
            network: network.to_owned(),
            ..DockerSettings::new("visitor", ".")
        };
        Ok(link::look(&self.docker, &settings).await?.gateway)
    }

    /// A stage's containers, whatever their state.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn containers(&self, stage: &str) -> PortResult<Vec<Seen>> {
        let options = ListContainersOptionsBuilder::default().all(true).filters(&labels::filter(stage)).build();
        let listed = self.docker.list_containers(Some(options)).await.map_err(|error| self.told("list", &error))?;
        let mut seen: Vec<Seen> = listed
            .into_iter()
            .filter_map(|one| {
                let name = one.names?.first()?.trim_start_matches('/').to_owned();
                Some(Seen { name, runs: one.state == Some(State::RUNNING) })
            })
            .collect();
        seen.sort();
        Ok(seen)
    }

    /// Kills a container.
    ///
    /// # Errors
    /// It does not run, or the engine does not answer.
    pub async fn kill(&self, name: &str) -> PortResult<()> {
        let options = KillContainerOptionsBuilder::default().signal("SIGKILL").build();
        self.docker.kill_container(name, Some(options)).await.map_err(|error| self.told("kill", &error))
    }

    /// Removes a container, whether it runs or not.
    ///
    /// # Errors
    /// The engine does not answer, or cannot.
    pub async fn remove(&self, name: &str) -> PortResult<()> {
        match self.docker.remove_container(name, Some(link::removal())).await {
            Err(error) if !link::is_going(&error) => Err(self.told("remove", &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes an image of a root file system (a tar archive). `changes` are lines as in a Dockerfile.
    ///
    /// # Errors
    /// The engine does not answer, or cannot.
    pub async fn make_image(&self, name: &str, tar: Vec<u8>, changes: Vec<String>) -> PortResult<()> {
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(name).changes(changes).build();
        let made = self.docker.create_image(Some(options), Some(body_full(tar.into())), None);
        let steps: Result<Vec<_>, _> = made.try_collect().await;
        steps.map(drop).map_err(|error| self.told("make an image", &error))
    }

    /// Takes an image away. One that is not there is fine.
    ///
    /// # Errors
    /// A container is made of it, or the engine does not answer.
    pub async fn remove_image(&self, name: &str) -> PortResult<()> {
        match self.docker.remove_image(name, None::<RemoveImageOptions>, None).await {
            Err(error) if !refusal::is_missing(&error) => Err(self.told("remove an image", &error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn told(&self, doing: &str, error: &bollard::errors::Error) -> controller::ports::PortError {
        refusal::told(&self.host, doing, error)
    }
}
