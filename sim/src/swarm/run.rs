//! One world from beginning to end: faults while jobs arrive, then none, until everything is at rest.
//!
//! First phase: safety — the limits hold, nobody is stopped at work. Second phase: liveness — every job gets its runner,
//! and nothing is left.

use std::{collections::BTreeMap, sync::Arc};

use controller::service::Decider;
use fastrand::Rng;
use fleet::effect::NoticeKind;

use super::{
    check,
    profile::Profile,
    scenario::{self, FAULTS_END_MS},
    world::World,
};
use crate::hub::faults::HubFaults;

/// After this time a world that is not at rest never will be. One runner at a time and a job that never ends make it long.
const REST_LIMIT_MS: u64 = 20 * 3_600_000;

/// How often it is looked whether a world is at rest, milliseconds.
const LOOK_EVERY_MS: u64 = 30_000;

/// What to run.
#[derive(Clone, Default)]
pub struct Options {
    /// The seed: the same seed and number of jobs give the same world.
    pub seed: u64,
    /// Jobs in it.
    pub jobs: usize,
    /// Whether to keep a trace.
    pub trace: bool,
    /// Another core in place of the right one.
    pub decider: Option<Arc<dyn Decider>>,
    /// These faults instead of the seed's.
    pub profile: Option<Profile>,
    /// The controller dies right after this port call, counted from 1.
    pub crash_at_call: Option<u64>,
}

/// What became of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Name of its faults.
    pub profile: &'static str,
    /// Broken promises, in words. Empty if all is well.
    pub violations: Vec<String>,
    /// Faults that occurred.
    pub faults: BTreeMap<&'static str, u64>,
    /// Rows of the transition tables that were used.
    pub steps: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    /// Notices, by kind.
    pub notices: BTreeMap<NoticeKind, u64>,
    /// Jobs pushed.
    pub pushed: u64,
    /// Jobs in scope.
    pub jobs: u64,
    /// Machines started.
    pub started: u64,
    /// Most machines at once.
    pub peak: usize,
    /// Port calls made.
    pub calls: u64,
    /// Virtual time until all was at rest, milliseconds.
    pub rest_ms: u64,
    /// Lines of the trace, if asked for.
    pub trace: Vec<String>,
}

/// Runs one world.
///
/// # Errors
/// The runtime cannot be made.
pub fn run(options: &Options) -> std::io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(live(options)))
}

async fn live(options: &Options) -> Outcome {
    let mut rng = Rng::with_seed(options.seed);
    let profile = options.profile.clone().unwrap_or_else(|| Profile::of(&mut rng));
    let name = profile.name;
    let world = scenario::build(profile, &mut rng, options);
    if let Some(decider) = &options.decider {
        world.fleet.set_decider(decider.clone());
    }
    let controllers = world.lock().profile.controllers;
    world.fleet.start(&world, controllers);
    tokio::spawn(drive(world.clone()));
    tokio::spawn(scenario::play(world.clone(), rng, options.jobs));
    world.sleep(FAULTS_END_MS).await;
    heal(&world);
    let rest_ms = rest(&world).await;
    check::at_rest(&world, rest_ms.is_some());
    outcome(&world, options.jobs, options.seed, name, rest_ms)
}

/// GitHub's part of the world: time passes, webhooks are sent.
pub(crate) async fn drive(world: Arc<World>) {
    loop {
        let now_ms = world.now_ms();
        let (due, next_ms) = {
            let mut state = world.lock();
            state.hub.tick(now_ms);
            (state.hub.due(now_ms), state.hub.next_event_ms())
        };
        world.assigned.notify_waiters();
        for delivery in due {
            tokio::spawn(deliver(world.clone(), delivery));
        }
        let changed = world.changed.notified();
        match next_ms {
            Some(next_ms) => {
                let sleep = world.sleep(next_ms.saturating_sub(world.now_ms()).max(1));
                tokio::select! { () = changed => {}, () = sleep => {} }
            }
            None => changed.await,
        }
    }
}

async fn deliver(world: Arc<World>, delivery: crate::hub::delivery::Delivery) {
    world.latency(1_500).await;
    let taken = world.fleet.deliver(&world, delivery.event()).await;
    let now_ms = world.now_ms();
    world.lock().hub.delivered(delivery.id, taken, now_ms);
    world.changed.notify_one();
}

pub(crate) fn heal(world: &Arc<World>) {
    world.trace(|| "--- no more faults ---".into());
    let mut state = world.lock();
    state.profile = state.profile.healed();
    state.crash_at_call = None;
    state.hub.faults = HubFaults { all_lost: state.profile.all_lost, ..HubFaults::default() };
    drop(state);
    world.changed.notify_one();
}

/// Waits until everything is at rest; when that was, or `None`.
pub(crate) async fn rest(world: &Arc<World>) -> Option<u64> {
    while world.age_ms() < REST_LIMIT_MS {
        if check::leftovers(world).is_empty() {
            return Some(world.age_ms());
        }
        world.sleep(LOOK_EVERY_MS).await;
    }
    None
}

fn outcome(world: &Arc<World>, pushed: usize, seed: u64, profile: &'static str, rest_ms: Option<u64>) -> Outcome {
    let jobs = check::in_scope(world).len() as u64;
    let trace = world.take_trace();
    let state = world.lock();
    let mut faults = state.faults.clone();
    for (name, count) in &state.hub.faults_seen {
        *faults.entry(name).or_default() += count;
    }
    Outcome {
        seed,
        profile,
        violations: state.violations.clone(),
        faults,
        steps: state.steps.clone(),
        notices: state.notices.clone(),
        pushed: pushed as u64,
        jobs,
        started: state.cloud.started,
        peak: state.cloud.peak,
        calls: state.calls,
        rest_ms: rest_ms.unwrap_or(REST_LIMIT_MS),
        trace,
    }
}
