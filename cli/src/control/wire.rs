//! What goes over the control socket. Shapes only. Fields are added, never changed: a command may be newer or older than
//! the daemon that it asks.

use std::collections::BTreeMap;

use controller::sweep::LastSweep;
use fleet::{policy::Policy, rota::Outlook};
use serde::{Deserialize, Serialize};

/// Facts about the living daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Live {
    /// Its version.
    pub(crate) version: String,
    /// Its process number.
    pub(crate) pid: u32,
    /// Base URL at which it listens.
    pub(crate) url: String,
    /// Since when it runs, milliseconds.
    pub(crate) started_ms: u64,
    /// Webhooks that arrived since then.
    pub(crate) webhooks: Webhooks,
    /// Its last sweep, if there was one.
    pub(crate) sweep: Option<LastSweep>,
    /// Milliseconds between two sweeps.
    pub(crate) sweep_interval_ms: u64,
    /// How repositories are looked at for jobs whose webhook does not arrive. `None`: only sweeps do.
    #[serde(default)]
    pub(crate) polling: Option<Outlook>,
    /// The rules in force.
    pub(crate) policy: Policy,
    /// Why the store cannot be written, in words; `None` if it can.
    #[serde(default)]
    pub(crate) store_trouble: Option<String>,
}

/// Webhooks that arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Webhooks {
    /// Answered with a success.
    pub(crate) taken: u64,
    /// Refused: a wrong signature, an owner that is not served, a store that is not available.
    pub(crate) refused: u64,
    /// When the last one came, milliseconds.
    pub(crate) last_ms: Option<u64>,
    /// Those of the taken ones that told of no job's state, how many for each reason.
    #[serde(default)]
    pub(crate) needless: BTreeMap<String, u64>,
}

/// A runner is to be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopRequest {
    /// Its base name.
    pub(crate) runner: String,
    /// At work or not.
    pub(crate) force: bool,
    /// Who wants it, and why.
    pub(crate) by: String,
}

/// A drain is to begin or to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DrainRequest {
    /// Of which class; `None`: of all.
    pub(crate) class: Option<String>,
    /// Who wants it, and why.
    pub(crate) by: String,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// In words.
    pub(crate) text: String,
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    /// In words.
    pub(crate) error: String,
}
