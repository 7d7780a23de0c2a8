//! One world: GitHub, the engine, the dice, what was seen, what was broken.
//!
//! A lock around plain state; never held across an await. Time is tokio's paused clock.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fastrand::Rng;
use fleet::{
    effect::{Notice, NoticeKind},
    event::Event,
    ids::{JobId, RegistrationId, RunnerName, TaskId},
    invariants::{self, StopSeen},
    policy::Policy,
    runner::RunnerInput,
};
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};

use super::{cloud::Cloud, process::Fleet, profile::Profile};
use crate::hub::Hub;

/// What the clock shows when a world begins: so large that nothing subtracts below zero.
const BEGIN_MS: u64 = 1_800_000_000_000;

/// Most lines of a trace.
const TRACE_LINES: usize = 20_000;

/// One world.
pub(crate) struct World {
    state: Mutex<State>,
    begin: Instant,
    /// Something has changed at GitHub.
    pub(crate) changed: Notify,
    /// A job may have been assigned.
    pub(crate) assigned: Notify,
    /// The controllers.
    pub(crate) fleet: Fleet,
}

/// The state of a world.
pub(crate) struct State {
    pub(crate) hub: Hub,
    pub(crate) cloud: Cloud,
    pub(crate) rng: Rng,
    pub(crate) profile: Profile,
    pub(crate) policy: Policy,
    /// Faults that occurred, by name.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Broken promises, in words.
    pub(crate) violations: Vec<String>,
    /// Notices by kind.
    pub(crate) notices: BTreeMap<NoticeKind, u64>,
    /// What a person was told, in order.
    pub(crate) told: Vec<Notice>,
    /// Rows of the transition tables that decisions used.
    pub(crate) steps: BTreeMap<(&'static str, &'static str, &'static str), u64>,
    /// Runners that a person had stopped.
    pub(crate) stopped_by_hand: BTreeSet<RunnerName>,
    /// Jobs whose machine went while they ran.
    pub(crate) interrupted: BTreeSet<JobId>,
    /// Jobs of which a notice said so.
    pub(crate) told_interrupted: BTreeSet<JobId>,
    /// Jobs whose own work fails.
    pub(crate) failing: BTreeSet<JobId>,
    /// By how much the controllers' clocks were set, milliseconds.
    pub(crate) clock_set_ms: i64,
    /// Port calls so far, and the one at which the controller dies.
    pub(crate) calls: u64,
    pub(crate) crash_at_call: Option<u64>,
    /// Calls of GitHub by what they ask.
    pub(crate) asked: BTreeMap<&'static str, u64>,
    trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(hub: Hub, policy: Policy, profile: Profile, rng: Rng, trace: bool) -> Arc<Self> {
        let state = State {
            hub,
            cloud: Cloud::default(),
            rng,
            profile,
            policy,
            faults: BTreeMap::new(),
            violations: Vec::new(),
            notices: BTreeMap::new(),
            told: Vec::new(),
            steps: BTreeMap::new(),
            stopped_by_hand: BTreeSet::new(),
            interrupted: BTreeSet::new(),
            told_interrupted: BTreeSet::new(),
            failing: BTreeSet::new(),
            clock_set_ms: 0,
            calls: 0,
            crash_at_call: None,
            asked: BTreeMap::new(),
            trace: trace.then(Vec::new),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            begin: Instant::now(),
            changed: Notify::new(),
            assigned: Notify::new(),
            fleet: Fleet::default(),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True time, milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        BEGIN_MS + u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the world began.
    pub(crate) fn age_ms(&self) -> u64 {
        self.now_ms() - BEGIN_MS
    }

    /// A number in a range.
    pub(crate) fn dice(&self, range: std::ops::RangeInclusive<u64>) -> u64 {
        self.lock().rng.u64(range)
    }

    /// Whether a fault occurs now, with a chance in thousandths; counted.
    pub(crate) fn fault(&self, name: &'static str, chance: impl Fn(&Profile) -> u32) -> bool {
        let mut state = self.lock();
        let permille = chance(&state.profile);
        let occurs = permille > 0 && state.rng.u32(0..1_000) < permille;
        if occurs {
            *state.faults.entry(name).or_default() += 1;
        }
        drop(state);
        if occurs {
            self.trace(|| format!("FAULT {name}"));
        }
        occurs
    }

    /// Adds a line to the trace.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        let age_ms = self.age_ms();
        let mut state = self.lock();
        if let Some(trace) = state.trace.as_mut().filter(|trace| trace.len() < TRACE_LINES) {
            let mut text = String::new();
            let _ = write!(text, "{:>8}.{:03} {}", age_ms / 1_000, age_ms % 1_000, line());
            trace.push(text);
        }
    }

    pub(crate) fn take_trace(&self) -> Vec<String> {
        self.lock().trace.take().unwrap_or_default()
    }

    pub(crate) fn violation(&self, text: String) {
        self.trace(|| format!("VIOLATION {text}"));
        self.lock().violations.push(text);
    }

    pub(crate) async fn sleep(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// A pause of random length: what lies between two computers.
    pub(crate) async fn latency(&self, most_ms: u64) {
        let ms = self.dice(0..=most_ms);
        if ms > 0 {
            self.sleep(ms).await;
        }
    }

    /// A machine ends, and the engine tells it.
    pub(crate) fn end_machine(self: &Arc<Self>, task: &TaskId, why: &str) {
        let now_ms = self.now_ms();
        let ended = {
            let mut state = self.lock();
            let State { cloud, hub, interrupted, .. } = &mut *state;
            cloud.end(task, why, now_ms).map(|machine| {
                if let Some(id) = machine.registration {
                    interrupted.extend(hub.runs_on(id));
                    hub.lost(now_ms, id);
                }
                machine.spec.runner.clone()
            })
        };
        let Some(runner) = ended else { return };
        self.trace(|| format!("{task} ended: {why}"));
        self.changed.notify_one();
        self.engine_says(runner, RunnerInput::TaskGone { why: why.into() });
    }

    /// The engine sends an event, which may get lost.
    pub(crate) fn engine_says(self: &Arc<Self>, runner: RunnerName, input: RunnerInput) {
        if self.fault("task event lost", |profile| profile.task_event_lost) {
            return;
        }
        let world = self.clone();
        tokio::spawn(async move {
            world.latency(2_000).await;
            world.fleet.tell(&world, Event::Runner { runner, input }).await;
        });
    }

    /// Checks that the limits hold, at the moment of a launch.
    pub(crate) fn check_caps(&self) {
        let over = {
            let state = self.lock();
            let mut live = BTreeMap::new();
            for (_, machine) in state.cloud.live() {
                *live.entry(machine.spec.pool.class.clone()).or_default() += 1;
            }
            invariants::cap_held(&state.policy, &live)
        };
        over.into_iter().for_each(|text| self.violation(text));
    }

    /// Checks that nobody is stopped at work, at the moment of a stop or a deletion from outside.
    pub(crate) fn check_busy(&self, registration: RegistrationId, what: &str) {
        let now_ms = self.now_ms();
        let broken = {
            let state = self.lock();
            let machine = state.cloud.by_registration(registration).filter(|machine| machine.stopped.is_none());
            machine.and_then(|machine| {
                let class = state.policy.class(&machine.spec.pool.class);
                invariants::busy_is_sacred(&StopSeen {
                    runner: &machine.spec.runner,
                    what,
                    job: state.hub.runs_on(registration),
                    born_ms: machine.born_ms,
                    // A clock that is fast sees the end of a life sooner.
                    at_ms: (now_ms + state.profile.skew_ms).saturating_add_signed(state.clock_set_ms),
                    max_lifetime_ms: class.map_or(0, |class| class.lifetime_ms(&machine.spec.pool.labels)),
                    by: state.stopped_by_hand.contains(&machine.spec.runner).then_some("operator"),
                })
            })
        };
        broken.into_iter().for_each(|text| self.violation(text));
    }
}
