//! The poller: looks at repositories for open jobs as the [`Rota`] says, and has what is new decided on.
//!
//! It reaches the same events as webhooks and the sweep do, so that nothing here can start two runners for one need. It
//! takes nothing for gone: a job that is no longer listed is read directly, and that answer is an event too.

mod heard;

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use fleet::{
    event::{Event, Outcome},
    ids::{JobId, Repo, RunId, RunnerName},
    job::JobInput,
    policy::{Placement, Policy},
    rota::{Cost, How, Looked, Outlook, Pace, Rota, Turn},
};
use tracing::{debug, info, warn};

use self::heard::{Asides, Heard};
use crate::{
    ports::{ErrorKind, Look, PortError},
    service::Controller,
    settings::{BATCH_EVENTS, READ_POINTS},
};

/// Longest sleep of the poller: a delivery or a sweep may have changed the rota meanwhile.
const LONGEST_SLEEP_MS: u64 = 1_000;

/// Most jobs that are read directly after one look, because they are no longer listed.
const JOB_READS_PER_LOOK: usize = 20;

/// A job that is first seen by a look so long after its creation was not told by a webhook.
const MISSED_AFTER_MS: u64 = 30_000;

/// What poller and sweep know of the repositories.
pub(crate) struct Polls {
    pub(crate) rota: Rota,
    pub(crate) asides: Asides,
    heard: Heard,
    /// Whether a poller is at work; else the sweep looks at all repositories itself.
    at_work: bool,
}

impl Polls {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { rota: Rota::new(pace), asides: Asides::default(), heard: Heard::default(), at_work: false }
    }

    /// A sweep begins: these are served. Which it lists, in this order; `wanted` are those with open jobs.
    pub(crate) fn begin_sweep(&mut self, repos: &BTreeSet<Repo>, wanted: &BTreeSet<Repo>, now_ms: u64) -> Vec<Repo> {
        self.rota.know(repos);
        self.heard.know(repos);
        self.rota.to_list(wanted, !self.at_work, now_ms)
    }
}

impl Controller {
    /// Looks at repositories as their turn comes, for ever.
    pub async fn run_poller(self: Arc<Self>) {
        self.polls().at_work = true;
        loop {
            let wait_ms = self.poll_once().await;
            if wait_ms > 0 {
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
        }
    }

    /// One look, if somebody's turn has come; how long to wait before the next, milliseconds.
    pub async fn poll_once(&self) -> u64 {
        let now_ms = self.ports.clock.now_ms();
        let turn = self.polls().rota.next(now_ms);
        match turn {
            Turn::Look(repo, how) => {
                self.look_at(&repo, how).await;
                0
            }
            Turn::At(at_ms) => at_ms.saturating_sub(now_ms).clamp(1, LONGEST_SLEEP_MS),
            Turn::Idle => LONGEST_SLEEP_MS,
        }
    }

    /// How repositories are looked at, and after how long at the latest a new job is seen.
    pub fn outlook(&self) -> Outlook {
        self.polls().rota.outlook(self.ports.clock.now_ms())
    }

    /// Good deliveries were handled: these repositories' webhooks work.
    pub(crate) fn told(&self, events: &[Event]) {
        let now_ms = self.ports.clock.now_ms();
        let mut polls = self.polls();
        for event in events {
            if let Event::Job { facts, .. } = event {
                polls.rota.told(&facts.repo, now_ms);
            }
        }
    }

    pub(crate) fn polls(&self) -> MutexGuard<'_, Polls> {
        self.polls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look_at(&self, repo: &Repo, how: How) {
        let began_ms = self.ports.clock.now_ms();
        match self.github_budget(repo.owner(), READ_POINTS).await {
            Ok(None) => {}
            Ok(Some(until_ms)) => return self.polls().rota.shut(repo.owner(), until_ms),
            Err(error) => return self.look_failed(repo, &error),
        }
        let look = self.ports.github.look(repo, how).await;
        match self.heed(repo.owner(), look).await {
            Ok(look) => {
                self.looked(repo, began_ms, &look).await;
                self.hear(repo, look.jobs.unwrap_or_default(), &look.unread).await;
            }
            Err(error) => self.look_failed(repo, &error),
        }
    }

    /// Notes what a look cost, of the share and of the budget that all calls have together.
    pub(crate) async fn looked(&self, repo: &Repo, began_ms: u64, look: &Look) {
        let ended_ms = self.ports.clock.now_ms();
        let (cost, changed, open) = (look.cost, look.changed, look.open);
        let looked = Looked { began_ms, ended_ms, cost, changed, open, listed: look.jobs.is_some() };
        let failed_before = {
            let mut polls = self.polls();
            let failed = polls.rota.is_failing(repo);
            polls.rota.looked(repo, &looked);
            failed
        };
        if failed_before {
            info!(%repo, "can be read again");
        }
        // One point was taken before. What is no longer there cannot be taken, and the next call waits for it.
        let points = cost.requests.saturating_sub(1) * READ_POINTS;
        if points > 0
            && let Err(error) = self.github_budget(repo.owner(), points).await
        {
            debug!(%error, "the cost of a look is not in the rate budget");
        }
    }

    pub(crate) fn look_failed(&self, repo: &Repo, error: &PortError) {
        let now_ms = self.ports.clock.now_ms();
        let mut polls = self.polls();
        if let ErrorKind::RateLimited { until_ms } = error.kind {
            polls.rota.shut(repo.owner(), until_ms);
        } else if polls.rota.is_failing(repo) {
            debug!(%repo, %error, "still cannot be looked at");
            polls.rota.failed(repo, now_ms);
        } else {
            warn!(%repo, %error, "cannot be looked at for jobs; tried again, less and less often");
            polls.rota.failed(repo, now_ms);
        }
    }

    /// Has decided on what is new among a repository's open jobs.
    async fn hear(&self, repo: &Repo, jobs: Vec<Event>, unread: &BTreeSet<RunId>) {
        let policy = self.policy();
        let now_ms = self.ports.clock.now_ms();
        let (news, missing) = {
            let mut polls = self.polls();
            let (ours, others): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|event| is_ours(&policy, event));
            let mut news = polls.asides.news(others, now_ms);
            let missing = polls.heard.missing(repo, &ours, unread);
            news.extend(polls.heard.news(repo, ours, now_ms));
            (news, missing)
        };
        for batch in news.chunks(BATCH_EVENTS) {
            match self.handle(batch).await {
                Ok(outcomes) => self.look_for_missed(repo, batch, &outcomes, now_ms),
                Err(error) => {
                    warn!(%repo, %error, "jobs that were seen are not decided on yet; tried again");
                    self.polls().heard.forget(repo);
                }
            }
        }
        for job in missing.into_iter().take(JOB_READS_PER_LOOK) {
            self.read_missing(repo, job).await;
        }
    }

    /// It is no longer listed: it has ended, or the list lags.
    async fn read_missing(&self, repo: &Repo, job: JobId) {
        if !matches!(self.github_budget(repo.owner(), READ_POINTS).await, Ok(None)) {
            return;
        }
        let read = self.ports.github.job(repo, job).await;
        let read = self.heed(repo.owner(), read).await;
        self.polls().rota.pay(Cost::of_request(false), self.ports.clock.now_ms());
        let handled = match read {
            Ok(Some(event)) => self.handle(&[event]).await.map(drop),
            // The sweep asks a second time before it believes that.
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        match handled {
            Ok(()) => self.polls().heard.ended(repo, job),
            Err(error) => debug!(%repo, job.id = job.0, %error, "cannot be read; tried again at the next look"),
        }
    }

    /// A job that should have been told long ago shows that this repository's webhooks do not arrive.
    fn look_for_missed(&self, repo: &Repo, events: &[Event], outcomes: &[Outcome], now_ms: u64) {
        let untold = events.iter().zip(outcomes).any(|(event, outcome)| {
            let Event::Job { facts, input: JobInput::Queued } = event else { return false };
            matches!(outcome, Outcome::Accepted(_))
                && facts.created_ms > 0
                && now_ms > facts.created_ms + MISSED_AFTER_MS
        });
        let mut polls = self.polls();
        if untold && polls.rota.is_covered(repo, now_ms) {
            info!(%repo, "a job was seen that no webhook told of: looked at more often until one arrives");
            polls.rota.missed(repo);
        }
    }
}

/// Whether a job is for us, or on a runner of ours.
fn is_ours(policy: &Policy, event: &Event) -> bool {
    let Event::Job { facts, input } = event else { return true };
    let prefix = policy.prefix();
    matches!(policy.place(facts), Placement::Pool(_) | Placement::Closed(_))
        || input.runner().is_some_and(|name| RunnerName::parse_registered(&prefix, name).is_some())
}
