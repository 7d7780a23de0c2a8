//! The simulated ECS: `RunTask`, `ListTasks`, `DescribeTasks` and `StopTask` with the rules and the lies of the real one.
//!
//! [`Ecs`] is pure: no clock, no IO. Every method takes `now_ms`, every dice is the seeded generator's, so the same seed
//! and the same calls give the same world, in virtual time as well. [`server`] puts HTTP and this machine's time in front.
//!
//! What is played, each from AWS's documentation: client tokens, `failures[]` with status 200, launch and call rates,
//! reads that lag behind, tags that go with a stop, a stopped task's hour, the limits of every parameter, task events
//! that come late, twice or never, Spot notices. There are no containers: who listens to [`Happening`]s plays them.
//!
//! | module | what it holds |
//! |---|---|
//! | [`model`] | what exists: tasks, their states, times and limits |
//! | [`faults`] | what can go wrong |
//! | `run_task`, `checks` | launches, and what is refused before anything happens |
//! | `look` | lists, descriptions, stops |
//! | `life` | what happens to tasks as time passes |
//! | `shape` | tasks, events and refusals as JSON |
//! | [`server`] | the HTTP face, and its handle |

pub mod faults;
pub mod model;
pub mod server;

mod checks;
mod life;
mod look;
mod run_task;
mod shape;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use fleet::budget::{Bucket, Grant};
use serde_json::Value;

use self::faults::{EcsFaults, Trick};
use self::life::Timer;
use self::model::{Definition, Happening, Limits, Sent, Task, Times, Token};

pub use self::shape::Refusal;

/// What a call is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Status 200, with `failures[]` in it perhaps.
    Done(Value),
    /// An error.
    Refused(Refusal),
    /// Nothing, ever: the connection hangs.
    Silence,
}

/// The simulated service in one account and Region.
#[derive(Debug)]
pub struct Ecs {
    rng: fastrand::Rng,
    /// What goes wrong. May be changed at any time.
    pub faults: EcsFaults,
    /// How long things take. To be set before anything happens.
    pub times: Times,
    /// Quotas and rates.
    pub limits: Limits,
    /// What the next calls meet, each once, by operation.
    pub tricks: VecDeque<(&'static str, Trick)>,
    clusters: BTreeMap<String, BTreeSet<String>>,
    definitions: BTreeMap<String, Definition>,
    tasks: BTreeMap<Arc<str>, Task>,
    tokens: BTreeMap<(String, String), Token>,
    buckets: BTreeMap<&'static str, Bucket>,
    timers: BTreeSet<(u64, Timer)>,
    sent: Vec<Sent>,
    happenings: Vec<Happening>,
    calls: BTreeMap<String, u64>,
}

impl Ecs {
    /// A Region without clusters, where nothing goes wrong.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(seed),
            faults: EcsFaults::default(),
            times: Times::default(),
            limits: Limits::default(),
            tricks: VecDeque::new(),
            clusters: BTreeMap::new(),
            definitions: BTreeMap::new(),
            tasks: BTreeMap::new(),
            tokens: BTreeMap::new(),
            buckets: BTreeMap::new(),
            timers: BTreeSet::new(),
            sent: Vec::new(),
            happenings: Vec::new(),
            calls: BTreeMap::new(),
        }
    }

    /// Adds a cluster with the capacity providers associated with it.
    pub fn add_cluster(&mut self, name: &str, providers: &[&str]) {
        let providers = providers.iter().map(|&name| name.to_owned()).collect();
        self.clusters.insert(name.to_owned(), providers);
    }

    /// Adds a task definition, found by `family` and by `family:revision`.
    pub fn add_definition(&mut self, definition: Definition) {
        self.definitions.insert(definition.family.clone(), definition);
    }

    /// Does what a request asks for.
    pub fn call(&mut self, now_ms: u64, operation: &str, body: &Value) -> Answer {
        self.tick(now_ms);
        *self.calls.entry(operation.to_owned()).or_default() += 1;
        let trick = self.trick(operation);
        match &trick {
            Some(Trick::Refuse(refusal)) => return Answer::Refused(refusal.clone()),
            Some(Trick::FailBefore) => return Answer::Refused(Refusal::server()),
            Some(Trick::LoseAnswer | Trick::Hang) | None => {}
        }
        let done = self.admit(now_ms, operation).and_then(|()| self.perform(now_ms, operation, body));
        match (trick, done) {
            // Done, and nobody learns of it.
            (Some(Trick::LoseAnswer), Ok(_)) => Answer::Refused(Refusal::server()),
            (Some(Trick::Hang), _) => Answer::Silence,
            (_, Ok(value)) => Answer::Done(value),
            (_, Err(refusal)) => Answer::Refused(refusal),
        }
    }

    fn perform(&mut self, now_ms: u64, operation: &str, body: &Value) -> Result<Value, Refusal> {
        match operation {
            "RunTask" => self.run_task(now_ms, body),
            "ListTasks" => self.list_tasks(now_ms, body),
            "DescribeTasks" => self.describe_tasks(now_ms, body),
            "StopTask" => self.stop_task(now_ms, body),
            _ => Err(Refusal::new("UnknownOperationException", "")),
        }
    }

    /// What this call meets: what was put there for it, or what the dice say.
    fn trick(&mut self, operation: &str) -> Option<Trick> {
        if let Some(at) = self.tricks.iter().position(|(of, _)| *of == operation) {
            return self.tricks.remove(at).map(|(_, trick)| trick);
        }
        if self.chance(self.faults.fails) {
            return Some(Trick::FailBefore);
        }
        self.chance(self.faults.answer_lost).then_some(Trick::LoseAnswer)
    }

    /// The rates of calls (FACTS §4).
    fn admit(&mut self, now_ms: u64, operation: &str) -> Result<(), Refusal> {
        match operation {
            "RunTask" => self.take("RunTask", self.limits.run_task_calls, 1, now_ms),
            _ => self.take("read", self.limits.other_calls, 1, now_ms),
        }
    }

    fn take(&mut self, name: &'static str, limit: Option<Bucket>, points: u32, now_ms: u64) -> Result<(), Refusal> {
        let Some(full) = limit else { return Ok(()) };
        match self.buckets.entry(name).or_insert(full).take(points, now_ms) {
            Grant::Granted => Ok(()),
            Grant::Until(_) => Err(Refusal::throttled()),
        }
    }

    fn chance(&mut self, chance: f64) -> bool {
        chance > 0.0 && self.rng.f64() < chance
    }

    /// A number of milliseconds up to `most`.
    fn lag(&mut self, most_ms: u64) -> u64 {
        if most_ms == 0 { 0 } else { self.rng.u64(0..=most_ms) }
    }

    /// How often an operation was called.
    pub fn calls(&self, operation: &str) -> u64 {
        self.calls.get(operation).copied().unwrap_or_default()
    }

    /// All tasks that are remembered, as they really are.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values()
    }

    /// One task, as it really is.
    pub fn task(&self, arn: &str) -> Option<&Task> {
        self.tasks.get(arn)
    }

    /// The events that are to be delivered by now.
    pub fn take_events(&mut self, now_ms: u64) -> Vec<Value> {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.sent).into_iter().partition(|one| one.due_ms <= now_ms);
        self.sent = later;
        due.into_iter().map(|one| one.event).collect()
    }

    /// Events under way.
    pub fn unsent(&self) -> usize {
        self.sent.len()
    }

    /// What happened to containers since the last call.
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.happenings)
    }

    /// When something happens by itself next, milliseconds.
    pub fn next_event_ms(&self) -> Option<u64> {
        let timer = self.timers.first().map(|(at_ms, _)| *at_ms);
        let event = self.sent.iter().map(|one| one.due_ms).min();
        [timer, event].into_iter().flatten().min()
    }
}
