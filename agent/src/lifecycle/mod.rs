//! The life of an agent as a state machine: facts in, actions out.
//!
//! ```text
//! Claiming ─▶ Configuring ─▶ Booting ─▶ Idle ─▶ Busy ─▶ AfterJob ─▶ Sweeping ─▶ Reporting ─▶ Over
//!                                 └──────┴─▶ Looking (freeze, look: kill or go on)
//! ```
//!
//! Pure: no clock, no process, no network. `now` is milliseconds since the agent's start. It is kept free of secrets:
//! what a runner registers with passes through in an action and is never stored here.

mod claiming;
mod ending;
mod types;
mod working;

#[cfg(test)]
mod tests;

pub(crate) use types::{Action, Input, Launch, Look};

use fleet::wire::EndReason;

use crate::claim::Backoff;
use crate::lines::Sign;
use claiming::CLAIM_DEADLINE_MS;
use types::{Phase, Waiting};

/// The state machine.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    phase: Phase,
    backoff: Backoff,
    boot_deadline: u64,
    idle_timeout_ms: u64,
    heartbeat_ms: u64,
    /// A worker, or a job received, was ever seen.
    ran_job: bool,
    /// When SIGTERM came first.
    terminated_at: Option<u64>,
    /// Why the agent ends, once that is known.
    why: Option<EndReason>,
    /// Exit code of the runner, if it ended by itself.
    exit_code: Option<i32>,
    /// The agent's exit code where `why` does not tell it.
    code: Option<u8>,
}

impl Lifecycle {
    /// A new life. `seed` is for the jitter of retries.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            phase: Phase::Claiming { next_at: Some(0), give_up_at: CLAIM_DEADLINE_MS },
            backoff: Backoff::new(seed),
            boot_deadline: u64::MAX,
            idle_timeout_ms: 0,
            heartbeat_ms: 0,
            ran_job: false,
            terminated_at: None,
            why: None,
            exit_code: None,
            code: None,
        }
    }

    /// When the next [`Input::Tick`] is wanted at the latest.
    pub(crate) fn deadline(&self) -> Option<u64> {
        match &self.phase {
            Phase::Claiming { next_at, .. } => *next_at,
            Phase::Configuring | Phase::Booting => Some(self.boot_deadline),
            Phase::Idle { until, beat_at } => Some((*until).min(*beat_at)),
            Phase::Busy { no_worker_after } => *no_worker_after,
            Phase::AfterJob { until } => Some(*until),
            Phase::Interrupted { kill_at } => Some(*kill_at),
            Phase::Sweeping { look_at, .. } => Some(*look_at),
            Phase::Reporting { until } => Some(*until),
            Phase::Killed { again_at } => Some(*again_at),
            Phase::Looking { .. } | Phase::Over => None,
        }
    }

    /// Takes one fact and says what to do about it, in order.
    pub(crate) fn step(&mut self, now: u64, input: Input) -> Vec<Action> {
        let mut out = Vec::new();
        match input {
            Input::Tick => self.tick(now, &mut out),
            Input::Claimed(outcome) => self.claimed(now, outcome, &mut out),
            Input::Line(Sign::Listening) => self.listening(now, &mut out),
            Input::Line(Sign::JobReceived) => self.job_received(now, &mut out),
            Input::Worker(true) => self.worker_seen(&mut out),
            Input::Worker(false) => self.worker_gone(now, &mut out),
            Input::Looked(look) => self.looked(now, look, &mut out),
            Input::Answered(answer) => self.answered(answer, &mut out),
            Input::Delivered => self.delivered(&mut out),
            Input::Terminate => self.terminate(now, &mut out),
            Input::Exited(exit) => self.exited(now, exit, &mut out),
            Input::NotStarted => self.not_started(now, &mut out),
            Input::Left(left) => self.left(now, left, &mut out),
        }
        out
    }

    fn tick(&mut self, now: u64, out: &mut Vec<Action>) {
        if self.deadline().is_none_or(|at| now < at) {
            return;
        }
        match self.phase.clone() {
            Phase::Claiming { give_up_at, .. } => self.claim(now, give_up_at, out),
            // `config.sh` holds no job: nothing to look for.
            Phase::Configuring => self.kill(now, EndReason::NotConnected, out),
            Phase::Booting => self.look(EndReason::NotConnected, Waiting::Booting, out),
            Phase::Idle { until, beat_at } => self.idle_tick(now, until, beat_at, out),
            Phase::Busy { .. } => self.job_over(now, out),
            // The listener should have ended after its one job (actions/runner #4617 is one way not to).
            Phase::AfterJob { .. } => self.look(EndReason::Idle, Waiting::AfterJob, out),
            Phase::Interrupted { .. } => self.kill(now, EndReason::Terminated, out),
            Phase::Killed { .. } => self.kill_again(now, out),
            Phase::Sweeping { kill_at, give_up_at, .. } => self.sweep_on(now, kill_at, give_up_at, out),
            // The control plane does not hear us: it finds out from the engine.
            Phase::Reporting { .. } => self.over(out),
            Phase::Looking { .. } | Phase::Over => {}
        }
    }
}
