//! The controllers of a world as processes: started, killed, started again, one store below them.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use controller::{
    agent_api::Refusal,
    letters::Letters,
    mem::MemStore,
    ports::{Inbox, Ports, Secret},
    service::{Controller, Core, Decider},
    settings::Settings,
    token::ClaimKeys,
};
use fleet::{
    decide::Moment,
    event::Event,
    ids::JobId,
    policy::Policy,
    reconcile::{Findings, Sight},
    rota::Pace,
    view::{Decision, View},
    wire::{ClaimAnswer, ClaimRequest, ReportAnswer, ReportRequest},
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{
    beside::Beside,
    ports::{SimClock, SimCompute, SimGitHub, SimNotifier, SimStore},
    world::World,
};

/// How late a message comes again at most, milliseconds; most come sooner.
const ECHO_LATEST_MS: u64 = 15 * 60_000;
const ECHO_SOON_MS: u64 = 40_000;

/// How often a controller sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// A call that takes longer begins nothing new: as of a function that is cut off soon after.
const CALL_LASTS: Duration = Duration::from_secs(20);

/// With nothing to do a controller is called as often as this, and never more often than that.
const CALLED_EACH: Duration = Duration::from_secs(60);
const CALLED_SOONEST: Duration = Duration::from_millis(100);

/// An agent waits so long for an answer.
const AGENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Most time that a killed controller takes to come back, milliseconds.
const DOWN_MS: u64 = 30_000;

/// What claim tokens are derived from.
pub(crate) const CLAIM_KEY: &str = "claim-key-s3cr3t";

/// All that controllers share, and those that live.
#[derive(Default)]
pub(crate) struct Fleet {
    pub(crate) store: Arc<MemStore>,
    /// A second store, held against the first.
    pub(crate) beside: OnceLock<Beside>,
    live: Mutex<Vec<Option<Arc<Process>>>>,
    turn: AtomicUsize,
    decider: Mutex<Option<Arc<dyn Decider>>>,
    lengths: Mutex<BTreeMap<JobId, u64>>,
    /// How controllers look for jobs.
    pub(crate) pace: Mutex<Pace>,
}

/// One process of a controller.
pub(crate) struct Process {
    pub(crate) controller: Arc<Controller>,
    tasks: Mutex<JoinSet<()>>,
    inbox: Arc<Notify>,
    pub(crate) life: Arc<Life>,
}

/// Whether a process lives; its ports ask before every call.
#[derive(Default)]
pub(crate) struct Life {
    dead: AtomicBool,
    died: Notify,
}

impl Life {
    /// Kills the process: nothing of it goes on.
    pub(crate) async fn die(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
        std::future::pending::<()>().await;
    }

    /// Never returns in a process that is dead.
    pub(crate) async fn alive(&self) {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

impl Fleet {
    /// Puts another core in place.
    pub(crate) fn set_decider(&self, decider: Arc<dyn Decider>) {
        *self.decider.lock().unwrap_or_else(PoisonError::into_inner) = Some(decider);
    }

    /// How long a job runs, milliseconds.
    pub(crate) fn length_ms(&self, job: JobId) -> u64 {
        self.lengths.lock().unwrap_or_else(PoisonError::into_inner).get(&job).copied().unwrap_or(1_000)
    }

    pub(crate) fn set_length(&self, job: JobId, ms: u64) {
        self.lengths.lock().unwrap_or_else(PoisonError::into_inner).insert(job, ms);
    }

    /// Loses all that is stored.
    pub(crate) fn empty_store(&self) {
        self.store.clear();
        if let Some(beside) = self.beside.get() {
            (beside.clear)();
        }
    }

    /// Starts `count` controllers, each kept alive.
    pub(crate) fn start(&self, world: &Arc<World>, count: usize) {
        self.slots().resize_with(count, || None);
        for slot in 0..count {
            let world = world.clone();
            tokio::spawn(async move { keep_alive(&world, slot).await });
        }
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, Vec<Option<Arc<Process>>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A live controller, a different one each time.
    pub(crate) fn any(&self) -> Option<Arc<Process>> {
        let slots = self.slots();
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        (0..slots.len()).find_map(|i| slots[(start + i) % slots.len()].clone())
    }

    /// All live controllers.
    pub(crate) fn all(&self) -> Vec<Arc<Process>> {
        self.slots().iter().flatten().cloned().collect()
    }

    /// A webhook arrives; whether it was taken.
    pub(crate) async fn deliver(&self, world: &Arc<World>, event: Event) -> bool {
        let Some(process) = self.any() else { return false };
        let direct = world.lock().profile.direct;
        let inner = process.clone();
        let taken = if direct {
            process.call(async move { inner.controller.handle(&[event]).await.is_ok() }).await
        } else {
            let store = self.store.clone();
            process
                .call(async move {
                    let stored = store.append(&[event]).await.is_ok();
                    inner.inbox.notify_one();
                    stored
                })
                .await
        };
        taken.unwrap_or(false)
    }

    /// The engine tells something; lost if nobody listens.
    pub(crate) async fn tell(&self, _world: &Arc<World>, event: Event) {
        let Some(process) = self.any() else { return };
        let controller = process.controller.clone();
        process.call(async move { drop(controller.handle(&[event]).await) }).await;
    }

    /// An agent claims; `None`: no answer.
    pub(crate) async fn claim(
        &self,
        world: &Arc<World>,
        token: &Secret,
        request: &ClaimRequest,
    ) -> Option<Result<ClaimAnswer, Refusal>> {
        world.latency(200).await;
        let process = self.any()?;
        let (controller, token, request) = (process.controller.clone(), token.clone(), request.clone());
        process.call(async move { controller.claim(token.expose(), &request).await }).await
    }

    /// An agent reports; `None`: no answer.
    pub(crate) async fn report(
        &self,
        world: &Arc<World>,
        token: &Secret,
        request: &ReportRequest,
    ) -> Option<ReportAnswer> {
        world.latency(200).await;
        let process = self.any()?;
        let (controller, token, request) = (process.controller.clone(), token.clone(), request.clone());
        process.call(async move { controller.report(token.expose(), &request).await.ok() }).await.flatten()
    }
}

impl Process {
    /// Runs a call inside the process; `None` if the process died or did not answer in time.
    pub(crate) async fn call<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (answer, answered) = tokio::sync::oneshot::channel();
        self.spawn(async move {
            let _ = answer.send(work.await);
        });
        timeout(AGENT_TIMEOUT, answered).await.ok()?.ok()
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(work);
    }

    fn kill(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

async fn keep_alive(world: &Arc<World>, slot: usize) {
    for generation in 0_u64.. {
        let process = boot(world, slot, generation);
        world.fleet.slots()[slot] = Some(process.clone());
        process.life.died.notified().await;
        world.trace(|| format!("controller {slot} is killed"));
        world.fleet.slots()[slot] = None;
        process.kill();
        drop(process);
        world.latency(DOWN_MS).await;
        // One store, one process: what the dead one held is free at once, as after a restart of `serve`. A queue that
        // many read gives letters out again when nobody acknowledged them in time.
        if world.lock().profile.controllers == 1 && world.fleet.beside.get().is_none() {
            world.fleet.store.restart();
        } else {
            world.fleet.store.return_letters();
        }
    }
}

/// A core whose used rows of the transition tables are counted, also of decisions that change nothing.
struct Counted {
    world: Weak<World>,
    inner: Arc<dyn Decider>,
}

impl Decider for Counted {
    fn decide(&self, policy: &Policy, view: &View, events: &[Event], moment: Moment) -> Decision {
        let decision = self.inner.decide(policy, view, events, moment);
        if let Some(world) = self.world.upgrade() {
            let mut state = world.lock();
            for step in &decision.steps {
                *state.steps.entry(*step).or_default() += 1;
            }
            drop(state);
            events.iter().for_each(|event| echo(&world, event));
        }
        decision
    }

    fn reconcile(&self, policy: &Policy, sight: &Sight<'_>) -> Findings {
        self.inner.reconcile(policy, sight)
    }
}

/// A queue gives a message out again, a slow worker comes late: what was told of a runner is told once more.
fn echo(world: &Arc<World>, event: &Event) {
    if !matches!(event, Event::Runner { .. } | Event::Adopt(_)) || !world.fault("told again", |profile| profile.echo) {
        return;
    }
    let (world, event) = (world.clone(), event.clone());
    tokio::spawn(async move {
        let most_ms = if world.dice(0..=3) == 0 { ECHO_LATEST_MS } else { ECHO_SOON_MS };
        world.latency(most_ms).await;
        world.fleet.tell(&world, event).await;
    });
}

fn boot(world: &Arc<World>, slot: usize, generation: u64) -> Arc<Process> {
    let life = Arc::new(Life::default());
    let skew_ms = if slot == 0 { 0 } else { world.lock().profile.skew_ms };
    let ports = Ports {
        github: Arc::new(SimGitHub::new(world, &life)),
        compute: Arc::new(SimCompute::new(world, &life)),
        store: Arc::new(SimStore::new(world, &life)),
        notifier: Arc::new(SimNotifier::new(world)),
        clock: Arc::new(SimClock::new(world, skew_ms)),
    };
    let policy = world.lock().policy.clone();
    let pace = *world.fleet.pace.lock().unwrap_or_else(PoisonError::into_inner);
    let settings = Settings { heartbeat_ms: 15_000, discover: false, pace, ..Settings::default() };
    let keys = ClaimKeys::new(&policy.stage, vec![Secret::new(CLAIM_KEY)]);
    let owner = format!("controller-{slot}-{generation}");
    let decider = world.fleet.decider.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let counted = Counted { world: Arc::downgrade(world), inner: decider.unwrap_or_else(|| Arc::new(Core)) };
    let controller = Controller::new(ports, policy, settings, keys, &owner).with_decider(Arc::new(counted));
    let process = Arc::new(Process {
        controller: Arc::new(controller),
        tasks: Mutex::new(JoinSet::new()),
        inbox: Arc::new(Notify::new()),
        life,
    });
    run(world, &process);
    process
}

/// A controller that is called when there is something to do, as functions are, and does what it can before its time is
/// over.
async fn be_called(world: Arc<World>, controller: Arc<Controller>) {
    loop {
        let due_ms = controller.clone().run_due(Instant::now() + CALL_LASTS).await.unwrap_or_default();
        let now_ms = world.now_ms();
        let wait = due_ms.map_or(CALLED_EACH, |due_ms| Duration::from_millis(due_ms.saturating_sub(now_ms)));
        tokio::select! {
            () = controller.effects_added() => {}
            () = tokio::time::sleep(wait.clamp(CALLED_SOONEST, CALLED_EACH)) => {}
        }
    }
}

/// Its sweeps, likewise.
async fn be_called_to_sweep(world: Arc<World>, controller: Arc<Controller>) {
    loop {
        let lasts = Duration::from_millis(world.lock().profile.sweep_lasts_ms);
        // What failed is the next one's.
        let _ = controller.sweep_until(Instant::now() + lasts).await;
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

fn run(world: &Arc<World>, process: &Arc<Process>) {
    if world.lock().profile.called {
        process.spawn(be_called(world.clone(), process.controller.clone()));
        process.spawn(be_called_to_sweep(world.clone(), process.controller.clone()));
    } else {
        process.spawn(process.controller.clone().run_executor());
        process.spawn(process.controller.clone().run_sweeper(SWEEP_EVERY));
    }
    if world.lock().profile.polls {
        process.spawn(process.controller.clone().run_poller());
    }
    let letters = Letters {
        controller: process.controller.clone(),
        inbox: world.fleet.store.clone(),
        arrived: process.inbox.clone(),
    };
    process.spawn(letters.work());
}
