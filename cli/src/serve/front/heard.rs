//! What the last deliveries said of their jobs, so that an answer can say `duplicate` without asking the store.
//!
//! Only words depend on it: a duplicate is stored and decided like any other delivery. What is remembered is the job's
//! state, not that an event was seen: an approved environment's job is announced as `queued` twice, and the second one
//! is news (lesson 9). Headers decide nothing, since they are not signed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use fleet::{
    event::Event,
    ids::JobId,
    job::{Job, JobState, step},
};

/// Most jobs that are remembered; the ones heard of first are forgotten first. About 2 MB.
const JOBS_MAX: usize = 16_384;

/// Where the jobs of the last deliveries stand.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Jobs>);

#[derive(Debug, Default)]
struct Jobs {
    states: HashMap<JobId, JobState>,
    order: VecDeque<JobId>,
}

impl Heard {
    /// Notes what an event says. In words why it is nothing new, if it is nothing new.
    pub(super) fn note(&self, event: &Event, now_ms: u64) -> Option<String> {
        let Event::Job { facts, input } = event else { return None };
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = jobs.states.get(&facts.id);
        match step(known, input, now_ms) {
            Some(state) => {
                jobs.set(facts.id, state);
                None
            }
            None => known.map(|state| format!("this job is known to be {}", state.label().to_lowercase())),
        }
    }

    /// Learns how jobs stand that have rows.
    pub(super) fn learn(&self, rows: &[Job]) {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter().for_each(|row| jobs.set(row.facts.id, row.state.clone()));
    }

    /// This occurs when the event could not be stored: nobody has it, so nothing was heard.
    pub(super) fn forget(&self, event: &Event) {
        if let Event::Job { facts, .. } = event {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).states.remove(&facts.id);
        }
    }
}

impl Jobs {
    fn set(&mut self, job: JobId, state: JobState) {
        if self.states.insert(job, state).is_some() {
            return;
        }
        self.order.push_back(job);
        if self.order.len() > JOBS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.states.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet::{
        ids::{Repo, RunId},
        job::{Conclusion, JobFacts, JobInput},
    };

    use super::*;

    fn event(id: u64, input: JobInput) -> Event {
        let facts = JobFacts {
            id: JobId(id),
            run_id: RunId(1),
            run_attempt: 1,
            repo: Repo::parse("acme/web").unwrap(),
            public: Some(false),
            name: "build".into(),
            labels: Vec::new(),
            created_ms: 0,
        };
        Event::Job { facts, input }
    }

    #[test]
    fn a_state_that_is_known_is_a_duplicate_and_an_approval_is_news() {
        let heard = Heard::default();
        let mut news = |input| heard.note(&event(1, input), 0).is_none();
        let ours = || JobInput::InProgress { runner: "sr-dev-0abc-1".into() };
        let ended = || JobInput::Completed { conclusion: Conclusion::Success, runner: "sr-dev-0abc-1".into() };
        assert_eq!([JobInput::Waiting, JobInput::Waiting].map(&mut news), [true, false]);
        assert_eq!([JobInput::Queued, JobInput::Queued, JobInput::Waiting].map(&mut news), [true, false, false]);
        assert_eq!([ours(), ours(), JobInput::Queued].map(&mut news), [true, false, false]);
        assert_eq!([ended(), ended(), ours()].map(&mut news), [true, false, false]);
        let why = heard.note(&event(1, JobInput::Queued), 0);
        assert_eq!(why.as_deref(), Some("this job is known to be done"));
    }

    #[test]
    fn what_was_not_stored_was_not_heard() {
        let heard = Heard::default();
        let queued = event(1, JobInput::Queued);
        assert_eq!(heard.note(&queued, 0), None);
        heard.forget(&queued);
        assert_eq!(heard.note(&queued, 0), None);
    }

    #[test]
    fn the_memory_is_bounded() {
        let heard = Heard::default();
        for round in 0..3 {
            (0..=JOBS_MAX as u64).for_each(|id| drop(heard.note(&event(id, JobInput::Queued), round)));
        }
        let forgotten = event(7, JobInput::Queued);
        heard.forget(&forgotten);
        heard.note(&forgotten, 0);
        let jobs = heard.0.lock().unwrap();
        assert!(jobs.states.len() <= JOBS_MAX && jobs.order.len() <= JOBS_MAX + 1, "{}", jobs.order.len());
    }
}
