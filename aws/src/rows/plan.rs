//! From a decision and the rows that were read for it to the changes to write: what each changed row adds to its pool and
//! to the totals, and who is the oldest waiting job then.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    effect::Pending,
    ids::{JobId, PoolId},
    job::{Job, JobState},
    ledger::{Conflict, RowError, encode_row, job_end, runner_end},
    runner::Runner,
    view::{Decision, Guard, Put},
};

use super::{
    At, Change, Expect, Found, Keep, Part, PoolItem, Reading, TotalsChange, log,
    pool::{Counts, Waiting},
};

/// What is written together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Rows.
    pub changes: Vec<Change>,
    /// The totals.
    pub totals: TotalsChange,
    /// Entries of the log.
    pub log: Vec<Change>,
}

impl Plan {
    /// A change of one row.
    pub(crate) fn one(change: Change) -> Self {
        Self { changes: vec![change], ..Self::default() }
    }
}

/// Why there is no plan.
#[derive(Debug)]
pub(crate) enum NoPlan {
    /// What was decided on has changed.
    Conflict(Conflict),
    /// A row cannot be written.
    Row(RowError),
}

impl From<RowError> for NoPlan {
    fn from(error: RowError) -> Self {
        Self::Row(error)
    }
}

/// Plans a commit.
pub(crate) fn plan(
    decision: &Decision,
    reading: &Reading,
    stamp: &str,
    keep: Keep,
    now_ms: u64,
) -> Result<Plan, NoPlan> {
    let mut planner = Planner { reading, keep, now_ms, pools: BTreeMap::new(), plan: Plan::default() };
    planner.plan.totals = TotalsChange::of(decision)?;
    planner.pools(decision)?;
    decision.jobs.iter().try_for_each(|put| planner.job(put))?;
    decision.runners.iter().try_for_each(|put| planner.runner(put))?;
    planner.effects(decision)?;
    planner.write_pools()?;
    planner.guards(decision)?;
    planner.plan.log = log::rows(&decision.records, stamp, keep.log_ms)?;
    Ok(planner.plan)
}

struct Planner<'a> {
    reading: &'a Reading,
    keep: Keep,
    now_ms: u64,
    pools: BTreeMap<PoolId, Draft>,
    plan: Plan,
}

/// A pool in the making.
struct Draft {
    expect: Expect,
    before: Option<PoolItem>,
    after: PoolItem,
    joining: Vec<Waiting>,
    leaving: BTreeSet<JobId>,
}

fn conflict<T>(what: String) -> Result<T, NoPlan> {
    Err(NoPlan::Conflict(Conflict(what)))
}

impl Planner<'_> {
    /// All pools that were read, and those that are new.
    fn pools(&mut self, decision: &Decision) -> Result<(), NoPlan> {
        for (id, read) in &self.reading.pools {
            let (before, after) = (Some(read.value.clone()), read.value.clone());
            self.pools.insert(id.clone(), Draft::new(read.expect, before, after));
        }
        for put in &decision.pools {
            let id = &put.value.pool.id;
            if self.pools.get(id).map_or(0, |draft| draft.after.rev) != put.rev {
                return conflict(format!("pool {id} has changed"));
            }
            let counts = self.pools.get(id).map_or_else(Counts::default, |draft| draft.after.counts.clone());
            let item = PoolItem { rev: put.rev + 1, row: put.value.clone(), counts };
            match self.pools.get_mut(id) {
                Some(draft) => draft.after = item,
                None => drop(self.pools.insert(id.clone(), Draft::new(Expect::Absent, None, item))),
            }
        }
        Ok(())
    }

    fn job(&mut self, put: &Put<Job>) -> Result<(), NoPlan> {
        let (id, new) = (put.value.facts.id, &put.value);
        let read = self.reading.jobs.get(&id);
        if read.map_or(0, |read| read.value.rev) != put.rev {
            return conflict(format!("job {id} has changed"));
        }
        if new.state == JobState::Queued {
            self.must_exist(new.pool.as_ref())?;
        }
        let old = read.map(|read| &read.value.value);
        let (before, after) = (old.and_then(waits), waits(new));
        if before != after {
            if let Some((pool, waiting)) = before {
                self.leave(&pool, waiting);
            }
            if let Some((pool, waiting)) = after {
                self.join(&pool, waiting)?;
            }
        }
        let expect = read.map_or(Expect::Absent, |read| read.expect);
        let body = encode_row(put.rev + 1, new)?;
        self.put(At::job(id), expect, body, job_end(new));
        Ok(())
    }

    fn leave(&mut self, pool: &PoolId, waiting: Waiting) {
        if let Some(draft) = self.pools.get_mut(pool) {
            draft.after.counts.queued = draft.after.counts.queued.saturating_sub(1);
            draft.leaving.insert(waiting.job);
        }
        let at = At::new(Part::Wait(pool.clone()), waiting.sort());
        self.plan.changes.push(Change::Delete { at, expect: None });
    }

    fn join(&mut self, pool: &PoolId, waiting: Waiting) -> Result<(), NoPlan> {
        let at = At::new(Part::Wait(pool.clone()), waiting.sort());
        let row = Found { version: 0, body: waiting.encode()? };
        self.plan.changes.push(Change::Put { at, row, expect: None, lasts_ms: None });
        if let Some(draft) = self.pools.get_mut(pool) {
            draft.after.counts.queued += 1;
            draft.joining.push(waiting);
        }
        Ok(())
    }

    fn runner(&mut self, put: &Put<Runner>) -> Result<(), NoPlan> {
        let new = &put.value;
        let read = self.reading.runners.get(&new.name);
        if read.map_or(0, |read| read.value.rev) != put.rev {
            return conflict(format!("runner {} has changed", new.name));
        }
        if new.state.is_live() {
            self.must_exist(Some(&new.pool))?;
        }
        let old = read.map(|read| &read.value.value);
        for (runner, by) in old.map(|old| (old, -1)).into_iter().chain([(new, 1)]) {
            self.count(runner, by);
        }
        let expect = read.map_or(Expect::Absent, |read| read.expect);
        let body = encode_row(put.rev + 1, new)?;
        self.put(At::runner(&new.name), expect, body, runner_end(new));
        Ok(())
    }

    fn count(&mut self, runner: &Runner, by: i64) {
        let (live, unbound) = (runner.state.is_live(), runner.state.is_unbound());
        if live {
            self.plan.totals.live(&runner.class, by);
        }
        if let Some(draft) = self.pools.get_mut(&runner.pool) {
            let counts = &mut draft.after.counts;
            shift(&mut counts.live, live, by);
            shift(&mut counts.unbound, unbound, by);
        }
    }

    /// A pool that was empty may have been taken out since it was read; without it nothing would be counted.
    fn must_exist(&self, pool: Option<&PoolId>) -> Result<(), NoPlan> {
        match pool.filter(|id| !self.pools.contains_key(*id)) {
            Some(id) => conflict(format!("pool {id} was taken out")),
            None => Ok(()),
        }
    }

    /// The guards of pools. They are judged here on what was read, and hold when it is written because each pool's
    /// version is named then.
    fn guards(&mut self, decision: &Decision) -> Result<(), NoPlan> {
        for guard in &decision.guards {
            let (id, holds): (_, &dyn Fn(i64) -> bool) = match guard {
                Guard::DeficitAtMost(id, n) => (id, &|deficit| deficit <= *n),
                Guard::DeficitAtLeast(id, n) => (id, &|deficit| deficit >= *n),
                Guard::FleetAtMost(_)
                | Guard::FleetAtLeast(_)
                | Guard::ClassAtMost(..)
                | Guard::ClassAtLeast(..)
                | Guard::Drained(..)
                | Guard::NotInventoried => continue,
            };
            let read = self.reading.pools.get(id);
            if !holds(read.map_or(0, |read| read.value.counts.deficit())) {
                return conflict(format!("{guard:?} does not hold"));
            }
            let at = At::pool(id);
            if !self.plan.changes.iter().any(|change| *change.at() == at) {
                self.plan.changes.push(Change::Check { at, expect: read.map_or(Expect::Absent, |read| read.expect) });
            }
        }
        Ok(())
    }

    fn effects(&mut self, decision: &Decision) -> Result<(), NoPlan> {
        let stored: BTreeSet<_> = decision.effects.iter().map(|(effect, _)| effect.id()).collect();
        let settled: BTreeSet<_> = decision.settled.iter().collect();
        for id in settled.into_iter().filter(|id| self.reading.effects.contains(*id) && !stored.contains(*id)) {
            self.plan.changes.push(Change::Delete { at: At::effect(id), expect: None });
        }
        // Of two with one name the later one counts.
        let mut last: BTreeMap<_, _> = BTreeMap::new();
        for (effect, due_ms) in &decision.effects {
            last.insert(effect.id(), Pending { effect: effect.clone(), due_ms: *due_ms, tries: 0, lease: None });
        }
        for (id, pending) in last {
            let row = Found { version: Expect::Absent.next(self.now_ms), body: encode_row(0, &pending)? };
            self.plan.changes.push(Change::Put { at: At::effect(&id), row, expect: None, lasts_ms: None });
        }
        Ok(())
    }

    fn write_pools(&mut self) -> Result<(), NoPlan> {
        for (id, mut draft) in std::mem::take(&mut self.pools) {
            draft.find_head(self.reading.waiting.get(&id));
            if draft.is_changed() {
                let body = draft.after.encode()?;
                self.put(At::pool(&id), draft.expect, body, None);
            }
        }
        Ok(())
    }

    fn put(&mut self, at: At, expect: Expect, body: String, end_ms: Option<u64>) {
        let row = Found { version: expect.next(self.now_ms), body };
        let lasts_ms = end_ms.map(|_| self.keep.ended_ms);
        self.plan.changes.push(Change::Put { at, row, expect: Some(expect), lasts_ms });
    }
}

impl Draft {
    fn new(expect: Expect, before: Option<PoolItem>, after: PoolItem) -> Self {
        Self { expect, before, after, joining: Vec::new(), leaving: BTreeSet::new() }
    }

    fn is_changed(&self) -> bool {
        self.before.as_ref() != Some(&self.after)
    }

    /// The oldest waiting job after all this: the one before if it stays, else the next of those that wait; or one that
    /// joins.
    fn find_head(&mut self, waiting: Option<&Vec<Waiting>>) {
        let before = self.after.counts.head.take().into_iter();
        let stays = before.chain(waiting.into_iter().flatten().cloned());
        let stays = stays.filter(|waiting| !self.leaving.contains(&waiting.job));
        self.after.counts.head = stays.chain(std::mem::take(&mut self.joining)).min();
    }
}

/// Where a job waits.
fn waits(job: &Job) -> Option<(PoolId, Waiting)> {
    job.queued_in().map(|pool| (pool.clone(), job.head().into()))
}

fn shift(total: &mut u32, counts: bool, by: i64) {
    if counts {
        *total = u32::try_from(i64::from(*total) + by).unwrap_or(0);
    }
}
