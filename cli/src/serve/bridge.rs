//! How runners in containers reach the daemon: over the bridge of their network, where it answers agents and nobody else.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{config::EngineSection, plan::Plan};
use crate::failure::Failure;

/// The way for containers.
pub(crate) struct Bridge {
    /// What they are told.
    pub(crate) url: String,
    /// Where the daemon listens for them besides, unless it listens there already.
    pub(crate) listener: Option<TcpListener>,
}

/// Opens it, where runners are containers and the operator has not said how they reach us. `address` is where the daemon
/// listens.
pub(crate) async fn open(
    plan: &Plan,
    gateway: Option<std::net::IpAddr>,
    address: SocketAddr,
) -> Result<Option<Bridge>, Failure> {
    let EngineSection::Docker { network, .. } = &plan.file.engine else { return Ok(None) };
    if plan.public_url.is_some() {
        return Ok(None);
    }
    let Some(gateway) = gateway else {
        return Err(Failure::usage(format!(
            "the network {network} is no bridge of this machine: say with `public_url` how containers reach this daemon"
        )));
    };
    let at = SocketAddr::new(gateway, address.port());
    let listener = if address.ip().is_unspecified() || address.ip() == gateway {
        None
    } else {
        Some(TcpListener::bind(at).await.map_err(|error| refused(network, at, &error))?)
    };
    Ok(Some(Bridge { url: format!("http://{at}"), listener }))
}

fn refused(network: &str, at: SocketAddr, error: &std::io::Error) -> Failure {
    let advice = if error.kind() == std::io::ErrorKind::AddrInUse {
        "stop what listens there, or choose another port with `--listen ADDRESS:PORT`"
    } else {
        "is that engine of this machine? Else say with `public_url` how containers reach this daemon"
    };
    Failure::failed(format!("cannot listen on {at}, the bridge of the network {network}: {error}; {advice}"))
}
