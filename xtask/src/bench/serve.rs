//! `cargo xtask bench serve`: the daemon as it is shipped, in a process of its own, measured from outside.
//!
//! The load, the simulated GitHub and the simulated engine run in this process, on the same two cores. Everything is on
//! the loopback address, bounded in count and time, and ends with its measurement.
//!
//! | module | what it holds |
//! |---|---|
//! | `site` | a folder with a configuration, the daemon as a child process |
//! | `payload`, `load` | deliveries as bytes; sending them over kept connections |
//! | `usage` | processor time and memory of a process |
//! | `engine`, `world` | the simulated engine; GitHub, the engine and machines around one daemon |
//! | `starts` | from a webhook to its launch: one, and a burst |
//! | `acks` | acknowledgements, and what becomes of them after SIGKILL |
//! | `memory` | memory and cost beside many waiting jobs and live machines |

mod acks;
mod engine;
mod load;
mod memory;
mod site;
mod starts;
mod world;

use std::{path::PathBuf, process::Command, time::Duration};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::{payload, table::Table, usage};

/// A result, or what went wrong in words.
pub(super) type Measured<T> = Result<T, String>;

/// Cores that the daemon and the load share.
const CORES: usize = 2;

/// How much is measured.
struct Amount {
    /// Deliveries that are sent for each rate.
    deliveries: u64,
    /// Connections of the load.
    connections: &'static [usize],
    /// When the daemon is killed.
    kills_after: &'static [Duration],
    /// Jobs that come one after the other.
    latencies: u64,
    /// Jobs that come at once.
    burst: u64,
    /// Jobs that wait and machines that live.
    sizes: &'static [(u64, u64)],
    /// Lives that are measured at each size.
    lives: u64,
}

const FULL: Amount = Amount {
    deliveries: 30_000,
    connections: &[64, 256],
    kills_after: &[Duration::from_millis(300), Duration::from_millis(1_000), Duration::from_millis(2_500)],
    latencies: 200,
    burst: 200,
    sizes: &[(10, 10), (1_000, 1_000), (6_000, 10_000)],
    lives: 1_000,
};

const QUICK: Amount = Amount {
    deliveries: 1_000,
    connections: &[16],
    kills_after: &[Duration::from_millis(300)],
    latencies: 10,
    burst: 50,
    sizes: &[(10, 10), (50, 50)],
    lives: 50,
};

const PARTS: [&str; 4] = ["latency", "burst", "acks", "memory"];

/// Measures the named parts, or all; `None` if one is not known.
pub(crate) fn tables(parts: &[&str], quick: bool) -> Measured<Option<Vec<Table>>> {
    if parts.iter().any(|part| !PARTS.contains(part)) {
        return Ok(None);
    }
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    let amount = if quick { &QUICK } else { &FULL };
    let program = built()?;
    stay_on_two_cores()?;
    let mut tables = Vec::new();
    if wanted("latency") {
        tables.push(starts::latency(&program, amount)?);
    }
    if wanted("burst") {
        tables.push(starts::burst(&program, amount)?);
    }
    if wanted("acks") {
        tables.push(acks::rates(&program, amount)?);
        tables.push(acks::kills(&program, amount)?);
    }
    if wanted("memory") {
        tables.push(memory::curve(&program, amount)?);
    }
    Ok(Some(tables))
}

/// Builds the daemon as everyday release builds are; its path.
fn built() -> Measured<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--quiet", "--release", "--package", "self-runners"]).status();
    if !built.map_err(|error| format!("cannot run cargo: {error}"))?.success() {
        return Err("the daemon does not compile".into());
    }
    // Beside this program, or beside its folder: the same settings choose the place of both.
    let own = std::env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
    let folder = own.parent().ok_or("this program is in no folder")?;
    Ok(folder.with_file_name("release").join("self-runners"))
}

/// This process and its children use two cores, also where there are more.
fn stay_on_two_cores() -> Measured<()> {
    let failed = |error| format!("cannot choose cores: {error}");
    let allowed = sched_getaffinity(None).map_err(failed)?;
    let mut two = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).take(CORES).for_each(|cpu| two.set(cpu));
    sched_setaffinity(None, &two).map_err(failed)
}

fn runtime() -> Measured<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("no runtime: {error}"))
}
