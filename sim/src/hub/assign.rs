//! Which runner gets which job.
//!
//! GitHub gives a job to **any** idle runner in scope that has all of the job's labels, in a group that the repository
//! may use (FACTS §1). Nothing pins a runner to the job that it was started for, so jobs are "stolen" across pools all
//! the time: the choice is random here.

use fleet::ids::{JobId, RegistrationId, Scope};

use super::Hub;
use super::clock::Timer;
use super::delivery::Action;
use super::faults::seen;
use super::model::{HubJob, Note, Offer, Registered, Status};

/// How often a refused pair is looked at again.
const REFUSED_AGAIN_MS: u64 = 30_000;

/// How a runner and a job fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// The job may be given to it.
    Yes,
    /// It is another scope's, or lacks a label.
    No,
    /// All fits, but its group refuses the repository.
    Refused,
}

impl Hub {
    /// Gives waiting jobs to idle runners, oldest job first.
    pub(crate) fn assign(&mut self, now_ms: u64) {
        if self.unassigned_since_ms.take().is_none() || self.idle.is_empty() || self.queue.is_empty() {
            return;
        }
        let jobs: Vec<(u64, JobId)> = self.queue.iter().copied().collect();
        for (queued_ms, job) in jobs {
            if self.idle.is_empty() {
                return;
            }
            if let Some(runner) = self.pick(now_ms, job) {
                self.queue.remove(&(queued_ms, job));
                self.give(now_ms, job, runner);
            }
        }
    }

    /// A random one of the idle runners that fit.
    fn pick(&mut self, now_ms: u64, job: JobId) -> Option<RegistrationId> {
        let refusing = self.faults.group_refuses && self.faulty(now_ms);
        let (mut fitting, mut refused, mut chosen) = (0, 0, None);
        let job = self.jobs.get(&job)?;
        for id in &self.idle {
            let Some(runner) = self.registrations.get(id) else { continue };
            match self.fit(runner, job) {
                Fit::Yes if refusing => refused += 1,
                Fit::Yes => {
                    fitting += 1;
                    if self.rng.usize(0..fitting) == 0 {
                        chosen = Some(*id);
                    }
                }
                Fit::No => {}
                Fit::Refused => refused += 1,
            }
        }
        if chosen.is_none() && refused > 0 {
            self.saw(seen::GROUP_REFUSED);
            // Nothing tells when a group changes its mind: look again, once for all who are refused meanwhile.
            self.timer((now_ms / REFUSED_AGAIN_MS + 1) * REFUSED_AGAIN_MS, Timer::Pairs);
        }
        chosen
    }

    /// How a runner and a job fit.
    pub fn fit(&self, runner: &Registered, job: &HubJob) -> Fit {
        let in_scope = match &runner.scope {
            Scope::Org(org) => org.as_ref() == job.facts.repo.owner(),
            Scope::Repo(repo) => *repo == job.facts.repo,
        };
        if !in_scope || !job.labels.as_ref().is_some_and(|labels| runner.labels.serves(labels)) {
            return Fit::No;
        }
        if self.permits(runner, job) { Fit::Yes } else { Fit::Refused }
    }

    /// Runner groups exist at organisation scope only.
    fn permits(&self, runner: &Registered, job: &HubJob) -> bool {
        match &runner.scope {
            Scope::Repo(_) => true,
            Scope::Org(org) => self
                .owners
                .get(org)
                .and_then(|owner| owner.group(runner.group))
                .is_some_and(|group| group.permits(&job.origin)),
        }
    }

    fn give(&mut self, now_ms: u64, job: JobId, runner: RegistrationId) {
        let offer = self.offer(now_ms);
        self.idle.remove(&runner);
        if let Some(runner) = self.registrations.get_mut(&runner) {
            runner.job = Some(job);
        }
        if let Some(job) = self.jobs.get_mut(&job) {
            job.assigned += 1;
        }
        self.set_status(now_ms, job, Status::Assigned { runner, at_ms: now_ms, offer });
        self.timer(now_ms + self.times.requeue_after_ms, Timer::NotPickedUp(job));
        self.note(now_ms, || Note::Assigned(job, runner));
        if offer == Offer::Announced {
            self.announce(now_ms, job, Action::InProgress);
        }
    }

    fn offer(&mut self, now_ms: u64) -> Offer {
        if !self.roll(now_ms, self.faults.requeue_permille) {
            return Offer::Heard;
        }
        let announced = self.rng.bool();
        self.saw(if announced { seen::UNHEARD_ANNOUNCED } else { seen::UNHEARD });
        if announced { Offer::Announced } else { Offer::Unheard }
    }
}
