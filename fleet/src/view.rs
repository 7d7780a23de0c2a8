//! What a decision reads and what it writes.
//!
//! A [`View`] is the part of the store that some events need — never a scan. A [`Decision`] is one atomic conditional
//! write: rows with the revision that was read, effects, and guards on the totals.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    class::Pool,
    drain::{Drain, Drains, Extent},
    effect::{Effect, Notice},
    event::{Event, Outcome},
    ids::{ClassName, EffectId, JobId, PoolId, Repo, RunnerName, Scope},
    job::Job,
    policy::{Placement, Policy},
    runner::Runner,
};

/// A row and its revision; 0 is a row that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row<T> {
    /// Counts the writes.
    pub rev: u64,
    /// The row.
    pub value: T,
}

/// What to load for some events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Jobs.
    pub jobs: BTreeSet<JobId>,
    /// Runners. Their pools are loaded too.
    pub runners: BTreeSet<RunnerName>,
    /// Pools. The pools of the jobs, and those whose turn is next, are loaded too.
    pub pools: BTreeMap<PoolId, Pool>,
}

impl Keys {
    /// What these events need.
    pub fn of(policy: &Policy, events: &[Event]) -> Self {
        let mut keys = Self::default();
        let prefix = policy.prefix();
        for event in events {
            keys.add(policy, &prefix, event);
        }
        keys
    }

    fn add(&mut self, policy: &Policy, prefix: &str, event: &Event) {
        match event {
            Event::Job { facts, input } => {
                self.jobs.insert(facts.id);
                self.runners.extend(
                    input.runner().and_then(|name| RunnerName::parse_registered(prefix, name)).map(|(base, _)| base),
                );
                if let Placement::Pool(pool) = policy.place(facts) {
                    self.pools.insert(pool.id.clone(), pool);
                }
            }
            Event::Rematch { job } => {
                self.jobs.insert(*job);
            }
            Event::Runner { runner, .. } => {
                self.runners.insert(runner.clone());
            }
            Event::Adopt(task) => {
                self.runners.insert(task.runner.clone());
                self.pools.insert(task.pool.id.clone(), task.pool.clone());
            }
            Event::Drain { .. } | Event::EndDrain { .. } | Event::Inventory | Event::Balance => {}
        }
    }
}

/// The oldest queued job of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Which.
    pub job: JobId,
    /// Where it comes from.
    pub repo: Repo,
    /// When GitHub created it, milliseconds.
    pub created_ms: u64,
}

/// What is kept of a pool beside its totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolFlags {
    /// Runners in a row that ended without a job while jobs waited, or that the engine refused.
    pub fruitless: u32,
    /// No launches before this time, milliseconds.
    pub held_until_ms: u64,
    /// Why, in words.
    pub held_why: String,
}

/// A pool and its totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolView {
    /// Which.
    pub pool: Pool,
    /// Revision of the pool's row.
    pub rev: u64,
    /// What is kept of it.
    pub flags: PoolFlags,
    /// Demand: its queued jobs.
    pub queued: u32,
    /// Supply: its runners that stand for one queued job each.
    pub unbound: u32,
    /// Its oldest queued job.
    pub head: Option<Head>,
}

impl PoolView {
    /// A pool that nothing is stored of.
    pub fn new(pool: Pool) -> Self {
        Self { pool, rev: 0, flags: PoolFlags::default(), queued: 0, unbound: 0, head: None }
    }

    /// Demand less supply.
    pub fn deficit(&self) -> i64 {
        i64::from(self.queued) - i64::from(self.unbound)
    }
}

/// The part of the store that some events need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The jobs asked for that exist.
    pub jobs: BTreeMap<JobId, Row<Job>>,
    /// The runners asked for that exist.
    pub runners: BTreeMap<RunnerName, Row<Runner>>,
    /// The pools asked for, those of the jobs and runners, and those whose turn is next.
    pub pools: BTreeMap<PoolId, PoolView>,
    /// Live runners of each class.
    pub class_live: BTreeMap<ClassName, u32>,
    /// Live runners of each scope of the pools above.
    pub scope_live: BTreeMap<Scope, u32>,
    /// Live runners in all.
    pub fleet_live: u32,
    /// What operators drain.
    pub drains: Drains,
    /// Whether all that the engine runs has been adopted since the store began.
    pub inventoried: bool,
}

/// A condition on the totals, judged in the same atomic write. Not a version that everybody fights over: it fails only
/// where another write has changed what the decision rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guard {
    /// Live runners in all, before this write, are at most so many: the fleet's limit holds after it.
    FleetAtMost(u32),
    /// … at least so many: there is still no room.
    FleetAtLeast(u32),
    /// Live runners of the class are at most so many.
    ClassAtMost(ClassName, u32),
    /// … at least so many.
    ClassAtLeast(ClassName, u32),
    /// The pool's deficit is at most so large: supply still covers demand after this write.
    DeficitAtMost(PoolId, i64),
    /// … at least so large: what is launched is still needed.
    DeficitAtLeast(PoolId, i64),
    /// Whether the class is drained.
    Drained(ClassName, bool),
    /// The engine's machines are still not counted.
    NotInventoried,
}

/// A row to write, if its revision is still the one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<T> {
    /// The revision read; 0: it must not exist.
    pub rev: u64,
    /// The row.
    pub value: T,
}

/// A pool's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRow {
    /// Which.
    pub pool: Pool,
    /// What is kept of it.
    pub flags: PoolFlags,
}

/// An entry of the log of decisions, which answers "why?" for some days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When, milliseconds.
    pub at_ms: u64,
    /// About which job.
    pub job: Option<JobId>,
    /// About which runner.
    pub runner: Option<RunnerName>,
    /// What was decided and why, in words.
    pub text: String,
}

/// One atomic conditional write, and what to answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Jobs to write.
    pub jobs: Vec<Put<Job>>,
    /// Runners to write.
    pub runners: Vec<Put<Runner>>,
    /// Pools to write.
    pub pools: Vec<Put<PoolRow>>,
    /// Effects to store, each with the time before which it is not done. One that is stored already is replaced.
    pub effects: Vec<(Effect, u64)>,
    /// Effects to take out: done, or no longer wanted.
    pub settled: Vec<EffectId>,
    /// Entries for the log.
    pub records: Vec<Record>,
    /// Conditions.
    pub guards: Vec<Guard>,
    /// Drains to put in force or to lift.
    pub drains: Vec<(Extent, Option<Drain>)>,
    /// Sets the marker that all that the engine runs has been adopted.
    pub inventoried: bool,
    /// What to answer, one for each event.
    pub outcomes: Vec<Outcome>,
    /// Capacity came free, or more is to be launched than one write holds: look again at once.
    pub again: bool,
    /// The rows of the transition tables that were used: (machine, state, input).
    pub steps: Vec<(&'static str, &'static str, &'static str)>,
}

impl Decision {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
            && self.runners.is_empty()
            && self.pools.is_empty()
            && self.effects.is_empty()
            && self.settled.is_empty()
            && self.records.is_empty()
            && self.drains.is_empty()
            && !self.inventoried
    }

    /// Adds a notice.
    pub fn notify(&mut self, notice: Notice, now_ms: u64) {
        self.effects.push((Effect::Notify(notice), now_ms));
    }
}
