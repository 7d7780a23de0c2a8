//! What is looked at when a world is at rest: the invariants by name (DESIGN §2), on GitHub's and the engine's truth.

use std::{collections::BTreeSet, sync::Arc};

use fleet::{
    ids::{JobId, RunnerName},
    job::Conclusion,
    policy::Placement,
};

use super::{run::job_name, world::World};
use crate::hub::model::{Cause, HubJob, Status};

/// Jobs that our policy serves.
pub(crate) fn in_scope(world: &Arc<World>) -> Vec<JobId> {
    let state = world.lock();
    let serves = |job: &&HubJob| matches!(state.policy.place(&job.facts), Placement::Pool(_));
    state.hub.jobs.values().filter(serves).map(|job| job.facts.id).collect()
}

/// What is not at rest, in words.
pub(crate) fn leftovers(world: &Arc<World>) -> Vec<String> {
    let mut left = Vec::new();
    for id in in_scope(world) {
        let state = world.lock();
        if let Some(job) = state.hub.jobs.get(&id).filter(|job| !job.is_done() && job.status() != Status::Waiting) {
            left.push(format!("no-job-lost: {} is {:?}", job_name(id), job.status()));
        }
    }
    let state = world.lock();
    let prefix = state.policy.prefix();
    left.extend(state.cloud.live().map(|(task, _)| format!("scale-to-zero: {task} still runs")));
    for registered in state.hub.registrations.values().filter(|registered| registered.is_live()) {
        if RunnerName::parse_registered(&prefix, &registered.name).is_some() {
            left.push(format!("scale-to-zero: {} is still registered", registered.name));
        }
    }
    let waiting = state.hub.jobs.values().filter(|job| job.status() == Status::Waiting);
    let waits: BTreeSet<JobId> = waiting.map(|job| job.facts.id).collect();
    drop(state);
    world.fleet.store.look(|ledger| {
        // One that waits for an approval waits for a person.
        let open = ledger.jobs().filter(|job| job.state.is_open() && !waits.contains(&job.facts.id));
        left.extend(open.map(|job| format!("scale-to-zero: the row of {} is {:?}", job_name(job.facts.id), job.state)));
        let live = ledger.runners().filter(|runner| runner.state.is_live());
        left.extend(live.map(|runner| format!("scale-to-zero: the row of {} is {:?}", runner.name, runner.state)));
        left.extend(ledger.effects().map(|(id, _)| format!("scale-to-zero: effect {id} is pending")));
    });
    left
}

/// The last look.
pub(crate) fn at_rest(world: &Arc<World>, rested: bool) {
    if !rested {
        // The first few say it all.
        leftovers(world).into_iter().take(5).for_each(|text| world.violation(text));
    }
    no_job_lost(world);
    no_surplus(world);
    nothing_silent(world);
    secrets_stay_secret(world);
}

fn no_job_lost(world: &Arc<World>) {
    let mut lost = Vec::new();
    for id in in_scope(world) {
        let state = world.lock();
        if let Some(Status::Done { cause: Cause::QueueTimeout, .. }) = state.hub.jobs.get(&id).map(HubJob::status) {
            lost.push(format!("no-job-lost: {} failed in the queue", job_name(id)));
        }
    }
    lost.into_iter().for_each(|text| world.violation(text));
}

/// Without faults, a machine that ran no job was one whose job was stolen or cancelled.
fn no_surplus(world: &Arc<World>) {
    let state = world.lock();
    if state.profile.name != "calm" {
        return;
    }
    let ran = |job: &&HubJob| job.ran_on.is_some();
    let jobs: Vec<&HubJob> = state.hub.jobs.values().collect();
    let without = state.cloud.started.saturating_sub(jobs.iter().filter(|job| ran(job)).count() as u64);
    let stolen = jobs.iter().filter(|job| stolen(&state, job)).count() as u64;
    let cancelled = jobs.iter().filter(|job| job.ran_on.is_none() && job.is_done()).count() as u64;
    drop(state);
    if without > stolen + cancelled {
        world.violation(format!(
            "no-surplus: {without} machines ran no job, but only {stolen} jobs were stolen and {cancelled} cancelled"
        ));
    }
}

/// Whether a job ran on a runner of another pool than its own.
fn stolen(state: &super::world::State, job: &HubJob) -> bool {
    let Placement::Pool(pool) = state.policy.place(&job.facts) else { return true };
    let machine = job.ran_on.and_then(|id| state.cloud.by_registration(id));
    machine.is_some_and(|machine| machine.spec.pool.id != pool.id)
}

/// Where webhooks arrive, every interrupted job is told of.
fn nothing_silent(world: &Arc<World>) {
    let state = world.lock();
    if state.profile.name != "deaths" {
        return;
    }
    // One that a person cancelled afterwards is missed by nobody.
    let cancelled = |id: &&JobId| {
        let status = state.hub.jobs.get(id).map(HubJob::status);
        matches!(status, Some(Status::Done { conclusion: Conclusion::Cancelled, .. }))
    };
    let untold = state.interrupted.difference(&state.told_interrupted).filter(|id| !cancelled(id));
    let untold: Vec<JobId> = untold.copied().collect();
    drop(state);
    for job in untold {
        world.violation(format!("nothing-silent: {} lost its machine and nobody was told", job_name(job)));
    }
}

fn secrets_stay_secret(world: &Arc<World>) {
    let found = world.fleet.store.look(|ledger| {
        let rows = ledger.jobs().map(|row| format!("{row:?}")).chain(ledger.runners().map(|row| format!("{row:?}")));
        rows.chain(ledger.effects().map(|row| format!("{row:?}"))).find(|row| row.contains("s3cr3t"))
    });
    if let Some(row) = found {
        world.violation(format!("secrets-stay-secret: a row holds one: {row}"));
    }
}
