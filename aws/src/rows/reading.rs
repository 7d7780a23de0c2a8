//! What a commit reads before it writes: the rows that it replaces, their pools, and who is next where the oldest
//! waiting job leaves.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    ids::{EffectId, JobId, PoolId, RunnerName},
    job::Job,
    ledger::{RowError, decode_row, job_end, runner_end},
    runner::Runner,
    view::{Decision, Guard, Row},
};

use super::{Answer, Ask, At, Expect, Found, Keep, Part, PoolItem, pool::Waiting};

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read<T> {
    pub(crate) expect: Expect,
    pub(crate) value: T,
}

/// Rows that were read for a commit.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(super) jobs: BTreeMap<JobId, Read<Row<Job>>>,
    pub(super) runners: BTreeMap<RunnerName, Read<Row<Runner>>>,
    pub(super) pools: BTreeMap<PoolId, Read<PoolItem>>,
    pub(super) effects: BTreeSet<EffectId>,
    /// The first waiting jobs of pools.
    pub(super) waiting: BTreeMap<PoolId, Vec<Waiting>>,
    asked: BTreeSet<PoolId>,
}

impl Reading {
    /// What to read first.
    pub(crate) fn first(&mut self, decision: &Decision) -> Ask {
        let mut pools: BTreeSet<&PoolId> = decision.pools.iter().map(|put| &put.value.pool.id).collect();
        pools.extend(decision.jobs.iter().filter_map(|put| put.value.pool.as_ref()));
        pools.extend(decision.runners.iter().map(|put| &put.value.pool));
        pools.extend(decision.guards.iter().filter_map(pool_of));
        let mut keys: Vec<At> = pools.iter().map(|id| At::pool(id)).collect();
        self.asked.extend(pools.into_iter().cloned());
        keys.extend(decision.jobs.iter().map(|put| At::job(put.value.facts.id)));
        keys.extend(decision.runners.iter().map(|put| At::runner(&put.value.name)));
        keys.extend(decision.settled.iter().map(At::effect).collect::<BTreeSet<At>>());
        Ask { keys, ..Ask::default() }
    }

    /// What to read then: pools that rows leave, and who is next where the oldest waiting job leaves.
    pub(crate) fn then(&mut self, decision: &Decision) -> Ask {
        let left = self.jobs.values().filter_map(|read| read.value.value.queued_in());
        let left = left.chain(self.runners.values().map(|read| &read.value.value.pool));
        let missing: BTreeSet<PoolId> = left.filter(|id| !self.asked.contains(*id)).cloned().collect();
        let mut ask = Ask { keys: missing.iter().map(At::pool).collect(), ..Ask::default() };
        self.asked.extend(missing);
        ask.firsts = self.successors(decision);
        ask
    }

    /// The pools whose oldest waiting job leaves while others stay, each with how many to look at.
    fn successors(&self, decision: &Decision) -> Vec<(Part, usize)> {
        let mut leaving: BTreeMap<&PoolId, Vec<JobId>> = BTreeMap::new();
        for put in &decision.jobs {
            let old = self.jobs.get(&put.value.facts.id).map(|read| &read.value.value);
            if let Some(pool) = old.and_then(Job::queued_in).filter(|pool| put.value.queued_in() != Some(*pool)) {
                leaving.entry(pool).or_default().push(put.value.facts.id);
            }
        }
        leaving
            .into_iter()
            .filter(|(id, jobs)| {
                // A pool that is not read yet is one that jobs leave for another: rare, so look in any case.
                self.pools.get(*id).is_none_or(|read| {
                    let counts = &read.value.counts;
                    counts.queued as usize > jobs.len()
                        && counts.head.as_ref().is_none_or(|head| jobs.contains(&head.job))
                })
            })
            .map(|(id, jobs)| (Part::Wait(id.clone()), jobs.len() + 1))
            .collect()
    }

    /// Takes an answer in. Rows that ended long ago count as gone.
    ///
    /// # Errors
    /// A row is damaged.
    pub(crate) fn add(&mut self, answer: &Answer, keep: Keep, now_ms: u64) -> Result<(), RowError> {
        for (at, found) in &answer.rows {
            self.add_row(at, found, keep, now_ms).map_err(|error| damaged(at, &error))?;
        }
        for (part, rows) in &answer.lists {
            let Part::Wait(pool) = part else { continue };
            let waiting: Result<Vec<Waiting>, RowError> =
                rows.iter().map(|(_, found)| Waiting::decode(&found.body)).collect();
            self.waiting.insert(pool.clone(), waiting?);
        }
        Ok(())
    }

    fn add_row(&mut self, at: &At, found: &Found, keep: Keep, now_ms: u64) -> Result<(), RowError> {
        let expect = Expect::Version(found.version);
        match &at.part {
            Part::Job => {
                let mut value = decode_row::<Job>(&found.body)?;
                forget(&mut value.rev, job_end(&value.value), keep, now_ms);
                self.jobs.insert(value.value.facts.id, Read { expect, value });
            }
            Part::Runner => {
                let mut value = decode_row::<Runner>(&found.body)?;
                forget(&mut value.rev, runner_end(&value.value), keep, now_ms);
                self.runners.insert(value.value.name.clone(), Read { expect, value });
            }
            Part::Pool => {
                let value = PoolItem::decode(&found.body)?;
                self.pools.insert(value.row.pool.id.clone(), Read { expect, value });
            }
            Part::Effect => drop(self.effects.insert(at.sort.as_str().into())),
            Part::Suspicion
            | Part::Budget
            | Part::Lease
            | Part::Wait(_)
            | Part::LogJob(_)
            | Part::LogRunner(_)
            | Part::Log => {}
        }
        Ok(())
    }
}

/// A row that ended long ago is one that does not exist: whatever takes such rows out may be late.
fn forget(rev: &mut u64, end_ms: Option<u64>, keep: Keep, now_ms: u64) {
    if is_over(end_ms, keep, now_ms) {
        *rev = 0;
    }
}

/// Whether a row that ended then is kept no longer.
pub(super) fn is_over(end_ms: Option<u64>, keep: Keep, now_ms: u64) -> bool {
    end_ms.is_some_and(|at_ms| at_ms < now_ms.saturating_sub(keep.ended_ms))
}

/// Names the row that cannot be read.
pub(super) fn damaged(at: &At, error: &RowError) -> RowError {
    RowError::new(format!("row {}/{}: {error}", at.part.name(), at.sort))
}

fn pool_of(guard: &Guard) -> Option<&PoolId> {
    match guard {
        Guard::DeficitAtMost(id, _) | Guard::DeficitAtLeast(id, _) => Some(id),
        Guard::FleetAtMost(_)
        | Guard::FleetAtLeast(_)
        | Guard::ClassAtMost(..)
        | Guard::ClassAtLeast(..)
        | Guard::Drained(..)
        | Guard::NotInventoried => None,
    }
}
