//! What happens by itself as time passes.
//!
//! A timer is only a reason to look: when it fires, the state decides whether something is to be done. So nothing has
//! to be taken back when a runner connects or a job ends.

use fleet::ids::{JobId, RegistrationId};
use fleet::job::Conclusion;

use super::Hub;
use super::faults::seen;
use super::model::{Cause, Gone, HubJob, Note, Registered, Session, Status};

/// A reason to look at something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// An assigned job was not picked up.
    NotPickedUp(JobId),
    /// A job is in the queue for 24 hours.
    QueuedTooLong(JobId),
    /// A cancelled job was not ended by its runner.
    ForceCancel(JobId),
    /// The runner of a running job was deleted.
    Orphaned(JobId),
    /// A runner may have been silent for long.
    Quiet(RegistrationId),
    /// A runner may not have been connected for long.
    Unconnected(RegistrationId),
    /// A registration vanishes if its listener waits.
    Ghost(RegistrationId),
    /// No lagging read can show it any more.
    Unlist(RegistrationId),
    /// A group may have changed its mind.
    Pairs,
}

impl Hub {
    /// When something happens next: a webhook to send, an assignment, something that falls due. Calling
    /// [`Hub::tick`] and [`Hub::due`] then is enough; a time that has come without an effect is possible.
    pub fn next_event_ms(&self) -> Option<u64> {
        let outgoing_ms = self.outgoing.first().map(|(at_ms, _)| *at_ms);
        let timer_ms = self.timers.first().map(|(at_ms, _)| *at_ms);
        [outgoing_ms, timer_ms, self.unassigned_since_ms].into_iter().flatten().min()
    }

    /// Does what is due: assignments, requeues, time-outs, vanishings.
    pub fn tick(&mut self, now_ms: u64) {
        while let Some(&(at_ms, timer)) = self.timers.first().filter(|(at_ms, _)| *at_ms <= now_ms) {
            self.timers.remove(&(at_ms, timer));
            self.fire(now_ms, timer);
        }
        self.assign(now_ms);
    }

    fn fire(&mut self, now_ms: u64, timer: Timer) {
        match timer {
            Timer::NotPickedUp(job) => self.not_picked_up(now_ms, job),
            Timer::QueuedTooLong(job) => self.queued_too_long(now_ms, job),
            Timer::ForceCancel(job) => {
                if self.jobs.get(&job).is_some_and(HubJob::is_running) {
                    self.complete(now_ms, job, Conclusion::Cancelled, Cause::CancelForced);
                }
            }
            Timer::Orphaned(job) => {
                if self.jobs.get(&job).is_some_and(HubJob::is_running) {
                    self.complete(now_ms, job, Conclusion::Failure, Cause::RunnerDeleted);
                }
            }
            Timer::Quiet(runner) => self.quiet(now_ms, runner),
            Timer::Unconnected(runner) => self.unconnected(now_ms, runner),
            Timer::Ghost(runner) => {
                if self.idle.contains(&runner) {
                    self.saw(seen::GHOST);
                    self.remove(now_ms, runner, Gone::Ghost);
                }
            }
            Timer::Unlist(runner) => self.unlist(runner),
            Timer::Pairs => self.look_for_pairs(now_ms),
        }
    }

    fn not_picked_up(&mut self, now_ms: u64, id: JobId) {
        let Some(Status::Assigned { runner, at_ms, .. }) = self.jobs.get(&id).map(HubJob::status) else { return };
        if now_ms >= at_ms + self.times.requeue_after_ms {
            self.requeue(now_ms, id, runner);
        }
    }

    fn queued_too_long(&mut self, now_ms: u64, id: JobId) {
        match self.jobs.get(&id).map(HubJob::status) {
            Some(Status::Queued | Status::Assigned { .. }) => {
                self.complete(now_ms, id, Conclusion::Failure, Cause::QueueTimeout);
            }
            Some(Status::Waiting | Status::Running { .. } | Status::Done { .. }) | None => {}
        }
    }

    /// A silent idle runner goes offline; a silent working one loses its job (FACTS §2: 10 minutes).
    fn quiet(&mut self, now_ms: u64, id: RegistrationId) {
        let Some(runner) = self.registrations.get(&id).filter(|runner| runner.is_live()) else { return };
        let (beat_ms, online) = match runner.session {
            Session::Never => return,
            Session::Open { .. } if self.times.assume_heartbeats => return,
            Session::Open { beat_ms } | Session::Silent { beat_ms } => (beat_ms, true),
            Session::Closed { at_ms } => (at_ms, false),
        };
        let running = runner.job.filter(|job| self.jobs.get(job).is_some_and(HubJob::is_running));
        let limit_ms = if running.is_some() { self.times.lost_after_ms } else { self.times.offline_after_ms };
        if now_ms < beat_ms + limit_ms {
            self.timer(beat_ms + limit_ms, Timer::Quiet(id));
        } else if let Some(job) = running {
            self.complete(now_ms, job, Conclusion::Failure, Cause::RunnerLost);
            self.timer(now_ms, Timer::Quiet(id));
        } else if online {
            self.go_offline(now_ms, id);
        }
    }

    fn go_offline(&mut self, now_ms: u64, id: RegistrationId) {
        let Some(runner) = self.registrations.get_mut(&id) else { return };
        runner.session = Session::Closed { at_ms: now_ms };
        let ephemeral = runner.ephemeral;
        self.idle.remove(&id);
        self.show(now_ms, id);
        let unconnected_ms = self.unconnected_ms(ephemeral);
        self.timer(now_ms + unconnected_ms, Timer::Unconnected(id));
        self.note(now_ms, || Note::Disconnected(id));
    }

    fn unconnected(&mut self, now_ms: u64, id: RegistrationId) {
        let Some(runner) = self.registrations.get(&id).filter(|runner| runner.is_live()) else { return };
        let since_ms = match runner.session {
            Session::Never => runner.created_ms,
            Session::Closed { at_ms } => at_ms,
            Session::Open { .. } | Session::Silent { .. } => return,
        };
        if now_ms >= since_ms + self.unconnected_ms(runner.ephemeral) && runner.job.is_none() {
            self.remove(now_ms, id, Gone::Unconnected);
        }
    }

    fn unlist(&mut self, id: RegistrationId) {
        let Some(scope) = self.registrations.get(&id).map(|runner: &Registered| runner.scope.clone()) else { return };
        if let Some(registry) = self.registries.get_mut(&scope) {
            registry.listed.remove(&id);
        }
    }
}
