//! The simulated engine: machines that are started once for a token, listed late, lost, refused and stopped.
//!
//! Pure state; what happens *on* a machine is [`super::machine`]'s. It must not know GitHub or the store.

use std::{collections::BTreeMap, sync::Arc};

use fleet::{
    budget::Grant,
    effect::LaunchSpec,
    event::Task,
    ids::{RegistrationId, RunnerName, TaskId},
};
use tokio::task::AbortHandle;

use crate::aws::ecs::model::Limits;

/// How long the engine remembers a stopped machine (ECS: about an hour).
const REMEMBER_MS: u64 = 3_600_000;

/// One machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) spec: LaunchSpec,
    pub(crate) born_ms: u64,
    /// When listings and reads begin to show it.
    pub(crate) listed_ms: u64,
    /// When and why it stopped.
    pub(crate) stopped: Option<(u64, Arc<str>)>,
    /// What it registered with GitHub, for the checkers.
    pub(crate) registration: Option<RegistrationId>,
    pub(crate) life: Option<AbortHandle>,
}

/// All machines of one world.
#[derive(Debug, Default)]
pub(crate) struct Cloud {
    rates: Limits,
    machines: BTreeMap<TaskId, Machine>,
    /// Machines ever started.
    pub(crate) started: u64,
    /// Most live at once.
    pub(crate) peak: usize,
}

impl Cloud {
    /// Whether ECS would take one more launch now: its rates of calls and of launches are those of [`crate::aws::ecs`].
    pub(crate) fn admit(&mut self, now_ms: u64) -> bool {
        let rates = [&mut self.rates.run_task_calls, &mut self.rates.launches];
        rates.into_iter().flatten().all(|bucket| bucket.take(1, now_ms) == Grant::Granted)
    }

    /// The handle that a launch has or will have: one token, one machine.
    pub(crate) fn handle(spec: &LaunchSpec) -> TaskId {
        format!("task/{}/{}", spec.runner, spec.attempt).into()
    }

    /// Starts a machine unless its token was used before; whether it is new.
    pub(crate) fn launch(&mut self, spec: &LaunchSpec, now_ms: u64, lag_ms: u64) -> (TaskId, bool) {
        let id = Self::handle(spec);
        if self.machines.contains_key(&id) {
            return (id, false);
        }
        let machine = Machine {
            spec: spec.clone(),
            born_ms: now_ms,
            listed_ms: now_ms + lag_ms,
            stopped: None,
            registration: None,
            life: None,
        };
        self.machines.insert(id.clone(), machine);
        self.started += 1;
        self.peak = self.peak.max(self.live().count());
        (id, true)
    }

    /// Ends a machine; `None` if it had ended before.
    pub(crate) fn end(&mut self, id: &TaskId, why: &str, now_ms: u64) -> Option<&mut Machine> {
        let machine = self.machines.get_mut(id).filter(|machine| machine.stopped.is_none())?;
        machine.stopped = Some((now_ms, why.into()));
        if let Some(life) = machine.life.take() {
            life.abort();
        }
        Some(machine)
    }

    pub(crate) fn get_mut(&mut self, id: &TaskId) -> Option<&mut Machine> {
        self.machines.get_mut(id)
    }

    pub(crate) fn get(&self, id: &TaskId) -> Option<&Machine> {
        self.machines.get(id)
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = (&TaskId, &Machine)> {
        self.machines.iter().filter(|(_, machine)| machine.stopped.is_none())
    }

    /// What a listing or a read shows: late to see a start, and to see an end.
    pub(crate) fn seen(&self, id: &TaskId, now_ms: u64, lag_ms: u64) -> Option<Task> {
        let machine = self.machines.get(id).filter(|machine| machine.listed_ms <= now_ms)?;
        let stopped = machine.stopped.as_ref().filter(|(at_ms, _)| at_ms + lag_ms <= now_ms);
        if stopped.is_some_and(|(at_ms, _)| at_ms + REMEMBER_MS < now_ms) {
            return None;
        }
        Some(Task {
            id: id.clone(),
            runner: machine.spec.runner.clone(),
            attempt: machine.spec.attempt,
            pool: machine.spec.pool.clone(),
            repo: machine.spec.repo.clone(),
            created_ms: machine.spec.created_ms,
            stopped: stopped.map(|(_, why)| why.clone()),
        })
    }

    pub(crate) fn list(&self, now_ms: u64, lag_ms: u64) -> Vec<Task> {
        self.machines.keys().filter_map(|id| self.seen(id, now_ms, lag_ms)).collect()
    }

    /// Runner and attempt of every machine ever started.
    pub(crate) fn launched(&self) -> Vec<(RunnerName, u32)> {
        self.machines.values().map(|machine| (machine.spec.runner.clone(), machine.spec.attempt)).collect()
    }

    pub(crate) fn by_registration(&self, id: RegistrationId) -> Option<&Machine> {
        self.machines.values().find(|machine| machine.registration == Some(id))
    }
}
