//! What is looked at when a world is at rest: the invariants by name (DESIGN §2), on GitHub's and the engine's truth.

use std::{collections::BTreeSet, sync::Arc};

use fleet::{
    ids::{JobId, RunnerName},
    invariants::{self, MachinesUsed},
    job::Conclusion,
    policy::Placement,
};

use super::world::World;
use crate::hub::model::{Cause, HubJob, Status};

/// Jobs that our policy serves.
pub(crate) fn in_scope(world: &Arc<World>) -> Vec<JobId> {
    let state = world.lock();
    let serves = |job: &&HubJob| matches!(state.policy.place(&job.facts), Placement::Pool(_));
    state.hub.jobs.values().filter(serves).map(|job| job.facts.id).collect()
}

/// What is not at rest, in words.
pub(crate) fn leftovers(world: &Arc<World>) -> Vec<String> {
    let scope = in_scope(world);
    let state = world.lock();
    let open = scope.iter().filter_map(|id| state.hub.jobs.get(id));
    let open = open.filter(|job| !job.is_done() && job.status() != Status::Waiting);
    let mut left = invariants::no_job_lost(open.map(|job| (job.facts.id, format!("is {:?}", job.status()))));
    let prefix = state.policy.prefix();
    let live = state.hub.true_runners().filter(|runner| runner.is_live());
    let ours = live.filter(|runner| RunnerName::parse_registered(&prefix, &runner.name).is_some());
    left.extend(invariants::nothing_outside(state.cloud.live().map(|(task, _)| task), ours.map(|runner| &runner.name)));
    let waiting = state.hub.jobs.values().filter(|job| job.status() == Status::Waiting);
    let waits: BTreeSet<JobId> = waiting.map(|job| job.facts.id).collect();
    drop(state);
    left.extend(world.fleet.store.look(|ledger| {
        // One that waits for an approval waits for a person.
        let jobs = ledger.jobs().filter(|job| !waits.contains(&job.facts.id));
        invariants::scale_to_zero(jobs, ledger.runners(), ledger.effects().map(|(id, _)| id))
    }));
    left
}

/// The last look.
pub(crate) fn at_rest(world: &Arc<World>, rested: bool) {
    let mut broken = Vec::new();
    if !rested {
        // The first few say it all.
        broken.extend(leftovers(world).into_iter().take(5));
    }
    broken.extend(no_job_lost(world));
    broken.extend(no_surplus(world));
    broken.extend(nothing_silent(world));
    broken.extend(secrets_stay_secret(world));
    broken.into_iter().for_each(|text| world.violation(text));
}

fn no_job_lost(world: &Arc<World>) -> Vec<String> {
    let scope = in_scope(world);
    let state = world.lock();
    let jobs = scope.iter().filter_map(|id| state.hub.jobs.get(id));
    let lost = jobs.filter(|job| matches!(job.status(), Status::Done { cause: Cause::QueueTimeout, .. }));
    invariants::no_job_lost(lost.map(|job| (job.facts.id, "failed in the queue")))
}

/// Looked at where nothing fails.
fn no_surplus(world: &Arc<World>) -> Option<String> {
    let state = world.lock();
    let jobs = || state.hub.jobs.values();
    let used = MachinesUsed {
        started: state.cloud.started,
        ran_a_job: jobs().filter(|job| job.ran_on.is_some()).count() as u64,
        stolen: jobs().filter(|job| stolen(&state, job)).count() as u64,
        cancelled: jobs().filter(|job| job.ran_on.is_none() && job.is_done()).count() as u64,
    };
    invariants::no_surplus(&used).filter(|_| state.profile.name == "calm")
}

/// Whether a job ran on a runner of another pool than its own.
fn stolen(state: &super::world::State, job: &HubJob) -> bool {
    let Placement::Pool(pool) = state.policy.place(&job.facts) else { return true };
    let machine = job.ran_on.and_then(|id| state.cloud.by_registration(id));
    machine.is_some_and(|machine| machine.spec.pool.id != pool.id)
}

/// Looked at where webhooks arrive.
fn nothing_silent(world: &Arc<World>) -> Vec<String> {
    let state = world.lock();
    if state.profile.name != "deaths" {
        return Vec::new();
    }
    // One that a person cancelled afterwards is missed by nobody.
    let cancelled = |id: &&JobId| {
        let status = state.hub.jobs.get(id).map(HubJob::status);
        matches!(status, Some(Status::Done { conclusion: Conclusion::Cancelled, .. }))
    };
    let interrupted = state.interrupted.iter().filter(|id| !cancelled(id)).copied().collect();
    invariants::nothing_silent(&interrupted, &state.told_interrupted)
}

fn secrets_stay_secret(world: &Arc<World>) -> Vec<String> {
    world.fleet.store.look(|ledger| {
        let jobs = ledger.jobs().map(|row| ("the row of a job", format!("{row:?}")));
        let runners = ledger.runners().map(|row| ("the row of a runner", format!("{row:?}")));
        let effects = ledger.effects().map(|row| ("an effect", format!("{row:?}")));
        invariants::secrets_stay_secret(jobs.chain(runners).chain(effects), &["s3cr3t"])
    })
}
