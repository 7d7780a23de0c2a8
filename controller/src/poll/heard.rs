//! What looks have told already: so that an unchanged job is not decided on at each look, and one that is not for us is
//! recorded once.
//!
//! All of it may be lost: then it is told again, and the core takes it for known.

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    event::Event,
    ids::{JobId, Repo, RunId},
    job::JobInput,
    reconcile::{aside_key, aside_of},
};

/// An unchanged job is told again after this time, milliseconds: its row may have been lost.
const TELL_AGAIN_MS: u64 = 60_000;

/// A job that is not for us is remembered for so long after it was last seen, milliseconds.
const ASIDE_MS: u64 = 60 * 60_000;

/// Most jobs that are remembered as not for us; beyond, the oldest are recorded again.
const ASIDES_MAX: usize = 10_000;

/// Jobs by repository, as they were last told.
#[derive(Debug, Default)]
pub(super) struct Heard(BTreeMap<Repo, BTreeMap<JobId, Told>>);

/// How a job was last told.
#[derive(Debug)]
struct Told {
    run: RunId,
    input: JobInput,
    at_ms: u64,
}

impl Heard {
    /// Only these repositories are served.
    pub(super) fn know(&mut self, repos: &BTreeSet<Repo>) {
        self.0.retain(|repo, _| repos.contains(repo));
    }

    /// Those of a repository's jobs that are to be told.
    pub(super) fn news(&mut self, repo: &Repo, jobs: Vec<Event>, now_ms: u64) -> Vec<Event> {
        let heard = self.0.entry(repo.clone()).or_default();
        let mut news = Vec::new();
        for event in jobs {
            let Event::Job { facts, input } = &event else { continue };
            let known = heard.get(&facts.id);
            if known.is_none_or(|told| told.input != *input || now_ms >= told.at_ms + TELL_AGAIN_MS) {
                heard.insert(facts.id, Told { run: facts.run_id, input: input.clone(), at_ms: now_ms });
                news.push(event);
            }
        }
        news
    }

    /// The jobs that were told before and are not among these, which are all but those of runs that were not read.
    pub(super) fn missing(&self, repo: &Repo, jobs: &[Event], unread: &BTreeSet<RunId>) -> Vec<JobId> {
        let Some(heard) = self.0.get(repo) else { return Vec::new() };
        let id = |event: &Event| if let Event::Job { facts, .. } = event { Some(facts.id) } else { None };
        let listed: BTreeSet<JobId> = jobs.iter().filter_map(id).collect();
        let ended = heard.iter().filter(|(job, told)| !listed.contains(job) && !unread.contains(&told.run));
        ended.map(|(job, _)| *job).collect()
    }

    /// A job has ended.
    pub(super) fn ended(&mut self, repo: &Repo, job: JobId) {
        if let Some(heard) = self.0.get_mut(repo) {
            heard.remove(&job);
        }
    }

    /// Everything of a repository is told again.
    pub(super) fn forget(&mut self, repo: &Repo) {
        if let Some(heard) = self.0.get_mut(repo) {
            heard.values_mut().for_each(|told| told.at_ms = 0);
        }
    }
}

/// Jobs that are not for us, where they are from, and when each was last seen. Poller and sweep share it, and the sweep
/// stores it.
#[derive(Debug, Default)]
pub(crate) struct Asides(BTreeMap<JobId, (Repo, u64)>);

impl Asides {
    /// Those that have not been seen yet.
    pub(super) fn news(&mut self, jobs: Vec<Event>, now_ms: u64) -> Vec<Event> {
        jobs.into_iter()
            .filter(|event| {
                let Event::Job { facts, .. } = event else { return false };
                self.0.insert(facts.id, (facts.repo.clone(), now_ms)).is_none()
            })
            .collect()
    }

    /// Adds what a sweep stores, or has stored.
    pub(crate) fn learn(&mut self, suspicions: &BTreeMap<String, u64>, now_ms: u64) {
        for (repo, id) in suspicions.keys().filter_map(|key| aside_of(key)) {
            self.0.entry(id).or_insert((repo, now_ms));
        }
        self.0.retain(|_, (_, at_ms)| now_ms < *at_ms + ASIDE_MS);
        while self.0.len() > ASIDES_MAX {
            self.0.pop_first();
        }
    }

    /// One that was not recorded after all.
    pub(crate) fn forget(&mut self, job: JobId) {
        self.0.remove(&job);
    }

    /// Adds them to what a sweep stores.
    pub(crate) fn add_to(&self, suspicions: &mut BTreeMap<String, u64>) {
        for (id, (repo, at_ms)) in &self.0 {
            suspicions.entry(aside_key(repo, *id)).or_insert(*at_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use fleet::job::JobFacts;

    use super::*;

    fn repo() -> Repo {
        Repo::parse("acme/web").unwrap()
    }

    fn job(id: u64, input: JobInput) -> Event {
        let facts = JobFacts {
            id: JobId(id),
            run_id: RunId(1),
            run_attempt: 1,
            repo: repo(),
            public: Some(false),
            name: "build".into(),
            labels: Vec::new(),
            created_ms: 1,
        };
        Event::Job { facts, input }
    }

    #[test]
    fn only_what_is_new_is_told_and_all_of_it_after_a_while() {
        let mut heard = Heard::default();
        let (queued, running) = (job(1, JobInput::Queued), job(1, JobInput::InProgress { runner: "r".into() }));
        assert_eq!(heard.news(&repo(), vec![queued.clone()], 1_000).len(), 1);
        assert_eq!(heard.news(&repo(), vec![queued.clone()], 2_000), []);
        let one = std::slice::from_ref(&running);
        assert_eq!(heard.news(&repo(), vec![running.clone()], 3_000), one);
        assert_eq!(heard.news(&repo(), vec![running.clone()], 3_000 + TELL_AGAIN_MS), one);
        heard.forget(&repo());
        assert_eq!(heard.news(&repo(), vec![running.clone()], 3_001 + TELL_AGAIN_MS), [running]);
    }

    #[test]
    fn what_is_listed_no_more_is_missing_until_it_has_ended() {
        let mut heard = Heard::default();
        let jobs = vec![job(1, JobInput::Queued), job(2, JobInput::Queued)];
        heard.news(&repo(), jobs.clone(), 1_000);
        let none = BTreeSet::new();
        assert_eq!(heard.missing(&repo(), &jobs[..1], &none), [JobId(2)]);
        assert_eq!(heard.missing(&repo(), &jobs[..1], &[RunId(1)].into()), [], "its run was not read");
        assert_eq!(heard.missing(&repo(), &jobs, &none), []);
        heard.ended(&repo(), JobId(2));
        assert_eq!(heard.missing(&repo(), &[], &none), [JobId(1)]);
        heard.know(&BTreeSet::new());
        assert_eq!(heard.missing(&repo(), &[], &none), []);
    }

    #[test]
    fn poller_and_sweep_remember_together_what_is_not_for_us() {
        let (mut asides, stored) = (Asides::default(), BTreeMap::from([("aside/acme/web/7".to_owned(), 1)]));
        asides.learn(&stored, 1_000);
        let jobs = || vec![job(7, JobInput::Queued), job(8, JobInput::Queued)];
        assert_eq!(asides.news(jobs(), 2_000), [job(8, JobInput::Queued)]);
        let mut kept = BTreeMap::from([("inventory".to_owned(), 5)]);
        asides.add_to(&mut kept);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["aside/acme/web/7", "aside/acme/web/8", "inventory"]);
        asides.learn(&BTreeMap::new(), 2_000 + ASIDE_MS);
        assert_eq!(asides.news(jobs(), 2_000 + ASIDE_MS).len(), 2);
    }
}
