//! Steps of a running runner: connected, idle, looked at, with a job.
//!
//! The rule of this file: no path kills a runner that was seen with a job, or whose processes could not all be looked at
//! while they stood still.

use fleet::wire::{EndReason, Report, ReportAnswer};

use super::Lifecycle;
use super::types::{Action, Look, Phase, Waiting};

impl Lifecycle {
    pub(super) fn listening(&mut self, now: u64, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Booting => {
                self.go_idle(now);
                out.push(Action::Report(Report::Registered));
            }
            // Said again after a lost connection.
            Phase::Idle { .. } | Phase::Busy { .. } | Phase::AfterJob { .. } => {}
            Phase::Claiming { .. } | Phase::Configuring | Phase::Looking { .. } | Phase::Interrupted { .. } => {}
            Phase::Killed { .. } | Phase::Sweeping { .. } | Phase::Reporting { .. } | Phase::Over => {}
        }
    }

    pub(super) fn go_idle(&mut self, now: u64) {
        let until = now.saturating_add(self.idle_timeout_ms);
        self.phase = Phase::Idle { until, beat_at: now.saturating_add(self.heartbeat_ms) };
    }

    pub(super) fn idle_tick(&mut self, now: u64, until: u64, beat_at: u64, out: &mut Vec<Action>) {
        if now >= until {
            return self.look(EndReason::Idle, Waiting::Idle { beat_at }, out);
        }
        if now >= beat_at {
            self.phase = Phase::Idle { until, beat_at: now.saturating_add(self.heartbeat_ms) };
            out.push(Action::Report(Report::Idle));
        }
    }

    pub(super) fn answered(&mut self, answer: ReportAnswer, out: &mut Vec<Action>) {
        let (ReportAnswer::EndIfIdle, Phase::Idle { beat_at, .. }) = (answer, &self.phase) else { return };
        self.look(EndReason::Idle, Waiting::Idle { beat_at: *beat_at }, out);
    }

    pub(super) fn look(&mut self, why: EndReason, before: Waiting, out: &mut Vec<Action>) {
        self.phase = Phase::Looking { why, before };
        out.push(Action::FreezeAndLook);
    }

    pub(super) fn looked(&mut self, now: u64, look: Look, out: &mut Vec<Action>) {
        let Phase::Looking { why, before } = self.phase else { return };
        match look {
            Look::Job => {
                out.push(Action::Thaw);
                self.job_received(now, out);
                self.interrupt_if_asked(now, why, out);
            }
            // The connection came in the very moment of the boot deadline.
            Look::Connected if why == EndReason::NotConnected => {
                out.push(Action::Thaw);
                self.go_idle(now);
                out.push(Action::Report(Report::Registered));
            }
            Look::Connected | Look::Nothing => self.kill(now, why, out),
            Look::Unclear => {
                out.push(Action::Thaw);
                self.wait_on(now, before);
                self.interrupt_if_asked(now, why, out);
            }
        }
    }

    /// A process could not be frozen in time (it hangs in the kernel, or belongs to another user): whether a job runs
    /// is not known, so nothing is killed. Look again a little later.
    pub(super) fn wait_on(&mut self, now: u64, before: Waiting) {
        let until = now + LOOK_AGAIN_MS;
        self.phase = match before {
            Waiting::Booting => {
                self.boot_deadline = until;
                Phase::Booting
            }
            Waiting::Idle { beat_at } => Phase::Idle { until, beat_at },
            Waiting::AfterJob => Phase::AfterJob { until },
        };
    }

    pub(super) fn interrupt_if_asked(&mut self, now: u64, why: EndReason, out: &mut Vec<Action>) {
        if why == EndReason::Terminated {
            self.interrupt(now, out);
        }
    }

    pub(super) fn job_received(&mut self, now: u64, out: &mut Vec<Action>) {
        if self.may_get_job() {
            self.busy(Some(now + NO_WORKER_MS), out);
        }
    }

    pub(super) fn worker_seen(&mut self, out: &mut Vec<Action>) {
        if let Phase::Busy { no_worker_after } = &mut self.phase {
            *no_worker_after = None;
        } else if self.may_get_job() {
            self.busy(None, out);
        }
    }

    pub(super) fn busy(&mut self, no_worker_after: Option<u64>, out: &mut Vec<Action>) {
        self.phase = Phase::Busy { no_worker_after };
        self.ran_job = true;
        out.push(Action::Report(Report::JobStarted));
    }

    pub(super) fn worker_gone(&mut self, now: u64, out: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Busy { no_worker_after: None }) {
            self.job_over(now, out);
        }
    }

    /// The listener still has to tell GitHub how the job ended: give it time, and do not take it for idle.
    pub(super) fn job_over(&mut self, now: u64, out: &mut Vec<Action>) {
        self.phase = Phase::AfterJob { until: now + AFTER_JOB_MS };
        out.push(Action::Report(Report::JobEnded));
    }

    pub(super) fn may_get_job(&self) -> bool {
        match self.phase {
            Phase::Booting | Phase::Idle { .. } | Phase::Looking { .. } | Phase::AfterJob { .. } => true,
            Phase::Busy { .. } | Phase::Claiming { .. } | Phase::Configuring | Phase::Interrupted { .. } => false,
            Phase::Killed { .. } | Phase::Sweeping { .. } | Phase::Reporting { .. } | Phase::Over => false,
        }
    }
}

/// When to look again after processes could not be frozen in time.
const LOOK_AGAIN_MS: u64 = 5_000;

/// A listener that received a job but never gets a worker has lost it (GitHub queues it again after 60 s).
const NO_WORKER_MS: u64 = 120_000;

/// The time in which a listener ends by itself after its job.
const AFTER_JOB_MS: u64 = 120_000;
