//! The shared state: the hub and what only its face knows, under one lock, and a signal that something changed.
//!
//! Nothing awaits while it holds the lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use fleet::ids::{JobId, RegistrationId};
use tokio::sync::watch;

use super::Options;
use super::apps::AppState;
use super::flows::Flow;
use crate::hub::Hub;
use crate::hub::model::Note;
use crate::standin::wire::{CompleteRequest, LogLine};
use crate::workflow::spec::{JobSpec, NeedResult};

/// Notes kept for the timeline; older ones go first.
const NOTES_MAX: usize = 100_000;

/// Now, milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What a job executes.
#[derive(Debug, Clone)]
pub struct Work {
    /// Its steps.
    pub spec: JobSpec,
    /// `needs.*`.
    pub needs: BTreeMap<String, NeedResult>,
}

/// What only the face knows of a job.
#[derive(Debug, Default)]
pub(super) struct Paper {
    pub(super) work: Option<Work>,
    /// The last lines of its log.
    pub(super) log: VecDeque<LogLine>,
    /// Number of the next line: a repeated batch is seen as such.
    pub(super) next_line: u64,
    pub(super) completed: Option<CompleteRequest>,
}

/// Where webhooks go.
#[derive(Debug, Clone)]
pub(super) struct Hook {
    pub(super) url: String,
    /// What deliveries are signed with, if it is not that of the options.
    pub(super) secret: Option<String>,
    pub(super) active: bool,
    pub(super) events: Vec<String>,
    pub(super) created_ms: u64,
}

impl Hook {
    /// One for jobs, signed as the options say.
    pub(super) fn of_jobs(url: String) -> Self {
        Self { url, secret: None, active: true, events: vec!["workflow_job".into()], created_ms: now_ms() }
    }
}

/// The hub, and what only its face knows.
#[derive(Debug)]
pub(super) struct World {
    pub(super) hub: Hub,
    pub(super) rng: fastrand::Rng,
    pub(super) papers: BTreeMap<JobId, Paper>,
    pub(super) flows: Vec<Flow>,
    /// The bearer keys of the registrations.
    pub(super) keys: BTreeMap<RegistrationId, String>,
    pub(super) sessions: BTreeMap<RegistrationId, String>,
    /// The GitHub App.
    pub(super) app: AppState,
    /// What no token may, as `administration`.
    pub(super) forbidden: BTreeSet<String>,
    /// How far GitHub's clock is ahead of this machine's, milliseconds.
    pub(super) clock_ahead_ms: i64,
    pub(super) hook: Option<Hook>,
    /// Runner versions are refused (426).
    pub(super) deprecated: bool,
    pub(super) notes: VecDeque<(u64, Note)>,
}

impl World {
    pub(super) fn new(hub: Hub, options: &Options) -> Self {
        let mut hub = hub;
        let rng = fastrand::Rng::with_seed(hub.rng.u64(..));
        let hook = options.webhook_url.clone().map(Hook::of_jobs);
        Self {
            hub,
            rng,
            papers: BTreeMap::new(),
            flows: Vec::new(),
            keys: BTreeMap::new(),
            sessions: BTreeMap::new(),
            app: AppState::new(options),
            forbidden: BTreeSet::new(),
            clock_ahead_ms: 0,
            hook,
            deprecated: false,
            notes: VecDeque::new(),
        }
    }

    /// Lets time pass; whether anything happened since the last call.
    pub(super) fn settle(&mut self, now_ms: u64) -> bool {
        self.hub.tick(now_ms);
        let began = self.advance_flows(now_ms);
        if began {
            self.hub.tick(now_ms);
        }
        let notes = self.hub.take_notes();
        let happened = began || !notes.is_empty();
        self.notes.extend(notes);
        while self.notes.len() > NOTES_MAX {
            self.notes.pop_front();
        }
        happened
    }
}

/// What all requests and tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
    pub(super) options: Options,
    pub(super) url: String,
}

impl Shared {
    pub(super) fn new(world: World, options: Options, url: String) -> Self {
        Self { world: Mutex::new(world), changes: watch::Sender::new(0), options, url }
    }

    /// Looks at the world. What changed is announced by [`Shared::act`], not by this.
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the world at this time, and wakes whoever waits if that changed something, or if something
    /// is to happen earlier than was known: a delivery that is sent again leaves no note before it goes out.
    pub(super) fn act<T>(&self, work: impl FnOnce(&mut World, u64) -> T) -> T {
        let mut world = self.lock();
        let now_ms = now_ms();
        let next_ms = |world: &World| world.hub.next_event_ms().unwrap_or(u64::MAX);
        let before_ms = next_ms(&world);
        let result = work(&mut world, now_ms);
        let happened = world.settle(now_ms);
        let earlier = next_ms(&world) < before_ms;
        drop(world);
        if happened || earlier {
            self.wake();
        }
        result
    }

    /// Wakes whoever waits for a change.
    pub(super) fn wake(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Changes from now on.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
