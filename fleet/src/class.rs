//! Classes (what kinds of runner there are) and pools (which runners can serve each other's jobs).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClassName, PoolId, Scope},
    labels::LabelSet,
    wishes::Allow,
};

/// Most runners that a class may be given, the range that the original system had.
pub const CLASS_MAX_DEFAULT: u32 = 10;

/// Processor architecture.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// 64-bit ARM, the default: a fifth cheaper on Fargate.
    #[default]
    #[serde(alias = "aarch64")]
    #[cfg_attr(feature = "schema", schemars(extend("aliases" = ["aarch64"])))]
    Arm64,
    /// 64-bit x86.
    #[serde(alias = "amd64", alias = "x64")]
    #[cfg_attr(feature = "schema", schemars(extend("aliases" = ["amd64", "x64"])))]
    X86_64,
}

/// How large a runner's machine is.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Size {
    /// Processors in thousandths: 4000 = 4 vCPU.
    pub cpu_milli: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Disk in GiB.
    pub disk_gb: u32,
    /// Architecture.
    pub arch: Arch,
}

impl Default for Size {
    fn default() -> Self {
        Self { cpu_milli: 4_000, memory_mb: 16_384, disk_gb: 75, arch: Arch::Arm64 }
    }
}

/// With what a runner registers.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// A just-in-time configuration, good for this one runner. GitHub makes 180 a minute and owner.
    #[default]
    Jit,
    /// A registration token, so that no rate holds a burst back. For an hour it is good for any number of runners: only
    /// for jobs that are trusted as much as the runners themselves.
    Token,
    /// A just-in-time configuration that the engine is told at the launch, for a network without a way back to the control
    /// plane: whoever may read the engine's tasks can read it.
    Env,
}

impl fmt::Display for CredentialKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jit => "jit",
            Self::Token => "token",
            Self::Env => "env",
        })
    }
}

/// A kind of runner. At rest none of it exists (`min_idle` is 0 by design).
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Class {
    /// Its name, unique in the configuration.
    pub name: ClassName,
    /// Labels that its runners register with.
    pub labels: LabelSet,
    /// Size of its machines.
    pub size: Size,
    /// What jobs may ask for beyond it, in their labels: `cpu=8`.
    pub allow: Allow,
    /// Most live runners, 0 to 10. 0 closes the class: its jobs wait.
    pub max: u32,
    /// Runner group at organisation scope; GitHub's default group if absent.
    pub group: Option<String>,
    /// With what its runners register: `jit`, `token` where bursts are larger than 180 runners a minute, or `env` where
    /// machines cannot reach the control plane.
    pub credentials: CredentialKind,
    /// Image of the machine, where the engine uses images.
    pub image: Option<String>,
    /// How many places the engine can try for one runner (subnets × purchase options), at least 1.
    pub placements: u32,
    /// Milliseconds from the start of the machine to a connected listener.
    pub boot_timeout_ms: u64,
    /// Milliseconds that a connected runner waits for a job.
    pub idle_timeout_ms: u64,
    /// Milliseconds that a machine lives at the most, busy or not.
    pub max_lifetime_ms: u64,
}

impl Default for Class {
    fn default() -> Self {
        Self {
            name: "default".into(),
            labels: LabelSet::default(),
            size: Size::default(),
            allow: Allow::default(),
            max: CLASS_MAX_DEFAULT,
            group: None,
            credentials: CredentialKind::Jit,
            image: None,
            placements: 1,
            boot_timeout_ms: 5 * 60_000,
            idle_timeout_ms: 2 * 60_000,
            max_lifetime_ms: 6 * 3_600_000,
        }
    }
}

/// Runners that can serve each other's jobs: one class, one scope, one exact set of labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// All of the below in one text.
    pub id: PoolId,
    /// The class of its runners.
    pub class: ClassName,
    /// What they register with.
    pub scope: Scope,
    /// The labels that they register with.
    pub labels: LabelSet,
}

impl Pool {
    /// The pool of these three.
    pub fn new(class: &ClassName, scope: &Scope, labels: &LabelSet) -> Self {
        let id = PoolId::from(format!("{class}@{scope}[{labels}]"));
        Self { id, class: class.clone(), scope: scope.clone(), labels: labels.clone() }
    }
}
