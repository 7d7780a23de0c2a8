//! What happens to tasks as time passes: up to RUNNING, down to STOPPED, and forgotten.

use std::sync::Arc;

use super::Ecs;
use super::model::{Ending, Happening, Sent, State, Status};
use super::shape;

/// Something that happens by itself. A step or a kill is for one version: whatever came in between overtook it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The next status.
    Step { arn: Arc<str>, version: u64 },
    /// SIGKILL.
    Kill { arn: Arc<str>, version: u64 },
    /// Nobody remembers it.
    Forget { arn: Arc<str> },
}

/// Exit code of a container that was killed.
const KILLED: i32 = 137;

impl Ecs {
    /// Lets time pass.
    pub fn tick(&mut self, now_ms: u64) {
        while let Some((at_ms, timer)) = self.timers.first().cloned().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.timers.pop_first();
            match timer {
                Timer::Step { arn, version } if self.is_at(&arn, version) => self.step(at_ms, &arn),
                Timer::Kill { arn, version } if self.is_at(&arn, version) => self.exit(at_ms, &arn, KILLED, None),
                Timer::Step { .. } | Timer::Kill { .. } => {}
                Timer::Forget { arn } => {
                    self.tasks.remove(&arn);
                }
            }
        }
    }

    fn is_at(&self, arn: &str, version: u64) -> bool {
        self.tasks.get(arn).and_then(|task| task.now()).is_some_and(|state| state.version == version)
    }

    fn step(&mut self, at_ms: u64, arn: &Arc<str>) {
        let Some(task) = self.tasks.get(arn) else { return };
        let (Some(state), never) = (task.now(), task.never_starts.clone()) else { return };
        match state.last {
            Status::Provisioning => self.turn(at_ms, arn, |next| next.last = Status::Pending),
            Status::Pending => match never {
                Some(reason) => self.fail_to_start(at_ms, arn, reason),
                None => self.turn(at_ms, arn, |next| next.last = Status::Activating),
            },
            Status::Activating => {
                self.turn(at_ms, arn, |next| next.last = Status::Running);
                let environment = self.tasks.get(arn).map(|task| task.environment()).unwrap_or_default();
                self.happenings.push(Happening::Started { arn: arn.clone(), environment });
            }
            Status::Running | Status::Stopped => {}
            Status::Deactivating => self.turn(at_ms, arn, |next| next.last = Status::Stopping),
            Status::Stopping => self.turn(at_ms, arn, |next| next.last = Status::Deprovisioning),
            Status::Deprovisioning => self.turn(at_ms, arn, |next| {
                next.last = Status::Stopped;
                next.tagged = false;
            }),
        }
    }

    fn fail_to_start(&mut self, at_ms: u64, arn: &Arc<str>, reason: Arc<str>) {
        self.turn(at_ms, arn, |next| {
            next.ending = Some(Ending { code: "TaskFailedToStart", reason });
            next.last = Status::Deprovisioning;
        });
    }

    /// Changes a task: one more state, one more version, an event, and the timer of what follows.
    fn turn(&mut self, at_ms: u64, arn: &Arc<str>, change: impl FnOnce(&mut State)) {
        let Some(task) = self.tasks.get_mut(arn) else { return };
        let Some(mut next) = task.now().cloned() else { return };
        next.at_ms = at_ms;
        next.version += 1;
        change(&mut next);
        let (last, version) = (next.last, next.version);
        task.states.push(next);
        let step = |ms: u64| Some((at_ms + ms, Timer::Step { arn: arn.clone(), version }));
        let timer = match last {
            Status::Provisioning | Status::Pending | Status::Activating => step(self.times.step_up_ms),
            Status::Running => None,
            Status::Deactivating | Status::Stopping | Status::Deprovisioning => step(self.times.step_down_ms),
            Status::Stopped => Some((at_ms + self.times.remember_ms, Timer::Forget { arn: arn.clone() })),
        };
        self.timers.extend(timer);
        self.tell(at_ms, arn);
    }

    /// Sends an event of what a task now is.
    pub(super) fn tell(&mut self, at_ms: u64, arn: &str) {
        let id = self.rng.u64(..);
        let Some(task) = self.tasks.get(arn) else { return };
        let Some(event) = task.now().map(|state| shape::event(task, state, id)) else { return };
        if self.chance(self.faults.event_lost) {
            return;
        }
        let times = if self.chance(self.faults.event_twice) { 2 } else { 1 };
        for _ in 0..times {
            let due_ms = at_ms + self.lag(self.faults.event_late_ms);
            self.sent.push(Sent { due_ms, event: event.clone() });
        }
    }

    /// A running container ends. `reason` is what the platform says of it, as of one that was out of memory.
    pub fn exit(&mut self, now_ms: u64, arn: &str, code: i32, reason: Option<&str>) {
        let Some((arn, state)) = self.running(arn) else { return };
        let own = Ending { code: "EssentialContainerExited", reason: "Essential container in task exited".into() };
        let ending = state.ending.unwrap_or(own);
        self.turn(now_ms, &arn, |next| {
            next.last = Status::Deactivating;
            next.exit_code = Some(code);
            next.container_reason = reason.map(Into::into);
            next.ending = Some(ending);
        });
        self.happenings.push(Happening::Ended { arn });
    }

    /// Fargate Spot takes a machine back: a notice now, the end two minutes later.
    pub fn interrupt(&mut self, now_ms: u64, arn: &str) {
        let ending = Ending { code: "SpotInterruption", reason: "Your Spot Task was interrupted.".into() };
        let notice_ms = self.times.spot_notice_ms;
        self.end(now_ms, arn, ending, notice_ms, false);
    }

    /// What `StopTask` does.
    pub(super) fn stop(&mut self, now_ms: u64, arn: &str, reason: &str) {
        let ending = Ending { code: "UserInitiated", reason: reason.into() };
        let timeout_ms = self.times.stop_timeout_ms;
        self.end(now_ms, arn, ending, timeout_ms, true);
    }

    /// Asks a task to end: SIGTERM now, SIGKILL later. What has not started yet goes at once.
    fn end(&mut self, now_ms: u64, arn: &str, ending: Ending, grace_ms: u64, untag: bool) {
        let Some((arn, state)) = self.tasks.get(arn).and_then(|task| Some((task.arn.clone(), task.now()?.clone())))
        else {
            return;
        };
        if state.ending.is_some() {
            return;
        }
        let runs = state.last == Status::Running;
        self.turn(now_ms, &arn, |next| {
            next.ending = Some(ending);
            next.tagged &= !untag;
            next.last = if runs { Status::Running } else { Status::Deprovisioning };
        });
        if runs {
            let version = state.version + 1;
            self.timers.insert((now_ms + grace_ms, Timer::Kill { arn: arn.clone(), version }));
            self.happenings.push(Happening::Term { arn });
        }
    }

    fn running(&self, arn: &str) -> Option<(Arc<str>, State)> {
        let task = self.tasks.get(arn)?;
        let state = task.now().filter(|state| state.last == Status::Running)?;
        Some((task.arn.clone(), state.clone()))
    }
}
