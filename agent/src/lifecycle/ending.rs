//! Steps from the wish to end, or the runner's own end, to the agent's exit.
//!
//! Order matters: first the runner is dead, then what its job left behind, then the last report, then the exit. The
//! control plane deletes a registration on that report, so it must not be early.

use fleet::wire::{EndReason, Report};

use super::Lifecycle;
use super::types::{Action, Launch, Phase, Waiting};
use crate::exit::code;

impl Lifecycle {
    pub(super) fn terminate(&mut self, now: u64, out: &mut Vec<Action>) {
        match self.terminated_at {
            None => self.terminated_at = Some(now),
            // A supervisor that signals the process and then its group means it once: no job is killed for that.
            Some(first) if now < first + TERM_AGAIN_MS => return,
            Some(_) => return self.terminate_at_once(now, out),
        }
        match self.phase {
            Phase::Claiming { .. } => {
                self.why = Some(EndReason::Terminated);
                self.report_end(now, out);
            }
            Phase::Configuring => self.kill(now, EndReason::Terminated, out),
            Phase::Booting => self.look(EndReason::Terminated, Waiting::Booting, out),
            Phase::Idle { beat_at, .. } => self.look(EndReason::Terminated, Waiting::Idle { beat_at }, out),
            Phase::Looking { before, .. } => self.phase = Phase::Looking { why: EndReason::Terminated, before },
            Phase::Busy { .. } | Phase::AfterJob { .. } => self.interrupt(now, out),
            // It ends already. What is left of the job gets no more time.
            Phase::Sweeping { give_up_at, .. } => {
                self.phase = Phase::Sweeping { look_at: now, kill_at: now, give_up_at };
            }
            Phase::Interrupted { .. } | Phase::Killed { .. } | Phase::Reporting { .. } | Phase::Over => {}
        }
    }

    pub(super) fn terminate_at_once(&mut self, now: u64, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Over | Phase::Killed { .. } => {}
            Phase::Claiming { .. } | Phase::Sweeping { .. } | Phase::Reporting { .. } => {
                out.push(Action::KillRest);
                self.over(out);
            }
            Phase::Configuring | Phase::Booting | Phase::Idle { .. } | Phase::Looking { .. } | Phase::Busy { .. } => {
                self.kill(now, EndReason::Terminated, out);
            }
            Phase::AfterJob { .. } | Phase::Interrupted { .. } => self.kill(now, EndReason::Terminated, out),
        }
    }

    /// SIGTERM while a job runs: the platform takes the machine, so the job gets the little time there is.
    pub(super) fn interrupt(&mut self, now: u64, out: &mut Vec<Action>) {
        // Before the job can end: so nobody takes its end for its own.
        out.push(Action::Report(Report::SpotNotice));
        self.why = Some(EndReason::Terminated);
        self.phase = Phase::Interrupted { kill_at: now + INTERRUPT_MS };
        out.push(Action::Interrupt);
    }

    pub(super) fn kill(&mut self, now: u64, why: EndReason, out: &mut Vec<Action>) {
        self.why = Some(why);
        self.kill_again(now, out);
    }

    /// Until the runner is dead nothing else is said or done: "ended" must be true when it is reported.
    pub(super) fn kill_again(&mut self, now: u64, out: &mut Vec<Action>) {
        self.phase = Phase::Killed { again_at: now + KILL_AGAIN_MS };
        out.push(Action::KillRest);
    }

    pub(super) fn exited(&mut self, now: u64, exit: Option<i32>, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Configuring if exit == Some(0) => {
                self.phase = Phase::Booting;
                out.push(Action::Launch(Launch::Configured));
            }
            Phase::Killed { .. } => self.sweep(now, out),
            Phase::Configuring | Phase::Booting | Phase::Idle { .. } | Phase::Looking { .. } | Phase::Busy { .. } => {
                self.ended_by_itself(now, exit, out);
            }
            Phase::AfterJob { .. } | Phase::Interrupted { .. } => self.ended_by_itself(now, exit, out),
            Phase::Claiming { .. } | Phase::Sweeping { .. } | Phase::Reporting { .. } | Phase::Over => {}
        }
    }

    pub(super) fn ended_by_itself(&mut self, now: u64, exit: Option<i32>, out: &mut Vec<Action>) {
        let reason = if exit == Some(DEPRECATED_EXIT) { EndReason::Deprecated } else { EndReason::Exited };
        self.why.get_or_insert(reason);
        self.exit_code = exit;
        self.sweep(now, out);
    }

    pub(super) fn not_started(&mut self, now: u64, out: &mut Vec<Action>) {
        self.why = Some(EndReason::Exited);
        self.code = Some(code::NO_RUNNER);
        self.report_end(now, out);
    }

    /// The runner is gone. A job may have left daemons behind, in sessions of their own: all of them are ours.
    pub(super) fn sweep(&mut self, now: u64, out: &mut Vec<Action>) {
        let kill_at = now + REST_GRACE_MS;
        self.phase = Phase::Sweeping { look_at: now + SWEEP_LOOK_MS, kill_at, give_up_at: kill_at + REST_KILL_MS };
        out.push(Action::TerminateRest);
    }

    pub(super) fn sweep_on(&mut self, now: u64, kill_at: u64, give_up_at: u64, out: &mut Vec<Action>) {
        self.phase = Phase::Sweeping { look_at: now + SWEEP_LOOK_MS, kill_at, give_up_at };
        out.push(if now >= kill_at { Action::KillRest } else { Action::CountRest });
    }

    pub(super) fn left(&mut self, now: u64, left: usize, out: &mut Vec<Action>) {
        let Phase::Sweeping { give_up_at, .. } = self.phase else { return };
        if left == 0 || now >= give_up_at {
            self.report_end(now, out);
        }
    }

    pub(super) fn report_end(&mut self, now: u64, out: &mut Vec<Action>) {
        let why = *self.why.get_or_insert(EndReason::Exited);
        self.phase = Phase::Reporting { until: now + REPORT_MS };
        out.push(Action::Report(Report::Ended { ran_job: self.ran_job, exit_code: self.exit_code, why }));
    }

    pub(super) fn delivered(&mut self, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Reporting { .. }) {
            self.over(out);
        }
    }

    pub(super) fn over(&mut self, out: &mut Vec<Action>) {
        let code = self.final_code();
        self.leave(code, out);
    }

    pub(super) fn leave(&mut self, code: u8, out: &mut Vec<Action>) {
        self.phase = Phase::Over;
        out.push(Action::Exit(code));
    }

    pub(super) fn final_code(&self) -> u8 {
        let by_reason = match self.why {
            Some(EndReason::Terminated) => code::TERMINATED,
            Some(EndReason::NotConnected) => code::NOT_CONNECTED,
            Some(EndReason::Deprecated) => code::DEPRECATED,
            Some(EndReason::Idle) => code::OK,
            Some(EndReason::Exited) if self.exit_code == Some(0) => code::OK,
            Some(EndReason::Exited) => code::RUNNER_FAILED,
            None => code::TERMINATED,
        };
        self.code.unwrap_or(by_reason)
    }
}

/// After SIGINT the runner gives its worker 7.5 s, then SIGTERM and 2.5 s; some more for the listener itself.
const INTERRUPT_MS: u64 = 15_000;

/// A SIGTERM sooner than this after the first is the same one.
const TERM_AGAIN_MS: u64 = 1_000;

/// What the job left behind gets SIGTERM, this long, then SIGKILL.
const REST_GRACE_MS: u64 = 2_000;

/// How long killed processes may take to vanish; then the machine goes without them.
const REST_KILL_MS: u64 = 5_000;

/// Between two looks at what is left.
const SWEEP_LOOK_MS: u64 = 20;

/// How long the last report may take.
const REPORT_MS: u64 = 10_000;

/// `run.sh`'s code for "this version is refused", with `ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1`.
const DEPRECATED_EXIT: i32 = 7;

/// When to kill again what does not die (it hangs in the kernel).
const KILL_AGAIN_MS: u64 = 1_000;
