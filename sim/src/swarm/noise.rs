//! Words that must change nothing: stale, forged or misplaced. A slow sweep acts on what it saw minutes ago, a job with
//! `sudo` forges reports, a person reads a job that is not ours. Each goes the way of every other event.
//!
//! Nothing is said here that a right core has to act on: that is what the rest of the world does.

use std::sync::Arc;

use fastrand::Rng;
use fleet::{
    event::Event,
    ids::JobId,
    job::JobInput,
    runner::{Runner, RunnerInput, RunnerState},
};

use super::world::World;

/// Milliseconds between two words, at most.
const PAUSE_MS: u64 = 4_000;

/// One in so many words is a deed: a job vanishes, a registration is deleted.
const RARE_ONE_IN: u32 = 60;

/// Makes noise until faults end.
pub(crate) async fn make(world: Arc<World>, mut rng: Rng) {
    while world.lock().profile.noise {
        world.sleep(rng.u64(200..PAUSE_MS)).await;
        match rng.u32(0..RARE_ONE_IN) {
            0 => vanish(&world, &mut rng),
            1 => unregister(&world, &mut rng),
            _ => {}
        }
        let event = match rng.u32(0..6) {
            0 => job_word(&world, &mut rng),
            1 => adoption(&world, &mut rng),
            _ => runner_word(&world, &mut rng),
        };
        let Some(event) = event else { continue };
        *world.lock().faults.entry("noise").or_default() += 1;
        world.fleet.tell(&world, event).await;
    }
}

fn vanish(world: &Arc<World>, rng: &mut Rng) {
    let mut state = world.lock();
    let queued: Vec<JobId> = state.hub.jobs.iter().filter(|(_, job)| !job.is_done()).map(|(id, _)| *id).collect();
    if rng.choice(queued).is_some_and(|id| state.hub.vanish(id)) {
        *state.faults.entry("job vanishes").or_default() += 1;
    }
}

/// A person deletes the registration of a runner that waits for a job.
fn unregister(world: &Arc<World>, rng: &mut Rng) {
    let now_ms = world.now_ms();
    let mut state = world.lock();
    let idle: Vec<_> = state
        .hub
        .true_runners()
        .filter(|runner| runner.is_live() && runner.job.is_none())
        .map(|runner| (runner.scope.clone(), runner.id))
        .collect();
    let Some((scope, id)) = rng.choice(idle) else { return };
    if state.hub.delete_runner(now_ms, &scope, id).is_ok() {
        *state.faults.entry("registration deleted").or_default() += 1;
    }
}

/// Somebody reads a job, any job, and says truly what it found.
fn job_word(world: &Arc<World>, rng: &mut Rng) -> Option<Event> {
    let state = world.lock();
    let ids: Vec<JobId> = state.hub.jobs.keys().copied().collect();
    let job = state.hub.snapshot(rng.choice(ids)?)?;
    let Event::Job { facts, input } = job.event(true) else { return None };
    // One that was deleted after it had ended, or that was never ours to know.
    let deleted = matches!(input, JobInput::Completed { .. }) && rng.u32(0..4) == 0;
    let foreign = facts.repo.owner() == "evil";
    Some(Event::Job { input: if deleted || foreign { JobInput::Missing } else { input }, facts })
}

/// The engine shows a machine, dead or alive, of which we have a row.
fn adoption(world: &Arc<World>, rng: &mut Rng) -> Option<Event> {
    let now_ms = world.now_ms();
    let live = world.lock().cloud.list(now_ms, 0);
    rng.choice(live).filter(|task| task.stopped.is_none()).map(Event::Adopt)
}

fn runner_word(world: &Arc<World>, rng: &mut Rng) -> Option<Event> {
    let runners: Vec<Runner> = world.fleet.store.look(|ledger| ledger.runners().cloned().collect());
    // Each state as often as any other: most runners are gone most of the time.
    let states: Vec<&str> = runners.iter().map(|runner| runner.state.label()).collect();
    let state = rng.choice(states.iter().copied().collect::<std::collections::BTreeSet<_>>())?;
    let alike: Vec<&Runner> = runners.iter().filter(|runner| runner.state.label() == state).collect();
    let runner = rng.choice(alike)?;
    let input = word(runner, rng)?;
    Some(Event::Runner { runner: runner.name.clone(), input })
}

/// A word that this runner must not heed, whatever happens to it in the next moment. `None`: rather say nothing.
fn word(runner: &Runner, rng: &mut Rng) -> Option<RunnerInput> {
    let past_boot = !matches!(runner.state, RunnerState::Reserved | RunnerState::Starting | RunnerState::Claimed);
    let served =
        matches!(runner.state, RunnerState::Busy { .. } | RunnerState::Ending { .. } | RunnerState::Gone { .. });
    let launched = !matches!(runner.state, RunnerState::Reserved);
    let gone = !runner.state.is_live();
    let other = runner.attempt + 1;
    match rng.u32(0..16) {
        0 => Some(RunnerInput::NoDemand).filter(|_| past_boot),
        1 => Some(RunnerInput::Recall),
        2 => Some(RunnerInput::BootOverdue).filter(|_| past_boot || !launched),
        3 => Some(RunnerInput::Ghost).filter(|_| served || !past_boot && !launched),
        4 => Some(RunnerInput::StopOverdue),
        5 => Some(RunnerInput::LifetimeOver),
        6 => Some(RunnerInput::TaskAlive { task: runner.task.clone().unwrap_or_else(|| "task/of-nobody".into()) }),
        7 => Some(RunnerInput::Refused { attempt: other, why: "an old answer".into() }),
        8 => Some(RunnerInput::ClaimWaits { attempt: other }),
        9 => Some(RunnerInput::Claim { attempt: if past_boot { runner.attempt } else { other } }),
        10 => Some(RunnerInput::StopIdle { by: "somebody".into() }).filter(|_| launched),
        11 => Some(RunnerInput::SpotNotice).filter(|_| gone || matches!(runner.state, RunnerState::Ending { .. })),
        12 => Some(RunnerInput::Launched { attempt: other, task: "task/of-nobody".into() }),
        13 => Some(RunnerInput::Outfitted { attempt: if launched { runner.attempt } else { other } }),
        14 => {
            let attempt = if launched { runner.attempt } else { other };
            Some(RunnerInput::NotOutfitted { attempt, refused: Some("an old answer".into()) })
        }
        _ => Some(RunnerInput::Stop { by: "somebody".into() }).filter(|_| gone),
    }
}
