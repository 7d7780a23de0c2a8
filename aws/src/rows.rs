//! What both stores of AWS keep, and where: the rows' keys, their texts, and what a commit changes. Pure: no IO.
//!
//! A row lies under a part and a sort key, and has a version that counts its writes. What is written together names the
//! version of each row that it rests on; the totals of the fleet and the classes are the exception, which change by what
//! is added, under conditions on their values. The rows' texts are [`fleet::ledger`]'s.
//!
//! | part | sort key | what |
//! |---|---|---|
//! | `job`, `runner`, `effect` | its id or name | the row |
//! | `pool` | its id | the row, its demand and supply, its oldest waiting job |
//! | `wait#<pool>` | created, id | a waiting job, in the order of launches |
//! | `suspicion`, `budget`, `lease` | its name | the row |
//! | `log#job#<id>`, `log#runner#<name>`, `log` | when | what one commit said of it |
//! | (the totals) | | live runners in all and of each class, the drains, whether the engine's machines are counted |

mod log;
mod plan;
mod pool;
mod reading;
mod totals;
mod view;

use std::collections::BTreeMap;

use fleet::{
    ids::{EffectId, JobId, PoolId, RunnerName},
    ledger::KEEP_ENDED_MS,
};

use sha2::{Digest as _, Sha256};

pub(crate) use self::{
    log::{Stamp, records_of},
    plan::{NoPlan, Plan, plan},
    pool::PoolItem,
    reading::Reading,
    totals::{Condition, LOG_FROM, Totals, TotalsChange, totals_rows},
    view::view,
};

/// How long rows stay that nothing is done with any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Jobs and runners after their end, milliseconds.
    pub ended_ms: u64,
    /// The log of decisions, milliseconds.
    pub log_ms: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { ended_ms: KEEP_ENDED_MS, log_ms: controller::mem::KEEP_RECORDS_MS }
    }
}

/// Rows of one kind, which are read together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Jobs.
    Job,
    /// Runners.
    Runner,
    /// Pools.
    Pool,
    /// The outbox.
    Effect,
    /// Suspicions of sweeps.
    Suspicion,
    /// Rate budgets.
    Budget,
    /// Named leases.
    Lease,
    /// The waiting jobs of a pool.
    Wait(PoolId),
    /// What was decided about a job.
    LogJob(JobId),
    /// What was decided about a runner.
    LogRunner(RunnerName),
    /// What was decided about neither.
    Log,
}

impl Part {
    /// What the names of all parts of the log begin with.
    pub(crate) const LOG: &'static str = "log";

    /// Its name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Job => "job".into(),
            Self::Runner => "runner".into(),
            Self::Pool => "pool".into(),
            Self::Effect => "effect".into(),
            Self::Suspicion => "suspicion".into(),
            Self::Budget => "budget".into(),
            Self::Lease => "lease".into(),
            Self::Wait(pool) => format!("wait#{}", short(pool.as_str())),
            Self::LogJob(job) => format!("{}#job#{job}", Self::LOG),
            Self::LogRunner(runner) => format!("{}#runner#{runner}", Self::LOG),
            Self::Log => Self::LOG.into(),
        }
    }

    /// Whether its rows are read by their order, not by their keys.
    pub(crate) fn is_ordered(&self) -> bool {
        self.is_log() || matches!(self, Self::Wait(_))
    }

    /// Whether it belongs to the log of decisions.
    pub(crate) fn is_log(&self) -> bool {
        matches!(self, Self::LogJob(_) | Self::LogRunner(_) | Self::Log)
    }
}

/// Where a row lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Its part.
    pub part: Part,
    /// Its key there.
    pub sort: String,
}

impl At {
    pub(crate) fn new(part: Part, sort: impl ToString) -> Self {
        Self { part, sort: short(&sort.to_string()) }
    }

    pub(crate) fn job(id: JobId) -> Self {
        Self::new(Part::Job, id)
    }

    pub(crate) fn runner(name: &RunnerName) -> Self {
        Self::new(Part::Runner, name)
    }

    pub(crate) fn pool(id: &PoolId) -> Self {
        Self::new(Part::Pool, id)
    }

    pub(crate) fn effect(id: &EffectId) -> Self {
        Self::new(Part::Effect, id)
    }
}

/// Longest key that is kept as it is. DynamoDB takes 1 024 bytes; an effect that tells a person of an error is named
/// after all its words.
const KEY_MAX_BYTES: usize = 900;

/// A key that every server takes: one that is too long keeps its beginning, and the digest of all of it.
fn short(key: &str) -> String {
    if key.len() <= KEY_MAX_BYTES {
        return key.to_owned();
    }
    let digest: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    let begin = key.floor_char_boundary(KEY_MAX_BYTES - digest.len());
    format!("{}{digest}", &key[..begin])
}

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Counts its writes; rows of ordered parts have 0.
    pub version: u64,
    /// Its text.
    pub body: String,
}

/// What a row must be for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// It has this version.
    Version(u64),
}

impl Expect {
    /// The same as was read.
    pub(crate) fn as_read(found: Option<&Found>) -> Self {
        found.map_or(Self::Absent, |found| Self::Version(found.version))
    }

    /// The version of the row that is written over this one. A new row begins with the time, so that no two rows of one
    /// key ever have the same version.
    pub(crate) fn next(self, now_ms: u64) -> u64 {
        match self {
            Self::Absent => now_ms + 1,
            Self::Version(version) => version + 1,
        }
    }
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Write it.
    Put {
        /// Where.
        at: At,
        /// What.
        row: Found,
        /// What must be there; `None`: whatever.
        expect: Option<Expect>,
        /// How long from now somebody may need it, milliseconds; `None`: until it is taken out.
        lasts_ms: Option<u64>,
    },
    /// Take it out.
    Delete {
        /// Where.
        at: At,
        /// What must be there; `None`: whatever.
        expect: Option<Expect>,
    },
    /// Only look.
    Check {
        /// Where.
        at: At,
        /// What must be there.
        expect: Expect,
    },
}

impl Change {
    /// Where.
    pub(crate) fn at(&self) -> &At {
        match self {
            Self::Put { at, .. } | Self::Delete { at, .. } | Self::Check { at, .. } => at,
        }
    }

    /// What must be there.
    pub(crate) fn expect(&self) -> Option<Expect> {
        match self {
            Self::Put { expect, .. } | Self::Delete { expect, .. } => *expect,
            Self::Check { expect, .. } => Some(*expect),
        }
    }
}

/// What to read at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// Rows by their keys.
    pub keys: Vec<At>,
    /// Parts to read all of.
    pub lists: Vec<Part>,
    /// Ordered parts to read the first rows of.
    pub firsts: Vec<(Part, usize)>,
    /// The totals too.
    pub totals: bool,
}

impl Ask {
    /// Whether there is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.lists.is_empty() && self.firsts.is_empty() && !self.totals
    }
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The rows asked for that exist.
    pub rows: BTreeMap<At, Found>,
    /// The rows of the parts asked for, in the order of their sort keys.
    pub lists: BTreeMap<Part, Vec<(String, Found)>>,
    /// The totals' fields.
    pub totals: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_cut_and_stays_its_own() {
        let long = |end: &str| At::new(Part::Effect, format!("notify/denied/{}{end}", "ä".repeat(600))).sort;
        assert!(long("a").len() <= KEY_MAX_BYTES && long("a").starts_with("notify/denied/ä"));
        assert_ne!(long("a"), long("b"));
        assert_eq!(At::new(Part::Job, 7).sort, "7");
    }
}
