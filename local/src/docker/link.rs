//! The way to the engine, and what kind of engine it is.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    models::{NetworkInspect, SystemInfo},
    query_parameters::{
        CreateContainerOptions, CreateContainerOptionsBuilder, InspectNetworkOptions, RemoveContainerOptions,
        RemoveContainerOptionsBuilder, StartContainerOptions,
    },
};
use controller::ports::{ErrorKind, PortError, PortResult};
use fleet::ids::TaskId;

use super::{DockerSettings, refusal};

/// How long the engine may take to answer, seconds: removing a large container takes a while.
const ANSWER_WITHIN_S: u64 = 60;

/// Nothing special for a start.
pub(super) const START: Option<StartContainerOptions> = None;

/// A client of the engine. Nothing is asked yet; each call makes a connection of its own, so an engine that was started
/// anew is found.
pub(super) fn connect(host: &str) -> PortResult<Docker> {
    let made = match host.split_once("://") {
        Some(("unix", path)) => Docker::connect_with_unix(path, ANSWER_WITHIN_S, API_DEFAULT_VERSION),
        Some(("tcp" | "http", _)) => Docker::connect_with_http(host, ANSWER_WITHIN_S, API_DEFAULT_VERSION),
        Some(_) | None => {
            let text = format!("`{host}` is no address of an engine: write unix:///PATH or tcp://ADDRESS:PORT");
            return Err(PortError::new(ErrorKind::Invalid, text));
        }
    };
    made.map_err(|error| refusal::told(host, "begin", &error))
}

/// What an engine can do.
#[derive(Debug)]
pub(super) struct Nature {
    version: String,
    lacks: Vec<&'static str>,
    pub(super) limits_disk: bool,
    /// The machine's address on the containers' network.
    pub(super) gateway: Option<IpAddr>,
}

impl fmt::Display for Nature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = ["cpu", "memory", "pids", "disk"].into_iter().filter(|limit| !self.lacks.contains(limit));
        write!(f, "{}", kept.collect::<Vec<_>>().join(", "))?;
        if !self.lacks.is_empty() {
            write!(f, "; NOT limited: {}", self.lacks.join(", "))?;
        }
        write!(f, " (Docker {})", self.version)
    }
}

/// Asks the engine what it is.
pub(super) async fn look(docker: &Docker, settings: &DockerSettings) -> PortResult<Nature> {
    let host = &settings.host;
    let info = docker.info().await.map_err(|error| refusal::told(host, "look at it", &error))?;
    let name = &settings.network;
    let network = docker.inspect_network(name, None::<InspectNetworkOptions>).await.map_err(|error| {
        let PortError { kind, message } = refusal::told(host, &format!("find the network {name}"), &error);
        PortError::new(
            kind,
            format!("{message}: make it (`docker network create {name}`), or set `network` below [engine]"),
        )
    })?;
    let limits_disk = may_limit_disk(&info);
    let lacks = [
        ("cpu", info.cpu_cfs_quota == Some(false)),
        ("memory", info.memory_limit == Some(false)),
        ("pids", info.pids_limit == Some(false)),
        ("disk", !limits_disk),
    ];
    Ok(Nature {
        version: info.server_version.unwrap_or_default(),
        lacks: lacks.into_iter().filter_map(|(limit, lacks)| lacks.then_some(limit)).collect(),
        limits_disk,
        gateway: gateway(&network),
    })
}

/// Whether the storage driver may know a limit of size. On XFS it depends on a mount option that only the first
/// container shows.
fn may_limit_disk(info: &SystemInfo) -> bool {
    let backing =
        info.driver_status.iter().flatten().find(|pair| pair.first().is_some_and(|key| key == "Backing Filesystem"));
    match info.driver.as_deref() {
        Some("btrfs" | "zfs") => true,
        Some("overlay2") => backing.and_then(|pair| pair.get(1)).is_some_and(|kind| kind == "xfs"),
        Some(_) | None => false,
    }
}

/// The machine's address on a bridge: as the engine says, or else the first of the subnet, which is what it takes then.
fn gateway(network: &NetworkInspect) -> Option<IpAddr> {
    if network.driver.as_deref() != Some("bridge") {
        return None;
    }
    let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let mut addresses = configs.into_iter().flatten().filter_map(|config| {
        let said = config.gateway.as_deref().and_then(|gateway| gateway.parse().ok());
        said.or_else(|| first_of(config.subnet.as_deref()?))
    });
    addresses.find(IpAddr::is_ipv4)
}

fn first_of(subnet: &str) -> Option<IpAddr> {
    let (address, _bits) = subnet.split_once('/')?;
    let address: Ipv4Addr = address.parse().ok()?;
    Some(Ipv4Addr::from(u32::from(address) + 1).into())
}

/// The name that a container is created under.
pub(super) fn named(id: &TaskId) -> CreateContainerOptions {
    CreateContainerOptionsBuilder::default().name(id.as_str()).build()
}

/// With its volumes, whether it runs or not.
pub(super) fn removal() -> RemoveContainerOptions {
    RemoveContainerOptionsBuilder::default().force(true).v(true).build()
}

/// Whether a container is gone, or is being removed already.
pub(super) fn is_going(error: &Error) -> bool {
    refusal::is_missing(error) || says(error, "is already in progress")
}

/// Whether a container could not be created because its image is not there.
pub(super) fn is_missing_image(error: &Error) -> bool {
    refusal::is_missing(error) && says(error, "o such image")
}

/// Whether a container could not be created because of its limit of disk.
pub(super) fn is_about_disk(error: &Error) -> bool {
    says(error, "storage-opt") || says(error, "storage opt") || says(error, "quota")
}

fn says(error: &Error, words: &str) -> bool {
    matches!(error, Error::DockerResponseServerError { message, .. } if message.contains(words))
}

#[cfg(test)]
mod tests {
    use bollard::models::{Ipam, IpamConfig};

    use super::*;

    fn network(driver: &str, subnet: &str, gateway: Option<&str>) -> NetworkInspect {
        let config =
            IpamConfig { subnet: Some(subnet.into()), gateway: gateway.map(str::to_owned), ..IpamConfig::default() };
        let ipam = Ipam { config: Some(vec![config]), ..Ipam::default() };
        NetworkInspect { driver: Some(driver.into()), ipam: Some(ipam), ..NetworkInspect::default() }
    }

    #[test]
    fn the_gateway_is_what_the_engine_says_or_takes() {
        let is = |network: &NetworkInspect| gateway(network).map(|address| address.to_string());
        assert_eq!(is(&network("bridge", "172.18.0.0/16", Some("172.18.0.254"))), Some("172.18.0.254".into()));
        // Docker 20.10 tells no gateway of a bridge that it has just made.
        assert_eq!(is(&network("bridge", "172.17.0.0/16", None)), Some("172.17.0.1".into()));
        assert_eq!(is(&network("macvlan", "10.0.0.0/8", Some("10.0.0.1"))), None);
    }

    #[test]
    fn only_some_drivers_limit_the_disk() {
        let info = |driver: &str, backing: &str| SystemInfo {
            driver: Some(driver.into()),
            driver_status: Some(vec![vec!["Backing Filesystem".into(), backing.into()]]),
            ..SystemInfo::default()
        };
        assert!(may_limit_disk(&info("overlay2", "xfs")) && may_limit_disk(&info("btrfs", "")));
        assert!(!may_limit_disk(&info("overlay2", "extfs")) && !may_limit_disk(&info("vfs", "xfs")));
    }

    #[test]
    fn an_address_of_an_engine_is_checked() {
        for bad in ["", "docker", "ssh://host"] {
            assert_eq!(connect(bad).unwrap_err().kind, ErrorKind::Invalid, "{bad}");
        }
        let missing = connect("unix:///nowhere/docker.sock").unwrap_err();
        assert!(missing.message.contains("systemctl start docker"), "{}", missing.message);
    }
}
